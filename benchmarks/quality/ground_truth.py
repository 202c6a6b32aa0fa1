"""Stereo scenes with ground-truth disparity: a folder a scene, left.*, right.*, disp_left.*, meta.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.quality.held_out import is_held_out
from redweb_builder.config import BUILTIN, BuildConfig
from redweb_builder.inputs.picture import read_values
from redweb_builder.types import FloatMap, PairSource

MAX_SIDE = 4096  # px; labels are judged at the truth's own resolution


@dataclass(frozen=True)
class TruthScene:
    """A pair whose disparity is known.

    group: the set it belongs to. disparity: HxW float32 px, larger = nearer, NaN where there is no truth. half: of the
    real pictures (held_out.py), "development" or "held out".
    """

    group: str
    source: PairSource
    disparity: FloatMap
    half: str


def truth_options(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments that every benchmark against ground truth takes: ROOT, --flow, --flow-weights, --mono, --every."""
    options = (
        click.argument("root", type=click.Path(path_type=Path, exists=True)),
        click.option("--flow", default="dis", show_default=True),
        click.option("--flow-weights", type=click.Path(path_type=Path)),
        click.option("--mono", default=BuildConfig.mono, show_default=True, help="As of build-redweb."),
        click.option("--every", default=1, show_default=True, help="Only every n-th scene."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def truth_config(flow: str, flow_weights: Path | None, mono: str, segmenter: str = BUILTIN) -> BuildConfig:
    """The settings of a benchmark against ground truth. flow, flow_weights, mono, segmenter: as of BuildConfig."""
    return BuildConfig(
        flow=flow, flow_weights=flow_weights, segmenter=segmenter, mono=mono, max_side=MAX_SIDE, eyes="as-is"
    )


def scenes(root: Path) -> Iterator[TruthScene]:
    """Every scene below `root`, in a fixed order."""
    for meta_file in sorted(root.glob("*/*/meta.json")):
        folder = meta_file.parent
        meta = json.loads(meta_file.read_text())
        if "scale" not in meta:
            continue
        left, right, truth = (next(folder.glob(f"{name}.*")) for name in ("left", "right", "disp_left"))
        source = PairSource(f"{folder.parent.name}-{folder.name}", left, right, "files", "ground truth")
        half = "held out" if is_held_out(folder) else "development"
        yield TruthScene(family(folder.parent.name), source, _disparity(truth, float(meta["scale"])), half)


def family(group: str) -> str:
    """The name that the published tables use: one for all Middlebury years, one for both KITTI years."""
    return next((name for name in ("Middlebury", "KITTI") if group.lower().startswith(name.lower())), group)


def _disparity(file: Path, scale: float) -> FloatMap:
    image = read_values(file, ("PNG", "PPM", "TIFF"))
    values = (image if image.ndim == 2 else image[..., 0]).astype(np.float32)
    disparity: FloatMap = values * np.float32(scale)
    disparity[~np.isfinite(values) | (values <= 0)] = np.nan
    return disparity
