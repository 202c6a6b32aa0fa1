"""The fast guided filter (He and Sun, "Fast Guided Filter", 2015) with a colour picture as its guide."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import FloatMap, Picture

PITCH = 4  # px between the rows and columns on which the linear models are fitted

Array = NDArray[np.float64]


def guided_filter(guide: Picture, maps: Sequence[FloatMap], radius: int, epsilon: float) -> list[FloatMap]:
    """Small maps at the size of a picture, with their edges on those of the picture: HxW float32 each.

    guide: HxWx3 uint8 RGB. maps: hxw float32, of any size. radius: of the window, px of the guide. epsilon: added to
    the variance of the guide, whose colours count from 0 to 1; a contrast below its root is no edge. In each window a
    map is a linear function of the guide's colours, fitted by least squares.
    """
    height, width = guide.shape[:2]
    colours = np.stack(cv2.split(guide[PITCH // 2 :: PITCH, PITCH // 2 :: PITCH])).astype(np.float64) / 255
    size = colours.shape[:0:-1]
    planes = [plane.astype(np.float32) / 255 for plane in cv2.split(guide)]
    filtered = []
    for small, *slopes in _linear_models(colours, [cv2.resize(each, size) for each in maps], radius, epsilon):
        whole = cv2.resize(small, (width, height))
        for slope, plane in zip(slopes, planes, strict=True):
            whole += cv2.resize(slope, (width, height)) * plane
        filtered.append(whole)
    return filtered


def _linear_models(colours: Array, maps: Sequence[FloatMap], radius: int, epsilon: float) -> list[list[FloatMap]]:
    """Of each map its offset and its slopes along the three colours, hxw float32 each, averaged over the windows.

    colours: 3xhxw float64 in [0, 1]. maps: hxw float32. radius, epsilon: as of guided_filter.
    """
    side = 2 * (radius // PITCH) + 1
    mean_colours = _mean(colours, side)
    first, second, third = (
        _mean(colours * colours[at], side) - mean_colours * mean_colours[at] + epsilon * np.eye(3)[at, :, None, None]
        for at in range(3)
    )
    # The inverse of a symmetric 3x3 matrix: the cross products of its rows over the determinant.
    adjugate = np.stack([np.cross(*rows, axis=0) for rows in ((second, third), (third, first), (first, second))], 1)
    inverse = adjugate / (first * adjugate[:, 0]).sum(0)
    models = []
    for each in maps:
        (mean,) = _mean(each.astype(np.float64)[None], side)
        covariance = _mean(colours * each, side) - mean_colours * mean
        slopes = (inverse * covariance).sum(1)
        offset = mean - (slopes * mean_colours).sum(0)
        models.append([*_mean(np.stack([offset, *slopes]), side).astype(np.float32)])
    return models


def _mean(values: Array, side: int) -> Array:
    """The mean in the window of `side` px around each pixel. values: Cxhxw."""
    return np.stack([cv2.blur(part, (side, side)) for part in values])
