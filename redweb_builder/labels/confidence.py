"""How far a label can be believed, pixel by pixel: witnesses that fail at different places.

A pixel is sure where its disparity leads back to where it came from, lies on the surface around it, and flow and row
matching agree on it, there and around. Every witness is an error in px; they are combined as a geometric mean, so
that one bad error does not count for more than several middling ones. Near an edge all of them may be wrong together,
since the patches that were matched lie on both of its sides: doubt is greater there.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.matching.fusion import Match
from redweb_builder.matching.texture import TEXTURE_LEVELS, contrast
from redweb_builder.types import BoolMap, FloatMap, Picture

AROUND_PX = 7
LEAST_PX, MOST_PX = 0.05, 10.0  # errors are told apart between these
CONTRAST_WINDOW_PX, CONTRAST = 21, 0.25  # doubt grows with this power of the contrast in such a window
STEP_WINDOW_PX, STEP = 5, 0.2  # and with this power of the surface's step
NO_STEP_PX = 0.5  # smaller ones are no edges
TYPICAL = 0.65  # of what the witnesses tell is the typical error, by the benchmark's truth
NO_VALUE = 1e6  # beyond every disparity
REFERENCE_PX = 768  # longer side of the picture whose pixels doubt is given in
GROWTH = 0.6  # errors grow with this power of a picture's size, by the benchmark: matching is finer on large ones


def doubt_of(left: Picture, match: Match, surface: FloatMap, ground: BoolMap) -> FloatMap:
    """HxW float32, the typical error that the witnesses tell of, in px of a picture REFERENCE_PX long.

    left: HxWx3 uint8. surface: HxW float32 px, NaN where there is none. ground: HxW bool, what is not sky.
    """
    errors = [_error(error) for error in (match.error, surface - match.disparity, match.disagreement)]
    witnesses = [*errors, *(_around(error) for error in errors)]
    mean = np.exp(np.mean([np.log(error + LEAST_PX) for error in witnesses], 0))
    scale = TYPICAL * (REFERENCE_PX / max(surface.shape)) ** GROWTH
    return np.asarray(scale * mean * edges(left, surface, ground), np.float32)


def edges(left: Picture, surface: FloatMap, ground: BoolMap) -> FloatMap:
    """HxW float32, 1 or more: by how much an edge nearby, in the photograph or of the surface, raises doubt.

    Contrast is relative to that of the picture's ground, so that exposure and haze do not count, and where there is
    little of it doubt is no smaller: a blank area borrows the disparity of what is beside it. The exponents order the
    pixels best by the benchmark, with both flows and on both sets.
    """
    spread = contrast(left, CONTRAST_WINDOW_PX).astype(np.float32)
    usual = max(TEXTURE_LEVELS, float(np.median(spread[ground])) if ground.any() else 0.0)
    step = np.clip(_range(surface, STEP_WINDOW_PX), 0, MOST_PX)
    return np.asarray(np.maximum(spread / usual, 1) ** CONTRAST * (1 + step / NO_STEP_PX) ** STEP, np.float32)


def confidence_of(doubt: FloatMap) -> NDArray[np.uint8]:
    """HxW uint8, 255 = no doubt, 128 = 1 px of it: 255 / (1 + doubt)."""
    return np.round(255 / (1 + doubt)).astype(np.uint8)


def _error(difference: FloatMap) -> FloatMap:
    return np.asarray(np.minimum(np.nan_to_num(np.abs(difference), nan=MOST_PX), MOST_PX), np.float32)


def _around(error: FloatMap) -> FloatMap:
    mean: FloatMap = cv2.blur(error, (AROUND_PX, AROUND_PX))
    return mean


def _range(field: FloatMap, side: int) -> FloatMap:
    """HxW: greatest less least value within a window of `side` px, NaN left out; negative where there is no other."""
    window = np.ones((side, side), np.uint8)
    unknown = np.isnan(field)
    greatest: FloatMap = cv2.dilate(np.where(unknown, -NO_VALUE, field).astype(np.float32), window)
    least: FloatMap = cv2.erode(np.where(unknown, NO_VALUE, field).astype(np.float32), window)
    return greatest - least
