"""The preview of a pair: reduced views and their DIS flow, from which eye order and alignment are estimated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from redweb_builder.matching.consistency import forward_backward_error, reversed_flow
from redweb_builder.matching.dis import best_start, quick_flow, reduced
from redweb_builder.matching.texture import grey_levels
from redweb_builder.types import FloatMap, Flow, Picture

SIDE = 448  # px, longer side of the reduced views


@dataclass(frozen=True)
class Preview:
    """Reduced views and their flow.

    left, right: hxwx3 uint8 RGB, longer side at most SIDE. flow: between them, in both directions, px of these views.
    scale: their size over that of the full views, in (0, 1]. far_apart: the flow is that from the global shift.
    """

    left: Picture
    right: Picture
    flow: Flow
    scale: float
    far_apart: bool = False

    @cached_property
    def error(self) -> FloatMap:
        """The forward-backward error of the flow, hxw float32 px, infinite where a match leaves the right view."""
        return forward_backward_error(self.flow)

    def swapped(self) -> Preview:
        """The same preview with its eyes exchanged."""
        return replace(self, left=self.right, right=self.left, flow=reversed_flow(self.flow))


def preview_flow(left: Picture, right: Picture) -> Preview:
    """Reduce two views and match them by DIS in both directions, from zero flow or from the global shift.

    left, right: HxWx3 uint8 RGB of equal size.
    """
    small, scale = reduced((left, right), SIDE)
    grey_left, grey_right = (grey_levels(view) for view in small)
    start = best_start(grey_left, grey_right)
    return Preview(small[0], small[1], quick_flow(grey_left, grey_right, start), scale, far_apart=start != (0, 0))
