"""Labels in the units of the stereo benchmarks, beside OpenCV's SGBM: to be set beside the tables of papers.

    python -m benchmarks.quality.standard_units GT_ROOT [--flow ...] [--flow-weights PATH] [--every N]

Disparity in px as it is: no scale or shift is fitted. bad-1, bad-2 = share of pixels off by more than 1, 2 px
(Scharstein & Szeliski 2002); D1 = by more than 3 px and 5 % (Menze & Geiger, KITTI 2015). A pixel without a value
counts as wrong. "all" = every pixel with truth, "visible" = those that the right view sees as well. density = share of
the pixels with truth that have a value. Percent, means over scenes.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from benchmarks.quality.ground_truth import scenes, truth_config, truth_options
from redweb_builder.matching.consistency import disparity_of
from redweb_builder.pipeline import Prepared, infer, label_pair, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import BoolMap, FloatMap, Mask, StereoPair

BLOCK = 5  # px, of SGBM, with the settings of OpenCV's own sample stereo_match.py


def standard_units(disparity: FloatMap, truth: FloatMap, where: BoolMap) -> dict[str, float]:
    """bad-1, bad-2 and D1 over the pixels of `where`, in percent; see the head of this file.

    disparity: HxW float32 px, NaN = no value. truth: HxW float32 px, known in `where`.
    """
    error = np.where(np.isnan(disparity), np.inf, np.abs(disparity - truth))[where]
    wrong = {"bad-1": error > 1, "bad-2": error > 2, "D1": (error > 3) & (error > 0.05 * truth[where])}
    return {name: 100 * float(pixels.mean()) for name, pixels in wrong.items()}


def visible(truth: FloatMap) -> BoolMap:
    """HxW bool: the pixel's match lies in the right view, and nothing nearer lies before it there.

    truth: HxW float32 px of the left view, NaN = unknown.
    """
    height, width = truth.shape
    known = ~np.isnan(truth)
    target = np.rint(np.arange(width) - np.where(known, truth, 0)).astype(int)
    inside = known & (target >= 0) & (target < width)
    nearest = np.full((height, width), -np.inf, np.float32)
    rows = np.broadcast_to(np.arange(height)[:, None], (height, width))
    np.maximum.at(nearest, (rows[inside], target[inside]), truth[inside])
    seen = np.zeros((height, width), bool)
    seen[inside] = truth[inside] >= nearest[rows[inside], target[inside]] - 1
    return seen


def sgbm(pair: StereoPair, largest: float) -> FloatMap:
    """The disparity of OpenCV's StereoSGBM alone, HxW float32 px, NaN = no value.

    largest: px; the search goes from 0 to there, as Middlebury states a range with each pair.
    """
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=16 * (int(largest) // 16 + 1),
        blockSize=BLOCK,
        P1=8 * 3 * BLOCK**2,
        P2=32 * 3 * BLOCK**2,
        disp12MaxDiff=1,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=32,
    )
    disparity = np.asarray(matcher.compute(pair.left, pair.right), np.float32) / 16
    return np.where(disparity < 0, np.nan, disparity).astype(np.float32)


@click.command()
@truth_options
def main(root: Path, flow: str, flow_weights: Path | None, mono: str, every: int) -> None:
    """Print bad-1, bad-2 and D1 of labels, of their flow and of SGBM over the scenes below ROOT."""
    config = truth_config(flow, flow_weights, mono)
    models = load_models(config)
    rows: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    with one_opencv_thread():
        for scene in list(scenes(root))[::every]:
            prepared = prepare(scene.source, config, models.depth)
            assert isinstance(prepared, Prepared), scene.source.key
            inferred = infer([prepared], models)[0]
            evidence = label_pair(inferred, models, config).evidence
            assert evidence is not None
            label = evidence.label
            measured = np.where(label.mask == Mask.MEASURED, label.disparity, np.float32(np.nan))
            for name, disparity in {
                "label, everything": label.disparity,
                "label, measured": measured,
                f"flow {models.flow.name}": disparity_of(inferred.flow),
                "OpenCV SGBM": sgbm(prepared.pair, float(np.nanmax(scene.disparity))),
            }.items():
                rows[scene.group, name].append(_scores(disparity, scene.disparity))
    columns = [f"{unit} {where}" for where in ("all", "visible") for unit in ("bad-1", "bad-2", "D1")]
    table = Table("set", "scenes", "disparity", "density", *columns)
    for (group, name), scores in sorted(rows.items(), key=lambda item: item[0][0]):
        means = [float(np.mean([score[column] for score in scores])) for column in ("density", *columns)]
        table.add_row(group, str(len(scores)), name, *(f"{mean:.2f}" for mean in means))
    Console(width=140).print(table)


def _scores(disparity: FloatMap, truth: FloatMap) -> dict[str, float]:
    known = ~np.isnan(truth)
    scores = {"density": 100 * float((~np.isnan(disparity))[known].mean())}
    for name, where in (("all", known), ("visible", visible(truth))):
        scores |= {f"{unit} {name}": value for unit, value in standard_units(disparity, truth, where).items()}
    return scores


if __name__ == "__main__":
    main()
