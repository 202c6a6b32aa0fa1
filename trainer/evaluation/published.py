"""How published evaluations bring a prediction to the truth's scale, and the figures that they take.

    midas     Ranftl et al. 2022, section 5; BadPixelMetric of github.com/isl-org/MiDaS
    marigold  Ke et al. 2024; script/depth/eval.py, src/util/ of github.com/prs-eth/Marigold
    moge      Wang et al. 2025; moge/test/metrics.py of github.com/microsoft/MoGe
    eigen     Eigen et al. 2014; a prediction without metres takes the factor of medians (Zhou et al. 2017)

Predictions and truths are HxW float32 of one size, `valid` is HxW bool. docs/evaluation.md compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import BoolMap, FloatMap
from trainer.evaluation.metrics import align

Numbers = NDArray[np.float64]
COLUMNS = ("AbsRel", "SqRel", "RMSE", "RMSElog", "log10", "d1", "d2", "d3", "SILog")
ROOTS = ("RMSE", "RMSElog", "SILog")  # whose square is a mean over pixels
LEAST_DISPARITY = 1e-3  # marigold, after alignment
LEAST_DEPTH = 1e-6  # of an aligned prediction, so that its logarithm exists
LEAST_METRES = 1e-3  # eigen
MOST_ALIGNED = 4096  # pixels of the alignment by least absolute error (moge: 64x64)
STEPS = 50  # of 2 %, of a sparsification curve


@dataclass(frozen=True)
class Prediction:
    """A map as its maker gives it.

    values: HxW float32. sense: "near" = disparity or inverse depth, "far" = depth, "metres" = depth in metres.
    """

    values: FloatMap
    sense: str


def aligned_depth(
    protocol: str, prediction: Prediction, truth: FloatMap, valid: BoolMap, farthest: float | None
) -> FloatMap:
    """A prediction as depth in the truth's scale: HxW float32, positive.

    protocol: of config.PROTOCOLS, without "da2k". prediction: of the truth's size. truth: depth, known where `valid`.
    farthest: where the set cuts depth, or None. NaN everywhere where fewer than two pixels are known.
    """
    if valid.sum() < 2:
        return np.full(truth.shape, np.nan, np.float32)
    values = prediction.values.astype(np.float64)
    depth = _RULES[protocol](values, prediction.sense, truth.astype(np.float64), valid, farthest)
    return np.asarray(np.maximum(depth, LEAST_DEPTH), np.float32)


def _midas(values: Numbers, sense: str, truth: Numbers, valid: BoolMap, farthest: float | None) -> Numbers:
    """Least squares in disparity, cut at the cap, or where there is none at the farthest true depth."""
    cap = farthest or float(truth[valid].max())
    return 1 / np.maximum(_fitted_disparity(values, sense, truth, valid), 1 / cap)


def _marigold(values: Numbers, sense: str, truth: Numbers, valid: BoolMap, farthest: float | None) -> Numbers:
    """Least squares, of disparity in disparity and of depth in depth; cut at the cap.

    Disparity of 0 takes no part in the fit, as there; disparity that has negative values too has no zero to leave out.
    """
    if sense == "near":
        fitted = _fitted_disparity(values, sense, truth, valid & (values > 0) if values.min() >= 0 else valid)
        depth = 1 / np.maximum(fitted, LEAST_DISPARITY)
    else:
        scale, shift = align(values, truth, valid)
        depth = scale * values + shift
    return np.minimum(depth, farthest) if farthest else depth


def _moge(values: Numbers, sense: str, truth: Numbers, valid: BoolMap, _: float | None) -> Numbers:
    """Disparity: least squares, cut at the farthest true depth. Depth: least relative error."""
    if sense == "near":
        return _midas(values, sense, truth, valid, None)
    where = np.flatnonzero(valid)
    where = where[np.linspace(0, where.size - 1, min(where.size, MOST_ALIGNED)).astype(int)]
    scale, shift = least_absolute(values.ravel()[where], truth.ravel()[where], 1 / truth.ravel()[where])
    return scale * values + shift


def _eigen(values: Numbers, sense: str, truth: Numbers, valid: BoolMap, farthest: float | None) -> Numbers:
    """Metres as they are; everything else by the factor between the medians."""
    depth = 1 / np.maximum(values, LEAST_DEPTH) if sense == "near" else values
    if sense != "metres":
        depth = depth * (np.median(truth[valid]) / max(float(np.median(depth[valid])), LEAST_DEPTH))
    return np.clip(depth, LEAST_METRES, farthest or np.inf)


_RULES = {"midas": _midas, "marigold": _marigold, "moge": _moge, "eigen": _eigen}


def _fitted_disparity(values: Numbers, sense: str, truth: Numbers, valid: BoolMap) -> Numbers:
    """Disparity after least squares to inverse truth over valid pixels."""
    disparity = values if sense == "near" else 1 / np.maximum(values, LEAST_DEPTH)
    scale, shift = align(disparity, 1 / np.where(valid, truth, 1), valid)
    return scale * disparity + shift


def least_absolute(values: Numbers, truth: Numbers, weight: Numbers) -> tuple[float, float]:
    """Scale and shift with the least sum of weight |scale values + shift - truth|, by reweighted least squares.

    values, truth, weight: N float64, weight positive.
    """
    columns = np.stack([values, np.ones_like(values)], axis=1)
    soft = float(np.abs(truth).max())  # errors below it count as squares; halved each time, or the first fit would stay
    weights = weight
    for _ in range(40):
        root = np.sqrt(weights)
        (scale, shift), *_ = np.linalg.lstsq(columns * root[:, None], truth * root, rcond=None)
        soft /= 2
        weights = weight / np.maximum(np.abs(columns @ (scale, shift) - truth), soft)
    return float(scale), float(shift)


def mean_terms(depth: FloatMap, truth: FloatMap, valid: BoolMap) -> tuple[Numbers, int]:
    """What a picture gives to each of COLUMNS: means over its valid pixels, N float64; and their number.

    depth, truth: HxW, positive where valid. Those of ROOTS are means of squares; SILog's is the variance of log depth
    times 10^4, as the benchmark of KITTI has it. NaN without a pixel.
    """
    ours, theirs = depth[valid].astype(np.float64), truth[valid].astype(np.float64)
    if not ours.size or np.isnan(ours).any():
        return np.full(len(COLUMNS), np.nan), 0
    ratio, apart, logs = np.maximum(ours / theirs, theirs / ours), ours - theirs, np.log(ours) - np.log(theirs)
    terms = (np.abs(apart) / theirs, apart**2 / theirs, apart**2, logs**2, np.abs(logs) / np.log(10))
    within = (ratio < 1.25, ratio < 1.25**2, ratio < 1.25**3)
    return np.array([float(np.mean(term)) for term in (*terms, *within)] + [1e4 * float(np.var(logs))]), ours.size


def figures_of(terms: Numbers) -> dict[str, float]:
    """Figures of a picture, or of all pixels: the roots of the means that are of squares. terms: see `mean_terms`."""
    return {name: float(np.sqrt(v) if name in ROOTS else v) for name, v in zip(COLUMNS, terms, strict=True)}


def sparsification_error(depth: FloatMap, truth: FloatMap, valid: BoolMap, confidence: FloatMap) -> float:
    """AUSE of AbsRel (Ilg et al. 2018; Poggi et al. 2020): 0 = the confidence orders pixels as their errors do.

    The error of the pixels that are left while the least sure ones are taken away in steps of 2 %, less the same with
    the worst ones taken away first; the area between both curves, which are 0 where no pixel is left (evaluate.py of
    github.com/mattpoggi/mono-uncertainty). depth, truth: HxW. valid: HxW bool. confidence: HxW, larger = surer.
    """
    ours, theirs = depth[valid].astype(np.float64), truth[valid].astype(np.float64)
    if ours.size < STEPS:
        return np.nan
    error = np.abs(ours - theirs) / theirs
    left = ours.size - ours.size * np.arange(STEPS) // STEPS
    by_confidence = np.cumsum(error[np.argsort(-confidence[valid], kind="stable")])
    by_error = np.cumsum(np.sort(error))
    apart = (by_confidence - by_error)[left - 1] / left
    return float(np.trapezoid(np.append(apart, 0), dx=1 / STEPS))
