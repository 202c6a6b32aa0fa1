"""How many pairs a build turns inside out, and how many it loses, by their eye order alone.

    python -m benchmarks.quality.eye_order STEREO_DIR [STEREO_DIR ...] [--truth FILE] [--mono builtin]

Every pair is asked as its files are named, with the eyes of all pairs exchanged, and with those of every fifth
exchanged. `--truth` says which pairs are named the wrong way round (default: eye_order_truth.txt beside this file).
Printed for both halves of held_out.py: weights and limits are chosen on the development half, the other only judges.
"inside out": kept the wrong way round. "lost": rejected though the order was right. "alone": each pair for itself; "in
groups": with the prior of its group (rectification/group_order.py).
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.quality.held_out import is_held_out
from redweb_builder.config import NONE, Thresholds
from redweb_builder.errors import InputError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.matching.quick_flow import preview_flow
from redweb_builder.monocular.estimator import DepthEstimator, load_depth
from redweb_builder.process import one_opencv_thread
from redweb_builder.rectification.eye_order import are_eyes_swapped, asked_order, depth_of, eye_order
from redweb_builder.rectification.group_order import with_group_orders
from redweb_builder.types import PairSource

TRUTH = Path(__file__).with_name("eye_order_truth.txt")
ORDERS = {"right": 1, "exchanged": -1, "unclear": 0}
NAMINGS = ("as named", "all exchanged", "a fifth exchanged")


@dataclass(frozen=True)
class Judged:
    """A pair of files and its true order: 1 right, -1 exchanged.

    scores: eye_order of the order as named, where the network sees the left file and where it sees the right one.
    """

    source: PairSource
    scores: tuple[float, float]
    truth: int


@click.command()
@click.argument("roots", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--truth", default=TRUTH, type=click.Path(path_type=Path, exists=True), help="Orders that are known.")
@click.option("--max-side", default=768, show_default=True)
@click.option("--mono", default=NONE, show_default=True, help="The monocular depth network, as of build-redweb.")
def main(roots: tuple[Path, ...], truth: Path, max_side: int, mono: str) -> None:
    """Print how many pairs below ROOTS are kept inside out or lost, alone and in groups, on both halves."""
    known = [line.split(maxsplit=1) for line in truth.read_text().splitlines() if line and line[0] != "#"]
    network = load_depth(mono, torch.device("cpu"))
    judged = {root: judge(root, known, max_side, network) for root in roots}
    pairs = sum(map(len, judged.values()))
    table = Table("files", "half", "pairs", "inside out, alone", "in groups", "lost, alone", "in groups")
    for naming in NAMINGS:
        counts = np.zeros((2, 5), int)
        for root, items in judged.items():
            counts += count(root, items, naming, network)
        for half, (number, *figures) in zip(("development", "held out"), counts.tolist(), strict=True):
            table.add_row(naming, half, str(number), *map(str, (figures[0], figures[2], figures[1], figures[3])))
    console = Console()
    console.print(table)
    console.print(f"{pairs} pairs of two files with a known order")


def judge(root: Path, known: list[list[str]], max_side: int, network: DepthEstimator | None) -> list[Judged]:
    """The pairs of two files below a folder whose order is known."""

    def ask(source: PairSource) -> Judged | None:
        orders = [order for order, pattern in known if fnmatch(str(source.left.parent), pattern)]
        truth = ORDERS[orders[-1]] if orders else 1
        if source.layout != "files" or source.guessed or not truth:
            return None
        try:
            pair = read_pair(source, max_side)
        except InputError:
            return None
        preview = preview_flow(pair.left, pair.right)
        exchanged_views = preview.swapped()
        of_left, of_right = (eye_order(views, depth_of(views.left, network)) for views in (preview, exchanged_views))
        return Judged(source, (of_left, -of_right), truth)

    with one_opencv_thread(), ThreadPoolExecutor(2) as pool:
        return [judged for judged in pool.map(ask, discover(root).sources) if judged]


def count(root: Path, items: list[Judged], naming: str, network: DepthEstimator | None) -> NDArray[np.int64]:
    """2x5: of each half the pairs, then inside out and lost for each pair alone, then both in groups."""
    signs = [-1 if exchanged(item.source, naming) else 1 for item in items]
    sources = [
        replace(item.source, left=item.source.right, right=item.source.left) if sign < 0 else item.source
        for item, sign in zip(items, signs, strict=True)
    ]
    counts = np.zeros((2, 5), np.int64)
    for column, listed in ((1, sources), (3, with_group_orders(sources, root, partial(asked_order, network=network)))):
        for source, item, sign in zip(listed, items, signs, strict=True):
            likely = -sign if are_eyes_swapped(source, 0.0) else sign  # the order that find_order looks at first
            score = item.scores[0] if likely > 0 else item.scores[1]
            turned = -1 if are_eyes_swapped(source, sign * score) else 1
            rejected = sign * turned * score < (Thresholds().min_eye_order or -np.inf)
            is_wrong = sign * turned * item.truth < 0
            half = int(is_held_out(item.source.left.parent))
            counts[half, column] += is_wrong and not rejected
            counts[half, column + 1] += rejected and not is_wrong
    for item in items:
        counts[int(is_held_out(item.source.left.parent)), 0] += 1
    return counts


def exchanged(source: PairSource, naming: str) -> bool:
    """Whether this naming exchanges the files of a pair."""
    return naming == NAMINGS[1] or (naming == NAMINGS[2] and digest(source) // 2 % 5 == 0)


def digest(source: PairSource) -> int:
    """A number that depends on the name of the pair's folder alone."""
    return int.from_bytes(hashlib.sha256(source.left.parent.name.encode()).digest()[:4], "big")


if __name__ == "__main__":
    main()
