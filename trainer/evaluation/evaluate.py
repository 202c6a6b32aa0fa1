"""The field's figures for networks and for the prior, on any data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redweb_builder.errors import SettingsError
from redweb_builder.inputs.remote import shown
from redweb_builder.types import FloatMap, Picture
from trainer.data.check import readable_samples
from trainer.data.depth_scale import DepthScale
from trainer.data.depth_set import DepthSet, in_metres, judged_pixels
from trainer.data.open import is_point_pairs, open_data
from trainer.data.splits import Selection, evenly_spaced
from trainer.evaluation.competitors import Predict, Watch, counts_of, map_of, prior, uncounted, unwatched
from trainer.evaluation.evaluate_metric import evaluate_metric
from trainer.evaluation.evaluate_pairs import evaluate_pairs
from trainer.evaluation.evaluate_published import evaluate_published, mean_over_sets
from trainer.evaluation.metrics import (
    PRIOR,
    Ordinal,
    affine_depth,
    align,
    balanced_threshold,
    boundary_f1,
    column_means,
    mean_of,
    ordinal,
    wkdr_at,
    wkdr_unequal,
)
from trainer.evaluation.results import ResultRow, Table
from trainer.evaluation.sheets import SHEET_ROWS, sheet, strip
from trainer.evaluation.stored import StoredPredictions
from trainer.models.eigen import MetricNetwork
from trainer.prediction.predict import Predictor, metric_networks
from trainer.types import DataError, DepthSample


def evaluate_all(
    predictors: Sequence[Predictor | StoredPredictions],
    paths: Sequence[Path],
    selection: Selection,
    counting: Callable[[str], AbstractContextManager[Watch]] = uncounted,
    scale: DepthScale | None = None,
    protocol: str | None = None,
) -> list[Table]:
    """The tables of several sets, each set opened once, and all before the first is judged, which may take hours.

    A set in metres gets a table of metric depth where a predictor has it, and one of order where another has not. Every
    other set gets one of order. predictors: loaded checkpoints and stored predictions. paths: data sets, or CSV files
    of DIW. selection: the samples of each to evaluate. counting: (name of a set) -> context of a function to call with
    (samples done, of all). scale: what the numbers of depth files mean where their set does not say. protocol: of
    config.PROTOCOLS; then every set has the tables of that protocol, and several sets have one of their means. Raises
    DataError, SettingsError where the protocol cannot judge a network.
    """
    if protocol == "eigen":
        _refuse_relative(predictors)
    tables: list[Table] = []
    opened = [None if is_point_pairs(path) else open_data(path, scale) for path in paths]
    for path, data in zip(paths, opened, strict=True):
        with counting(shown(path)) as watch:
            tables += _evaluate_path(predictors, path, data, selection, watch, protocol)
    if protocol and protocol != "da2k" and len(tables) > 1:
        tables.append(mean_over_sets(tables, protocol))
    return tables


def _refuse_relative(predictors: Sequence[Predictor | StoredPredictions]) -> None:
    """Raise SettingsError where a network gives relative depth: its shift is unknown, and Eigen's figures find none."""
    for predictor in predictors:
        if isinstance(predictor, Predictor) and not isinstance(predictor.network, MetricNetwork):
            raise SettingsError(
                f"--protocol eigen finds no shift, and {predictor.name} gives depth up to one: its figures would say "
                "nothing. Take midas, marigold or moge, or leave it out"
            )


def _evaluate_path(
    predictors: Sequence[Predictor | StoredPredictions],
    path: Path,
    data: DepthSet | None,
    selection: Selection,
    watch: Watch,
    protocol: str | None,
) -> Iterator[Table]:
    """The tables of one set. data: None where `path` holds point pairs. The rest: as of evaluate_all."""
    every = {predictor.name: predictor for predictor in predictors}
    networks = [predictor for predictor in predictors if isinstance(predictor, Predictor)]
    if data is None:
        if protocol not in (None, "da2k"):
            raise DataError(f"{path}: has pairs of points, which --protocol {protocol} does not judge")
        yield evaluate_pairs(every, path, selection.limit, watch)
        return
    if protocol:
        yield evaluate_published(every, data, protocol, selection, watch)
        return
    metric = metric_networks(networks) if in_metres(data) else {}
    if metric:
        yield evaluate_metric(
            metric, data, selection, watch, {predictor.name: predictor.trained_on for predictor in networks}
        )
    if len(metric) < len(every):
        yield evaluate(every, data, selection, watch)


