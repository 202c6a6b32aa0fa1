"""Fusion of optical flow and semi-global matching: for each left pixel the more consistent of two matches.

Optical flow matches over any distance, but its patches blur depth edges. Semi-global matching along the rows
(Hirschmueller, PAMI 2008, in OpenCV) keeps depth edges sharp and makes gross errors in untextured areas. It needs an
aligned pair and the disparity range that the flow gives. The two fail at different places, so their agreement is
evidence for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redweb_builder.matching.consistency import MATCHED_PX, disparity_of
from redweb_builder.types import BoolMap, FloatMap, Flow

SGM_GAIN_PX = 0.3  # semi-global matching is taken where its consistency error is smaller by at least this
TEXTURE_PX = 9  # side of the window that must have texture; in plain areas SGM interpolates along the row


@dataclass(frozen=True)
class Match:
    """The fused match of every left pixel, HxW float32 px each.

    disparity: larger = nearer, no NaN. error: forward-backward consistency error, infinite where the match does not lie
    on a valid part of the right view. disagreement: |disparity of the flow - disparity of semi-global matching|.
    """

    disparity: FloatMap
    error: FloatMap
    disagreement: FloatMap

    @property
    def consistent(self) -> BoolMap:
        """HxW bool: consistent to within MATCHED_PX."""
        return np.asarray(self.error <= MATCHED_PX)


def fuse_matches(flow: Flow, flow_error: FloatMap, sgm: Flow, sgm_error: FloatMap, textured: BoolMap) -> Match:
    """Take semi-global matching's match where there is texture and it is clearly more consistent, else the flow's.

    Clearly: its error is at most MATCHED_PX, and the flow's is above MATCHED_PX or larger by SGM_GAIN_PX.
    flow: optical flow of the pair. sgm: its matches along the rows (sgm_flow). flow_error, sgm_error: HxW float32 px,
    forward-backward errors, infinite where the match is not visible (consistency.visible_error). textured: HxW bool in
    the left frame, texture.textured with windows of TEXTURE_PX.
    """
    flow_is_worse = (flow_error > MATCHED_PX) | (flow_error >= sgm_error + SGM_GAIN_PX)
    take_sgm = (sgm_error <= MATCHED_PX) & flow_is_worse & textured
    of_flow, of_sgm = disparity_of(flow), disparity_of(sgm)
    disparity = np.where(take_sgm, of_sgm, of_flow)
    return Match(disparity, np.where(take_sgm, sgm_error, flow_error), np.abs(of_flow - of_sgm))
