"""Raw disparity -> refined label: sky farthest, far field calm, occlusions filled, edges where the photograph has them.

A pixel with a small predicted error (confidence.py) is MEASURED. A pixel whose disparity comes from a propagated plane
is FILLED. A pixel that no plane reaches stays UNKNOWN.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.labels.confidence import confidence_of, predict_error_px
from redweb_builder.labels.planes import RightView, propagate_planes, superpixel_disparity
from redweb_builder.labels.sky import blobs, sky_area
from redweb_builder.labels.superpixels import segment_superpixels
from redweb_builder.matching.fusion import Match
from redweb_builder.types import PRESENT, BoolMap, FloatMap, Label, Mask, Picture, Regions

SPECKLE_SHARE = 2e-4
SPECKLE_STEP_PX = 1.0
PLANE_BLEND_PX = 1.0  # this close to its surface, a disparity is averaged with it
MEASURED_PX = 1.2  # predicted error up to which a pixel counts as measured and is used to fit planes
FAR_SPREAD = (5, 75)  # percentiles of a far blob's measured disparity that its filled pixels stay between


def refine(left: Picture, match: Match, valid: BoolMap, regions: Regions, right: RightView) -> Label:
    """The refined label of a left view.

    left: HxWx3 uint8 RGB. match: the fused match of the pair. valid: HxW bool, consistent to within TOLERANCE_PX; only
    such pixels can contradict the sky. regions: probabilities of sky and far field. right: disparity of the right view
    where it is known, for the visibility check.
    """
    sky = sky_area(left, match.disparity, valid, regions)
    confirmed = without_speckles(match.disparity, match.confirmed & ~sky)
    if not confirmed.any():
        nothing = np.zeros(sky.shape, np.uint8)
        return Label(np.full(sky.shape, np.nan, np.float32), nothing, nothing)
    surface, error_px = surface_and_error(left, match, confirmed, ~sky, right)
    off = np.abs(surface - match.disparity)
    regularised = np.where(off <= PLANE_BLEND_PX, (match.disparity + surface) / 2, match.disparity)
    disparity = np.where(confirmed, regularised, surface).astype(np.float32)
    measured = (error_px <= MEASURED_PX) & np.isfinite(disparity) & np.isfinite(match.error)  # it must be in both views
    disparity = clamp_far_field(disparity, measured, regions.far > PRESENT)
    confidence = np.where(sky, np.round(255 * regions.sky), confidence_of(error_px)).astype(np.uint8)
    return make_label(disparity, measured, sky, confidence)


def surface_and_error(
    left: Picture, match: Match, confirmed: BoolMap, ground: BoolMap, right: RightView
) -> tuple[FloatMap, FloatMap]:
    """HxW float32 px each: the surface that a pixel lies on, NaN for none, and the doubt about the pixel's match.

    What is in doubt gives surfaces no shape: halos around things are confirmed by both views, and would spread into
    what is occluded behind them.
    """
    superpixels = segment_superpixels(left)
    own = superpixel_disparity(superpixels, match.disparity, confirmed)
    sure = confirmed & (predict_error_px(left, match, own, ground) <= MEASURED_PX)
    surface = propagate_planes(superpixels, match.disparity, sure, ground, right)
    if np.isnan(surface).all():
        surface = propagate_planes(superpixels, match.disparity, confirmed, ground, right)
    return surface, predict_error_px(left, match, surface, ground)


def without_speckles(raw: FloatMap, valid: BoolMap) -> BoolMap:
    """`valid` less the small islands of disparity that stand alone (OpenCV's speckle filter)."""
    fixed = np.where(valid, np.clip(np.round(raw * 16), -32000, 32000), -32768).astype(np.int16)
    cv2.filterSpeckles(fixed, -32768, max(8, int(SPECKLE_SHARE * raw.size)), 16 * SPECKLE_STEP_PX)
    return np.asarray(valid & (fixed != -32768))


def clamp_far_field(disparity: FloatMap, measured: BoolMap, far: BoolMap) -> FloatMap:
    """What is filled in a far region stays within the robust range of what is measured in the same blob."""
    filled = far & ~measured
    if not filled.any():
        return disparity
    calmed = disparity.copy()
    for window, inside in blobs(far):
        values = disparity[window][inside & measured[window]]
        if values.size > 50:
            guessed = inside & filled[window]
            calmed[window][guessed] = np.clip(disparity[window][guessed], *np.percentile(values, FAR_SPREAD))
    return calmed


def make_label(disparity: FloatMap, measured: BoolMap, sky: BoolMap, confidence: NDArray[np.uint8]) -> Label:
    """Put sky at the farthest value and say of every pixel what it rests on."""
    mask = np.where(np.isnan(disparity), Mask.UNKNOWN, np.where(measured, Mask.MEASURED, Mask.FILLED))
    mask = np.where(sky, Mask.SKY, mask).astype(np.uint8)
    label = disparity.copy()
    label[sky] = np.nanmin(disparity[~sky])
    return Label(label, mask, np.where(mask == Mask.UNKNOWN, 0, confidence).astype(np.uint8))
