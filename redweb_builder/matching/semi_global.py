"""Semi-global matching along the rows of an aligned pair (Hirschmueller, PAMI 2008, in OpenCV)."""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.matching.consistency import disparity_of
from redweb_builder.types import BoolMap, FloatMap, Flow, Picture, StereoPair

RANGE_SHARE, RANGE_PX = 0.1, 3.0  # margin of the search on both sides: share of the flow's disparity range, plus px
BLOCK_PX = 3  # side of the matched block
SMOOTH_STEP, SMOOTH_JUMP = 8, 32  # P1 (a step of 1 px) and P2 (a larger one) of the paper, a channel and block pixel
NOWHERE = 1e4  # px; the flow of a pixel without a match, which leaves every picture


def sgm_flow(pair: StereoPair, flow: Flow, valid: BoolMap) -> Flow:
    """Semi-global matching along the rows, in both directions, as a Flow whose vertical components are 0.

    pair: aligned. flow: its optical flow. valid: HxW bool in the left frame, where that flow is consistent. The search
    covers the disparity range of these pixels and a margin. Pixels without a match have a flow of NOWHERE.
    """
    consistent = disparity_of(flow)[valid]
    if not consistent.size:
        nowhere = np.full_like(flow.forward, NOWHERE)
        return Flow(nowhere, nowhere)
    low, high = np.percentile(consistent, (0.5, 99.5))
    spare = RANGE_SHARE * (high - low) + RANGE_PX
    low, high = int(np.floor(low - spare)), int(np.ceil(high + spare))
    left = _semi_global(pair.left, pair.right, low, high)
    mirrored = _semi_global(cv2.flip(pair.right, 1), cv2.flip(pair.left, 1), low, high)
    return Flow(_along_row(-left), _along_row(cv2.flip(mirrored, 1)))


def _semi_global(left: Picture, right: Picture, low: int, high: int) -> FloatMap:
    """Disparity of the left view, HxW float32 px, -NOWHERE for no match. low, high: the disparities searched, px.

    The border is replicated by as much, since OpenCV matches no column whose search leaves the picture.
    """
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
    sixteenths = cv2.medianBlur(matcher.compute(*padded), 3)  # removes streaks of single rows in plain areas
    disparity = sixteenths[:, before:-after].astype(np.float32) / 16
    return np.where(disparity < low, -NOWHERE, disparity).astype(np.float32)


def _along_row(x: FloatMap) -> FloatMap:
    return np.stack([x, np.zeros_like(x)], -1)
