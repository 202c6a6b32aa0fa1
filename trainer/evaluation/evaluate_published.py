"""Tables as published evaluations have them: `evaluate --protocol`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from redweb_builder.types import FloatMap, Picture
from trainer.data.check import readable_samples
from trainer.data.depth_set import DepthSet, in_metres, judged_pixels
from trainer.data.splits import Selection, evenly_spaced
from trainer.evaluation.competitors import Predict, Watch, counts_of, prior, unwatched
from trainer.evaluation.metrics import PRIOR, column_means
from trainer.evaluation.published import (
    COLUMNS,
    Numbers,
    Prediction,
    aligned_depth,
    figures_of,
    mean_terms,
    sparsification_error,
)
from trainer.evaluation.results import ResultRow, Table, unique_names
from trainer.evaluation.sheets import SHEET_ROWS, sheet, strip
from trainer.evaluation.stored import StoredPredictions
from trainer.models.eigen import MetricNetwork
from trainer.prediction.predict import Predictor
from trainer.types import DataError

CONFIDENCE = "AUSE"
POOLED = "all pixels"
OF_EACH = ("AbsRel", "d1")  # what most publications print of every set
UNITLESS = tuple(column for column in COLUMNS if column not in ("SqRel", "RMSE"))


def evaluate_published(
    predictors: Mapping[str, Predict], data: DepthSet, protocol: str, selection: Selection, watch: Watch = unwatched
) -> Table:
    """Two rows a predictor, and two of the prior: means over pictures, and over all pixels of all pictures.

    predictors: by name, networks or stored predictions. data: a set with a true zero. protocol: of config.PROTOCOLS.
    selection: the samples. watch: (samples done, of all). Predictions with a confidence have AUSE too. A sample that
    cannot be read is left out and named. Raises DataError for a set without depth, or where too many cannot.
    """
    if not data.has_true_zero or protocol == "da2k":
        raise DataError(
            f"{data.name}: --protocol {protocol} is for "
            + ("the point pairs of DA-2K" if protocol == "da2k" else "sets whose depth has a zero (metres, disparity)")
        )
    everyone = {**predictors, PRIOR: prior}
    indices = selection.indices(data)
    shown = set(evenly_spaced(indices, SHEET_ROWS))
    terms: dict[str, list[tuple[Numbers, int]]] = {name: [] for name in everyone}
    areas: dict[str, list[tuple[float]]] = {name: [] for name in everyone}
    strips: list[Picture] = []
    unread: list[str] = []
    for index, sample in readable_samples(data, indices, unread, watch):
        valid = judged_pixels(data, sample)
        truth = np.divide(1, sample.disparity, out=np.ones_like(sample.disparity), where=valid)
        disparities = []
        for name, predict in everyone.items():
            given = prediction_of(predict, sample.key, sample.image)
            if given.sense == "metres" and not in_metres(data):
                given = replace(given, sense="far")
            depth = aligned_depth(protocol, given, truth, valid, data.farthest)
            terms[name].append(mean_terms(depth, truth, valid))
            confidence = confidence_of(predict, sample.key, sample.image)
            if confidence is not None:
                areas[name].append((sparsification_error(depth, truth, valid, confidence),))
            disparities.append(np.asarray(1 / depth, np.float32))
        if index in shown:
            strips.append(strip(sample, disparities[:-1]))
    title = f"{data.name}-{protocol}"
    rows = []
    for name, own in terms.items():
        counts = counts_of(everyone[name], data, indices)
        figures, pooled = _mean_of_pictures([picture for picture, _ in own]), _of_all_pixels(own)
        if any(areas.values()):
            figures[CONFIDENCE] = float(column_means(areas[name])[0]) if areas[name] else np.nan
            pooled[CONFIDENCE] = np.nan
        rows.append(ResultRow(title, name, len(own), figures, counts, unread))
        rows.append(ResultRow(title, f"{name}, {POOLED}", len(own), pooled, counts, unread))
    return rows, sheet(strips, ["photograph", "label", *predictors])


def mean_over_sets(tables: Sequence[Table], protocol: str) -> Table:
    """One table of several sets, of the rows that are means over pictures: AbsRel and d1 of each, and the means.

    Each set counts alike. Figures that have the unit of their set have no mean.
    tables: of several sets by one protocol. protocol: its name.
    """
    names = [row.predictor for row in tables[0][0] if not row.predictor.endswith(POOLED)]
    sets = unique_names([table[0].data.removesuffix(f"-{protocol}") for table, _ in tables])
    rows = []
    for name in names:
        own = [row for table, _ in tables for row in table if row.predictor == name]
        means = column_means([tuple(row.figures[column] for column in UNITLESS) for row in own])
        figures = {
            f"{at} {column}": row.figures[column] for at, row in zip(sets, own, strict=True) for column in OF_EACH
        }
        figures |= dict(zip(UNITLESS, means.tolist(), strict=True))
        title = f"{protocol}, mean of {len(own)} sets"
        rows.append(ResultRow(title, name, sum(row.samples for row in own), figures))
    return rows, sheet([])


def prediction_of(predict: Predict, key: str, image: Picture) -> Prediction:
    """A prediction with its sense. predict: a competitor. key: of the sample. image: HxWx3 uint8 RGB."""
    if isinstance(predict, StoredPredictions):
        return Prediction(*predict.read(key, image))
    if isinstance(predict, Predictor) and isinstance(predict.network, MetricNetwork):
        return Prediction(np.asarray(1 / predict(image), np.float32), "metres")
    return Prediction(predict(image), "near")


def confidence_of(predict: Predict, key: str, image: Picture) -> FloatMap | None:
    """The confidence that comes with a stored prediction, HxW, larger = surer; None of all others.

    predict: a competitor. key: of the sample. image: HxWx3, for the size.
    """
    return predict.confidence(key, image) if isinstance(predict, StoredPredictions) else None


def _mean_of_pictures(pictures: Sequence[Numbers]) -> dict[str, float]:
    means = column_means([tuple(figures_of(picture).values()) for picture in pictures])
    return dict(zip(COLUMNS, means.tolist(), strict=True))


def _of_all_pixels(pictures: Sequence[tuple[Numbers, int]]) -> dict[str, float]:
    """Every pixel counts alike. SILog stays the mean of each picture's variance, weighted by its pixels."""
    known = [(terms, count) for terms, count in pictures if count]
    if not known:
        return dict.fromkeys(COLUMNS, np.nan)
    return figures_of(np.average([terms for terms, _ in known], axis=0, weights=[count for _, count in known]))
