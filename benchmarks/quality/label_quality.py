"""How close labels are to ground truth, beside the published recipes over the same flow network.

    python -m benchmarks.quality.label_quality GT_ROOT [--flow dis|raft-small|raft-large] [--flow-weights PATH]

GT_ROOT holds a folder a set and in it a folder a scene (ground_truth.py). Figures are means over scenes:
coverage = share of the pixels with truth that carry a label; WKDR = share of 100,000 random pixel pairs with a true
ratio of disparities above 1.02 that the label orders wrongly, a tie being wrong (Chen et al. 2016, tau = 0.02);
far = the same among pixels with a true disparity under 10 px; bad-2 = share of labelled pixels off by more than 2 px
after a robust scale and shift a picture; edge F1 = boundary F1 of Depth Pro (Bochkovskii et al. 2024) on disparity,
for ratios of neighbours from 1.05 to 1.25; s = seconds a pair for all steps after the networks; every = WKDR over pairs
of all pixels with truth, where a pair with an unlabelled pixel is wrong; worst = WKDR of the worst scene. Each set
stands there as a whole and by half: limits are chosen on the development half alone (held_out.py).

The second table is the risk-coverage curve: the figures of the pixels whose stored confidence is at least so much.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from benchmarks.quality.ground_truth import TruthScene, scenes, truth_config, truth_options
from benchmarks.quality.segmentation import TeacherSegmenter
from redweb_builder.config import BuildConfig
from redweb_builder.matching.consistency import disparity_of, forward_backward_error
from redweb_builder.pipeline import Inferred, Models, Outcome, infer, label_pair, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import BoolMap, FloatMap, Mask
from trainer.losses.ordinal import TAU

PAIRS = 100_000
BAD_PX = 2.0
FAR_PX = 10.0
CURVE = (220, 200, 180, 160, 140, 120, 100, 80, 60, 40, 1)  # least confidence, of 255


@dataclass(frozen=True)
class Labelling:
    """disparity: HxW float32, larger = nearer. labelled: HxW bool. seconds: spent after the flow."""

    disparity: FloatMap
    labelled: BoolMap
    seconds: float


def flow_as_it_is(inferred: Inferred) -> Labelling:
    """Every pixel's flow as it is."""
    disparity = disparity_of(inferred.flow)
    return Labelling(disparity, np.ones(disparity.shape, bool), 0.0)


def midas_rule(inferred: Inferred) -> Labelling:
    """3D Movies (Ranftl et al. 2019): forward-backward difference up to 2 px, a match outside being unknown."""
    return Labelling(disparity_of(inferred.flow), forward_backward_error(inferred.flow) <= 2, 0.0)


def vdw_rule(inferred: Inferred) -> Labelling:
    """VDW (Wang et al. 2023): forward-backward difference up to 0.01 of the magnitudes + 0.5 px."""
    magnitude = np.hypot(*np.moveaxis(inferred.flow.forward, -1, 0))
    allowed = 0.01 * 2 * magnitude + 0.5
    return Labelling(disparity_of(inferred.flow), forward_backward_error(inferred.flow) <= allowed, 0.0)


def ours(*values: Mask) -> Callable[[Outcome, float], Labelling]:
    """Our label, where its mask is one of `values`."""

    def labelling(outcome: Outcome, seconds: float) -> Labelling:
        assert outcome.evidence is not None
        label = outcome.evidence.label
        return Labelling(label.disparity, np.isin(label.mask, values), seconds)

    return labelling


def sure(least: int) -> Callable[[Outcome], Labelling]:
    """Our label beside the sky, where its confidence is at least so much."""

    def labelling(outcome: Outcome) -> Labelling:
        assert outcome.evidence is not None
        label = outcome.evidence.label
        return Labelling(label.disparity, (label.confidence >= least) & (label.mask != Mask.SKY), 0.0)

    return labelling


def figures(labelling: Labelling, truth: FloatMap, seed: int) -> dict[str, float]:
    """The table's columns for one scene."""
    has_truth = np.isfinite(truth)
    labelled = labelling.labelled & has_truth & np.isfinite(labelling.disparity)
    filled = np.where(labelled, labelling.disparity, np.nan)
    return {
        "coverage": 100 * labelled.sum() / has_truth.sum(),
        "WKDR": wkdr(filled, truth, labelled, np.random.default_rng(seed)),
        "every": wkdr(filled, truth, has_truth, np.random.default_rng(seed)),
        "far": wkdr(filled, truth, labelled & (truth < FAR_PX), np.random.default_rng(seed)),
        "bad-2": bad_after_fit(filled, truth, labelled),
        "edge F1": boundary_f1(filled, truth),
        "s": labelling.seconds,
    }


def wkdr(label: FloatMap, truth: FloatMap, where: BoolMap, generator: np.random.Generator) -> float:
    """Percent of random pairs within `where`, truly unequal by more than TAU, that the label does not order right."""
    pixels = np.flatnonzero(where)
    if len(pixels) < 2:
        return float("nan")
    first, second = generator.choice(pixels, PAIRS), generator.choice(pixels, PAIRS)
    true_first, true_second = truth.ravel()[first], truth.ravel()[second]
    true_order = np.where(
        true_first > (1 + TAU) * true_second, 1, np.where(true_second > (1 + TAU) * true_first, -1, 0)
    )
    unequal = true_order != 0
    if not unequal.any():
        return float("nan")
    order = np.sign(label.ravel()[first].astype(np.float64) - label.ravel()[second])
    return 100 * float((order[unequal] != true_order[unequal]).mean())


