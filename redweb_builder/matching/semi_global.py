"""Semi-global matching along the rows of an aligned pair (Hirschmueller, PAMI 2008, in OpenCV)."""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.matching.consistency import disparity_of
from redweb_builder.types import BoolMap, FloatMap, Flow, Picture, StereoPair

RANGE_SHARE, RANGE_PX = 0.1, 3.0  # searched beyond the range of the flow
BLOCK_PX = 3
SMOOTH_STEP, SMOOTH_JUMP = 8, 32  # penalties of a step of one px and of any other, for each channel and block pixel
NOWHERE = 1e4  # px: the flow of a pixel without a match leaves every picture


def sgm_flow(pair: StereoPair, flow: Flow, valid: BoolMap) -> Flow:
    """Semi-global matching along the rows, in both directions.

    pair: aligned. flow: its optical flow. valid: HxW bool, where the flow is consistent; the disparity range that is
    searched is that of these pixels, and a little more. Vertical components of the result are 0.
    """
    found = disparity_of(flow)[valid]
    if not found.size:
        nowhere = np.full_like(flow.forward, NOWHERE)
        return Flow(nowhere, nowhere)
    low, high = np.percentile(found, (0.5, 99.5))
    spare = RANGE_SHARE * (high - low) + RANGE_PX
    low, high = int(np.floor(low - spare)), int(np.ceil(high + spare))
    left = _semi_global(pair.left, pair.right, low, high)
    mirrored = _semi_global(cv2.flip(pair.right, 1), cv2.flip(pair.left, 1), low, high)
    return Flow(_along_row(-left), _along_row(cv2.flip(mirrored, 1)))


def _semi_global(left: Picture, right: Picture, low: int, high: int) -> FloatMap:
    """HxW disparity of the left view, -NOWHERE where there is none; borders are padded so that every column has one."""
    before, after = max(high, 0) + 16, max(-low, 0) + 16
    padded = [cv2.copyMakeBorder(view, 0, 0, before, after, cv2.BORDER_REPLICATE) for view in (left, right)]
    matcher = cv2.StereoSGBM.create(
        minDisparity=low,
        numDisparities=16 * -(-(high - low) // 16),
        blockSize=BLOCK_PX,
        P1=SMOOTH_STEP * 3 * BLOCK_PX**2,
        P2=SMOOTH_JUMP * 3 * BLOCK_PX**2,
        disp12MaxDiff=-1,  # consistency is checked by fuse_matches
        preFilterCap=31,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    found = cv2.medianBlur(matcher.compute(*padded), 3)  # single rows run astray where there is little to see
    disparity = found[:, before:-after].astype(np.float32) / 16
    return np.where(disparity < low, -NOWHERE, disparity).astype(np.float32)


def _along_row(x: FloatMap) -> FloatMap:
    return np.stack([x, np.zeros_like(x)], -1)
