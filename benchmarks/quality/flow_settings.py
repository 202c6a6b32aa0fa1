"""What a flow's settings cost and gain: its processor time, and the figures of the labels made from it.

    python -m benchmarks.quality.flow_settings GT_ROOT [--every 1]
    python -m benchmarks.quality.flow_settings GT_ROOT --flow raft-small --flow-weights FILE

Each row changes the settings of DIS (matching/dis.py), or the precision of RAFT; one update more shows how far labels
move by a change that nobody would call worse. "core-s" is processor time of both directions a pair, at the sizes of the
scenes; WKDR, %, and coverage as in label_quality.py.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from unittest.mock import patch

import click
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.models import load_models
from benchmarks.quality.ground_truth import scenes, truth_config, truth_options
from benchmarks.quality.label_quality import figures, ours
from redweb_builder.matching import dis
from redweb_builder.matching.dis import dis_estimator  # by its own name, which is not patched
from redweb_builder.matching.flow import FlowEstimator
from redweb_builder.matching.raft import Raft
from redweb_builder.pipeline import Inferred, Outcome, label_pair, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import FloatMap, Mask, Picture


class Calculates(Protocol):
    """What quick_flow and fine_flow ask of an estimator."""

    def calc(self, first: Picture, second: Picture, start: None) -> FloatMap:
        """HxWx2 float32 px. first, second: HxW uint8. start: no flow to begin from."""
        ...


Estimator = Callable[[int, int, int], Calculates]


class FromHalf:
    """DIS to half resolution as the program has it, and from its flow once more at full resolution alone."""

    def __init__(self, finest: cv2.DISOpticalFlow) -> None:
        """finest: of the last step."""
        self.half, self.finest = opencv_dis(2, 50, 5, 1), finest
        finest.setCoarsestScale(0)

    def calc(self, first: Picture, second: Picture, start: None) -> FloatMap:
        """As of Calculates."""
        return np.asarray(self.finest.calc(first, second, self.half.calc(first, second, start)), np.float32)


def estimator(stride: int, iterations: int, refinements: int = 5, finest: int = 0) -> Estimator:
    """An estimator of these settings in place of `dis.dis_estimator`.

    stride, iterations, refinements, finest: as of opencv_dis.
    """
    return lambda *_fine: opencv_dis(stride, iterations, refinements, finest)


def from_half(stride: int, iterations: int, refinements: int = 5) -> Estimator:
    """FromHalf likewise. stride, iterations, refinements: of its last step, as of opencv_dis."""
    return lambda *_fine: FromHalf(opencv_dis(stride, iterations, refinements, 0))


def opencv_dis(stride: int, iterations: int, refinements: int, finest: int) -> cv2.DISOpticalFlow:
    """The program's estimator, to another scale.

    stride, iterations, refinements: as of dis_estimator. finest: scale that the flow ends at, 0 = full resolution.
    """
    made = dis_estimator(stride, iterations, refinements)
    made.setFinestScale(finest)
    return made


SETTINGS = {
    "as it is: stride 2, 50 iterations": estimator(2, 50),
    "25 iterations": estimator(2, 25),
    "16 iterations": estimator(2, 16),
    "25 iterations, 3 refinements": estimator(2, 25, 3),
    "stride 3, 25 iterations": estimator(3, 25),
    "stride 4, 16 iterations": estimator(4, 16),
    "to half resolution": estimator(2, 50, 5, 1),
    "half, then stride 2, 16 iterations": from_half(2, 16),
    "half, then stride 2, 8 iterations": from_half(2, 8),
    "half, then stride 3, 8 iterations, 3 refinements": from_half(3, 8, 3),
    "half, then stride 4, 16 iterations": from_half(4, 16),
}


def settings_of(flow: FlowEstimator) -> dict[str, AbstractContextManager[object]]:
    """The rows of the table: a flow has the settings of a name inside its context. flow: DIS or a RAFT."""
    if not isinstance(flow, Raft):
        return {name: patch.object(dis, "dis_estimator", make) for name, make in SETTINGS.items()}
    networks = {name: Raft(flow.name, flow.weights.path, flow.device, name).network for name in ("float32", "bf16")}

    def one_update_more(views: Tensor, updates: int) -> Tensor:
        more: Tensor = networks["float32"](views, updates + 1)
        return more

    rows = {**networks, "float32, one update more": one_update_more}
    return {name: patch.object(flow, "network", network) for name, network in rows.items()}


@click.command()
@truth_options
def main(root: Path, flow: str, flow_weights: Path | None, mono: str, every: int) -> None:
    """Print the table over the scenes below ROOT, by half."""
    config = truth_config(flow, flow_weights, mono)
    models = load_models(config)
    settings = settings_of(models.flow)
    rows: dict[tuple[str, str, str], list[tuple[float, ...]]] = defaultdict(list)
    with one_opencv_thread():
        for index, scene in enumerate(list(scenes(root))[::every]):
            prepared = prepare(scene.source, config, models.depth)
            if isinstance(prepared, Outcome):
                raise SystemExit(f"{scene.source.key}: {prepared.rejection}")
            for name, changed in settings.items():
                started = time.process_time()
                with changed:
                    matched = models.flow([prepared.pair])[0]
                seconds = time.process_time() - started
                outcome = label_pair(Inferred(prepared, matched), models, config)
                measured = figures(ours(Mask.MEASURED)(outcome, 0), scene.disparity, index)
                everything = figures(ours(Mask.MEASURED, Mask.FILLED)(outcome, 0), scene.disparity, index)
                figure = seconds, measured["WKDR"], measured["coverage"], everything["WKDR"]
                rows[scene.group, scene.half, name].append(figure)
    table = Table("set", "half", models.flow.name, "core-s", "WKDR measured", "coverage", "WKDR everything")
    for (group, half, name), values in sorted(rows.items(), key=lambda item: item[0][:2]):
        table.add_row(group, half, name, *(f"{mean:.3f}" for mean in np.nanmean(values, 0)))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
