"""What a command costs: one way to measure it, for every benchmark that starts processes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile


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
    # A parent of its own: the peak of a process begins with that of its parent, and this one has much in memory.
    watch = [sys.executable, "-m", "benchmarks.process", str(limit), str(until or ""), *map(str, command)]
    return Spent(**json.loads(subprocess.run(watch, capture_output=True, check=True).stdout))


def cli_spent(*arguments: str | Path, until: Path | None = None) -> Spent:
    """`spent` of a command of cli.py. Raises SystemExit where it fails.

    arguments: behind cli.py. until: as of `spent`.
    """
    found = spent([sys.executable, "cli.py", *arguments], until=until)
    if found.code not in (0, 3):  # 3: no pair was kept
        raise SystemExit(f"cli.py {' '.join(map(str, arguments))} ended with status {found.code}: {found.said[-2000:]}")
    return found


def _measure(command: Sequence[str], limit: float, until: Path | None) -> Spent:
    """Run a command as the only child of this process. command, limit, until: as of `spent`."""
    began = time.perf_counter()
    with TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        stop = threading.Timer(limit, process.kill)
        stop.start()
        reached = until is not None and _waits_for(until, process)
        clock = time.perf_counter() - began
        if reached:
            process.kill()
        code: int | None = process.wait()
        if not reached:
            clock = time.perf_counter() - began
        stop.cancel()
        output.seek(0)
        said = output.read().decode(errors="replace")
    if reached:
        code = 0
    elif clock >= limit:
        code = None
    elif until is not None:
        code = code or 1
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Spent(code, clock, used.ru_utime + used.ru_stime, peak, said)


def _waits_for(file: Path, process: subprocess.Popen[bytes]) -> bool:
    """Whether something came to be in a file before a process ended."""
    while process.poll() is None:
        if file.is_file() and file.stat().st_size:
            return True
        time.sleep(0.005)
    return False


if __name__ == "__main__":
    limit, until, *command = sys.argv[1:]
    print(json.dumps(asdict(_measure(command, float(limit), Path(until) if until else None))))
