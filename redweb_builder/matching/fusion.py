"""Fusion of optical flow and semi-global matching: for each left pixel the more consistent of two matches.

Optical flow matches over any distance, but its patches blur depth edges. Semi-global matching along the rows
(Hirschmueller, PAMI 2008, in OpenCV) keeps depth edges sharp and makes gross errors in untextured areas. It needs an
aligned pair and the disparity range that the flow gives. The two fail at different places, so their agreement is
evidence for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from redweb_builder.matching.consistency import MATCHED_PX, disparity_of, forward_backward_error, target_visible
from redweb_builder.types import BoolMap, FloatMap, Flow, Picture, StereoPair

ROWS_GAIN_PX = 0.3  # semi-global matching is preferred where its consistency error is smaller by this
RANGE_SHARE, RANGE_PX = 0.1, 3.0  # searched beyond the range of the flow
BLOCK_PX = 3
SMOOTH_STEP, SMOOTH_JUMP = 8, 32  # penalties of a step of one px and of any other, for each channel and block pixel
TEXTURE_PX = 9  # side of the window that must have texture: in blank rows SGM interpolates between their ends
NOWHERE = 1e4  # px: the flow of a pixel without a match leaves every picture


@dataclass(frozen=True)
class Match:
    """The fused match of every left pixel, HxW float32 px each.

    disparity: larger = nearer. error: forward-backward consistency error, infinite where the match leaves the right
    view. disagreement: |disparity of the flow - disparity of semi-global matching|.
    """

    disparity: FloatMap
    error: FloatMap
    disagreement: FloatMap

    @property
    def confirmed(self) -> BoolMap:
        """HxW bool: consistent to within MATCHED_PX."""
        return np.asarray(self.error <= MATCHED_PX)


def fuse_matches(flow: Flow, sgm: Flow, right_valid: BoolMap, textured: BoolMap) -> Match:
    """Take the flow's match, or semi-global matching's where there is texture and it is plainly more consistent.

    flow: optical flow of the pair. sgm: its matches along the rows (sgm_flow). right_valid: HxW bool in the right
    frame, False where alignment left no picture. textured: HxW bool, texture.textured with windows of TEXTURE_PX.
    """
    flow_error, sgm_error = (
        np.where(target_visible(match, right_valid), forward_backward_error(match), np.inf) for match in (flow, sgm)
    )
    flow_is_worse = (flow_error > MATCHED_PX) | (flow_error >= sgm_error + ROWS_GAIN_PX)
    take_sgm = (sgm_error <= MATCHED_PX) & flow_is_worse & textured
    disparity = np.where(take_sgm, disparity_of(sgm), disparity_of(flow))
    error = np.where(take_sgm, sgm_error, flow_error)
    disagreement = np.abs(disparity_of(flow) - disparity_of(sgm))
    return Match(disparity, error.astype(np.float32), disagreement)


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
