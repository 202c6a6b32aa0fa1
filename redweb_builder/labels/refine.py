"""Raw disparity -> refined label: sky farthest, far field calm, occlusions filled, edges where the photograph has them.

What the witnesses agree on (confidence.py) is MEASURED; what is reasoned from the photograph, the neighbours and what
the right view shows is FILLED; what no surface reaches stays UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.labels.confidence import confidence_of, predict_error_px
from redweb_builder.labels.planes import RightView, propagate_planes, segment_superpixels, superpixel_disparity
from redweb_builder.matching.fusion import Match
from redweb_builder.matching.texture import TEXTURED_PX, textured
from redweb_builder.types import PRESENT, BoolMap, FloatMap, Label, Mask, Picture, Regions

MIN_SKY_SHARE = 5e-4  # smaller blobs of sky are windows and lamps
SKY_RIM = 0.02  # of the longer side: this near its border, what is confirmed in the sky may belong to the border
AROUND = 0.15  # of the longer side: window of the sky that a pixel is compared with
MIN_AROUND = 0.02  # of that window, to know its colour
DEVIATION = (5.0, 20.0)  # of a clear sky (noise and JPEG) and of a cloudy one, CIELAB in 8 bits
ALIKE = 2.0  # such deviations from its mean colour
STARK = 60.0  # CIELAB distance from that mean at which what is darker is a branch, a wire or a pole before the sky
SURE = 0.9  # of sky; where the network is surer, what is dark may be a cloud
MOSTLY = 1 / 3  # of a blob of sky; contradicted in more of it, it is none
WELL_MATCHED = 0.15  # of a blob's inside: texture of a painted sky, more than the borrowed specks of a blank one
FARTHEST = 20  # percentile of the ground's disparity: clouds are not nearer
AMONG = 0.03  # of the ground's range of disparity, added to that; half a pixel at least
ONE_SURFACE = 0.1  # of that range: the middle half of what is matched on a poster; what a sky borrows is scattered
SPECKLE_SHARE = 2e-4
SPECKLE_STEP_PX = 1.0
PLANE_BLEND_PX = 1.0  # this close to its surface, a disparity is averaged with it
MEASURED_PX = 1.2  # doubt up to which a pixel counts as measured, and shapes the surface around it
FAR_SPREAD = (5, 75)  # percentiles of a far blob's measured disparity that its filled pixels stay between


def refine(left: Picture, match: Match, valid: BoolMap, regions: Regions, right: RightView) -> Label:
    """The refined label of a left view.

    left: HxWx3 uint8. match: what the two views say. valid: HxW bool, what of it may speak about sky. right: what the
    right view shows.
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


def sky_area(left: Picture, raw: FloatMap, valid: BoolMap, regions: Regions) -> BoolMap:
    """HxW bool: sky by the photograph, dropped where it is tiny or the two views contradict it.

    What is nearer than most of the scene is a ceiling, a wall or a tree; a blob that is so for more than a third is no
    sky at all. Nor is one, like the sky on a poster, that is well matched as one surface, not among the farthest. Only
    texture well inside the blob may say so: flow in blank sky is borrowed from the branches and roofs around it. Of
    less than a third, what has the colour of the sky around stays sky: it is seen between branches. These, starkly
    darker than the sky, speak for themselves alone, not against the blob; and they are none, matched or not.
    """
    sky: BoolMap = regions.sky > PRESENT
    ground = valid & ~sky
    if not sky.any():
        return sky
    if not ground.any():
        return np.zeros_like(sky)  # sky from border to border is a blank picture, which the filters are to judge
    least, farthest, middle, most = np.percentile(raw[ground], (1, FARTHEST, 60, 99))
    among = farthest + max(0.5, AMONG * (most - least))
    rim = max(3, round(SKY_RIM * max(sky.shape)))
    inner = ~_grown(~sky, rim)
    matched = inner & valid & textured(left)
    nearer = _grown(matched & (raw > middle), rim)
    alike, stark = beside_sky(left, sky & ~nearer)
    own = matched & ~_grown(stark, TEXTURED_PX + 2)  # its edge is a blend of both
    against = _grown(own & (raw > middle), rim)
    remaining = sky.copy()
    for window, inside in blobs(sky):
        seen = raw[window][inside & own[window]]
        painted = len(seen) > WELL_MATCHED * (inside & inner[window]).sum() and _one_surface(seen, among, most - least)
        mostly = (inside & against[window]).sum() > MOSTLY * inside.sum()
        none = inside.sum() < MIN_SKY_SHARE * raw.size or mostly or painted
        remaining[window] &= ~(inside if none else inside & nearer[window] & ~alike[window])
    return remaining & ~(stark & (regions.sky < SURE))


def beside_sky(left: Picture, sky: BoolMap) -> tuple[BoolMap, BoolMap]:
    """HxW bool each: what has the colour of the `sky` around it, and what is starkly darker.

    Alike is measured in standard deviations of that sky: more passes among clouds than in a clear one. Where there is
    hardly any sky around, nothing is either.
    """
    side = max(3, round(AROUND * max(sky.shape)))
    lab = cv2.cvtColor(left, cv2.COLOR_RGB2LAB).astype(np.float32)
    share = cv2.blur(sky.astype(np.float32), (side, side))
    known = np.maximum(share, MIN_AROUND)[..., None]
    mean = cv2.blur(lab * sky[..., None], (side, side)) / known
    variance = cv2.blur(lab**2 * sky[..., None], (side, side)) / known - mean**2
    squares = (lab - mean) ** 2
    deviations = (squares / np.clip(variance, *np.square(DEVIATION))).sum(-1)
    there = share >= MIN_AROUND
    darker = lab[..., 0] < mean[..., 0]
    return there & (deviations <= ALIKE**2), there & darker & (squares.sum(-1) > STARK**2)


def _grown(mask: BoolMap, side: int) -> BoolMap:
    """What lies within a square of `side` px around a pixel of the mask."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def _one_surface(seen: FloatMap, among: float, span: float) -> bool:
    """Whether disparities lie together, and nearer than `among`. span: the range of the ground's."""
    low, middle, high = np.percentile(seen, (25, 50, 75))
    return bool(middle > among and high - low <= ONE_SURFACE * span)


def blobs(mask: BoolMap) -> Iterator[tuple[tuple[slice, slice], BoolMap]]:
    """Each connected part of a mask: the window around it, and where it is in that. Foliage has thousands."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for blob in range(1, count):
        x, y, width, height = (int(value) for value in stats[blob, :4])
        window = (slice(y, y + height), slice(x, x + width))
        yield window, numbers[window] == blob


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
