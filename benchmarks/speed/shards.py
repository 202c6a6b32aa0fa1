"""Do many pairs go through shards in flat memory, at a flat time a pair?

    python -m benchmarks.speed.shards [--pairs 1000 --pairs 10000] [--side 64]

Tiny pairs are linked under many names (the pictures do not matter), exported as shards, and read back in the order of
a training epoch. Each step is a process of its own; times are CPU time, peaks the operating system's figure.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

from benchmarks.process import spent
from redweb_builder.dataset.codec import picture_name
from redweb_builder.dataset.manifest import table_of
from redweb_builder.dataset.writer import Store
from redweb_builder.types import Label, Mask

READ = (  # Arrow's memory is the system's, as in every command
    "import os, sys, numpy as np; os.environ['ARROW_DEFAULT_MEMORY_POOL'] = 'system'\n"
    "from redweb_builder import open_dataset; d = open_dataset(sys.argv[1])\n"
    "print(sum(d[int(i)].mask.shape[0] > 0 for i in np.random.default_rng(0).permutation(len(d))))"
)


@click.command()
@click.option("--pairs", "counts", multiple=True, type=int, default=(1_000, 10_000), show_default=True)
@click.option("--side", default=64, show_default=True, help="Of the pictures, px.")
def main(counts: tuple[int, ...], side: int) -> None:
    """Print the table."""
    for count in counts:
        with tempfile.TemporaryDirectory() as scratch:
            folder, shards = Path(scratch) / "set", Path(scratch) / "shards"
            write_pairs(folder, count, side)
            export = ["cli.py", "export", str(folder), "--format", "webdataset", "--out", str(shards)]
            for name, command in (("export", export), ("read all", ["-c", READ, str(shards)])):
                found = spent([sys.executable, *command])
                figures = f"{found.core_seconds:7.1f} s {1000 * found.core_seconds / count:7.2f} ms a pair"
                print(f"{count:8} pairs  {name:9} {figures} {found.peak:6.0f} MiB  {found.end()}", flush=True)


def write_pairs(folder: Path, count: int, side: int) -> None:
    """A finished data set of so many pairs, whose files are links to those of eight."""
    generator = np.random.default_rng(0)
    names = [f"pair-{number:07}" for number in range(count)]
    with Store(folder, {"thresholds": {}}) as store:
        for name in names[:8]:
            disparity = generator.random((side, side), np.float32) * 20
            label = Label(
                disparity, np.full((side, side), Mask.MEASURED, np.uint8), np.full((side, side), 200, np.uint8)
            )
            picture = generator.integers(0, 255, (side, side, 3), np.uint8)
            store.write_label(name, picture, False, label, picture, True)
        for number, name in enumerate(names[8:]):
            for file in (picture_name("{}", False), "RDs/{}.png", "masks/{}.png", "confidence/{}.png"):
                os.link(folder / file.format(names[number % 8]), folder / file.format(name))
        rows = ({"key": name, "status": "kept", "width": side, "height": side} for name in names)
        store.finish(table_of(rows), {"finished": True})


if __name__ == "__main__":
    main()