def evaluate(
    predictors: Mapping[str, Predict], data: DepthSet, selection: Selection, watch: Watch = unwatched
) -> Table:
    """Ordinal and aligned figures of every predictor, and of the prior, on a data set.

    predictors: by name, functions of a photograph (HxWx3 uint8 RGB) that give HxW float32, larger = nearer, or stored
    predictions.
    selection: the samples to evaluate. watch: (samples done, of all). A sample that cannot be read is left out and
    named. Raises DataError where too many cannot, and where a prediction is not finite.
    """
    everyone = {**predictors, PRIOR: prior}
    indices = selection.indices(data)
    collected: dict[str, list[SampleFigures]] = {name: [] for name in everyone}
    strips: list[Picture] = []
    unread: list[str] = []
    shown = set(evenly_spaced(indices, SHEET_ROWS))
    for index, sample in readable_samples(data, indices, unread, watch):
        maps = {name: map_of(predict, sample.key, sample.image) for name, predict in everyone.items()}
        for name, depth in maps.items():
            collected[name].append(sample_figures(depth, sample, data))
        if index in shown:
            strips.append(strip(sample, [maps[name] for name in predictors]))
    rows = [
        ResultRow(data.name, name, len(own), summed(own), counts_of(everyone[name], data, indices), unread)
        for name, own in collected.items()
    ]
    return rows, sheet(strips, ["photograph", "label", *predictors])


# ---- one sample, many samples -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SampleFigures:
    """What one prediction is worth: its ordinal pairs, and figures of its own."""

    pairs: Ordinal
    figures: dict[str, float]


def sample_figures(depth: FloatMap, sample: DepthSample, data: DepthSet) -> SampleFigures:
    """Figures of one prediction. Sets with a true zero have AbsRel, d1 and F1; the others do not.

    depth: HxW float32, larger = nearer. sample: the label, of the same size. data: the set that the sample is of.
    """
    valid = judged_pixels(data, sample)
    pairs = ordinal(depth, sample.disparity, valid, ratio=sample.true_zero, noise=sample.noise, sky=sample.sky)
    scale, shift = align(depth, sample.disparity, valid)
    if not data.has_true_zero:
        error = (scale * depth + shift - sample.disparity)[valid]
        spread = float(sample.disparity[valid].std()) if valid.any() else np.nan
        relative = float(np.sqrt(np.mean(error**2))) / spread if spread > 0 else np.nan
        inverted = np.nan if np.isnan(scale) else 100.0 * (scale < 0)
        return SampleFigures(pairs, {"RMSE/std": relative, "inverted": inverted})
    affine, aligned = affine_depth(depth, sample.disparity, valid, data.farthest)
    figures = {
        "AbsRel": affine.abs_rel,
        "d1": 100 * affine.d1,
        f"RMSE {data.unit}": affine.rmse,
        "F1": 100 * boundary_f1(aligned, np.where(valid, sample.disparity, 1), valid),
        "inverted": 100 * affine.inverted,
    }
    return SampleFigures(pairs, figures)


def summed(samples: Sequence[SampleFigures]) -> dict[str, float]:
    """Means over samples. WKDR counts unequal pairs at threshold 0; "balanced" is Chen et al. 2016's with its parts.

    samples: the figures of one predictor, at least one.
    """
    pairs = [sample.pairs for sample in samples]
    threshold = balanced_threshold(pairs)
    balanced = 100 * column_means([wkdr_at(picture, threshold) for picture in pairs])
    figures = {"WKDR": 100 * mean_of([wkdr_unequal(picture) for picture in pairs])}
    figures |= dict(zip(("balanced", "equal", "unequal"), balanced.tolist(), strict=True))
    names = samples[0].figures
    means = column_means([tuple(sample.figures.values()) for sample in samples])
    return figures | dict(zip(names, means.tolist(), strict=True))
