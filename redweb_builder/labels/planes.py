"""Superpixel plane fitting and plane propagation (after slanted-plane stereo: Yamaguchi et al., ECCV 2014).

The picture is segmented into superpixels. A superpixel with enough support pixels (pixels with a trusted match) is
measured: it gets a plane of disparity, aggregated over neighbours of similar colour and continuous depth. The planes
are propagated to the superpixels that are not measured, along shortest paths in colour. A visibility check stops a
plane where it would occlude a surface that the right view is known to show.

Where a monocular depth network is used, the paths avoid the steps of its depth, and the planes that arrived are
averaged over neighbours that no such step parts, until wide areas are smooth: a wood in a strip that only one eye sees
has no cells. By colour alone that average blurs occlusions. What the network puts beyond all that is measured, such as
a blank sky that nobody took for one, is not nearer than the farthest of it.

A plane is (a, b, c) of d = a + b x + c y, px.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redweb_builder.labels.superpixels import Array, Labels, Superpixels
from redweb_builder.matching.consistency import forward_backward_error, reversed_flow
from redweb_builder.types import BoolMap, FloatMap, Flow

# Plane fitting.
SUBSAMPLING = 2  # px; planes are fitted to every second row and column
INLIER_PX = 1.5  # a support pixel farther from the plane is left out of the next fit
MIN_PIXELS, MIN_SHARE = 3, 0.15  # subsampled support pixels, and their share of the area, for a measured superpixel
SLOPE_DAMPING = 75.0  # px^2; added to the sums of squares of x and y, so that small superpixels stay level
SAME_SURFACE_PX = 1.0  # neighbours whose planes differ by less at both centres lie on one surface
SAME_COLOUR = 12.0  # CIELAB distance at which the weight of a neighbour falls to 1/e
AGGREGATION_ROUNDS = 4
# Plane propagation.
STEP_COST = 3.0  # CIELAB distance added for every superpixel on the path
DEPTH_COST = 200.0  # CIELAB distance added for a step as large as the whole range of the network's depth
MAX_PATH_COST = 150.0  # CIELAB distance, steps of depth apart; superpixels beyond it stay unknown
MIN_GROUND_SHARE = 0.3  # share of its area that a superpixel must have outside the sky
REACH_PX = 20.0  # distance from the centre of its superpixel up to which a plane keeps its slope
OCCLUDED_PX = 1.5  # a surface nearer by more than this than what the right view shows there would occlude it
MAX_OCCLUDING = 0.3  # share of a superpixel that may occlude what the right view shows
AVERAGING_ROUNDS, AVERAGED_STEP = 100, 4.0  # of propagated planes; path cost at which a neighbour's weight falls to 1/e
OWN_WEIGHT = 0.5  # of a plane beside those of its neighbours, each at most 1
BEYOND = 0.02  # share of the range of the network's depth by which a superpixel is farther than what is measured
FARTHEST = 2, 5  # percentiles of the depth of measured superpixels: the farthest, and those that say how far they are
OVERSHOOT = 0.15  # share of the measured disparity range by which planes may leave it

Index = NDArray[np.intp]


@dataclass(frozen=True)
class RightView:
    """The disparity that the right view is known to show.

    disparity: HxW float32 px in the right frame, larger = nearer; (x, y) lies at (x + disparity, y) in the left view.
    consistent: HxW bool in the right frame, where it is known.
    """

    disparity: FloatMap
    consistent: BoolMap


def right_view(flow: Flow, tolerance_px: float) -> RightView:
    """The right view's disparity by the backward flow of a pair.

    flow: of the pair. tolerance_px: forward-backward error, starting from the right view, up to which it is known.
    """
    consistent = forward_backward_error(reversed_flow(flow)) <= tolerance_px
    return RightView(np.ascontiguousarray(flow.backward[..., 0]), consistent)


def propagate_planes(
    superpixels: Superpixels, raw_disparity: FloatMap, support: BoolMap, ground: BoolMap, right: RightView
) -> FloatMap:
    """Disparity of each pixel's surface: HxW float32 px in the left frame, NaN where no plane reaches.

    superpixels: of the left view. raw_disparity: HxW float32 px, of the fused match. support: HxW bool, the pixels that
    planes are fitted to. ground: HxW bool, True where there is no sky; planes spread over it. right: disparity of the
    right view, for the visibility check.
    """
    planes, measured = _fit_planes(superpixels, raw_disparity, support)
    if not measured.any():
        return np.full(raw_disparity.shape, np.nan, np.float32)
    origin = _propagate(superpixels, planes, measured, ground, right)
    own = np.arange(superpixels.count)
    propagated = _extrapolate(planes, superpixels.centre, np.maximum(origin, 0), own)
    if superpixels.depth.any():
        propagated = _average_over_neighbours(superpixels, propagated, origin >= 0, measured)
    propagated[origin < 0] = np.nan
    surface = _evaluate(propagated, superpixels.labels)
    if superpixels.depth.any():
        surface = np.minimum(surface, _greatest_disparity(superpixels, planes, measured).take(superpixels.labels))
    return clip_to_range(surface.astype(np.float32), raw_disparity[support])


def _greatest_disparity(superpixels: Superpixels, planes: Array, measured: BoolMap) -> Array:
    """count px: that of the farthest measured superpixels, for those that the network puts beyond them; else inf."""
    depth = superpixels.depth[measured]
    farthest, far = np.percentile(depth, FARTHEST)
    x, y = superpixels.centre[measured].T
    a, b, c = planes[measured].T
    is_beyond = ~measured & (superpixels.depth < farthest - BEYOND)
    return np.where(is_beyond, np.median((a + b * x + c * y)[depth <= far]), np.inf)


def clip_to_range(disparity: FloatMap, measured: FloatMap) -> FloatMap:
    """Disparity that leaves the robust range of what is measured by at most OVERSHOOT of it.

    disparity: HxW float32 px, NaN stays. measured: N float32 px, disparities that are known, at least one.
    """
    low, high = np.percentile(measured, (0.5, 99.5))
    margin = OVERSHOOT * (high - low)
    return np.clip(disparity, low - margin, high + margin).astype(np.float32)


def superpixel_disparity(superpixels: Superpixels, raw_disparity: FloatMap, support: BoolMap) -> FloatMap:
    """Disparity by the plane of each pixel's own superpixel: HxW float32 px, NaN where that is not measured.

    superpixels, raw_disparity, support: as of propagate_planes.
    """
    planes, measured = _fit_planes(superpixels, raw_disparity, support)
    planes[~measured] = np.nan
    return _evaluate(planes, superpixels.labels).astype(np.float32)


def _fit_planes(superpixels: Superpixels, raw_disparity: FloatMap, support: BoolMap) -> tuple[Array, BoolMap]:
    """count x 3 planes, aggregated over neighbours, and count bool: which superpixels are measured."""
    moments = _robust_moments(superpixels.labels, superpixels.count, raw_disparity, support)
    measured = moments[:, 0] >= np.maximum(MIN_PIXELS, MIN_SHARE * superpixels.area / SUBSAMPLING**2)
    return _aggregate_over_neighbours(superpixels, np.where(measured[:, None], moments, 0.0), measured), measured


def _robust_moments(labels: Labels, count: int, raw_disparity: FloatMap, support: BoolMap) -> Array:
    """count x 9 moments of the subsampled support pixels; after each of two fits the outliers are left out."""
    every = np.s_[::SUBSAMPLING, ::SUBSAMPLING]
    support = support[every]
    y, x = (part.astype(np.float64) * SUBSAMPLING for part in np.nonzero(support))
    d, own = raw_disparity[every][support].astype(np.float64), labels[every][support]
    terms = (None, x, y, d, x * x, x * y, y * y, x * d, y * d)
    moments = _sums(terms, own, count)
    for _ in range(2):
        a, b, c = (column.take(own) for column in _planes(moments).T)
        is_inlier = np.abs(a + b * x + c * y - d) < INLIER_PX
        moments = _sums(terms, np.where(is_inlier, own, count), count)
    return moments


def _sums(terms: Sequence[Array | None], own: Labels, count: int) -> Array:
    """count x len(terms): of each term over the pixels of each superpixel; None = their number. own: count = none."""
    return np.stack([np.bincount(own, term, count + 1)[:count] for term in terms], 1)


def _planes(moments: Array) -> Array:
    """count x 3 planes by least squares with damped slopes; zero where there are no pixels."""
    n = np.maximum(moments[:, 0], 1e-6)
    x, y, d, xx, xy, yy, xd, yd = (moments[:, k] / n for k in range(1, 9))
    damping = SLOPE_DAMPING / n
    var_x, cov, var_y = xx - x * x + damping, xy - x * y, yy - y * y + damping
    slope_x, slope_y = xd - x * d, yd - y * d
    determinant = np.maximum(var_x * var_y - cov * cov, 1e-6)
    b = (slope_x * var_y - slope_y * cov) / determinant
    c = (slope_y * var_x - slope_x * cov) / determinant
    return np.stack([d - b * x - c * y, b, c], 1)


def _evaluate(planes: Array, labels: Labels) -> Array:
    """HxW px: the plane of each pixel's superpixel at that pixel."""
    height, width = labels.shape
    a, b, c = (np.ascontiguousarray(column).take(labels, mode="clip") for column in planes.T)
    b *= np.arange(width)
    c *= np.arange(height)[:, None]
    a += b
    a += c
    return a


