"""The figures of Eigen et al. 2014 for metric networks, and its picture: input, coarse, fine, truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from redweb_builder.types import FloatMap
from trainer.data.check import readable_samples
from trainer.data.depth_set import DepthSet, judged_pixels
from trainer.data.marks import mark_of
from trainer.data.splits import Selection, evenly_spaced, three_parts
from trainer.evaluation.metrics import depth_figures, depth_sums
from trainer.evaluation.results import ResultRow, Table
from trainer.evaluation.sheets import SHEET_ROWS, metric_strip, sheet
from trainer.models.eigen import MetricNetwork
from trainer.prediction.predict import filled, predict_metres, require_finite
from trainer.types import DepthSample

MEAN = "mean of the training depths"
PAPER = {
    "the paper, coarse (120,000 frames; on 654)": (0.618, 0.891, 0.969, 0.228, 0.223, 0.871, 0.283, 0.221),
    "the paper, coarse + fine": (0.611, 0.887, 0.971, 0.215, 0.212, 0.907, 0.285, 0.219),
}


def evaluate_metric(
    networks: Mapping[str, MetricNetwork],
    data: DepthSet,
    selection: Selection,
    watch: Callable[[int, int], None] = lambda done, of: None,
    trained_on: Mapping[str, frozenset[bytes]] | None = None,
) -> Table:
    """Every stage of every network, and the mean depth of the first one's training, on a set with depth in metres.

    data: the set, in metres. networks: by name, in eval mode, all on one device. selection: the samples to look at; its
    part "auto" is the test part, the set's own or what training kept apart, or else what training held out. watch:
    (samples done, of all). trained_on: the marks of each network's training samples; rows of networks that were trained
    on these frames say so. Figures are of the pixels of the set's evaluation mask, at the set's own size. The paper's
    own rows come last. A frame that cannot be read is left out and named. Raises DataError where too many cannot, and
    where a prediction is not finite.
    """
    part = selection.part
    if part == "auto":
        parts = three_parts(data, selection.validation_fraction, selection.test_fraction)
        part = "test" if parts["test"] else "val"
    indices = replace(selection, part=part).indices(data)
    sums: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.floating]]]] = {}
    unread: list[str] = []
    strips, shown = [], set(evenly_spaced(indices, SHEET_ROWS))
    for index, sample in readable_samples(data, indices, unread, watch):
        maps = {MEAN: mean_metres(next(iter(networks.values())), sample)}
        for name, network in networks.items():
            stages = predict_metres(network, sample.image, network.mean_map.device)
            maps |= {f"{name}: {stage}": require_finite(depth, name) for stage, depth in stages.items()}
        for name, depth in maps.items():
            sums.setdefault(name, []).append(sums_of(depth, sample, data))
        if index in shown:
            strips.append(metric_strip(sample, list(maps.values())[1:]))
    columns = depth_figures([np.zeros(9)])
    title = f"{data.name}-{part}"
    marks = [mark_of(data, index) for index in indices]
    known = {name: sum(mark in own for mark in marks) for name, own in (trained_on or {}).items()}
    rows = []
    for name, own in sums.items():
        trained = next((count for network, count in known.items() if name.startswith(f"{network}: ")), 0)
        counts = {"trained_on": trained} if trained else {}
        rows.append(ResultRow(title, name, len(own), depth_figures(own), counts, unread))
    rows += [ResultRow(title, name, 654, dict(zip(columns, row, strict=True))) for name, row in PAPER.items()]
    return rows, sheet(strips, ["photograph", *list(sums)[1:], "label"])


def mean_metres(network: MetricNetwork, sample: DepthSample) -> FloatMap:
    """The prediction that looks at nothing: the mean log depth of the training frames, place by place.

    network: holds that mean. sample: gives the size. Returns HxW float32, metres.
    """
    return filled(network.mean_map.exp().cpu().numpy(), sample.disparity.shape)


def sums_of(depth: FloatMap, sample: DepthSample, data: DepthSet) -> np.ndarray[tuple[int, ...], np.dtype[np.floating]]:
    """What one prediction gives to `metrics.depth_figures`: 9 float64.

    depth: HxW float32, metres. sample: the label, inverse depth in 1/m. data: its set, which says where to look.
    """
    known = np.isfinite(sample.disparity)
    truth = np.asarray(1 / np.where(known, sample.disparity, 1), np.float32)
    return depth_sums(depth, truth, judged_pixels(data, sample))
