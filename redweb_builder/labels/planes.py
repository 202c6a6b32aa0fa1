"""Superpixel plane fitting and plane propagation (after slanted-plane stereo: Yamaguchi et al., ECCV 2014).

The photograph is segmented into superpixels. Those with enough consistent pixels get a plane of disparity, which is
aggregated over neighbours of similar colour and continuous depth. The planes are propagated into the superpixels
without measurements, along shortest paths in colour. A visibility check stops a plane where it would occlude a surface
that the right view is known to show.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redweb_builder.labels.superpixels import Array, Labels, Superpixels
from redweb_builder.matching.consistency import forward_backward_error, reversed_flow
from redweb_builder.types import BoolMap, FloatMap, Flow

INLIER_PX = 1.5  # a confirmed pixel farther from its superpixel's plane does not shape it
SUBSAMPLING = 2
MIN_PIXELS, MIN_SHARE = 3, 0.15  # confirmed pixels, thinned, that a superpixel needs to count as measured
SLOPE_DAMPING = 75.0  # px^2 x px: keeps the slope of small superpixels near zero
SAME_SURFACE_PX = 1.0  # neighbouring planes that predict each other to within this are one surface
SAME_COLOUR = 12.0  # CIELAB distance at which a neighbour's say falls to 1/e
AGGREGATION_ROUNDS = 4
STEP_COST = 3.0  # CIELAB distance that one more superpixel on the way is worth
HIDDEN_PX = 1.5  # a surface this much nearer than what the right view shows at its place would be seen
MAX_INVISIBLE = 0.3  # share of a superpixel that may contradict the right view
REACH_PX = 20.0  # a plane keeps its slope this far from where it was measured, then its level
MAX_PATH_COST = 150.0  # CIELAB distance plus steps after which a pixel's depth stays unknown
OVERSHOOT = 0.15  # planes may leave the measured range by this share of it

Index = NDArray[np.intp] | np.intp


@dataclass(frozen=True)
class RightView:
    """What the right view is known to show: disparity HxW (right frame, larger = nearer) where `confirmed`."""

    disparity: FloatMap
    confirmed: BoolMap


def right_view(flow: Flow, tolerance_px: float) -> RightView:
    """The right view's disparity by the backward flow, trusted where it leads back to within `tolerance_px`."""
    confirmed = forward_backward_error(reversed_flow(flow)) <= tolerance_px
    return RightView(np.ascontiguousarray(flow.backward[..., 0]), confirmed)


def propagate_planes(
    superpixels: Superpixels, raw: FloatMap, confirmed: BoolMap, ground: BoolMap, right: RightView
) -> FloatMap:
    """HxW float32: the disparity of each pixel's surface, NaN where no surface reaches.

    superpixels: of the left view. raw: HxW disparity px. confirmed: HxW, where raw is trusted. ground: HxW, what planes
    may spread over (not sky).
    """
    planes, measured = _fit_planes(superpixels, raw, confirmed)
    if not measured.any():
        return np.full(raw.shape, np.nan, np.float32)
    origin = _propagate(superpixels, planes, measured, ground, right)
    here = np.arange(superpixels.count)
    disparity = _evaluate(_extrapolate(planes, superpixels.centre, np.maximum(origin, 0), here), superpixels.labels)
    low, high = np.percentile(raw[confirmed], (0.5, 99.5))
    spare = OVERSHOOT * (high - low)
    disparity = np.clip(disparity, low - spare, high + spare)
    disparity[(origin < 0)[superpixels.labels]] = np.nan
    return disparity.astype(np.float32)


def superpixel_disparity(superpixels: Superpixels, raw: FloatMap, confirmed: BoolMap) -> FloatMap:
    """HxW float32: the plane of each pixel's own superpixel, NaN where that has too few confirmed pixels."""
    planes, measured = _fit_planes(superpixels, raw, confirmed)
    disparity = _evaluate(planes, superpixels.labels)
    disparity[~measured[superpixels.labels]] = np.nan
    return disparity.astype(np.float32)


def _fit_planes(superpixels: Superpixels, raw: FloatMap, confirmed: BoolMap) -> tuple[Array, BoolMap]:
    """count x 3 planes of the superpixels, firmed, and which of them have enough confirmed pixels to count."""
    moments = _robust_moments(superpixels.labels, superpixels.count, raw, confirmed)
    measured = moments[:, 0] >= np.maximum(MIN_PIXELS, MIN_SHARE * superpixels.area / SUBSAMPLING**2)
    return _aggregate_over_neighbours(superpixels, np.where(measured[:, None], moments, 0.0), measured), measured


