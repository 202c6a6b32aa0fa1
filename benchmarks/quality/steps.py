"""What each step of the method buys: the label figures with one step taken out at a time.

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

from benchmarks.quality.ground_truth import scenes, truth_options
from benchmarks.quality.label_quality import MAX_SIDE, figures, ours
from redweb_builder import pipeline
from redweb_builder.config import BuildConfig
from redweb_builder.device import choose_device
from redweb_builder.labels import confidence, refine
from redweb_builder.labels import planes as surfaces
from redweb_builder.labels.planes import RightView
from redweb_builder.labels.refine import surface_and_error
from redweb_builder.labels.superpixels import segment_superpixels
from redweb_builder.matching.flow import load_flow
from redweb_builder.matching.fusion import Match
from redweb_builder.matching.semi_global import NOWHERE
from redweb_builder.pipeline import Models, Outcome, infer, label_pair, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.segmentation.segmenters import load_segmenter
from redweb_builder.types import BoolMap, FloatMap, Flow, Mask, Picture, StereoPair


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


def row_fill(superpixels: object, raw: FloatMap, confirmed: BoolMap, ground: BoolMap, right: object) -> FloatMap:
    """The usual way: the farther of the nearest confirmed disparities in the row (Hirschmueller 2008, section 2.6)."""
    del superpixels, ground, right
    columns = np.broadcast_to(np.arange(raw.shape[1]), raw.shape)
    before = np.maximum.accumulate(np.where(confirmed, columns, -1), 1)
    after = np.minimum.accumulate(np.where(confirmed, columns, raw.shape[1])[:, ::-1], 1)[:, ::-1]
    padded = np.pad(raw, ((0, 0), (1, 1)), constant_values=np.inf)
    rows = np.arange(len(raw))[:, None]
    filled = np.minimum(padded[rows, before + 1], padded[rows, after + 1])
    return np.where(confirmed, raw, np.where(np.isfinite(filled), filled, np.nan)).astype(np.float32)


def one_surface(
    left: Picture, match: Match, confirmed: BoolMap, ground: BoolMap, right: RightView
) -> tuple[FloatMap, FloatMap]:
    """What is in doubt shapes surfaces too."""
    surface = surfaces.propagate_planes(segment_superpixels(left), match.disparity, confirmed, ground, right)
    return surface, confidence.predict_error_px(left, match, surface, ground)


def no_rows(pair: StereoPair, flow: Flow, valid: BoolMap) -> Flow:
    """The flow has the only say."""
    del pair, valid
    return Flow(np.full_like(flow.forward, NOWHERE), np.full_like(flow.backward, NOWHERE))


def round_trip_alone(
    left: Picture, match: Match, confirmed: BoolMap, ground: BoolMap, right: RightView
) -> tuple[FloatMap, FloatMap]:
    """What the published rules go by, at half their tolerance; surfaces stay as they are."""
    surface, _ = surface_and_error(left, match, confirmed, ground, right)
    return surface, refine.MEASURED_PX * match.error


def changes(flow: object) -> dict[str, Change]:
    """Every step that can be taken out, by what the table calls it."""
    found = {
        "everything in": Change(refine, "PLANE_BLEND_PX", refine.PLANE_BLEND_PX),
        "no speckle filter": Change(refine, "without_speckles", lambda raw, valid: valid),
        "no matching along rows": Change(pipeline, "sgm_flow", no_rows),
        "measured by the round trip alone (1 px)": Change(refine, "surface_and_error", round_trip_alone),
        "edges raise no doubt": Change(confidence, "edge_factor", lambda *_: 1.0),
        "no averaging with the surface": Change(refine, "PLANE_BLEND_PX", -1.0),
        "row-wise background fill, no surfaces": Change(refine, "propagate_planes", row_fill),
        "surfaces of all that is confirmed": Change(refine, "surface_and_error", one_surface),
        "no veto of the right view": Change(surfaces, "MAX_INVISIBLE", np.inf),
        "no firming by neighbours": Change(surfaces, "AGGREGATION_ROUNDS", 0),
    }
    if getattr(flow, "needs_refinement", False):
        found["no polish of the flow"] = Change(flow, "needs_refinement", False)
    return found


@click.command()
@truth_options
def main(root: Path, flow: str, flow_weights: Path | None, every: int) -> None:
    """Print the table of steps over the scenes below ROOT."""
    config = BuildConfig(max_side=MAX_SIDE, eyes="as-is")
    device = choose_device("auto")
    models = Models(load_flow(flow, flow_weights, device)[0], load_segmenter("builtin", None, device)[0])
    rows: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    with one_opencv_thread():
        for index, scene in enumerate(list(scenes(root))[::every]):
            prepared = prepare(scene.source, config)
            if isinstance(prepared, Outcome):
                raise SystemExit(f"{scene.source.key}: {prepared.rejection}")
            seen = infer([prepared], models)[0]
            for name, change in changes(models.flow).items():
                with change.made():
                    outcome = label_pair(seen, models, config)
                measured = figures(ours(Mask.MEASURED)(outcome, 0), scene.disparity, index)
                everything = figures(ours(Mask.MEASURED, Mask.FILLED)(outcome, 0), scene.disparity, index)
                rows[scene.group, name].append((measured["WKDR"], measured["coverage"], everything["WKDR"]))
    table = Table("set", f"from {models.flow.name}", "WKDR measured", "coverage", "WKDR everything")
    for (group, name), found in sorted(rows.items(), key=lambda item: item[0][0]):
        table.add_row(group, name, *(f"{mean:.2f}" for mean in np.nanmean(found, 0)))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
