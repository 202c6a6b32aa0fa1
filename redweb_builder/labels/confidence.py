"""Uncertainty of a label: the predicted error of each pixel, px, from cues that fail at different places.

The cues are the forward-backward consistency error, the distance from the fitted plane, and the disagreement of optical
flow and semi-global matching, each at the pixel and averaged around it. Each is an error in px. Their geometric mean is
taken, so that one large cue does not outweigh several small ones. At edges all cues may be wrong together, because the
matched patches lie on both sides. The predicted error is raised there. In blank areas no cue is independent: both
matches take their disparity from the texture around. The predicted error grows with the distance from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.matching.fusion import TEXTURE_PX, Match
from redweb_builder.matching.texture import TEXTURE_LEVELS, blank, contrast
from redweb_builder.types import BoolMap, FloatMap, Picture

MEAN_WINDOW_PX = 7  # side of the window in which a cue is averaged
LEAST_PX, MOST_PX = 0.05, 10.0  # an error cue below LEAST_PX or above MOST_PX counts as about that much
CONTRAST_WINDOW_PX, CONTRAST_POWER = 21, 0.25  # the error grows with this power of the contrast in such a window
STEP_WINDOW_PX, STEP_POWER = 5, 0.2  # the error grows with this power of the surface's range in such a window
STEP_PX = 0.5  # unit of the range; smaller ranges are hardly edges
BLANK_REACH_PX = 5.0  # distance from what is not blank at which the predicted error is twice that of the cues
MOST_DOUBT = 10.0  # times; the predicted error of a blank pixel grows no further
CALIBRATION = 0.65  # typical |error| over the geometric mean of the cues, on benchmarks.quality.label_quality
NO_VALUE = 1e6  # px, beyond every disparity
REFERENCE_PX = 768  # longer side of the picture whose px are the unit of the predicted error
SIZE_POWER = 0.6  # errors in px grow with this power of the longer side, on benchmarks.quality.label_quality


@dataclass(frozen=True)
class Cues:
    """What the predicted error of a match depends on beside the surface: the same for every surface.

    disparity: HxW float32 px, of the match. log_error, log_disagreement: HxW float32 each, of log_cue. contrast: HxW
    float32, the part of the picture's edges in edge_factor.
    """

    disparity: FloatMap
    log_error: FloatMap
    log_disagreement: FloatMap
    contrast: FloatMap


def cues_of(left: Picture, match: Match, ground: BoolMap) -> Cues:
    """The cues of a match.

    left: HxWx3 uint8 RGB. match: the fused match of the pair. ground: HxW bool, True where there is no sky.
    """
    return Cues(match.disparity, log_cue(match.error), log_cue(match.disagreement), contrast_factor(left, ground))


def predict_error_px(cues: Cues, surface: FloatMap) -> FloatMap:
    """The predicted error of a label: HxW float32, px of a picture whose longer side is REFERENCE_PX.

    cues: of the match. surface: HxW float32 px, disparity of the fitted planes, NaN where there is none, which counts
    as an error of MOST_PX.
    """
    three = cues.log_error + log_cue(surface - cues.disparity) + cues.log_disagreement
    scale = CALIBRATION * (REFERENCE_PX / max(surface.shape)) ** SIZE_POWER
    return np.asarray(scale * np.exp(three / 3) * edge_factor(cues.contrast, surface), np.float32)


def contrast_factor(left: Picture, ground: BoolMap) -> FloatMap:
    """The factor by which nearby contrast raises the predicted error: HxW float32, at least 1.

    left: HxWx3 uint8 RGB. ground: HxW bool, True where there is no sky. Contrast is relative to the median of the
    ground, so that exposure and haze do not matter. Contrast below the median does not lower the error, because plain
    areas take their disparity from their neighbours.
    """
    levels = contrast(left, CONTRAST_WINDOW_PX)
    median = max(TEXTURE_LEVELS, float(np.median(levels[ground])) if ground.any() else 0.0)
    factors = np.maximum(np.arange(256, dtype=np.float32) / median, 1) ** CONTRAST_POWER
    return np.asarray(factors[levels], np.float32)


def edge_factor(contrast: FloatMap, surface: FloatMap) -> FloatMap:
    """The factor by which a nearby edge raises the predicted error: HxW float32, at least 1.

    contrast: HxW float32, of contrast_factor. surface: HxW float32 px, NaN where there is none. An edge is contrast in
    the picture or a step of the surface. Of the powers tried, these order the pixels best by error on
    benchmarks.quality.label_quality, with both flows and on both sets.
    """
    step = np.clip(_range(surface, STEP_WINDOW_PX), 0, MOST_PX)
    return np.asarray(contrast * (1 + step / STEP_PX) ** STEP_POWER, np.float32)


def blank_factor(left: Picture) -> FloatMap:
    """The factor by which the distance from texture raises the predicted error: HxW float32, 1 where there is texture.

    left: HxWx3 uint8 RGB. A blank pixel was not matched itself: its flow is consistent because that of its neighbours
    is.
    """
    distance = cv2.distanceTransform(blank(left, TEXTURE_PX).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(np.minimum(1 + distance / BLANK_REACH_PX, MOST_DOUBT), np.float32)


def confidence_of(error_px: FloatMap) -> NDArray[np.uint8]:
    """Confidence, HxW uint8: 255 / (1 + error_px), so 255 = no error expected, 128 = 1 px.

    error_px: HxW float32 px, of predict_error_px.
    """
    return np.round(255 / (1 + error_px)).astype(np.uint8)


def log_cue(difference: FloatMap) -> FloatMap:
    """Logarithm of a cue, HxW float32: of the geometric mean of |difference| at the pixel and of its mean in a window.

    difference: HxW float32 px, up to MOST_PX, which stands for NaN too.
    """
    error: FloatMap = np.fmin(np.abs(difference), np.float32(MOST_PX))
    mean: FloatMap = cv2.blur(error, (MEAN_WINDOW_PX, MEAN_WINDOW_PX))
    return np.asarray(np.log((error + LEAST_PX) * (mean + LEAST_PX)) / 2, np.float32)


def _range(field: FloatMap, side: int) -> FloatMap:
    """HxW: greatest less least value in a window of `side` px without its NaN; negative where all of it is NaN."""
    window = np.ones((side, side), np.uint8)
    unknown = np.isnan(field)
    greatest: FloatMap = cv2.dilate(np.where(unknown, -NO_VALUE, field).astype(np.float32), window)
    least: FloatMap = cv2.erode(np.where(unknown, NO_VALUE, field).astype(np.float32), window)
    return greatest - least
