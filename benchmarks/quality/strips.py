"""How right is what only one eye sees? Scenes with ground truth, whose views are cut apart.

    python -m benchmarks.quality.strips GT_ROOT [--flow dis] [--cut 0.15]

GT_ROOT as of label_quality. CUT of the width is cut off the left view on one side and off the right view on the other,
of every second scene the other way round, so that the match of a wide strip at the border lies outside the right view.
Figures of the label in that strip, means over scenes, for both halves (held_out.py): MAE in percent of the range of the
true disparity (2nd to 98th percentile); the share of random pairs of a pixel of the strip and one of all, or of two of
the strip, ordered wrongly, where the truth differs by more than 3 % of that range.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from benchmarks.quality.faults import outcome_of
from benchmarks.quality.ground_truth import scenes, truth_config, truth_options
from redweb_builder.inputs.read import read_pair
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import BoolMap, FloatMap, Picture

PAIRS = 40_000
UNEQUAL = 0.03  # share of the range


@click.command()
@truth_options
@click.option("--cut", default=0.15, show_default=True, help="Share of the width.")
def main(root: Path, flow: str, flow_weights: Path | None, mono: str, every: int, cut: float) -> None:
    """Print how right the strips of the scenes below ROOT are."""
    config = truth_config(flow, flow_weights, mono)
    models = load_models(config)
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    with one_opencv_thread(), tempfile.TemporaryDirectory() as folder:
        for index, scene in enumerate(list(scenes(root))[::every]):
            pair = read_pair(scene.source, config.max_side)
            left, right, truth = cut_apart(pair.left, pair.right, scene.disparity, cut * (-1) ** index)
            evidence = outcome_of((left, right), models, config, Path(folder)).evidence
            if evidence is not None and evidence.label.disparity.shape == truth.shape:  # else taken for a mount
                rows[scene.group, scene.half].append(figures(evidence.label.disparity, truth))
    table = Table("set", "half", "scenes", "strip, % of the truth", "MAE, % of the range", "WKDR with all", "within")
    for (group, half), values in sorted(rows.items()):
        table.add_row(group, half, str(len(values)), *(f"{value:.2f}" for value in np.nanmean(values, 0)))
    Console(width=120).print(table)


def cut_apart(left: Picture, right: Picture, truth: FloatMap, share: float) -> tuple[Picture, Picture, FloatMap]:
    """The views and the truth, px, without a share of the width: the left one's right and the right one's left side.

    A negative share cuts the other sides.
    """
    cut = round(abs(share) * left.shape[1])
    one, other = np.s_[:, : left.shape[1] - cut], np.s_[:, cut:]
    if share < 0:
        return left[other], right[one], truth[other] - cut
    return left[one], right[other], truth[one] + cut


def figures(disparity: FloatMap, truth: FloatMap) -> tuple[float, ...]:
    """The columns of the table for one scene. disparity, truth: HxW float32 px, NaN = unknown."""
    known = np.isfinite(truth) & np.isfinite(disparity)
    right_x = np.arange(truth.shape[1]) - np.nan_to_num(truth)
    strip = known & ((right_x < 0) | (right_x > truth.shape[1] - 1))
    low, high = np.percentile(truth[known], (2, 98))
    error = float(np.abs(disparity - truth)[strip].mean()) / (high - low)
    least = UNEQUAL * (high - low)
    orders = (wrong_order(disparity, truth, strip, other, least) for other in (known, strip))
    return 100 * strip.sum() / known.sum(), 100 * error, *orders


def wrong_order(disparity: FloatMap, truth: FloatMap, one: BoolMap, other: BoolMap, least: float) -> float:
    """Percent of random pairs, a pixel of `one` and one of `other`, whose truth differs by more than `least` px."""
    generator = np.random.default_rng(0)
    first, second = (generator.choice(np.flatnonzero(where), PAIRS) for where in (one, other))
    true_step = truth.ravel()[first] - truth.ravel()[second]
    step = disparity.ravel()[first] - disparity.ravel()[second]
    unequal = np.abs(true_step) > least
    return 100 * float((np.sign(step) != np.sign(true_step))[unequal].mean()) if unequal.any() else float("nan")


if __name__ == "__main__":
    main()
