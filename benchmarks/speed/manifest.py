"""Does each command answer on a set of millions of pairs, and in how much memory?

    python -m benchmarks.speed.manifest [--rows 100000] [--commands status,grid] [--keep FOLDER]

A manifest of made-up rows is written, with the journal of an unfinished build where --journal is given (some 2.4 KB a
row), and no pictures: what is measured is the reading of rows. `merge` puts two parts together, which are written for
it with their journals, and is told of five files a pair that are not there. Each command is a process of its own; its
time is CPU time, user and system together, then that of the clock, and its peak resident size is the operating system's
figure. A thread of its own reads, so that the latter is the less where two cores are free.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa

from benchmarks.process import spent
from redweb_builder.config import Thresholds
from redweb_builder.criteria import CRITERIA
from redweb_builder.dataset.manifest import MEASUREMENTS, SCHEMA
from redweb_builder.dataset.manifest_file import write_manifest
from redweb_builder.filters.checks import checks
from redweb_builder.version import FORMAT

BLOCK = 1 << 16  # rows made at a time, and a row group of the file
KEPT = 0.7  # share of the rows
OPEN = "import sys; from redweb_builder import open_dataset as o; d = o(sys.argv[1])\n"
READ = (
    "import sys, pyarrow.parquet as pq; from redweb_builder.dataset.manifest_file import CHECKED\n"
    "from redweb_builder.inspect.choose import COLUMNS; from redweb_builder.dataset.verdicts import COMPARED\n"
    "from redweb_builder.config import Thresholds; from redweb_builder.filters.checks import checks\n"
    "judged = [check.measurement for check in checks(Thresholds())]\n"
    "for _ in pq.ParquetFile(f'{sys.argv[1]}/manifest.parquet').iter_batches(columns=list({*CHECKED, *%s})): pass\n"
)
END = (  # of a build: its journal is read, its rows are judged, the manifest is written
    "import sys; from pathlib import Path; from redweb_builder.config import Thresholds\n"
    "from redweb_builder.dataset import writer; from redweb_builder.dataset.paths import read_build\n"
    "writer.faults_of_files = lambda *_: []  # the set has no pictures\n"
    "with writer.Store(out := Path(sys.argv[1]), read_build(out)['identity']) as store:\n"
    "    store.finish(store.judge(Thresholds()), {'finished': False})\n"
)
MERGE = (
    "import shutil, sys; from pathlib import Path; from redweb_builder.builder import merge\n"
    "from redweb_builder.dataset import journal, writer; parts = sorted(Path(sys.argv[1]).glob('part-*'))\n"
    "merge.faults_of_files = writer.faults_of_files = lambda *_: []\n"
    "journal._sizes = lambda folder: ((f'{n}.png', 1) for n in range(%d) if 'part' in str(folder)\n"
    "                                 and 'rejected' not in str(folder))\n"
    "shutil.rmtree(out := Path(sys.argv[1], 'merged'), ignore_errors=True); print(merge.merge(out, parts))\n"
)
DUPLICATES = (
    "import sys; from pathlib import Path; from redweb_builder.dataset.manifest_file import manifest_blocks\n"
    "from redweb_builder.dataset.verdicts import COMPARED, compare\n"
    "print(len(compare(manifest_blocks(Path(sys.argv[1]), COMPARED, []), 4).duplicates), 'duplicates within 4 bits')\n"
)
COMMANDS = {  # name -> arguments of the interpreter, the data set behind them
    "start": ["cli.py", "--version"],
    "reading for grid": ["-c", READ % "COLUMNS"],  # the columns of a command alone, without any check of their rows
    "reading for refilter": ["-c", READ % "COMPARED, *judged"],
    "status": ["cli.py", "status"],
    "decisions": ["cli.py", "decisions"],
    "grid": ["cli.py", "grid"],
    "report": ["cli.py", "report"],
    "review": ["-c", "import sys; from pathlib import Path; from redweb_builder.review.session import Session\n"
               "print(len(Session(Path(sys.argv[1]), 'ana').samples()))"],
    "refilter": ["cli.py", "refilter", "--dry-run", "--set", "min_agreement=0.6"],
    "duplicates": ["-c", DUPLICATES],
    "end": ["-c", END],
    "merge": ["-c", MERGE],
    "open_dataset": ["-c", OPEN + "print(len(d), d[0:1])"],
    "filter": ["-c", OPEN + "print(len(d.filter([('agreement', '>', 0.6)])))"],
    "filter by function": ["-c", OPEN + "print(len(d.filter(lambda row: row['agreement'] > 0.6)))"],
    "worst 20": ["-c", OPEN + "print(d.take(d.columns('agreement')['agreement'].to_numpy().argsort()[:20]).keys[0])"],
    "trainer": ["-c", "import sys; from pathlib import Path; from trainer.data.open import open_data as o\n"
                "from trainer.data.splits import split; d = o(Path(sys.argv[1])); print(*map(len, split(d, 0.1)))"],
}  # fmt: skip


@click.command()
@click.option("--rows", default=100_000, show_default=True)
@click.option("--commands", default=",".join(COMMANDS), show_default=True, help="Which are asked.")
@click.option("--journal", is_flag=True, help="Write the journal, too; `status` of an unfinished build reads it.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the set; one that is there is used.")
@click.option("--limit", default=600.0, show_default=True, help="Seconds after which a command is stopped.")
def main(rows: int, commands: str, journal: bool, keep: Path | None, limit: float) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = (keep or Path(scratch)) / f"set-{rows}"
        if not folder.is_dir():
            write_set(folder, rows, journal)
        print(f"{rows} rows, manifest of {(folder / 'manifest.parquet').stat().st_size / 2**20:.0f} MiB")
        for name in commands.split(","):
            if name == "end" and not (folder / "journal.jsonl").is_file():
                continue
            arguments = COMMANDS[name]
            if name == "merge":
                arguments = ["-c", MERGE % (rows // 2)]
                for part in (1, 2):
                    if not (folder / f"part-{part}-of-2").is_dir():
                        write_set(folder / f"part-{part}-of-2", rows // 2, journal=True, part=part)
            found = spent([sys.executable, *arguments, folder], limit)
            figures = f"{found.core_seconds:8.1f} s {found.clock:8.1f} s {found.peak:8.0f} MiB"
            print(f"{name:20} {figures}  {found.end()}", flush=True)


def write_set(folder: Path, rows: int, journal: bool, part: int = 0) -> None:
    """A data set of so many pairs without pictures.

    journal: write it, too, and leave the build unfinished. part: of two, 1 or 2: a finished part; 0 = a whole set.
    """
    folder.mkdir(parents=True)
    first = max(0, part - 1) * rows
    with (folder / "manifest.parquet").open("wb") as file:
        write_manifest(file, _blocks(first, rows))
    if journal:
        with (folder / "journal.jsonl").open("w") as file:
            for table in _blocks(first, rows):
                file.writelines(json.dumps(record | {"files": _files(record)}) + "\n" for record in table.to_pylist())
    identity = {"thresholds": asdict(Thresholds())}
    build = {"format": FORMAT, "identity": identity, "finished": bool(part or not journal)}
    (folder / "build.json").write_text(json.dumps(build | ({"part": [part, 2]} if part else {})))


def _blocks(first: int, rows: int) -> Iterator[pa.Table]:
    generator = np.random.default_rng(first)
    for start in range(first, first + rows, BLOCK):
        yield _block(start, min(BLOCK, first + rows - start), generator)


def _block(start: int, rows: int, generator: np.random.Generator) -> pa.Table:
    """Some rows: plausible measurements, a tenth of the hashes near to one of a few thousand others."""
    at = np.arange(start, start + rows)
    kept = generator.random(rows) < KEPT
    reasons = np.array([criterion.reason for criterion in CRITERIA])[generator.integers(0, len(CRITERIA), rows)]
    names = [f"pair-{number:08}-0123456789abcdef" for number in at]
    hashes = generator.integers(0, 2**64, rows, np.uint64)
    near = generator.random(rows) < 0.1
    hashes[near] = np.random.default_rng(1).integers(0, 2**64, 5000, np.uint64)[generator.integers(0, 5000, near.sum())]
    columns: dict[str, Any] = {
        "key": names,
        "left": [f"photographs/{name}_L.jpg" for name in names],
        "right": [f"photographs/{name}_R.jpg" for name in names],
        "status": np.where(kept, "kept", "rejected"),
        "stage": pa.array(np.full(rows, "filter"), mask=kept),
        "reason": pa.array(reasons, mask=kept),
        "detail": pa.array(np.full(rows, "agreement 0.41"), mask=kept),
        "source_sha256": [f"{number:064x}" for number in at],
        "perceptual_hash": [f"{value:016x}" for value in hashes.tolist()],
        "homography": ["[1.0, 0.0012, -0.25, 0.0008, 1.0001, 0.41, 1.2e-07, 3.1e-08, 1.0]"] * rows,
    }
    constant = {"layout": "pair", "rule": "name", "flow": "raft-small", "segmenter": "builtin"}
    columns |= {name: [value] * rows for name, value in constant.items()}
    columns |= dict.fromkeys(("right_first", "guessed", "eyes_exchanged", "rectified"), np.zeros(rows, bool))
    columns |= {"aligned": np.ones(rows, bool)}
    columns |= {name: np.full(rows, 640) for name in ("width", "height", "source_width", "source_height")}
    numbers = ("value", "threshold", "quality", "margin", "min_px", "max_px", *MEASUREMENTS, "seconds")
    columns |= {name: np.round(generator.random(rows), 9) for name in numbers}
    for check in checks(Thresholds()):  # kept pairs pass; others may fail several limits, as real ones do
        passes = check.limit + (1 if check.at_least else -1) * 0.5 * abs(check.limit) * generator.random(rows)
        columns[check.measurement] = np.where(kept, np.round(passes, 9), columns[check.measurement])
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _files(record: dict[str, Any]) -> dict[str, list[int | str]]:
    key = record["key"]
    names = [f"{folder}/{key}.png" for folder in ("RDs", "masks", "confidence")]
    return {name: [10_000, "0" * 64] for name in (f"Imgs/{key}.jpg", *names, f"previews/{key}.jpg")}


if __name__ == "__main__":
    main()
