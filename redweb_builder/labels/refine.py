"""Fused matches -> refined label: sky farthest, far field clamped, occlusions filled, edges on those of the picture.

A pixel with a small predicted error (confidence.py) is MEASURED. A pixel whose disparity comes from a propagated plane
is FILLED. A pixel that no plane reaches, or that lies in a painted frame, stays UNKNOWN.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.labels.confidence import Cues, blank_factor, confidence_of, cues_of, predict_error_px
from redweb_builder.labels.frame import painted_frame
from redweb_builder.labels.planes import RightView, clip_to_range, propagate_planes, superpixel_disparity
from redweb_builder.labels.sky import connected_components, sky_area
from redweb_builder.labels.superpixels import Superpixels, segment_superpixels
from redweb_builder.matching.fusion import Match
from redweb_builder.types import PRESENT, BoolMap, FloatMap, Label, Mask, Picture, Regions

SPECKLE_SHARE = 2e-4  # share of the picture; smaller islands of disparity are speckles (at least 8 px)
SPECKLE_STEP_PX = 1.0  # disparity step that separates an island from its surroundings
PLANE_BLEND_PX = 1.0  # a disparity at most this far from its plane is averaged with it
MEASURED_PX = 1.2  # predicted error up to which a pixel is MEASURED and supports planes
STRAY_SHARE = 0.05  # share of the consistent pixels up to which disparities beyond a gap are doubted
STRAY_GAP = 0.5  # the gap before them, as a share of the range of the rest (5th to 95th percentile, at least STRAY_PX)
STRAY_PX = 2.0  # px
STRAY_ERROR_PX = 0.6  # predicted error; where the median of theirs is less, they are a thing by itself
FAR_PERCENTILES = (5, 75)  # of the measured disparity of a far region; its filled pixels are clamped between them
FAR_MIN_PIXELS = 50  # measured pixels above which a far region is clamped


def refine(
    left: Picture, match: Match, valid: BoolMap, regions: Regions, right: RightView, depth: FloatMap | None = None
) -> Label:
    """The refined label of a left view.

    left: HxWx3 uint8 RGB. match: the fused match of the pair. valid: HxW bool, the flow is consistent to within
    TOLERANCE_PX and its match is visible; only such pixels can contradict the sky. regions: probabilities of sky and
    far field. right: disparity of the right view where it is known, for the visibility check. depth: float32 of the
    left view by a network, of any size and scale, larger = nearer; None = none is used. Without a consistent pixel the
    label is UNKNOWN everywhere.
    """
    frame = painted_frame(left)
    sky = sky_area(left, match.disparity, valid & ~frame, regions, depth) & ~frame
    ground = ~sky & ~frame
    consistent = without_speckles(match.disparity, match.consistent & ground)
    if not consistent.any():
        unknown = np.zeros(sky.shape, np.uint8)
        return Label(np.full(sky.shape, np.nan, np.float32), unknown, unknown)
    superpixels, cues = segment_superpixels(left, depth), cues_of(left, match, ground)
    surface, error_px = surface_and_error(superpixels, cues, match, consistent, ground, right)
    stray = stray_pixels(match.disparity, consistent, error_px)
    if stray.any():
        consistent &= ~stray
        surface, error_px = surface_and_error(superpixels, cues, match, consistent, ground, right)
    error_px = error_px * blank_factor(left)  # planes take support from blank areas too, or fewer would be fitted
    off = np.abs(surface - match.disparity)
    regularised = np.where(off <= PLANE_BLEND_PX, (match.disparity + surface) / 2, match.disparity)
    disparity = np.where(frame, np.nan, np.where(consistent, regularised, surface)).astype(np.float32)
    measured = (error_px <= MEASURED_PX) & np.isfinite(disparity) & np.isfinite(match.error) & ~stray  # in both views
    if measured.any():
        disparity = np.where(measured, disparity, clip_to_range(disparity, disparity[measured]))
    disparity = clamp_far_field(disparity, measured, regions.far > PRESENT)
    confidence = np.where(sky, np.round(255 * regions.sky), confidence_of(error_px)).astype(np.uint8)
    return make_label(disparity, measured, sky, confidence)


def surface_and_error(
    superpixels: Superpixels, cues: Cues, match: Match, consistent: BoolMap, ground: BoolMap, right: RightView
) -> tuple[FloatMap, FloatMap]:
    """Disparity of the surface of each pixel, and the predicted error of its match: HxW float32 px each.

    superpixels: of the left view. cues: of the match. match: the fused match. consistent: HxW bool, consistent pixels
    of the ground without speckles. ground: HxW bool, True where there is no sky. right: of propagate_planes. The
    surface is NaN where no plane reaches. Only pixels of low predicted error support planes: halos around objects are
    consistent, and would spread into the occlusions beside them. Where no plane is measured that way, all consistent
    pixels support them.
    """
    own = superpixel_disparity(superpixels, match.disparity, consistent)
    support = consistent & (predict_error_px(cues, own) <= MEASURED_PX)
    surface = propagate_planes(superpixels, match.disparity, support, ground, right)
    if np.isnan(surface).all():
        surface = propagate_planes(superpixels, match.disparity, consistent, ground, right)
    return surface, predict_error_px(cues, surface)


def stray_pixels(raw_disparity: FloatMap, consistent: BoolMap, error_px: FloatMap) -> BoolMap:
    """HxW bool: the few consistent pixels nearer or farther than all others by a gap, where their error is large.

    raw_disparity: HxW float32 px. consistent: HxW bool, at least one pixel. error_px: HxW float32, predicted. Wrong
    flow in a blank area is consistent, and stretches a label to many times the range of what it shows. Surfaces of a
    scene are mostly joined in depth; what is not (a bird, a lamp) is well matched.
    """
    values = np.sort(raw_disparity[consistent])
    low, high = np.percentile(values, (100 * STRAY_SHARE, 100 - 100 * STRAY_SHARE))
    few = int(STRAY_SHARE * values.size)
    wide = np.flatnonzero(np.diff(values) > STRAY_GAP * max(high - low, STRAY_PX))
    stray = np.zeros_like(consistent)
    far, near = wide[wide < few], wide[wide >= values.size - 1 - few]
    beyond = [raw_disparity <= values[far[-1]]] if far.size else []
    beyond += [raw_disparity > values[near[0]]] if near.size else []
    for side in beyond:
        if np.median(error_px[consistent & side]) > STRAY_ERROR_PX:
            stray |= consistent & side
    return stray


def without_speckles(raw_disparity: FloatMap, valid: BoolMap) -> BoolMap:
    """HxW bool: `valid` without small islands of disparity (OpenCV's speckle filter).

    raw_disparity: HxW float32 px. valid: HxW bool, the pixels that form islands.
    """
    sixteenths = np.where(valid, np.clip(np.round(raw_disparity * 16), -32000, 32000), -32768).astype(np.int16)
    most_px = max(8, int(SPECKLE_SHARE * raw_disparity.size))
    cv2.filterSpeckles(sixteenths, -32768, most_px, 16 * SPECKLE_STEP_PX)
    return np.asarray(valid & (sixteenths != -32768))


def clamp_far_field(disparity: FloatMap, measured: BoolMap, far: BoolMap) -> FloatMap:
    """Disparity whose filled pixels of a far region are clamped to the robust range of its measured ones.

    disparity: HxW float32 px, NaN = unknown. measured: HxW bool. far: HxW bool, far field. Each connected component of
    `far` has its own range. Noise in the flow would else become relief.
    """
    filled = far & ~measured
    if not filled.any():
        return disparity
    clamped = disparity.copy()
    for window, component in connected_components(far):
        values = disparity[window][component & measured[window]]
        if values.size > FAR_MIN_PIXELS:
            inside = component & filled[window]
            clamped[window][inside] = np.clip(disparity[window][inside], *np.percentile(values, FAR_PERCENTILES))
    return clamped


def make_label(disparity: FloatMap, measured: BoolMap, sky: BoolMap, confidence: NDArray[np.uint8]) -> Label:
    """The label: sky at the smallest disparity of all other pixels, and the mask.

    disparity: HxW float32 px, NaN = unknown. measured, sky: HxW bool. confidence: HxW uint8, set to 0 where unknown.
    """
    mask = np.where(np.isnan(disparity), Mask.UNKNOWN, np.where(measured, Mask.MEASURED, Mask.FILLED))
    mask = np.where(sky, Mask.SKY, mask).astype(np.uint8)
    label = disparity.copy()
    label[sky] = np.nanmin(disparity[~sky])
    return Label(label, mask, np.where(mask == Mask.UNKNOWN, 0, confidence).astype(np.uint8))
