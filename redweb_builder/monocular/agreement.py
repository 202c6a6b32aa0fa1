"""How far a disparity and the depth of a monocular network order the same points alike."""

from __future__ import annotations

import numpy as np

from redweb_builder.types import BoolMap, FloatMap

PAIRS = 20_000  # of points; the figure's standard error is below 0.01
LEAST_POINTS = 200  # fewer are no basis
STEP = 0.05  # share of the robust range; pairs whose disparity differs by less are not counted


def concordance(disparity: FloatMap, depth: FloatMap, weight: FloatMap | BoolMap) -> float:
    """Concordant less discordant pairs of points over their number, in [-1, 1]: Kendall's tau of the clear pairs.

    disparity: HxW float, px, larger = nearer, both signs. depth: HxW float32, larger = nearer, of any scale.
    weight: HxW, 0 or more, how often a point is drawn; True = 1. Points without a finite disparity are not drawn.
    Exchanged eyes turn the sign. NaN where fewer than LEAST_POINTS points, or no clear pair, are left. The pairs are
    drawn by a fixed seed, so the same maps give the same figure.
    """
    points = np.flatnonzero((weight > 0) & np.isfinite(disparity))
    if points.size < LEAST_POINTS:
        return float("nan")
    uniform = np.random.default_rng(0).random((2, PAIRS))
    if weight.dtype == bool:
        drawn = points[(uniform * points.size).astype(np.intp)]
    else:
        total = np.cumsum(weight.ravel()[points], dtype=np.float64)
        drawn = points[np.searchsorted(total, uniform * total[-1], side="right").clip(max=points.size - 1)]
    d, z = disparity.ravel()[drawn].astype(np.float64), depth.ravel()[drawn]
    low, high = np.percentile(d, (2, 98))
    step = np.diff(np.clip(d, low, high), axis=0)[0]
    clear = np.abs(step) > STEP * (high - low)
    if not clear.any():
        return float("nan")
    return float(np.mean(np.sign(step[clear]) * np.sign(np.diff(z, axis=0)[0][clear])))