def bad_after_fit(label: FloatMap, truth: FloatMap, where: BoolMap) -> float:
    """Percent of pixels more than BAD_PX off after the best scale and shift, fitted robustly (3 reweighted rounds)."""
    x, y = label[where].astype(np.float64), truth[where].astype(np.float64)
    if len(x) < 10:
        return float("nan")
    weight = np.ones_like(x)
    for _ in range(4):
        scale, shift = np.polyfit(x, y, 1, w=np.sqrt(weight))
        weight = 1 / (1 + (scale * x + shift - y) ** 2)
    return 100 * float((np.abs(scale * x + shift - y) > BAD_PX).mean())


def boundary_f1(label: FloatMap, truth: FloatMap) -> float:
    """Weighted F1 of depth boundaries between neighbours over the ratio thresholds 1.05 .. 1.25 (Depth Pro, sec. 4)."""
    thresholds = np.linspace(1.05, 1.25, 10)
    scores = []
    for threshold in thresholds:
        hit, labelled, true = 0, 0, 0
        for axis in (0, 1):
            a, b = _boundaries(label, axis, threshold), _boundaries(truth, axis, threshold)
            known = b[1]
            for side in (0, 1):
                hit += int((a[0] == b[0])[known & (b[0] == side * 2 - 1)].sum())
                labelled += int((known & (a[0] == side * 2 - 1)).sum())
                true += int((known & (b[0] == side * 2 - 1)).sum())
        scores.append(2 * hit / max(labelled + true, 1))
    return float(100 * np.average(scores, weights=thresholds))


def _boundaries(disparity: FloatMap, axis: int, threshold: float) -> tuple[FloatMap, BoolMap]:
    """Sign of each step between neighbours whose ratio exceeds the threshold, and where both neighbours are known."""
    first, second = (np.delete(disparity, at, axis) for at in (-1, 0))
    with np.errstate(invalid="ignore"):
        sign = np.where(first > threshold * second, 1, np.where(second > threshold * first, -1, 0))
    return sign.astype(np.float32), np.isfinite(first) & np.isfinite(second)


def label_scene(scene: TruthScene, models: Models, config: BuildConfig) -> dict[str, Labelling]:
    """Every row of the table for one scene."""
    prepared = prepare(scene.source, config, models.depth)
    if isinstance(prepared, Outcome):
        raise SystemExit(f"{scene.source.key}: {prepared.rejection}")
    inferred = infer([prepared], models)[0]
    started = time.perf_counter()
    outcome = label_pair(inferred, models, config)
    seconds = time.perf_counter() - started
    return {
        "flow as it is": flow_as_it_is(inferred),
        "MiDaS 3D Movies rule": midas_rule(inferred),
        "VDW rule": vdw_rule(inferred),
        "ours, measured": ours(Mask.MEASURED)(outcome, seconds),
        "ours, everything": ours(Mask.MEASURED, Mask.FILLED)(outcome, seconds),
        **{f"confidence {least}": sure(least)(outcome) for least in CURVE},
    }


@click.command()
@truth_options
@click.option(
    "--teacher", type=click.Path(path_type=Path, exists=True), help="Use it in the built-in segmenter's place."
)
@click.option("--teacher-weights", type=click.Path(path_type=Path, exists=True), help="Its weights.")
def main(
    root: Path,
    flow: str,
    flow_weights: Path | None,
    mono: str,
    every: int,
    teacher: Path | None,
    teacher_weights: Path | None,
) -> None:
    """Print the table of label quality over the scenes below ROOT."""
    config = truth_config(flow, flow_weights, mono)
    models = load_models(config)
    if teacher and teacher_weights:
        models = replace(models, segmenter=TeacherSegmenter(teacher, teacher_weights))
    rows: dict[tuple[str, str, str], list[dict[str, float]]] = defaultdict(list)
    with one_opencv_thread():
        for index, scene in enumerate(list(scenes(root))[::every]):
            for name, labelling in label_scene(scene, models, config).items():
                scores = figures(labelling, scene.disparity, index)
                for half in ("all", scene.half):
                    rows[scene.group, half, name].append(scores)
    labels = {key: scores for key, scores in rows.items() if not key[2].startswith("confidence")}
    curve = {key: scores for key, scores in rows.items() if key not in labels}
    columns = ["coverage", "WKDR", "worst", "every", "far", "bad-2", "edge F1", "s"]
    _print(labels, f"labels from {models.flow.name}", columns)
    _print(curve, f"at least, from {models.flow.name}", ["coverage", "WKDR", "bad-2"])


def _print(rows: dict[tuple[str, str, str], list[dict[str, float]]], what: str, columns: list[str]) -> None:
    table = Table("set", "half", "scenes", what, *columns)
    for (group, half, name), scores in sorted(rows.items(), key=lambda item: item[0][:2]):
        cells = [f"{_of_scenes(scores, column):.2f}" for column in columns]
        table.add_row(group, half, str(len(scores)), name, *cells)
    Console(width=140).print(table)


def _of_scenes(scores: list[dict[str, float]], column: str) -> float:
    """The mean of a column over scenes; "worst" = the largest WKDR."""
    if column == "worst":
        return float(np.nanmax([row["WKDR"] for row in scores]))
    return float(np.nanmean([row[column] for row in scores]))


if __name__ == "__main__":
    main()
