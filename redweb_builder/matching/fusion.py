"""Two opinions on where a pixel of the left view is in the right one, and the better of them.

Flow finds its way over any distance, but its patches blur the borders of things. Semi-global matching along the rows
(Hirschmueller 2008, in OpenCV), possible once a pair is aligned and its range is known from the flow, has sharp
borders and gross errors in blank areas. They fail at different places, so where they agree both can be believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from redweb_builder.matching.consistency import disparity_of, lands_on, round_trip_error
from redweb_builder.types import BoolMap, FloatMap, Flow, Picture, StereoPair

CONFIRMED_PX = 0.7  # a disparity that leads back to within this is confirmed by both views
ROWS_GAIN_PX = 0.3  # row matching is preferred where its round trip is better than the flow's by this
RANGE_SHARE, RANGE_PX = 0.1, 3.0  # searched beyond the range of the flow
BLOCK_PX = 3
SMOOTH_STEP, SMOOTH_JUMP = 8, 32  # penalties of a step of one px and of any other, for each channel and block pixel
TEXTURE_PX = 9  # rows have a say where a window of this size has texture: blank rows agree with what is at their ends
NOWHERE = 1e4  # px: the flow of a pixel without a match leaves every picture


@dataclass(frozen=True)
class Match:
    """What the two views say of every left pixel, HxW float32 px each.

    disparity: larger = nearer. error: its round trip, infinite where it leaves the right view. disagreement: between
    flow and row matching.
    """

    disparity: FloatMap
    error: FloatMap
    disagreement: FloatMap

    @property
    def confirmed(self) -> BoolMap:
        """HxW: the disparity leads back to where it came from."""
        return np.asarray(self.error <= CONFIRMED_PX)


def best_match(flow: Flow, rows: Flow, seen: BoolMap, textured: BoolMap) -> Match:
    """Pixel by pixel the flow's disparity, or that of `rows` where there is texture and it returns plainly closer.

    seen: HxW bool in the right frame, False where alignment left no picture. textured: HxW bool, `measure.textured` by
    windows of TEXTURE_PX.
    """
    by_flow, by_rows = (np.where(lands_on(way, seen), round_trip_error(way), np.inf) for way in (flow, rows))
    unsure = (by_flow > CONFIRMED_PX) | (by_flow >= by_rows + ROWS_GAIN_PX)
    take_rows = (by_rows <= CONFIRMED_PX) & unsure & textured
    disparity = np.where(take_rows, disparity_of(rows), disparity_of(flow))
    error = np.where(take_rows, by_rows, by_flow)
    disagreement = np.abs(disparity_of(flow) - disparity_of(rows))
    return Match(disparity, error.astype(np.float32), disagreement)


def match_rows(pair: StereoPair, flow: Flow, valid: BoolMap) -> Flow:
    """Matches along the rows, in both directions, within the range of the flow's `valid` disparities."""
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
        disp12MaxDiff=-1,  # the round trip is checked by best_match
        preFilterCap=31,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    found = cv2.medianBlur(matcher.compute(*padded), 3)  # single rows run astray where there is little to see
    disparity = found[:, before:-after].astype(np.float32) / 16
    return np.where(disparity < low, -NOWHERE, disparity).astype(np.float32)


def _along_row(x: FloatMap) -> FloatMap:
    return np.stack([x, np.zeros_like(x)], -1)
