"""What a command costs: one way to measure it, for every benchmark that starts processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# A parent process of its own: the peak of a process begins with that of its parent, and this one has much in memory.
_WATCH = """
import json, os, resource, subprocess, sys, threading, time
limit, until, command = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
stopped = []
began = time.perf_counter()
process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
timer = threading.Timer(limit, lambda: (stopped.append(True), process.kill()))
timer.daemon = True
timer.start()
reached = None
if until:
    threading.Thread(target=process.stdout.read, daemon=True).start()
    while reached is None and process.poll() is None:
        time.sleep(0.005)
        if os.path.isfile(until) and os.path.getsize(until):
            reached = time.perf_counter() - began
            process.kill()
said = b"" if until else process.stdout.read()
code = process.wait()
clock = time.perf_counter() - began if reached is None else reached
used = resource.getrusage(resource.RUSAGE_CHILDREN)
code = None if stopped else 0 if reached is not None else code or (1 if until else 0)
print(json.dumps([code, clock, used.ru_utime + used.ru_stime, used.ru_maxrss, said.decode(errors="replace")]))
"""


@dataclass(frozen=True)
class Spent:
    """What one process took, with those that it waited for.

    code: its exit status, None where the limit stopped it. clock: seconds that passed. core_seconds: user and system
    together. peak: of its resident size, MiB. said: its standard output and errors.
    """

    code: int | None
    clock: float
    core_seconds: float
    peak: float
    said: str

    def end(self) -> str:
        """The last words in one line, or why there are none."""
        words = self.said.strip()[-60:].replace("\n", " | ")
        return words if self.code == 0 else f"{'stopped' if self.code is None else f'status {self.code}'}: {words}"


def spent(command: Sequence[str | Path], limit: float = 86_400, until: Path | None = None) -> Spent:
    """Run a command to its end and measure it.

    command: with its arguments. limit: seconds after which it is stopped. until: a file; where something is in it, the
    command is ended, and the clock is read.
    """
    watch = [sys.executable, "-c", _WATCH, str(limit), str(until or ""), *map(str, command)]
    code, clock, core_seconds, peak, said = json.loads(subprocess.run(watch, capture_output=True, check=True).stdout)
    return Spent(code, clock, core_seconds, peak / (2**20 if sys.platform == "darwin" else 2**10), said)


def cli_spent(*arguments: str | Path, until: Path | None = None) -> Spent:
    """`spent` of a command of cli.py. Raises SystemExit where it fails.

    arguments: behind cli.py. until: as of `spent`.
    """
    found = spent([sys.executable, "cli.py", *arguments], until=until)
    if found.code not in (0, 3):  # 3: no pair was kept
        raise SystemExit(f"cli.py {' '.join(map(str, arguments))} ended with status {found.code}: {found.said[-2000:]}")
    return found
