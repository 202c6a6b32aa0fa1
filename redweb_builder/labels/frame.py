"""What was painted around a photograph: black frames, floating windows, rounded corners, black ground."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import BoolMap, Picture

BLACK = 4  # levels; a channel above it is photographed: even night skies have noise
MIN_SHARE = 4e-3  # share of the picture; smaller areas at its border are shadows as often as frames
RIM_PX = 5  # side of the square of dilation; a frame's edge is blurred by scaling and JPEG


def painted_frame(left: Picture) -> BoolMap:
    """HxW bool: connected areas of pure black that reach the border of a picture.

    left: HxWx3 uint8 RGB. They show no scene, so no depth is right there. Clipped shadows and night skies that reach
    the border are taken for frames too: of them nothing is known either.
    """
    black = cv2.inRange(left, (0, 0, 0), (BLACK, BLACK, BLACK))
    if not any(side.any() for side in _sides(black)):
        return np.zeros(black.shape, bool)
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(black)
    border = np.concatenate(_sides(numbers))
    large = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= MIN_SHARE * black.size)
    frames = np.zeros(count, bool)
    frames[np.intersect1d(large, border)] = True
    frames[0] = False  # number 0 is what is not black
    if not frames.any():
        return np.zeros(black.shape, bool)
    dilated = cv2.dilate(frames[numbers].astype(np.uint8), np.ones((RIM_PX, RIM_PX), np.uint8))
    return np.asarray(dilated > 0)


def _sides(image: NDArray[Any]) -> list[NDArray[Any]]:
    """The outermost rows and columns of an image."""
    return [image[0], image[-1], image[:, 0], image[:, -1]]
