"""A fault at every write: the calls are counted and meet what they should, and commands get over it."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux" or sys.version_info < (3, 11), reason="Linux, Python 3.11")

# calls: 0 open, 1 write, 2 fsync, 3 rename
REPLACE_A_FILE = """
import os, sys
from pathlib import Path
from benchmarks.robustness.write_calls import WriteCalls, unseen
folder, at, fault = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
calls = WriteCalls(folder, at, fault)
calls.start()
try:
    with open(folder / "part", "wb") as file:
        file.write(b"0123456789")
        file.flush()
        os.fsync(file.fileno())
    (folder / "part").replace(folder / "whole")
except OSError as error:
    sys.exit(error.errno)
os.system(f"touch {folder}/unseen")
print(*[call.name for call in calls.calls], *unseen(os.listdir(folder), [], calls.calls))
"""


@pytest.mark.parametrize(
    ("at", "fault", "status", "files"),
    [
        (0, "kill-before", -signal.SIGKILL, {}),
        (0, "kill-after", -signal.SIGKILL, {"part": b""}),
        (1, "torn", -signal.SIGKILL, {"part": b"01234"}),
        (1, "no-space", errno.ENOSPC, {"part": b""}),
        (2, "io-error", errno.EIO, {"part": b"0123456789"}),
        (3, "kill-before", -signal.SIGKILL, {"part": b"0123456789"}),
        (3, "kill-after", -signal.SIGKILL, {"whole": b"0123456789"}),
        (9, "kill-before", 0, {"whole": b"0123456789", "unseen": b""}),
    ],
)
def test_a_call_meets_its_fault(
    tmp_path: Path, project: Path, at: int, fault: str, status: int, files: dict[str, bytes]
) -> None:
    command = [sys.executable, "-c", REPLACE_A_FILE, str(tmp_path.resolve()), str(at), fault]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == files
    if status == 0:
        assert done.stdout.split() == ["open", "write", "fsync", "rename", "unseen"]


def test_commands_get_over_faults(project: Path) -> None:
    """A sample of the faults; `python -m benchmarks.robustness.write_faults` tries all of them with every command."""
    command = [sys.executable, "-m", "benchmarks.robustness.write_faults", "--every", "120"]
    done = subprocess.run(
        [*command, "--command", "build", "--command", "decisions"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = dict(re.findall(r"^ (\w+) +\d+ +(\d+ +\d+)", done.stdout, re.MULTILINE))
    assert {name: len(set(numbers.split())) for name, numbers in rows.items()} == {"build": 1, "decisions": 1}
