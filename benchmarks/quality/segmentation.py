"""Sky of the segmenters on hand-labelled pictures, in colour and in grey, and indoors where there is none.

    python -m benchmarks.quality.segmentation SEMANTIC_ROOT [--nyu FOLDER] [--fold N] [--teacher CODE
        --teacher-weights FILE]

SEMANTIC_ROOT holds camvid/ and sky_ade20k/ (docs/segmenter.md says in which layout). IoU of sky is over all pixels of a
set together, at the pictures' own size, after guided upsampling. "grey" = the same pictures without colour. False sky =
share of the known pixels of NYU frames labelled sky, mean and worst frame. --fold: only pictures that this fold of
`train-segmenter` kept back. ms: of a 512x384 picture, network and guided upsampling apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from redweb_builder.networks.device import choose_device
from redweb_builder.networks.weights import Weights
from redweb_builder.segmentation.segmenters import guided_upsample, load_segmenter
from redweb_builder.types import BoolMap, Picture, Regions
from trainer.segmenter.pictures import Found, RegionSample, find, in_fold
from trainer.segmenter.teacher import Teacher

Segment = Callable[[Picture], Regions]


class TeacherSegmenter:
    """The teacher as a Segmenter of the builder, with guided upsampling as the others have it."""

    name = "teacher"
    weights: Weights | None = None

    def __init__(self, code: Path, weights: Path) -> None:
        """See Teacher."""
        self.teacher = Teacher(code, weights)

    def __call__(self, picture: Picture) -> Regions:
        """See Segmenter."""
        maps = self.teacher(picture)
        return guided_upsample(picture, maps.sky, maps.far)


@click.command()
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.option("--nyu", type=click.Path(path_type=Path, exists=True), help="NYU frames, which have no sky.")
@click.option("--fold", type=click.IntRange(0, 2), help="Only what this fold keeps back.  [default: everything]")
@click.option("--teacher", type=click.Path(path_type=Path, exists=True), help="Python file of an ADE20K network.")
@click.option("--teacher-weights", type=click.Path(path_type=Path, exists=True), help="Its weights.")
@click.option("--every", default=1, show_default=True, help="Only every n-th NYU frame.")
def main(
    root: Path, nyu: Path | None, fold: int | None, teacher: Path | None, teacher_weights: Path | None, every: int
) -> None:
    segmenters: dict[str, Segment] = {"builtin": load_segmenter("builtin", None, choose_device("auto"))[0]}
    if teacher and teacher_weights:
        segmenters["teacher"] = TeacherSegmenter(teacher, teacher_weights)
    sets = {
        "CamVid": pictures_of("camvid", root / "camvid", fold),
        "ADE": pictures_of("masks", root / "sky_ade20k" / "train", fold),
    }
    indoors = pictures_of("no-sky", nyu, fold)[::every] if nyu else []
    columns = [f"{name} ({len(pictures)})" for name, pictures in sets.items()]
    table = Table(
        "sky IoU",
        *(column for name in columns for column in (name, "grey")),
        f"NYU ({len(indoors)}) false %",
        "worst %",
        "ms network",
        "ms edges",
        box=None,
    )
    for name, segment in segmenters.items():
        cells = [f"{iou(segment, pictures, grey):.3f}" for pictures in sets.values() for grey in (False, True)]
        false = [100 * share for share in false_sky(segment, indoors)]
        cells += [f"{np.mean(false):.3f}", f"{max(false):.2f}"] if false else ["-", "-"]
        table.add_row(name, *cells, *(f"{ms:.0f}" for ms in speed(segment)))
    Console(width=140).print(table)


def pictures_of(kind: str, folder: Path, fold: int | None, kept_back: bool = True) -> list[Found]:
    """The pictures of a folder that a fold keeps back, or those that it trains on; all of them without a fold."""
    pictures = find(kind, folder, None)
    if fold is None:
        return pictures
    return [picture for picture, kept in zip(pictures, in_fold(pictures, fold), strict=True) if kept == kept_back]


def iou(segment: Segment, pictures: Sequence[Found], grey: bool) -> float:
    """Of sky, over all known pixels of a set together."""
    both = either = 0
    for picture in pictures:
        sample = picture.read()
        sky = segment(without_colour(sample.image) if grey else sample.image).sky > 0.5
        known, truth = known_and_sky(sample)
        both += int((sky & truth & known).sum())
        either += int(((sky | truth) & known).sum())
    return both / max(either, 1)


def false_sky(segment: Segment, pictures: Sequence[Found]) -> list[float]:
    """Of each picture the share of its known pixels that is labelled sky."""
    shares = []
    for picture in pictures:
        sample = picture.read()
        known, _ = known_and_sky(sample)
        shares.append(float((segment(sample.image).sky > 0.5)[known].mean()))
    return shares


def known_and_sky(sample: RegionSample) -> tuple[BoolMap, BoolMap]:
    """HxW bool each."""
    return np.asarray(sample.regions.any(-1)), sample.regions[..., 0] > 127


def without_colour(picture: Picture) -> Picture:
    """HxWx3 grey."""
    return np.asarray(cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)


def speed(segment: Segment, rounds: int = 3) -> tuple[float, float]:
    """Milliseconds a 512x384 picture, network and guided upsampling. Best of the rounds."""
    generator = np.random.default_rng(0)
    pictures = [cv2.resize(generator.integers(0, 256, (12, 16, 3), np.uint8), (512, 384)) for _ in range(8)]
    maps = generator.random((2, 264, 352), np.float32)
    whole, edges = [], []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        for picture in pictures:
            segment(picture)
        whole.append(time.perf_counter() - started)
        started = time.perf_counter()
        for picture in pictures:
            guided_upsample(picture, *maps)
        edges.append(time.perf_counter() - started)
    return 125 * (min(whole[1:]) - min(edges[1:])), 125 * min(edges[1:])


if __name__ == "__main__":
    main()
