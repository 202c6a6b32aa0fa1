"""What each step of the method gains: the label figures with one step taken out at a time.

python -m benchmarks.quality.steps GT_ROOT [--flow raft-small] [--flow-weights PATH] [--every 1]
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from benchmarks.quality.ground_truth import scenes, truth_config, truth_options
from benchmarks.quality.label_quality import figures, ours
from redweb_builder import pipeline
from redweb_builder.labels import confidence, planes, refine
from redweb_builder.labels.confidence import Cues, predict_error_px
from redweb_builder.labels.planes import RightView, propagate_planes
from redweb_builder.labels.refine import surface_and_error
from redweb_builder.labels.superpixels import Superpixels
from redweb_builder.matching.fusion import Match
from redweb_builder.matching.semi_global import NOWHERE
from redweb_builder.pipeline import Outcome, infer, label_pair, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import BoolMap, FloatMap, Flow, Label, Mask, StereoPair


@dataclass(frozen=True)
class Change:
    """A step taken out: `attribute` of `owner` replaced by `value`."""

    owner: Any
    attribute: str
    value: Any

    @contextmanager
    def made(self) -> Iterator[None]:
        """The change holds inside."""
        with patch.object(self.owner, self.attribute, self.value):
            yield


def row_fill(
    superpixels: object, raw_disparity: FloatMap, support: BoolMap, ground: BoolMap, right: object
) -> FloatMap:
    """The usual fill: the farther of the row's nearest consistent disparities (Hirschmueller 2008, section 2.6)."""
    del superpixels, ground, right
    columns = np.broadcast_to(np.arange(raw_disparity.shape[1]), raw_disparity.shape)
    before = np.maximum.accumulate(np.where(support, columns, -1), 1)
    after = np.minimum.accumulate(np.where(support, columns, raw_disparity.shape[1])[:, ::-1], 1)[:, ::-1]
    padded = np.pad(raw_disparity, ((0, 0), (1, 1)), constant_values=np.inf)
    rows = np.arange(len(raw_disparity))[:, None]
    filled = np.minimum(padded[rows, before + 1], padded[rows, after + 1])
    return np.where(support, raw_disparity, np.where(np.isfinite(filled), filled, np.nan)).astype(np.float32)


def planes_of_all_consistent(
    superpixels: Superpixels, cues: Cues, match: Match, consistent: BoolMap, ground: BoolMap, right: RightView
) -> tuple[FloatMap, FloatMap]:
    """Pixels of high predicted error support planes too."""
    surface = propagate_planes(superpixels, match.disparity, consistent, ground, right)
    return surface, predict_error_px(cues, surface)


def no_sgm(pair: StereoPair, flow: Flow, valid: BoolMap) -> Flow:
    """Semi-global matching without a match; the flow's matches are taken everywhere."""
    del pair, valid
    return Flow(np.full_like(flow.forward, NOWHERE), np.full_like(flow.backward, NOWHERE))


def error_is_consistency_error(
    superpixels: Superpixels, cues: Cues, match: Match, consistent: BoolMap, ground: BoolMap, right: RightView
) -> tuple[FloatMap, FloatMap]:
    """Measured as the published rules have it, at half their tolerance (1 px); planes stay as they are."""
    surface, _ = surface_and_error(superpixels, cues, match, consistent, ground, right)
    return surface, refine.MEASURED_PX * match.error


def without_network(*inputs: Any) -> Label:
    """The label without the depth of a network, the last of the inputs of refine."""
    return refine.refine(*inputs[:-1])


def changes(flow: object) -> dict[str, Change]:
    """Every step that can be taken out, by its name in the table (docs/method.md)."""
    steps = {
        "all steps": Change(refine, "PLANE_BLEND_PX", refine.PLANE_BLEND_PX),
        "no speckle filter": Change(refine, "without_speckles", lambda raw_disparity, valid: valid),
        "no matching along rows": Change(pipeline, "sgm_flow", no_sgm),
        "measured by forward-backward consistency alone (1 px)": Change(
            refine, "surface_and_error", error_is_consistency_error
        ),
        "no edge factor": Change(confidence, "edge_factor", lambda *_: 1.0),
        "no averaging with the plane": Change(refine, "PLANE_BLEND_PX", -1.0),
        "row-wise background fill, no planes": Change(refine, "propagate_planes", row_fill),
        "planes from all consistent pixels": Change(refine, "surface_and_error", planes_of_all_consistent),
        "no visibility constraint": Change(planes, "MAX_OCCLUDING", np.inf),
        "no monocular depth network": Change(pipeline, "refine", without_network),
        "no average of propagated planes": Change(planes, "AVERAGING_ROUNDS", 0),
        "no aggregation over neighbours": Change(planes, "AGGREGATION_ROUNDS", 0),
    }
    if getattr(flow, "needs_refinement", False):
        steps["no flow refinement"] = Change(flow, "needs_refinement", False)
    return steps


@click.command()
@truth_options
def main(root: Path, flow: str, flow_weights: Path | None, mono: str, every: int) -> None:
    """Print the table of steps over the scenes below ROOT."""
    config = truth_config(flow, flow_weights, mono)
    models = load_models(config)
    rows: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    with one_opencv_thread():
        for index, scene in enumerate(list(scenes(root))[::every]):
            prepared = prepare(scene.source, config, models.depth)
            if isinstance(prepared, Outcome):
                raise SystemExit(f"{scene.source.key}: {prepared.rejection}")
            inferred = infer([prepared], models)[0]
            for name, change in changes(models.flow).items():
                with change.made():
                    outcome = label_pair(inferred, models, config)
                measured = figures(ours(Mask.MEASURED)(outcome, 0), scene.disparity, index)
                everything = figures(ours(Mask.MEASURED, Mask.FILLED)(outcome, 0), scene.disparity, index)
                rows[scene.group, name].append((measured["WKDR"], measured["coverage"], everything["WKDR"]))
    table = Table("set", f"from {models.flow.name}", "WKDR measured", "coverage", "WKDR everything")
    for (group, name), values in sorted(rows.items(), key=lambda item: item[0][0]):
        table.add_row(group, name, *(f"{mean:.2f}" for mean in np.nanmean(values, 0)))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
