"""Do `mono_agreement`, `disputed_part` and `outliers` find labels that are wrong though both views agree?

    python -m benchmarks.quality.label_faults STEREO_DIR [STEREO_DIR ...] [--flow dis] [--mono builtin] [--every 1]

Every pair found is taken as good. From it these are made: eyes exchanged and not put right (inside out), letters over
both pictures (subtitles), a flat picture in the picture (poster: its label is right, and must stay), a part that is its
mirror image in both views, so that near is far there (mirrored part), a part that moved sideways between the exposures
(moved part), sky over a part of the ground (wrong sky), a blob of wrong flow that both directions agree on (blob).
Printed for both halves of held_out.py: how many are rejected, for which reasons, and the medians of the measurements.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from benchmarks.quality.faults import MAX_SIDE, Views, outcome_of
from benchmarks.quality.held_out import is_held_out
from redweb_builder.config import BUILTIN, BuildConfig
from redweb_builder.errors import InputError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.matching.flow import FlowEstimator
from redweb_builder.pipeline import Models
from redweb_builder.process import one_opencv_thread
from redweb_builder.segmentation.segmenters import Segmenter
from redweb_builder.types import Flow, Picture, Regions, StereoPair

PART = 0.4  # share of the sides of a picture that a planted part has
MOVED = 0.06  # share of the width by which a part moves
BLOB, BLOB_NEARER = 0.07, 0.25  # shares of the width: radius of a blob, and how much nearer it is

Plant = Callable[[StereoPair, StereoPair], Views]


def part_of(view: Picture) -> tuple[slice, slice]:
    """Rows and columns of the planted part, in the middle of the lower half."""
    height, width = view.shape[:2]
    top, left = round(0.95 * height - PART * height), round((1 - PART) / 2 * width)
    return slice(top, top + round(PART * height)), slice(left, left + round(PART * width))


def as_it_is(pair: StereoPair, _: StereoPair) -> Views:
    """The pair itself."""
    return pair.left, pair.right


def inside_out(pair: StereoPair, _: StereoPair) -> Views:
    """Eyes exchanged."""
    return pair.right, pair.left


def subtitles(pair: StereoPair, _: StereoPair) -> Views:
    """Two lines of white letters at one place of both pictures."""
    views = pair.left.copy(), pair.right.copy()
    height, width = pair.left.shape[:2]
    for view in views:
        for row in (0.86, 0.95):
            at = (width // 10, round(row * height))
            cv2.putText(view, "WHAT NOBODY SAID", at, cv2.FONT_HERSHEY_DUPLEX, width / 400, (255, 255, 255), 2)
    return views


def poster(pair: StereoPair, other: StereoPair) -> Views:
    """Another photograph hangs in the picture."""
    views = pair.left.copy(), pair.right.copy()
    part = part_of(pair.left)
    for view in views:
        view[part] = cv2.resize(other.left, view[part].shape[1::-1], interpolation=cv2.INTER_AREA)
    return views


def mirrored_part(pair: StereoPair, _: StereoPair) -> Views:
    """A part is its mirror image in both pictures: its disparities have the opposite sign."""
    views = pair.left.copy(), pair.right.copy()
    for view in views:
        view[part_of(view)] = view[part_of(view)][:, ::-1].copy()
    return views


def moved_part(pair: StereoPair, _: StereoPair) -> Views:
    """A part of the right view lies farther to the right: it looks farther away."""
    right = pair.right.copy()
    rows, columns = part_of(right)
    shift = round(MOVED * right.shape[1])
    right[rows, columns.start + shift : columns.stop + shift] = pair.right[rows, columns]
    return pair.left, right


@dataclass(frozen=True)
class WithBlob:
    """A flow network with one blob of wrong flow, which both directions agree on."""

    network: FlowEstimator

    def __getattr__(self, name: str) -> Any:
        """What the network has beside its answer."""
        return getattr(self.network, name)

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """See FlowEstimator. pairs: aligned."""
        return [_with_blob(flow) for flow in self.network(pairs)]


def _with_blob(flow: Flow) -> Flow:
    height, width = flow.forward.shape[:2]
    y, x = np.indices((height, width))
    radius, nearer = BLOB * width, BLOB_NEARER * width
    forward, backward = flow.forward.copy(), flow.backward.copy()
    for part, sign, centre in ((forward, -1, 0.6 * width), (backward, 1, 0.6 * width - nearer)):
        part[(x - centre) ** 2 + (y - 0.7 * height) ** 2 < radius**2] = (sign * nearer, 0)
    return Flow(forward, backward)


@dataclass(frozen=True)
class WithWrongSky:
    """A segmenter that takes a part of the ground for sky."""

    network: Segmenter

    def __getattr__(self, name: str) -> Any:
        """What the segmenter has beside its answer."""
        return getattr(self.network, name)

    def __call__(self, picture: Picture) -> Regions:
        """See Segmenter. picture: HxWx3 uint8 RGB."""
        regions = self.network(picture)
        regions.sky[part_of(picture)] = 0.95
        return regions


@click.command()
@click.argument("roots", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--flow", default="dis", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--mono", default=BuildConfig.mono, show_default=True, help="As of build-redweb.")
@click.option("--every", default=1, show_default=True, help="Only every n-th pair.")
def main(roots: tuple[Path, ...], flow: str, flow_weights: Path | None, mono: str, every: int) -> None:
    """Print the table of planted faults of labels for the pairs below ROOTS."""
    config = BuildConfig(
        flow=flow, flow_weights=flow_weights, segmenter=BUILTIN, mono=mono, max_side=MAX_SIDE, eyes="as-is"
    )
    right = load_models(config)
    plans: list[tuple[Plant, Models, str]] = [
        (plant, right, plant.__name__) for plant in (as_it_is, inside_out, subtitles, poster, mirrored_part, moved_part)
    ]
    plans.append((as_it_is, replace(right, segmenter=WithWrongSky(right.segmenter)), "wrong_sky"))
    plans.append((as_it_is, replace(right, flow=WithBlob(right.flow)), "blob"))
    pairs = []
    for source in [source for root in roots for source in discover(root).sources][::every]:
        try:
            pairs.append((is_held_out(source.left.parent), read_pair(source, MAX_SIDE)))
        except InputError as error:
            print(f"{source.key}: {error}")
    found: dict[tuple[str, bool], list[tuple[str, dict[str, float]]]] = defaultdict(list)
    with one_opencv_thread(), tempfile.TemporaryDirectory() as folder:
        for index, (half, pair) in enumerate(pairs):
            other = pairs[(index + len(pairs) // 2) % len(pairs)][1]
            for plant, models, name in plans:
                outcome = outcome_of(plant(pair, other), models, config, Path(folder))
                measured = outcome.evidence.measurements if outcome.evidence else {}
                found[name, half].append((outcome.rejection.reason if outcome.rejection else "", measured))
    _print(found)


def _print(found: dict[tuple[str, bool], list[tuple[str, dict[str, float]]]]) -> None:
    columns = ("mono_agreement", "disputed_part", "outliers")
    table = Table("label", "half", "pairs", "rejected %", "reasons", *columns)
    for (name, half), rows in found.items():
        reasons = Counter(reason for reason, _ in rows if reason)
        medians = [f"{np.nanmedian([measured.get(figure, np.nan) for _, measured in rows]):.2f}" for figure in columns]
        share = f"{100 * reasons.total() / len(rows):.0f}"
        words = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        table.add_row(name, "held out" if half else "development", str(len(rows)), share, words, *medians)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
