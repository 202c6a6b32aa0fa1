"""Where a picture has structure that matching can go by."""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.types import BoolMap, Picture

TEXTURE_LEVELS = 12  # grey levels; less is noise
TEXTURED_PX = 5  # window


def textured(picture: Picture, window_px: int = TEXTURED_PX) -> BoolMap:
    """HxW bool: pixels whose square neighbourhood spans more than TEXTURE_LEVELS grey levels."""
    return np.asarray(contrast(picture, window_px) > TEXTURE_LEVELS)


def contrast(picture: Picture, window_px: int) -> Picture:
    """HxW uint8: how many grey levels each pixel's square neighbourhood spans."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((window_px, window_px), np.uint8)), np.uint8)
