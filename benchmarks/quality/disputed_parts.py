"""Does `disputed_part` find a part of a label that is wrong, where `mono_agreement` sees the whole?

    python -m benchmarks.quality.disputed_parts STEREO_DIR [STEREO_DIR ...] [--flow dis] [--every 1]

Every pair that a build keeps, its eyes put right by eye_order_truth.txt, is taken as good. In each a part at a place
and of a size (a quarter, 0.4 or 0.6 of the sides) drawn by its name is spoilt, twice: its disparity moves by 6 % of the
width, as of a thing that moved, or it is its mirror image, in the picture that the network sees too. The limit of each
measurement is where the development half (held_out.py) loses no good pair. Printed for both halves: good pairs lost,
the share of spoilt ones found, and the AUROC: how often a spoilt label is worse than a good one of any picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from benchmarks.quality.eye_order import TRUTH
from benchmarks.quality.faults import MAX_SIDE, auroc
from benchmarks.quality.held_out import is_held_out
from redweb_builder.config import BUILTIN, BuildConfig
from redweb_builder.filters.measurements import disputed_part, mono_agreement
from redweb_builder.inputs.discover import discover
from redweb_builder.pipeline import Models, infer, label_pair, prepare
from redweb_builder.pipeline import Outcome as Done
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import FloatMap, Label, PairSource, Picture

SIZES = (0.25, 0.4, 0.6)  # shares of the sides
MOVED = 0.06  # share of the width
GOOD = "good"
MEASURES = ("mono_agreement", "disputed_part")


@dataclass(frozen=True)
class Measured:
    """What was measured on a label.

    kind: GOOD, "moved" or "mirrored". size: of the spoilt part, share of the sides; 0 of a good label. held_out: the
    half. values: by MEASURES, so turned that larger is worse.
    """

    kind: str
    size: float
    held_out: bool
    values: dict[str, float]


@click.command()
@click.argument("roots", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--flow", default="dis", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--every", default=1, show_default=True, help="Only every n-th pair.")
def main(roots: tuple[Path, ...], flow: str, flow_weights: Path | None, every: int) -> None:
    """Print what each measurement finds in the pairs below ROOTS."""
    torch.set_num_threads(1)
    config = BuildConfig(flow=flow, flow_weights=flow_weights, segmenter=BUILTIN, max_side=MAX_SIDE, eyes="as-is")
    models = load_models(config)
    sources = [source for root in roots for source in discover(root).sources if source.layout == "files"]
    with one_opencv_thread():
        measured = [row for source in in_order(sources[::every]) for row in measure_pair(source, models, config)]
    _print(measured)


def in_order(sources: list[PairSource]) -> Iterator[PairSource]:
    """The pairs with left on the left, as people judged them; without those that they could not judge."""
    known = [line.split(maxsplit=1) for line in TRUTH.read_text().splitlines() if line and line[0] != "#"]
    for source in sources:
        orders = [order for order, pattern in known if fnmatch(str(source.left.parent), pattern)]
        if not orders or orders[-1] == "right":
            yield source
        elif orders[-1] == "exchanged":
            yield replace(source, left=source.right, right=source.left)


def measure_pair(source: PairSource, models: Models, config: BuildConfig) -> Iterator[Measured]:
    """The label of a pair that is kept, and spoilt in two ways; nothing of a pair that is not."""
    prepared = prepare(source, config, models.depth)
    if isinstance(prepared, Done) or models.depth is None:
        return
    outcome = label_pair(infer([prepared], models)[0], models, config)
    if outcome.rejection is not None or outcome.evidence is None:
        return
    label, left, half = outcome.evidence.label, outcome.evidence.pair.left, is_held_out(source.left.parent)
    depth = models.depth(left)
    yield Measured(GOOD, 0, half, values_of(label, depth))
    number = int.from_bytes(hashlib.sha256(source.key.encode()).digest()[:4], "big")
    size = SIZES[number % len(SIZES)]
    part = part_of(left, size, number)
    yield Measured("moved", size, half, values_of(moved(label, part, 1 if number & 8 else -1), depth))
    mirrored_left = left.copy()
    mirrored_left[part] = left[part][:, ::-1]
    depth = models.depth(mirrored_left)
    yield Measured("mirrored", size, half, values_of(mirrored(label, part), depth))


def part_of(view: Picture, size: float, seed: int) -> tuple[slice, slice]:
    """Rows and columns of a part of a view, `size` times its sides, at a place drawn by `seed`."""
    draws = np.random.default_rng(seed)
    sides = [round(size * side) for side in view.shape[:2]]
    starts = [int(draws.integers(0, whole - side + 1)) for whole, side in zip(view.shape, sides, strict=False)]
    rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return rows, columns


def moved(label: Label, part: tuple[slice, slice], sign: int) -> Label:
    """The label as if a part had moved between the exposures. sign: 1 = it looks nearer."""
    disparity = label.disparity.copy()
    disparity[part] += sign * MOVED * disparity.shape[1]
    return replace(label, disparity=disparity)


def mirrored(label: Label, part: tuple[slice, slice]) -> Label:
    """The label as if a part were its mirror image in both views: there disparity has the other sign."""
    disparity, mask, confidence = label.disparity.copy(), label.mask.copy(), label.confidence.copy()
    disparity[part] = -label.disparity[part][:, ::-1]
    mask[part] = label.mask[part][:, ::-1]
    confidence[part] = label.confidence[part][:, ::-1]
    return Label(disparity, mask, confidence)


def values_of(label: Label, depth: FloatMap) -> dict[str, float]:
    """Both measurements; the agreement is turned round, so that larger is worse."""
    return dict(zip(MEASURES, (1 - mono_agreement(label, depth), disputed_part(label, depth)), strict=True))


def _print(measured: list[Measured]) -> None:
    table = Table("measurement", "limit", "half", "good", "lost", "spoilt", "size", "labels", "found %", "AUROC")
    for name in MEASURES:
        limit = np.nanmax([row.values[name] for row in measured if row.kind == GOOD and not row.held_out])
        for half in (False, True):
            own = [row for row in measured if row.held_out == half and not np.isnan(row.values[name])]
            good = [row.values[name] for row in own if row.kind == GOOD]
            lost = str(sum(value > limit for value in good))
            for kind in ("moved", "mirrored"):
                for size in SIZES:
                    bad = [row.values[name] for row in own if (row.kind, row.size) == (kind, size)]
                    found = f"{100 * np.mean([value > limit for value in bad]):.0f}"
                    cells = (kind, str(size), str(len(bad)), found, f"{auroc(bad, good):.2f}")
                    place = (name, f"{limit:.3f}", "held out" if half else "development", str(len(good)), lost)
                    table.add_row(*place, *cells)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