def _robust_moments(labels: Labels, count: int, raw: FloatMap, confirmed: BoolMap) -> Array:
    """Moments of the confirmed pixels of each superpixel, those off its plane left out after a first fit, twice.

    A plane of three parameters does not need every pixel: every THIN-th row and column will do.
    """
    labels, raw, confirmed = (
        labels[::SUBSAMPLING, ::SUBSAMPLING],
        raw[::SUBSAMPLING, ::SUBSAMPLING],
        confirmed[::SUBSAMPLING, ::SUBSAMPLING],
    )
    moments = _moments(labels, count, raw, confirmed)
    for _ in range(2):
        off = np.abs(_evaluate(_planes(moments), labels, SUBSAMPLING) - raw)
        moments = _moments(labels, count, raw, confirmed & (off < INLIER_PX))
    return moments


def _moments(labels: Labels, count: int, raw: FloatMap, where: BoolMap) -> Array:
    """count x 9: sums of 1, x, y, d, xx, xy, yy, xd, yd; they add up over superpixels."""
    y, x = (part.astype(np.float64) * SUBSAMPLING for part in np.nonzero(where))
    d = raw[where].astype(np.float64)
    parts = (np.ones_like(x), x, y, d, x * x, x * y, y * y, x * d, y * d)
    return np.stack([np.bincount(labels[where], part, count) for part in parts], 1)


def _planes(moments: Array) -> Array:
    """count x 3: (a, b, c) of d = a + b x + c y by damped least squares; zero where there is nothing to fit."""
    n = np.maximum(moments[:, 0], 1e-6)
    x, y, d, xx, xy, yy, xd, yd = (moments[:, k] / n for k in range(1, 9))
    damping = SLOPE_DAMPING / n
    var_x, cov, var_y = xx - x * x + damping, xy - x * y, yy - y * y + damping
    slope_x, slope_y = xd - x * d, yd - y * d
    determinant = np.maximum(var_x * var_y - cov * cov, 1e-6)
    b = (slope_x * var_y - slope_y * cov) / determinant
    c = (slope_y * var_x - slope_x * cov) / determinant
    return np.stack([d - b * x - c * y, b, c], 1)


def _evaluate(planes: Array, labels: Labels, pitch: int = 1) -> Array:
    """HxW: each pixel's superpixel's plane at that pixel; `pitch`: px between the rows and columns of `labels`."""
    height, width = labels.shape
    a, b, c = (planes[:, k][labels] for k in range(3))
    value: Array = a + b * pitch * np.arange(width) + c * pitch * np.arange(height)[:, None]
    return value


def _aggregate_over_neighbours(superpixels: Superpixels, moments: Array, measured: BoolMap) -> Array:
    """Planes after neighbours on the same surface have added their moments, FIRMING_ROUNDS times."""
    i, j = superpixels.neighbours
    weight = np.exp(-_colour_distance(superpixels) / SAME_COLOUR)
    planes = _planes(moments)
    for _ in range(AGGREGATION_ROUNDS):
        apart = np.maximum(_step(planes, superpixels.centre, i, j), _step(planes, superpixels.centre, j, i))
        together = np.where((apart < SAME_SURFACE_PX) & measured[i] & measured[j], weight, 0.0)[:, None]
        firmer = moments.copy()
        np.add.at(firmer, i, together * moments[j])
        np.add.at(firmer, j, together * moments[i])
        moments = firmer
        planes = _planes(moments)
    return planes


def _step(planes: Array, centre: Array, one: NDArray[np.intp], other: NDArray[np.intp]) -> Array:
    """How far the plane of `one` misses that of `other` at the other's centre, px."""
    x, y = centre[other].T
    difference = planes[one] - planes[other]
    step: Array = np.abs(difference[:, 0] + difference[:, 1] * x + difference[:, 2] * y)
    return step


def _colour_distance(superpixels: Superpixels) -> Array:
    i, j = superpixels.neighbours
    distance: Array = np.linalg.norm(superpixels.colour[i] - superpixels.colour[j], axis=1)
    return distance


