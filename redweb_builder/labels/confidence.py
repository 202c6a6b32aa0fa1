"""Uncertainty of a label, pixel by pixel: a predicted error in px, from cues that fail at different places.

The cues are the forward-backward consistency error, the distance from the fitted plane, and the disagreement of optical
flow and semi-global matching, each at the pixel and averaged around it. Each is an error in px. They are combined by a
geometric mean, so that one large cue does not outweigh several middling ones. At edges all cues may be wrong together,
because the matched patches lie on both sides: the predicted error is raised there.
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
CONTRAST_WINDOW_PX, CONTRAST = 21, 0.25  # the error grows with this power of the contrast in such a window
STEP_WINDOW_PX, STEP = 5, 0.2  # and with this power of the surface's step
NO_STEP_PX = 0.5  # smaller ones are no edges
TYPICAL = 0.65  # typical true error over the mean of the cues, on the scenes of benchmarks.quality.label_quality
NO_VALUE = 1e6  # beyond every disparity
REFERENCE_PX = 768  # the predicted error is in px of a picture whose longer side is this
GROWTH = 0.6  # errors grow with this power of a picture's size, by the benchmark: matching is finer on large ones


def predict_error_px(left: Picture, match: Match, surface: FloatMap, ground: BoolMap) -> FloatMap:
    """The predicted error of a label: HxW float32, px of a picture whose longer side is REFERENCE_PX.

    left: HxWx3 uint8 RGB. match: the fused match of the pair. surface: HxW float32 px, disparity of the fitted planes,
    NaN where there is none. ground: HxW bool, what is not sky.
    """
    errors = [_error(error) for error in (match.error, surface - match.disparity, match.disagreement)]
    cues = [*errors, *(_around(error) for error in errors)]
    mean = np.exp(np.mean([np.log(error + LEAST_PX) for error in cues], 0))
    scale = TYPICAL * (REFERENCE_PX / max(surface.shape)) ** GROWTH
    return np.asarray(scale * mean * edge_factor(left, surface, ground), np.float32)


def edge_factor(left: Picture, surface: FloatMap, ground: BoolMap) -> FloatMap:
    """The factor by which an edge nearby raises the predicted error: HxW float32, at least 1.

    left: HxWx3 uint8 RGB. surface: HxW float32 px, NaN where there is none. ground: HxW bool, what is not sky. An edge
    is contrast in the photograph or a step of the surface. Contrast is relative to the median of the ground, so that
    exposure and haze do not matter. Low contrast lowers nothing: a blank area takes its disparity from its neighbours.
    The exponents order the pixels best on benchmarks.quality.label_quality, with both flows and on both sets.
    """
    spread = contrast(left, CONTRAST_WINDOW_PX).astype(np.float32)
    usual = max(TEXTURE_LEVELS, float(np.median(spread[ground])) if ground.any() else 0.0)
    step = np.clip(_range(surface, STEP_WINDOW_PX), 0, MOST_PX)
    return np.asarray(np.maximum(spread / usual, 1) ** CONTRAST * (1 + step / NO_STEP_PX) ** STEP, np.float32)


def confidence_of(error_px: FloatMap) -> NDArray[np.uint8]:
    """Confidence, HxW uint8: 255 / (1 + error_px), so 255 = no error expected, 128 = 1 px."""
    return np.round(255 / (1 + error_px)).astype(np.uint8)


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