def _aggregate_over_neighbours(superpixels: Superpixels, moments: Array, measured: BoolMap) -> Array:
    """count x 3 planes after neighbours on one surface have added their moments, AGGREGATION_ROUNDS times."""
    i, j = superpixels.neighbours
    weight = np.exp(-_colour_distance(superpixels) / SAME_COLOUR)
    planes = _planes(moments)
    for _ in range(AGGREGATION_ROUNDS):
        step = np.maximum(_step(planes, superpixels.centre, i, j), _step(planes, superpixels.centre, j, i))
        same = np.where((step < SAME_SURFACE_PX) & measured[i] & measured[j], weight, 0.0)[:, None]
        moments = _with_neighbours(moments, same, moments, i, j)
        planes = _planes(moments)
    return planes


def _step(planes: Array, centre: Array, i: Index, j: Index) -> Array:
    """Disparity between the planes of i and of j at the centre of j, px, absolute."""
    x, y = centre[j].T
    difference = planes[i] - planes[j]
    step: Array = np.abs(difference[:, 0] + difference[:, 1] * x + difference[:, 2] * y)
    return step


def _colour_distance(superpixels: Superpixels) -> Array:
    """CIELAB distance of each pair of neighbours."""
    i, j = superpixels.neighbours
    distance: Array = np.linalg.norm(superpixels.colour[i] - superpixels.colour[j], axis=1)
    return distance