def _extrapolate(planes: Array, centre: Array, source: Index, here: Index) -> Array:
    """The planes of `source` as they arrive at `here`: a slope is not believed farther than REACH_PX from home."""
    way = centre[here] - centre[source]
    length = np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
    unbelieved = way * np.maximum(1 - REACH_PX / length, 0)
    carried = planes[source].copy()
    carried[..., 0] -= (carried[..., 1:] * unbelieved).sum(-1)
    return carried


def _propagate(
    superpixels: Superpixels, planes: Array, measured: BoolMap, ground: BoolMap, right: RightView
) -> NDArray[np.intp]:
    """Which superpixel's plane each superpixel takes, -1 for none.

    Dijkstra's algorithm from all measured superpixels at once. A plane that the right view forbids somewhere stops
    there; if every plane that arrives is forbidden, the farthest of them is taken.
    """
    on_ground = np.bincount(superpixels.labels.ravel(), ground.ravel(), superpixels.count) > 0.3 * superpixels.area
    open_to_spread = on_ground & ~measured
    i, j = superpixels.neighbours
    start, end, costs = np.concatenate([i, j]), np.concatenate([j, i]), np.tile(_colour_distance(superpixels), 2)
    order = np.argsort(start, kind="stable")
    start, end, costs = start[order], end[order], costs[order] + STEP_COST
    first = np.searchsorted(start, np.arange(superpixels.count + 1)).tolist()  # of each superpixel's ways
    ends, steps = end.tolist(), costs.tolist()
    forbidden = VisibilityCheck(superpixels, planes, right)
    origin = np.where(measured, np.arange(superpixels.count), -1).astype(np.intp)
    refused: dict[int, int] = {}
    leaving = measured[start] & open_to_spread[end]
    queue = list(zip(costs[leaving].tolist(), end[leaving].tolist(), start[leaving].tolist(), strict=True))
    heapq.heapify(queue)
    tried: set[tuple[int, int]] = set()
    while queue:
        cost, here, source = heapq.heappop(queue)
        if origin[here] >= 0 or (here, source) in tried:
            continue
        tried.add((here, source))
        if forbidden.share(here, source) > MAX_INVISIBLE:
            if here not in refused or forbidden.at(here, source) < forbidden.at(here, refused[here]):
                refused[here] = source
            continue
        origin[here] = source
        for to, more in zip(ends[first[here] : first[here + 1]], steps[first[here] : first[here + 1]], strict=True):
            if origin[to] < 0 and open_to_spread[to] and cost + more <= MAX_PATH_COST:
                heapq.heappush(queue, (cost + more, to, source))
    for here, source in refused.items():
        if origin[here] < 0:
            origin[here] = source
    return origin


class VisibilityCheck:
    """The occlusion constraint: a surface that would hide what the right view is known to show cannot be there."""

    def __init__(self, superpixels: Superpixels, planes: Array, right: RightView) -> None:
        """planes: count x 3, (a, b, c) of d = a + b x + c y. right: disparity of the right view, where known."""
        flat = superpixels.labels.ravel()
        self._pixels = np.argsort(flat, kind="stable")
        self._start = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=superpixels.count))])
        self._width = superpixels.labels.shape[1]
        self._superpixels, self._planes, self._right = superpixels, planes, right

    def at(self, here: int, source: int) -> float:
        """Disparity of the source's plane at the centre of `here`."""
        x, y = self._superpixels.centre[here]
        a, b, c = self._plane(here, source)
        return float(a + b * x + c * y)

    def share(self, here: int, source: int) -> float:
        """Share of the pixels of `here` that, on the source's plane, would hide what the right view shows."""
        pixels = self._pixels[self._start[here] : self._start[here + 1]]
        if not len(pixels):
            return 0.0
        y, x = np.divmod(pixels, self._width)
        a, b, c = self._plane(here, source)
        disparity = a + b * x + c * y
        seen_at = np.rint(x - disparity).astype(np.intp)
        inside = (seen_at >= 0) & (seen_at < self._width)
        at = (y[inside], seen_at[inside])
        nearer = self._right.confirmed[at] & (disparity[inside] > self._right.disparity[at] + HIDDEN_PX)
        return float(nearer.sum()) / len(pixels)

    def _plane(self, here: int, source: int) -> Array:
        return _extrapolate(self._planes, self._superpixels.centre, np.intp(source), np.intp(here))
