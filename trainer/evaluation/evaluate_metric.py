"""The figures of Eigen et al. 2014 for metric networks, and its picture: input, coarse, fine, truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from redweb_builder.types import FloatMap, Picture
from trainer.checkpoint import load_network
from trainer.data.depth_set import DepthSet
from trainer.data.open import open_data
from trainer.data.readers.nyu_files import is_list
from trainer.data.splits import samples_of, thinned
from trainer.evaluation.evaluate import Row
from trainer.evaluation.metrics import depth_figures, depth_sums
from trainer.evaluation.sheets import SHEET_ROWS, metric_strip, sheet
from trainer.models.eigen import MetricNetwork
from trainer.predict import filled, predict_metres
from trainer.types import DepthSample

MEAN = "mean of the training depths"
PAPER = {
    "the paper, coarse (120,000 frames; on 654)": (0.618, 0.891, 0.969, 0.228, 0.223, 0.871, 0.283, 0.221),
    "the paper, coarse + fine": (0.611, 0.887, 0.971, 0.215, 0.212, 0.907, 0.285, 0.219),
}


def metric_networks(paths: Sequence[Path], device: torch.device) -> dict[str, MetricNetwork]:
    """The checkpoints of metric depth among these, by path. Raises CheckpointError."""
    loaded = {str(path): load_network(path, device) for path in paths}
    return {name: network for name, network in loaded.items() if isinstance(network, MetricNetwork)}


def in_metres(path: Path) -> bool:
    """Whether a data set has depth in metres. Raises DataError."""
    if path.suffix.lower() == ".csv" and not is_list(path):  # DIW's
        return False
    data = open_data(path)
    return data.metric and data.unit == "m"


def evaluate_metric(
    networks: dict[str, MetricNetwork],
    path: Path,
    part: str,
    share: float,
    device: torch.device,
    limit: int | None = None,
    watch: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[Row], Picture]:
    """Every stage of every network, and the mean depth of the first one's training, on a set with depth in metres.

    networks: by name, on the device, in eval mode. part, share: see data.splits.samples_of; "auto" is the test part or
    else what training held out: never frames trained on. Judged where the set says, at its own size. The paper's own
    rows come last. Returns the rows and a sheet of pictures. Raises DataError.
    """
    data = open_data(path)
    if part == "auto":
        part = "test" if any(data.part(index) == "test" for index in range(len(data))) else "val"
    indices = thinned(samples_of(data, part, share), limit)
    sums: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.floating]]]] = {}
    strips, shown = [], set(thinned(indices, SHEET_ROWS))
    for done, index in enumerate(indices):
        sample = data[index]
        maps = {MEAN: mean_metres(next(iter(networks.values())), sample)}
        for name, network in networks.items():
            stages = predict_metres(network, sample.image, device)
            maps |= {f"{name}: {stage}": depth for stage, depth in stages.items()}
        for name, depth in maps.items():
            sums.setdefault(name, []).append(sums_of(depth, sample, data))
        if index in shown:
            strips.append(metric_strip(sample, list(maps.values())[1:]))
        watch(done + 1, len(indices))
    columns = depth_figures([np.zeros(9)])
    title = f"{data.name}-{part}"
    rows = [Row(title, name, len(indices), depth_figures(found)) for name, found in sums.items()]
    rows += [Row(title, name, 654, dict(zip(columns, row, strict=True))) for name, row in PAPER.items()]
    return rows, sheet(strips)


def mean_metres(network: MetricNetwork, sample: DepthSample) -> FloatMap:
    """The prediction that looks at nothing: the mean log depth of the training frames, place by place."""
    return filled(network.mean_map.exp().cpu().numpy(), sample.disparity.shape)


def sums_of(depth: FloatMap, sample: DepthSample, data: DepthSet) -> np.ndarray[tuple[int, ...], np.dtype[np.floating]]:
    """What one prediction in metres gives to `metrics.depth_figures`."""
    known = np.isfinite(sample.disparity)
    truth = np.asarray(1 / np.where(known, sample.disparity, 1), np.float32)
    return depth_sums(depth, truth, known & data.judged(truth.shape))
