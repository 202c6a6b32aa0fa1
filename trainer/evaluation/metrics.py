"""The field's figures for one picture. NumPy in, numbers out; every error rate is a share in [0, 1], lower is better.

Predictions and truths are HxW float32, disparity-like, larger = nearer, of one size; `valid` is HxW bool, where there
is truth. A figure that a picture gives no ground for is NaN (a flat wall has no order), so that means leave it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from redweb_builder.types import BoolMap, FloatMap
from trainer.losses.ordinal import TAU, ordinal_step, relation_of

Values = NDArray[np.floating]
PRIOR = "lower is nearer"  # its name in tables
PAIRS = 20_000
MOST_RANGED = 4_000_000  # pixels of a picture whose range is measured; of more, evenly chosen ones
FARTHEST_OVER_NEAREST = 1e-4  # aligned disparity is kept above this share of its largest, so that depth stays finite
THRESHOLDS = np.linspace(1.05, 1.25, 10)  # Depth Pro


def lower_is_nearer(height: int, width: int) -> FloatMap:
    """The prior that every ordinal figure is to be read beside: disparity grows with the row, whatever is shown.

    height, width: px. Returns HxW float32 from 0 (top) to 1.
    """
    return np.repeat(np.linspace(0, 1, height, dtype=np.float32)[:, None], width, axis=1)


# ---- order ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ordinal:
    """The pairs of one picture.

    relation: N int8: +1 first nearer, -1 second nearer, 0 equal. difference: N float64, prediction of the first less
    that of the second, in units of the prediction's own spread.
    """

    relation: NDArray[np.int8]
    difference: NDArray[np.float64]


def ordinal(
    prediction: FloatMap,
    truth: FloatMap,
    valid: BoolMap,
    *,
    ratio: bool,
    noise: float = 0.0,
    sky: BoolMap | None = None,
    pairs: int = PAIRS,
    tau: float = TAU,
    seed: int = 0,
) -> Ordinal:
    """Draw pairs of valid pixels and compare what truth and prediction say of them.

    tau: least relative difference of unequal values where `ratio` holds. prediction, truth: HxW float32, larger =
    nearer. valid: HxW bool. ratio: the truth's zero is infinity. noise: the error that a label may have. sky: HxW bool.
    pairs: how many are drawn, with the generator `seed`. What the truth says of a pair follows the rule of training,
    losses/ordinal.py, its range being that of all valid pixels.
    """
    where = np.flatnonzero(valid)
    if where.size < 2:
        return Ordinal(np.zeros(0, np.int8), np.zeros(0))
    drawn = np.random.default_rng(seed).choice(where, (2, pairs))
    labels = torch.from_numpy(truth.ravel()[drawn].astype(np.float64))
    above = np.zeros(truth.shape, bool) if sky is None else sky
    sky_of_pair = torch.from_numpy(above.ravel()[drawn])
    below = truth[valid & ~above].astype(np.float64)
    ground = torch.from_numpy(below[:: 1 + below.size // MOST_RANGED] if below.size else np.zeros(1))[None]
    step = ordinal_step(ground, torch.ones_like(ground, dtype=torch.bool), torch.tensor([noise]), tau)
    relation = relation_of(labels[:1], labels[1:], step, torch.tensor([ratio]), sky_of_pair[:1], sky_of_pair[1:], tau)
    flat = prediction.ravel().astype(np.float64)
    spread = float(flat[where].std()) or 1.0
    return Ordinal(relation[0].numpy().astype(np.int8), (flat[drawn[0]] - flat[drawn[1]]) / spread)


def wkdr_unequal(ordinal: Ordinal) -> float:
    """Share of the truly unequal pairs that the prediction does not order alike; a tie is an error, and so is NaN.

    ordinal: the pairs of one picture.
    """
    unequal = ordinal.relation != 0
    return _mean(~(ordinal.relation * ordinal.difference > 0)[unequal])


def wkdr_at(ordinal: Ordinal, threshold: float) -> tuple[float, float, float]:
    """WKDR, its equal and its unequal part, where a prediction is "equal" up to `threshold` spreads apart.

    ordinal: the pairs of one picture. Chen et al. 2016 choose the threshold on which the two parts come out closest;
    `balanced_threshold` does.
    """
    said = np.sign(ordinal.difference) * (np.abs(ordinal.difference) > threshold)
    wrong, equal = said != ordinal.relation, ordinal.relation == 0
    return _mean(wrong), _mean(wrong[equal]), _mean(wrong[~equal])


def balanced_threshold(pictures: list[Ordinal]) -> float:
    """The threshold, in spreads, at which the equal and the unequal error over all pictures are closest."""
    candidates = np.concatenate([[0.0], np.geomspace(1e-3, 3, 60)])

    def gap(threshold: float) -> float:
        parts = np.array([wkdr_at(picture, threshold)[1:] for picture in pictures])
        if np.isnan(parts).all(axis=0).any():
            return np.inf
        equal, unequal = np.nanmean(parts, axis=0)
        return abs(float(equal - unequal))

    return float(min(candidates, key=gap))


def whdr_wrong(prediction: FloatMap, first: tuple[int, int], second: tuple[int, int], farther: str) -> bool:
    """Whether one human judgement is contradicted (DIW, Chen et al. 2016): threshold 0, a tie is an error.

    prediction: of the picture's own size. first, second: (row, column), from 0. farther: ">" = first is farther,
    "<" = second is farther.
    """
    a, b = float(prediction[first]), float(prediction[second])
    return not (a < b if farther == ">" else b < a)


# ---- size -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Affine:
    """Figures after alignment.

    abs_rel: mean |d - d*| / d* of depth. d1: share within a factor of 1.25. rmse: in the unit of depth. inverted: 1
    where the best scale was negative, so near and far are exchanged, else 0.
    """

    abs_rel: float
    d1: float
    rmse: float
    inverted: float


def align(prediction: Values, truth: Values, valid: BoolMap) -> tuple[float, float]:
    """Scale and shift of the prediction with the least squared error to the truth over valid pixels (MiDaS).

    prediction, truth: HxW floats. valid: HxW bool. Returns (nan, nan) with fewer than two valid pixels.
    """
    z, d = prediction[valid].astype(np.float64), truth[valid].astype(np.float64)
    if z.size < 2:
        return np.nan, np.nan
    centred = z - z.mean()
    variance = float(centred @ centred)
    scale = float(centred @ (d - d.mean())) / variance if variance > 0 else 0.0
    return scale, float(d.mean() - scale * z.mean())


def affine_depth(
    prediction: FloatMap, truth: FloatMap, valid: BoolMap, farthest: float | None = None
) -> tuple[Affine, FloatMap]:
    """AbsRel, d1 and RMSE of depth after alignment in inverse depth (Ranftl et al. 2022, section 4), and the map.

    prediction: HxW, larger = nearer, any scale and shift. valid: HxW bool. truth: inverse depth, zero at infinity,
    valid where positive. farthest: depth is cut here (NYU 10 m), in the unit of 1 / truth; otherwise only kept finite.
    RMSE has that unit. Also returns the aligned inverse depth, HxW.
    """
    scale, shift = align(prediction, truth, valid)
    aligned = scale * prediction.astype(np.float64) + shift
    if not valid.any() or np.isnan(scale):
        return Affine(np.nan, np.nan, np.nan, np.nan), np.full(truth.shape, np.nan, np.float32)
    floor = 1 / farthest if farthest else FARTHEST_OVER_NEAREST * float(truth[valid].max())
    aligned = np.maximum(aligned, floor)
    ours, theirs = 1 / aligned[valid], 1 / truth[valid].astype(np.float64)
    ratio = np.maximum(ours / theirs, theirs / ours)
    figures = Affine(
        abs_rel=_mean(np.abs(ours - theirs) / theirs),
        d1=_mean(ratio < 1.25),
        rmse=float(np.sqrt(np.mean((ours - theirs) ** 2))),
        inverted=float(scale < 0),
    )
    return figures, aligned.astype(np.float32)


# ---- metres -----------------------------------------------------------------------------------------------------

PAPER_COLUMNS = ("d1", "d2", "d3", "AbsRel", "SqRel", "RMSE", "RMSElog", "SI")


def depth_sums(prediction: FloatMap, truth: FloatMap, valid: BoolMap) -> Values:
    """What one picture gives to `depth_figures`: 9 float64 sums over its valid pixels.

    prediction, truth: HxW metres, positive where valid.
    """
    ours, theirs = prediction[valid].astype(np.float64), truth[valid].astype(np.float64)
    ratio = np.maximum(ours / theirs, theirs / ours)
    apart, d = ours - theirs, np.log(ours) - np.log(theirs)
    terms = [ratio < 1.25, ratio < 1.25**2, ratio < 1.25**3, np.abs(apart) / theirs, apart**2 / theirs, apart**2, d**2]
    centred = d - d.mean() if d.size else d
    return np.array([*(np.sum(term, dtype=np.float64) for term in terms), np.sum(centred**2), d.size])


def depth_figures(sums: Sequence[Values]) -> dict[str, float]:
    """The columns of Eigen et al. 2014, table 1, over all pixels T of all pictures as its formulas say; d1-3 as shares.

    sums: of each picture, from `depth_sums`. SI is the RMSE of log depth after each picture's own best factor. (Later
    work often averages RMSE over pictures instead, which gives smaller figures.) NaN without a pixel.
    """
    total = np.sum(sums, axis=0)
    means = total[:-1] / total[-1] if total[-1] else np.full(8, np.nan)
    means[5:] = np.sqrt(means[5:])
    return dict(zip(PAPER_COLUMNS, means.tolist(), strict=True))


# ---- borders ----------------------------------------------------------------------------------------------------


def boundary_f1(prediction: FloatMap, truth: FloatMap, valid: BoolMap) -> float:
    """F1 of occluding borders, the sharper thresholds weighing more (Bochkovskii et al. 2024, "Depth Pro", section 4).

    valid: HxW bool, where there is truth. A border lies between two neighbours whose ratio exceeds t; which side is
    nearer must agree too. prediction, truth: positive and on one scale, so align first. NaN where the truth has no
    border at any t.
    """
    scores = np.array([_border_score(prediction, truth, valid, t) for t in THRESHOLDS])
    known = ~np.isnan(scores)
    return float(np.average(scores[known], weights=THRESHOLDS[known])) if known.any() else np.nan


def _border_score(prediction: FloatMap, truth: FloatMap, valid: BoolMap, t: float) -> float:
    hits = said = there = 0
    for before, after in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        both = valid[before] & valid[after]
        for near, far in ((before, after), (after, before)):
            ours = both & (prediction[near] > t * prediction[far])
            theirs = both & (truth[near] > t * truth[far])
            hits, said, there = hits + int((ours & theirs).sum()), said + int(ours.sum()), there + int(theirs.sum())
    return 2 * hits / (said + there) if there else np.nan


# ---- many pictures -----------------------------------------------------------------------------------------------


def column_means(rows: Sequence[tuple[float, ...]]) -> NDArray[np.float64]:
    """The mean of each column over its values that are not NaN; NaN for a column of nothing else.

    rows: M rows of N numbers each. Returns N float64.
    """
    table = np.asarray(rows, np.float64)
    counted = ~np.isnan(table)
    totals = np.where(counted, table, 0).sum(axis=0)
    means = np.full(totals.shape, np.nan)
    np.divide(totals, counted.sum(axis=0), out=means, where=counted.any(axis=0))
    return means


def mean_of(values: Sequence[float]) -> float:
    """The mean of the numbers that are not NaN; NaN where there is none. values: any number of them."""
    return float(column_means([(value,) for value in values])[0]) if values else np.nan


def _mean(values: NDArray[np.bool_] | Values) -> float:
    return float(np.mean(values)) if values.size else np.nan
