"""What people wait for before anything is done: `--help`, the first pair, a finished build, its report.

    python -m benchmarks.speed.start STEREO_DIR [--pairs 10000]

"first pair" is a build of STEREO_DIR with DIS, until its journal has a line; it is ended there. "resume" and "report"
are `build-redweb` and `report` on a finished build of so many pairs: eight rendered ones are built, the others are
copies of them by other names; "one touched" is the same where one photograph has another time. CPU is user and system
time of the process and its children, seconds, as is wall.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.process import Spent, cli_spent
from benchmarks.speed.growth import write_pairs
from redweb_builder.dataset.journal import NAME as JOURNAL
from redweb_builder.inputs.discover import discover

BUILT = 8  # pairs that are rendered and built
SIDE = 96  # px, width of them
OPTIONS = ("--flow", "dis", "--segmenter", "builtin")


@click.command()
@click.argument("stereo_dir", type=click.Path(path_type=Path, exists=True))
@click.option("--pairs", default=10_000, show_default=True, help="Of the finished build.")
def main(stereo_dir: Path, pairs: int) -> None:
    """Print the table."""
    table = Table("", "CPU s", "wall s", box=None)

    def add(name: str, found: Spent) -> None:
        table.add_row(name, f"{found.core_seconds:.2f}", f"{found.clock:.2f}")

    with tempfile.TemporaryDirectory() as scratch:
        first, inputs, finished = (Path(scratch) / name for name in ("first", "inputs", "finished"))
        cli_spent("--help")  # compiles the files that are imported
        add("--help", cli_spent("--help"))
        add("first pair", cli_spent("build-redweb", stereo_dir, "--out", first, *OPTIONS, until=first / JOURNAL))
        write_finished(inputs, finished, pairs)
        resume = ("build-redweb", inputs, "--out", finished, *OPTIONS)
        cli_spent(*resume)  # the manifest of all pairs
        add(f"resume, {pairs:,} pairs", cli_spent(*resume))
        next(inputs.iterdir()).touch()
        add(f"resume, {pairs:,} pairs, one touched", cli_spent(*resume))
        add(f"report, {pairs:,} pairs", cli_spent("report", finished))
    Console(width=80).print(table)


def write_finished(inputs: Path, out: Path, pairs: int) -> None:
    """A folder of pairs, and a data set in which all of them are recorded. pairs: their number, BUILT or more."""
    write_pairs(inputs, BUILT, SIDE)
    cli_spent("build-redweb", inputs, "--out", out, *OPTIONS)
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
