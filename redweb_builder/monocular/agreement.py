"""How far a disparity and the depth of a monocular network order the same points alike, in all and part by part."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import BoolMap, FloatMap

PAIRS = 20_000  # of points; the figure's standard error is below 0.01
LEAST_POINTS = 200  # fewer are no basis
STEP = 0.05  # share of the robust range; pairs whose disparity differs by less are not counted
PART = 0.4  # share of the picture's sides that a part has
PARTS_A_SIDE = 7  # places of a part along a side
PART_POINTS = 500  # of which every pair is looked at
PART_SHARE = 0.04, 0.75  # of the points, that a part may hold; 0.16 is its even share


def concordance(disparity: FloatMap, depth: FloatMap, weight: FloatMap | BoolMap) -> float:
    """Concordant less discordant pairs of points over their number, in [-1, 1]: Kendall's tau of the clear pairs.

    disparity: HxW float, px, larger = nearer, both signs. depth: HxW float32, larger = nearer, of any scale.
    weight: HxW, 0 or more, how often a point is drawn; True = 1. Points without a finite disparity are not drawn.
    Exchanged eyes turn the sign. NaN where fewer than LEAST_POINTS points, or no clear pair, are left. The pairs are
    drawn by a fixed seed, so the same maps give the same figure.
    """
    drawn = _drawn(disparity, weight, (2, PAIRS))
    if drawn is None:
        return float("nan")
    d, least = _clipped(disparity.ravel()[drawn])
    step, z = np.diff(d, axis=0)[0], depth.ravel()[drawn]
    clear = np.abs(step) > least
    if not clear.any():
        return float("nan")
    return float(np.mean(np.sign(step[clear]) * np.sign(np.diff(z, axis=0)[0][clear])))


def part_gap(disparity: FloatMap, depth: FloatMap, weight: FloatMap | BoolMap) -> float:
    """How much worse the worst part of a picture fits the rest than the rest fits itself, in [-2, 2].

    The concordance of the pairs with both points outside of a part, less that of the pairs with one point inside; the
    largest difference over all places of a part, a rectangle of PART times the picture's sides. A part whose depth is
    wrong has a large one, also where the network is good for nothing elsewhere in the picture.

    disparity, depth, weight: as of `concordance`. NaN where that would be, or where no part holds enough points.
    """
    drawn = _drawn(disparity, weight, (PART_POINTS,))
    if drawn is None:
        return float("nan")
    d, least = _clipped(disparity.ravel()[drawn])
    step, z = d[:, None] - d, depth.ravel()[drawn]
    clear = (np.abs(step) > least).astype(np.float32)
    alike = (np.sign(step) * np.sign(z[:, None] - z)).astype(np.float32) * clear
    inside = _parts(drawn, disparity.shape)
    if not len(inside):
        return float("nan")
    border, rest = _border_and_rest(inside, alike)
    border_clear, rest_clear = _border_and_rest(inside, clear)
    judged = (border_clear > 0) & (rest_clear > 0)
    if not judged.any():
        return float("nan")
    return float(np.max(rest[judged] / rest_clear[judged] - border[judged] / border_clear[judged]))


def _border_and_rest(inside: NDArray[np.float32], pairs: NDArray[np.float32]) -> tuple[FloatMap, FloatMap]:
    """Sums over the pairs with one point inside of each part, and over those with none; each P numbers.

    inside: PxN of 0 and 1. pairs: NxN, symmetric, of -1, 0 and 1: whole numbers below 2^24, which float32 adds without
    error in any order.
    """
    from_inside = np.einsum("pn,nm->pm", inside, pairs)  # `@` wakes a BLAS thread a core, and they spin for 20 ms
    within = (from_inside * inside).sum(1)
    border = from_inside.sum(1) - within
    return border, pairs.sum() - 2 * border - within


def _drawn(disparity: FloatMap, weight: FloatMap | BoolMap, shape: tuple[int, ...]) -> NDArray[np.intp] | None:
    """Flat indices of points, as often as they weigh; None where too few are known."""
    points = np.flatnonzero((weight > 0) & np.isfinite(disparity))
    if points.size < LEAST_POINTS:
        return None
    uniform = np.random.default_rng(0).random(shape)
    drawn: NDArray[np.intp]
    if weight.dtype == bool:
        drawn = points[(uniform * points.size).astype(np.intp)]
    else:
        total = np.cumsum(weight.ravel()[points], dtype=np.float64)
        drawn = points[np.searchsorted(total, uniform * total[-1], side="right").clip(max=points.size - 1)]
    return drawn


def _clipped(values: FloatMap) -> tuple[NDArray[np.float64], float]:
    """Disparities within their robust range, and the least step between two that counts."""
    d = values.astype(np.float64)
    low, high = np.percentile(d, (2, 98))
    return np.clip(d, low, high), STEP * float(high - low)


def _parts(drawn: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """PxN, 1 where a point lies in a part: the parts that hold neither too few points nor nearly all."""
    y, x = (place / side for place, side in zip(np.divmod(drawn, shape[1]), shape, strict=True))
    starts = np.linspace(0, 1 - PART, PARTS_A_SIDE)
    rows, columns = ([(at >= start) & (at < start + PART) for start in starts] for at in (y, x))
    inside = np.array([row & column for row, column in itertools.product(rows, columns)], np.float32)
    share = inside.mean(1)
    kept: NDArray[np.float32] = inside[(share >= PART_SHARE[0]) & (share <= PART_SHARE[1])]
    return kept
