"""What `curate` costs: processor time by the number of labels and of training steps, and whether it grows as they do.

    python -m benchmarks.speed.curate_cost OUT [--few 48] [--many 240] [--steps 4] [--side 256]

Sets of rendered pairs are built in OUT, and `curate` is given them as a user does, the smaller one with few steps and
with three times as many. That makes seconds of a start, of a step (of 8 crops) and of a label. A third set, half as
large as the larger one, with twice the steps, is predicted from these and measured. Printed too: what 1,000 labels
would take with the default steps. Seconds are processor time of all threads: other work on the machine does not count.
Sets that are there are used again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.speed.growth import write_pairs
from benchmarks.speed.throughput import cpu_seconds
from redweb_builder.dataset.reader import open_dataset

FOLDS, STEPS, LABELS = 3, 200, 1000  # the command's defaults, and the set that is predicted


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--few", default=48, show_default=True, help="Pairs of the smaller set.")
@click.option("--many", default=240, show_default=True, help="Pairs of the larger set.")
@click.option("--steps", default=4, show_default=True, help="Least steps of a part.")
@click.option("--side", default=256, show_default=True, help="Width of the rendered pairs, px.")
def main(out: Path, few: int, many: int, steps: int, side: int) -> None:
    """Print the seconds of each run, of a start, a step and a label, and those predicted for 1,000 labels."""
    small, middle, large = (built(out / str(count), count, side) for count in (few, many // 2, many))
    labels = {dataset: len(open_dataset(dataset)) for dataset in (small, middle, large)}
    short, long, of_large = seconds(small, steps), seconds(small, 3 * steps), seconds(large, steps)
    a_step = (long - short) / (2 * steps * FOLDS)
    a_label = (of_large - short) / (labels[large] - labels[small])
    start = short - steps * FOLDS * a_step - labels[small] * a_label
    print(f"start {start:.1f} s, a step {a_step:.2f} s, a label {1000 * a_label:.0f} ms")
    predicted = start + 2 * steps * FOLDS * a_step + labels[middle] * a_label
    print(f"predicted for {labels[middle]} labels and {2 * steps} steps: {predicted:.1f} s", flush=True)
    seconds(middle, 2 * steps)
    whole = start + STEPS * FOLDS * a_step + LABELS * a_label
    print(f"{LABELS} labels, {STEPS} steps a part: {whole / 60:.1f} core-minutes")


def built(folder: Path, count: int, side: int) -> Path:
    """A data set of rendered pairs of a width, px, that differ by their noise; continued where it is there."""
    if not (folder / "pairs").is_dir():
        write_pairs(folder / "pairs", count, side)
    run("build-redweb", folder / "pairs", "--out", folder / "set", "--flow", "dis", "--preset", "none")
    return folder / "set"


def seconds(dataset: Path, steps: int) -> float:
    """Processor time of `curate` with so many steps a part, from nothing."""
    shutil.rmtree(dataset / "curation", ignore_errors=True)
    (dataset / "curation.json").unlink(missing_ok=True)
    spent = cpu_seconds(lambda: run("curate", dataset, "--folds", FOLDS, "--steps", steps))
    print(f"{len(open_dataset(dataset))} labels, {steps} steps a part: {spent:.1f} s", flush=True)
    return spent


def run(*arguments: object) -> None:
    """A command of cli.py. Pairs may be rejected, which is exit code 3."""
    done = subprocess.run([sys.executable, "cli.py", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)


if __name__ == "__main__":
    main()
