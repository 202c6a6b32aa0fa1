"""A quick look at a pair before the real flow: small views and their DIS flow, for eye order and alignment."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from redweb_builder.matching.consistency import reversed_flow
from redweb_builder.matching.dis import Displacement, dis_flow, displacement, surer
from redweb_builder.types import Flow, Picture

SIDE = 448
ITERATIONS = 8
PATCH_STRIDE = 3


@dataclass(frozen=True)
class QuickLook:
    """left, right: hxwx3 uint8, longer side at most SIDE. flow: between them. shrink: their size over the pair's."""

    left: Picture
    right: Picture
    flow: Flow
    shrink: float

    def swapped(self) -> QuickLook:
        """The same look with the eyes exchanged."""
        return QuickLook(self.right, self.left, reversed_flow(self.flow), self.shrink)


def quick_look(left: Picture, right: Picture) -> QuickLook:
    """Reduce two HxWx3 uint8 views and match them in both directions."""
    height, width = left.shape[:2]
    shrink = min(1.0, SIDE / max(height, width))
    size = (max(16, round(width * shrink)), max(16, round(height * shrink)))
    small = [cv2.resize(view, size, interpolation=cv2.INTER_AREA) for view in (left, right)]
    one, other = (cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) for view in small)
    flow = both_ways(one, other, (0, 0))
    if start := displacement(one, other):
        flow = surer(flow, both_ways(one, other, start))
    return QuickLook(small[0], small[1], flow, shrink)


def both_ways(left: Picture, right: Picture, start: Displacement) -> Flow:
    """A quick flow between two HxW uint8 views in both directions, begun at a displacement of the right one."""
    forward = dis_flow(left, right, PATCH_STRIDE, ITERATIONS, start)
    return Flow(forward, dis_flow(right, left, PATCH_STRIDE, ITERATIONS, (-start[0], -start[1])))