def _step_cost(superpixels: Superpixels) -> Array:
    """Cost of the step between each pair of neighbours: CIELAB distance, and the step of the network's depth."""
    i, j = superpixels.neighbours
    cost: Array = _colour_distance(superpixels) + DEPTH_COST * np.abs(superpixels.depth[i] - superpixels.depth[j])
    return cost


def _average_over_neighbours(superpixels: Superpixels, planes: Array, known: BoolMap, measured: BoolMap) -> Array:
    """count x 3 planes; those that are known but not measured are averaged with their neighbours', round by round."""
    i, j = superpixels.neighbours
    moving = known & ~measured
    weight = np.exp(-_step_cost(superpixels) / AVERAGED_STEP)
    to, source, weight = (np.concatenate(part) for part in ((i, j), (j, i), (weight, weight)))
    counting = moving[to] & known[source]
    to, source, weight = (np.cumsum(moving) - 1)[to[counting]], source[counting], weight[counting]
    number = int(np.count_nonzero(moving))
    total = OWN_WEIGHT + np.bincount(to, weight, number)
    columns = planes.T.copy()
    for _ in range(AVERAGING_ROUNDS):
        for column in columns:
            column[moving] = (OWN_WEIGHT * column[moving] + np.bincount(to, weight * column[source], number)) / total
    return columns.T


def _with_neighbours(own: Array, weight: Array, values: Array, i: Index, j: Index) -> Array:
    """count x n: `own`, to which each pair of neighbours has added the other's row of `values` times its weight."""
    to = np.concatenate([np.arange(len(own)), i, j])
    rows = np.concatenate([own, weight * values[j], weight * values[i]])
    return np.stack([np.bincount(to, column) for column in rows.T], 1)


def _extrapolate(planes: Array, centre: Array, source: Index, here: Index) -> Array:
    """The planes of superpixels `source` at superpixels `here`.

    Slopes count over REACH_PX of the way between them. Beyond it the plane is levelled likewise: with its whole slope
    in every superpixel but no rise from one to the next, a blank area would be a sawtooth.
    """
    way = centre[here] - centre[source]
    within = np.minimum(REACH_PX / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6), 1)
    slopes = planes[source, 1:] * within
    rise = ((planes[source, 1:] - slopes) * centre[source]).sum(1)
    return np.column_stack([planes[source, 0] + rise, slopes])


