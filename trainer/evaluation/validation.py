"""Validation while training: figures of a network on what was held out, and a sheet of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from redweb_builder.monocular.estimator import has_finite_range
from redweb_builder.types import FloatMap
from trainer.data.check import readable_samples
from trainer.data.depth_set import DepthSet, judged_pixels
from trainer.data.splits import evenly_spaced
from trainer.evaluation.evaluate_metric import sums_of
from trainer.evaluation.metrics import PRIOR, depth_figures, lower_is_nearer, mean_of, ordinal, wkdr_unequal
from trainer.evaluation.results import unique_names
from trainer.evaluation.sheets import SHEET_ROWS, metric_strip, sheet, strip
from trainer.models.eigen import MetricNetwork
from trainer.prediction.predict import predict_depth, predict_metres
from trainer.progress import Validation, Validator
from trainer.types import DepthSample


def make_validator(validation: Sequence[tuple[DepthSet, Sequence[int]]], size: int, most: int = 64) -> Validator:
    """A validation for the loop: mean WKDR over the sets, then each set's, then that of the prior, "lower is nearer".

    validation: sets with the samples that are held out. size: side of the training crops, px. most: samples of a set at
    most, evenly chosen. They are read once and kept, since they are asked for again and again. Those that cannot be
    read are left out, and named in each Validation. Raises DataError where too many cannot.
    """
    unread: list[str] = []
    kept = [
        (data, [sample for _, sample in readable_samples(data, evenly_spaced(indices, most), unread)])
        for data, indices in validation
        if indices
    ]
    priors: list[float] = []  # of each set; they do not change

    def rate(data: DepthSet, sample: DepthSample, depth: FloatMap) -> float:
        if not has_finite_range(depth):
            return math.inf  # which is never the best, and which no mean hides
        valid = judged_pixels(data, sample)
        pairs = ordinal(depth, sample.disparity, valid, ratio=sample.true_zero, noise=sample.noise, sky=sample.sky)
        return wkdr_unequal(pairs)

    def validate(network: nn.Module, device: torch.device) -> Validation:
        network.eval()
        figures, strips = {}, []
        for name, (data, samples) in zip(unique_names([data.name for data, _ in kept]), kept, strict=True):
            rates = []
            for at, sample in enumerate(samples):
                depth = predict_depth(network, sample.image, size, device)
                rates.append(rate(data, sample, depth))
                if at < max(1, SHEET_ROWS // len(kept)):
                    strips.append(strip(sample, [depth]))
            figures[f"WKDR {name}"] = 100 * mean_of(rates)
        if not figures:
            return Validation({})
        if not priors:
            rates_of = (
                [rate(data, sample, lower_is_nearer(*sample.image.shape[:2])) for sample in samples]
                for data, samples in kept
            )
            priors.extend(100 * mean_of(rates) for rates in rates_of)
        means = {name: mean_of(values) for name, values in (("WKDR", [*figures.values()]), (PRIOR, priors))}
        shown = sheet(strips, ["photograph", "label", "prediction"])
        return Validation(means | (figures if len(figures) > 1 else {}), shown, tuple(unread))

    return validate


def make_metric_validator(validation: Sequence[tuple[DepthSet, Sequence[int]]]) -> Validator:
    """A validation for the loop: AbsRel of the final map, which decides, then d1, RMSE in metres, RMSElog and SI.

    validation: sets in metres with the samples that are held out.
    """
    everyone = [(data, index) for data, indices in validation for index in indices]

    def validate(network: nn.Module, device: torch.device) -> Validation:
        assert isinstance(network, MetricNetwork)
        network.eval()
        finite, sums, strips, captions, shown = True, [], [], [""], evenly_spaced(range(len(everyone)), SHEET_ROWS)
        for at, (data, index) in enumerate(everyone):
            sample = data[index]
            stages = predict_metres(network, sample.image, device)
            maps = list(stages.values())
            sums.append(sums_of(maps[-1], sample, data))
            finite &= bool(np.isfinite(maps[-1]).all())
            if at in shown:
                strips.append(metric_strip(sample, maps))
                captions = ["photograph", *stages, "label"]
        figures = depth_figures(sums)
        kept = {name: figures[name] for name in ("AbsRel", "d1", "RMSE", "RMSElog", "SI")}
        if not finite:
            kept["AbsRel"] = math.inf
        return Validation(kept, sheet(strips, captions))

    return validate
