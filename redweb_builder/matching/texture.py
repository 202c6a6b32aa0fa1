"""Texture of a picture: its grey levels, and the contrast that matching needs."""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.types import BoolMap, Picture

TEXTURE_LEVELS = 12  # grey levels; a smaller contrast is noise
TEXTURED_PX = 5  # side of the window
BLANK_LEVELS = 4  # grey levels; a window with no more contrast is blank: it has the noise of camera and JPEG alone
SATURATED = 250  # grey level from which a pixel is blank whatever its contrast


def grey_levels(picture: Picture) -> Picture:
    """HxW uint8. picture: HxWx3 uint8 RGB."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def textured(picture: Picture, window_px: int = TEXTURED_PX) -> BoolMap:
    """HxW bool: pixels with a contrast above TEXTURE_LEVELS.

    picture: HxWx3 uint8 RGB. window_px: side of the square window, px, odd.
    """
    return np.asarray(contrast(picture, window_px) > TEXTURE_LEVELS)


def contrast(picture: Picture, window_px: int) -> Picture:
    """HxW uint8: greatest less least grey level in the square window around each pixel (a morphological gradient).

    picture: HxWx3 uint8 RGB. window_px: side of the window, px, odd.
    """
    window = np.ones((window_px, window_px), np.uint8)
    return np.asarray(cv2.morphologyEx(grey_levels(picture), cv2.MORPH_GRADIENT, window), np.uint8)


def blank(picture: Picture, window_px: int) -> BoolMap:
    """HxW bool: saturated pixels and those whose window has no contrast; nothing there can be matched by itself.

    picture: HxWx3 uint8 RGB. window_px: side of the window, px, odd.
    """
    saturated = grey_levels(picture) >= SATURATED
    return np.asarray(saturated | (contrast(picture, window_px) <= BLANK_LEVELS))