def _propagate(
    superpixels: Superpixels, planes: Array, measured: BoolMap, ground: BoolMap, right: RightView
) -> NDArray[np.intp]:
    """count: the superpixel whose plane each superpixel takes, -1 for none.

    Dijkstra's algorithm from all measured superpixels at once. A plane stops at a superpixel where it would occlude
    what the right view shows. Where every plane that arrives would, the farthest of them is taken.
    """
    ground_px = np.bincount(superpixels.labels.ravel(), ground.ravel(), superpixels.count)
    open_to_spread = (ground_px > MIN_GROUND_SHARE * superpixels.area) & ~measured
    i, j = superpixels.neighbours
    start, end, costs = np.concatenate([i, j]), np.concatenate([j, i]), np.tile(_step_cost(superpixels), 2)
    most = MAX_PATH_COST + DEPTH_COST * np.ptp(superpixels.depth)
    order = np.argsort(start, kind="stable")
    start, end, costs = start[order], end[order], costs[order] + STEP_COST
    first = np.searchsorted(start, np.arange(superpixels.count + 1)).tolist()  # edge of each superpixel
    ends, steps = end.tolist(), costs.tolist()
    visibility = VisibilityCheck(superpixels, planes, right)
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
        if visibility.occluding_share(here, source) > MAX_OCCLUDING:
            if here not in refused or visibility.disparity(here, source) < visibility.disparity(here, refused[here]):
                refused[here] = source
            continue
        origin[here] = source
        for to, more in zip(ends[first[here] : first[here + 1]], steps[first[here] : first[here + 1]], strict=True):
            if origin[to] < 0 and open_to_spread[to] and cost + more <= most:
                heapq.heappush(queue, (cost + more, to, source))
    for here, source in refused.items():
        if origin[here] < 0:
            origin[here] = source
    return origin


class VisibilityCheck:
    """The visibility constraint: no surface lies where it would occlude what the right view is known to show."""

    def __init__(self, superpixels: Superpixels, planes: Array, right: RightView) -> None:
        """superpixels: of the left view. planes: count x 3 of them. right: disparity of the right view, where known."""
        flat = superpixels.labels.ravel()
        self._pixels = np.argsort(flat.astype(np.min_scalar_type(superpixels.count)), kind="stable")  # 16 bits: faster
        self._start = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=superpixels.count))]).tolist()
        self._width = superpixels.labels.shape[1]
        # Plain floats: arrays of two or three numbers take several times as long.
        self._planes, self._centre = planes.T.tolist(), superpixels.centre.T.tolist()
        self._nearest = np.where(right.consistent, right.disparity + np.float32(OCCLUDED_PX), np.inf).ravel()

    def disparity(self, here: int, source: int) -> float:
        """Disparity of the plane of superpixel `source`, extrapolated to the centre of superpixel `here`, px."""
        x, y = (column[here] for column in self._centre)
        a, b, c = self._plane(here, source)
        return float(a + b * x + c * y)

    def occluding_share(self, here: int, source: int) -> float:
        """Share of the pixels of `here` that, on the plane of `source`, would occlude what the right view shows."""
        pixels = self._pixels[self._start[here] : self._start[here + 1]]
        if not len(pixels):
            return 0.0
        y, x = np.divmod(pixels, self._width)
        a, b, c = self._plane(here, source)
        disparity = a + b * x + c * y
        right_x = np.rint(x - disparity)
        inside = (right_x >= 0) & (right_x < self._width)
        nearest = self._nearest.take(pixels - x + right_x.astype(np.intp), mode="clip")
        return int(np.count_nonzero(inside & (disparity > nearest))) / len(pixels)

    def _plane(self, here: int, source: int) -> tuple[float, float, float]:
        """_extrapolate for one superpixel."""
        a, b, c = (column[source] for column in self._planes)
        (to_x, from_x), (to_y, from_y) = ((column[here], column[source]) for column in self._centre)
        within = min(REACH_PX / max(math.hypot(to_x - from_x, to_y - from_y), 1e-6), 1)
        return a + (1 - within) * (b * from_x + c * from_y), b * within, c * within
