"""A quick look at a pair before the real flow: small views and their DIS flow, for eye order and alignment."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from redweb_builder.matching.consistency import reversed_flow
from redweb_builder.matching.dis import Shift, dis_flow, estimate_global_shift, more_consistent
from redweb_builder.types import Flow, Picture

SIDE = 448
ITERATIONS = 8
PATCH_STRIDE = 3


@dataclass(frozen=True)
class Preview:
    """left, right: hxwx3 uint8, longer side at most SIDE. flow: between them. shrink: their size over the pair's."""

    left: Picture
    right: Picture
    flow: Flow
    shrink: float

    def swapped(self) -> Preview:
        """The same look with the eyes exchanged."""
        return Preview(self.right, self.left, reversed_flow(self.flow), self.shrink)


def preview_flow(left: Picture, right: Picture) -> Preview:
    """Reduce two HxWx3 uint8 views and match them in both directions."""
    height, width = left.shape[:2]
    shrink = min(1.0, SIDE / max(height, width))
    size = (max(16, round(width * shrink)), max(16, round(height * shrink)))
    small = [cv2.resize(view, size, interpolation=cv2.INTER_AREA) for view in (left, right)]
    one, other = (cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) for view in small)
    flow = both_ways(one, other, (0, 0))
    if start := estimate_global_shift(one, other):
        flow = more_consistent(flow, both_ways(one, other, start))
    return Preview(small[0], small[1], flow, shrink)


def both_ways(left: Picture, right: Picture, start: Shift) -> Flow:
    """A quick flow between two HxW uint8 views in both directions, begun at a displacement of the right one."""
    forward = dis_flow(left, right, PATCH_STRIDE, ITERATIONS, start)
    return Flow(forward, dis_flow(right, left, PATCH_STRIDE, ITERATIONS, (-start[0], -start[1])))
