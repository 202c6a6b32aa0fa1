"""What people wait for before anything is done: `--help`, the first pair, a finished build, its report.

    python -m benchmarks.speed.start STEREO_DIR [--pairs 10000]

"first pair" is a build of STEREO_DIR with DIS, until its journal has a line; it is ended there. "resume" and "report"
are `build-redweb` and `report` on a finished build of so many pairs: eight rendered ones are built, the others are
copies of them by other names. CPU is user and system time of the process and its children, seconds, as is wall.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.speed.growth import write_pairs
from redweb_builder.dataset.journal import NAME as JOURNAL
from redweb_builder.inputs.discover import discover

BUILT = 8  # pairs that are rendered and built
SIDE = 96  # px, width of them
OPTIONS = ("--flow", "dis", "--segmenter", "builtin")


@dataclass(frozen=True)
class Wait:
    """Seconds. cpu: of user and system. wall: what passed."""

    cpu: float
    wall: float


@click.command()
@click.argument("stereo_dir", type=click.Path(path_type=Path, exists=True))
@click.option("--pairs", default=10_000, show_default=True, help="Of the finished build.")
def main(stereo_dir: Path, pairs: int) -> None:
    """Print the table."""
    table = Table("", "CPU s", "wall s", box=None)

    def add(name: str, wait: Wait) -> None:
        table.add_row(name, f"{wait.cpu:.2f}", f"{wait.wall:.2f}")

    with tempfile.TemporaryDirectory() as scratch:
        first, inputs, finished = (Path(scratch) / name for name in ("first", "inputs", "finished"))
        waits_for("--help")  # compiles the files that are imported
        add("--help", waits_for("--help"))
        add("first pair", waits_for("build-redweb", stereo_dir, "--out", first, *OPTIONS, until=first / JOURNAL))
        write_finished(inputs, finished, pairs)
        resume = ("build-redweb", inputs, "--out", finished, *OPTIONS)
        waits_for(*resume)  # the manifest of all pairs
        add(f"resume, {pairs:,} pairs", waits_for(*resume))
        add(f"report, {pairs:,} pairs", waits_for("report", finished))
    Console(width=80).print(table)


def waits_for(*arguments: str | Path, until: Path | None = None) -> Wait:
    """How long a command takes.

    arguments: of cli.py. until: a file; the command is ended where something is in it. Raises SystemExit where the
    command fails.
    """
    started = time.perf_counter()
    command = [sys.executable, "cli.py", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    while until is not None and not (until.is_file() and until.stat().st_size):
        if process.poll() is not None:
            raise SystemExit(f"{' '.join(command)} ended without {until}")
        time.sleep(0.01)
    wall = time.perf_counter() - started
    if until is not None:
        process.kill()
    _, status, usage = os.wait4(process.pid, 0)
    if until is None:
        wall = time.perf_counter() - started
        if os.waitstatus_to_exitcode(status) not in (0, 3):
            raise SystemExit(f"{' '.join(command)} failed")
    return Wait(usage.ru_utime + usage.ru_stime, wall)


def write_finished(inputs: Path, out: Path, pairs: int) -> None:
    """A folder of pairs, and a data set in which all of them are recorded. pairs: their number, BUILT or more."""
    write_pairs(inputs, BUILT, SIDE)
    waits_for("build-redweb", inputs, "--out", out, *OPTIONS)
    for number in range(BUILT, pairs):
        for eye in "LR":
            os.link(inputs / f"pair{number % BUILT:05d}_{eye}.jpg", inputs / f"pair{number:05d}_{eye}.jpg")
    records = [json.loads(line) for line in (out / JOURNAL).read_text().splitlines()]
    known = {record["key"] for record in records}
    generator = np.random.default_rng(0)
    with (out / JOURNAL).open("a") as journal:
        for number, source in enumerate(discover(inputs).sources):
            if source.key in known:
                continue
            record = _copy(records[number % BUILT], source.key, out)
            record |= {"left": source.left.name, "right": source.right.name, "source_sha256": f"{number:064x}"}
            record["perceptual_hash"] = f"{generator.integers(0, 2**64, dtype=np.uint64):016x}"
            journal.write(json.dumps(record) + "\n")


def _copy(record: dict[str, Any], key: str, out: Path) -> dict[str, Any]:
    """A record of another pair, whose files are links to those of this one."""
    files = {}
    for name, recorded in record["files"].items():
        files[name.replace(record["key"], key)] = recorded
        homes = (out, out / "rejected")
        source = next(home / name for home in homes if (home / name).is_file())
        os.link(source, source.with_name(source.name.replace(record["key"], key)))
    return record | {"key": key, "files": files}


if __name__ == "__main__":
    main()
