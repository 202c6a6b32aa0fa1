"""What is not photograph around a photograph: mounts of stereo cards, coloured borders, black bars, gaps, round masks.

Four things tell a margin from a white sky or a black night. It is one colour. Its inner edge is straight, or a rounded
corner. It comes on two opposite sides. And it lies at the same place in both eyes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import BoolMap, FloatMap, Picture

MIN_DEPTH = 2  # px; a thinner line is what scaling and JPEG leave at an edge
MAX_DEPTH = 0.4  # of the side
SMALLEST = 32  # px; nothing is cropped below this
LINES = 500  # as many are looked at on a side
RIM = 0.85  # share of the lines of a margin, free of print, that has its colour
HELD = 0.5  # share of every line of a margin that has its colour; the rest is print
SLACK = 0.01  # of the side: a margin's edge is so crooked at most
DRAWN_TOLERANCE, PAPER_TOLERANCE = 14.0, 28.0  # grey levels from a margin's colour
DRAWN_FALL, PAPER_FALL = 0.6, 0.75  # the photograph's share of the colour relative to the margin's, at most
SUPPORT = 44.0  # grey levels between margins that face each other
PAPER_WORN = 0.015  # of the side: so much of a card's outer edge is worn, and so crooked is its inner edge
PRINT = 0.08  # of the side: as wide as a line of print on a mount is, at most
CORNER_AREA = (0.002, 0.2)  # of the picture
CORNER_FIT = 0.7  # intersection over union with an ideal rounded corner
CORNER_LIKENESS = 2.0  # ratio of the legs of two corners that belong together, at most
STRIP = 0.1  # of the side: what is left of a straight margin beside a rounded corner, at most
CORNER_TOLERANCE = 24.0  # grey levels
GRID = 96  # px; round masks are cut on a picture of this size

_SIDES = ("left", "top", "right", "bottom")
_OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


@dataclass(frozen=True)
class Box:
    """A rectangle in px: left and top inside it, right and bottom outside."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def whole(cls, picture: Picture) -> Box:
        """All of a picture."""
        return cls(0, 0, picture.shape[1], picture.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.right - self.left, self.bottom - self.top

    def cut(self, picture: Picture) -> Picture:
        """This part of a picture."""
        return picture[self.top : self.bottom, self.left : self.right]

    def within(self, outer: Box) -> Box:
        """A box measured in `outer`, in the coordinates that `outer` is measured in."""
        return Box(outer.left + self.left, outer.top + self.top, outer.left + self.right, outer.top + self.bottom)


@dataclass(frozen=True)
class _Edge:
    """The straight inner edge of a margin: its depth in px, its colour."""

    depth: int
    colour: NDArray[np.float32]


@dataclass(frozen=True)
class _Corner:
    """A round corner of a mask, in cells of the GRID: the region outside the photograph, and the legs' lengths."""

    region: BoolMap
    across: int
    down: int

    def is_like(self, other: _Corner) -> bool:
        """Whether two corners are of about one size."""
        legs = ((self.across, other.across), (self.down, other.down))
        return all(max(pair) <= CORNER_LIKENESS * min(pair) for pair in legs)


def inside_margin(picture: Picture) -> Box:
    """The part of one picture that straight margins leave; all of it where it has none.

    picture: HxWx3 uint8 RGB. A margin counts where the opposite side has one of the same colour.
    """
    return _crop_margins([picture])[0]


def inside_mount(first: Picture, second: Picture) -> tuple[Box, Box]:
    """The photographs of two eyes inside mounts, borders, bars and round masks: a box an eye, equal in size.

    first, second: HxWx3 uint8 RGB, equal in size. Both whole where there is no mount. A margin counts where the
    opposite side, of the same eye or of the other, has one of the same colour. Rows are the same in both eyes; columns
    may differ, as a card's two photographs lie at different distances from the middle.
    """
    boxes = _crop_margins([first, second])
    width = min(box.right - box.left for box in boxes)
    top, bottom = max(box.top for box in boxes), min(box.bottom for box in boxes)
    first_box, second_box = (
        Box(left, top, left + width, bottom) for left in (box.left + (box.size[0] - width) // 2 for box in boxes)
    )
    free = _inside_mask(first_box.cut(first), second_box.cut(second))
    return free.within(first_box), free.within(second_box)


def _crop_margins(eyes: Sequence[Picture]) -> list[Box]:
    """Straight margins taken off round by round: a scan's white rim, then the card's mount."""
    boxes = [Box.whole(eye) for eye in eyes]
    if min(min(box.size) for box in boxes) < SMALLEST:
        return boxes
    for _ in range(4):
        parts = [box.cut(eye) for box, eye in zip(boxes, eyes, strict=True)]
        inner = [part.within(box) for part, box in zip(_without_margins(parts), boxes, strict=True)]
        if inner == boxes or min(min(box.size) for box in inner) < SMALLEST:
            break
        boxes = inner
    return boxes


def _without_margins(eyes: Sequence[Picture]) -> list[Box]:
    """One round: drawn margins, each of which the opposite side supports; else the mount of a scanned card."""
    drawn = [{side: _drawn_edge(eye, side) for side in _SIDES} for eye in eyes]
    depths = [
        {side: edge.depth for side, edge in own.items() if edge and _supported(side, edge, eye, drawn)}
        for eye, own in zip(eyes, drawn, strict=True)
    ]
    if not any(depths):
        paper = _paper_edges(eyes)
        if _surrounds(paper):
            depths = [{side: edge.depth for side, edge in own.items()} for own in paper]
    return [_remaining_box(eye, own) for eye, own in zip(eyes, depths, strict=True)]


def _remaining_box(eye: Picture, depths: Mapping[str, int]) -> Box:
    left, top, right, bottom = (depths.get(side, 0) for side in _SIDES)
    return Box(left, top, eye.shape[1] - right, eye.shape[0] - bottom)


def _supported(side: str, edge: _Edge, eye: Picture, edges: Sequence[Mapping[str, _Edge | None]]) -> bool:
    """Whether the opposite side has a margin of this colour too, in either eye, or both its corners the colour."""
    across = [other[_OPPOSITE[side]] for other in edges]
    if any(far and np.abs(far.colour - edge.colour).max() <= SUPPORT for far in across):
        return True
    corners = _turned(eye, _OPPOSITE[side])[[0, 1, -2, -1], :2].astype(np.float32)
    return bool(np.abs(corners - edge.colour).max() <= DRAWN_TOLERANCE)


def _turned(eye: Picture, side: str) -> Picture:
    """The picture as seen with one side on the left: columns are counted from that side."""
    if side in ("top", "bottom"):
        eye = eye.transpose(1, 0, 2)
    return eye[:, ::-1] if side in ("right", "bottom") else eye


def _drawn_edge(eye: Picture, side: str) -> _Edge | None:
    """The straight edge of a margin of one exact colour on one side; None where there is none.

    Looked at is the share of each line, parallel to the side, that has the colour of the rim. A margin keeps most of
    its lines (the rest is print) and the share falls at once where the photograph begins.
    """
    lines = _turned(eye, side)
    strip = lines[:: max(1, len(lines) // LINES), : max(4 * MIN_DEPTH, round(MAX_DEPTH * lines.shape[1]))]
    colour = np.median(strip[:, :MIN_DEPTH].reshape(-1, 3), axis=0).astype(np.float32)
    # Most pictures have no margin; one line of pixels shows it.
    if _share_of(colour, strip[:, :1], DRAWN_TOLERANCE)[0] < RIM:
        return None
    share = _share_of(colour, strip, DRAWN_TOLERANCE)
    slack = max(2, round(SLACK * lines.shape[1]))
    ends = np.flatnonzero(share < HELD)
    if not ends.size or ends[0] < MIN_DEPTH or ends[0] + slack >= share.size:
        return None
    end = int(ends[0])
    before, level = share[max(0, end - slack)], share[end + slack : end + 2 * slack].mean()
    if level > DRAWN_FALL * before:
        return None
    return _Edge(_photo_start(share, end, before, level, slack), colour)


def _paper_edge(eye: Picture, side: str) -> _Edge | None:
    """The straight edge of a scanned mount on one side: paper that is worn, printed on, and as dark as a photograph.

    The last line free of print is followed by a fall from which the share does not come back, for longer than a line
    of print is wide.
    """
    lines = _turned(eye, side)
    rim = round(PAPER_WORN * lines.shape[1])
    strip = lines[:: max(1, len(lines) // LINES), rim : round(MAX_DEPTH * lines.shape[1])]
    slack, print_width = max(2, round(PAPER_WORN * lines.shape[1])), round(PRINT * lines.shape[1])
    outer = strip[::4, : 4 * slack]
    colour = np.median(outer.reshape(-1, 3), axis=0).astype(np.float32)
    if _share_of(colour, outer, PAPER_TOLERANCE).mean() < HELD:
        return None
    share = _share_of(colour, strip, PAPER_TOLERANCE)
    for end in np.flatnonzero((share[:-1] >= RIM) & (share[1:] < RIM)) + 1:
        if end + print_width >= share.size or np.mean(share[:end] < HELD) > 0.1:
            return None
        before, level = share[max(0, end - slack) : end].max(), share[end + slack : end + 2 * slack].mean()
        if share[end + slack : end + print_width].max() <= PAPER_FALL * before:
            return _Edge(rim + _photo_start(share, int(end), before, level, slack), colour)
    return None


def _paper_edges(eyes: Sequence[Picture]) -> list[dict[str, _Edge]]:
    """The edges of a scanned mount by side, an eye each; the search ends where two sides have none in either eye."""
    edges: list[dict[str, _Edge]] = [{} for _ in eyes]
    without = 0
    for side in _SIDES:
        for eye, own in zip(eyes, edges, strict=True):
            if edge := _paper_edge(eye, side):
                own[side] = edge
        without += not any(side in own for own in edges)
        if without > 1:
            break
    return edges


def _surrounds(edges: Sequence[Mapping[str, _Edge]]) -> bool:
    """Whether edges make up the mount of a card: of one colour, on three sides, a side in either eye."""
    margins = [(side, edge.colour) for own in edges for side, edge in own.items()]
    alike = all(np.abs(first - second).max() <= PAPER_TOLERANCE for _, first in margins for _, second in margins)
    return alike and len({side for side, _ in margins}) >= 3


def _photo_start(share: FloatMap, end: int, before: float, level: float, slack: int) -> int:
    """Where the photograph begins behind the fall at `end`: the first line that is at the photograph's level."""
    there = np.flatnonzero(share[end : end + slack + 1] <= level + 0.1 * (before - level))
    return end + (int(there[0]) if there.size else slack) + 1


def _share_of(colour: NDArray[np.float32], strip: Picture, tolerance: float) -> FloatMap:
    """The share of every column that lies within the tolerance of a colour."""
    lowest, highest = np.ceil(colour - tolerance), np.floor(colour + tolerance)
    alike = cv2.inRange(np.ascontiguousarray(strip), lowest.astype(np.float64), highest.astype(np.float64))
    return np.asarray(cv2.reduce(alike, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0] / (255 * len(alike)), np.float32)


def _inside_mask(first: Picture, second: Picture) -> Box:
    """The largest rectangle inside a round mask (rounded corners, an arched top, an oval) that both eyes have."""
    height, width = first.shape[:2]
    small = [np.asarray(cv2.resize(eye, (GRID, GRID), interpolation=cv2.INTER_AREA)) for eye in (first, second)]
    corners = [[_corner(eye, number) for number in range(4)] for eye in small]
    masked = np.zeros((GRID, GRID), np.bool_)
    for number in range(4):
        left, right, beside = corners[0][number], corners[1][number], corners[0][number ^ 1]
        if left and right and beside and left.is_like(right) and left.is_like(beside):
            masked |= left.region | right.region
    if not masked.any():
        return Box.whole(first)
    free = _largest_rectangle(~cv2.dilate(masked.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_))
    return Box(
        -(-free.left * width // GRID),
        -(-free.top * height // GRID),
        free.right * width // GRID,
        free.bottom * height // GRID,
    )


def _corner(eye: Picture, number: int) -> _Corner | None:
    """The one-coloured region in a corner (0 top left, 1 top right, 2 bottom left, 3 bottom right) if it is round."""
    flipped = eye[:: -1 if number >= 2 else 1, :: -1 if number % 2 else 1]
    smooth = np.ascontiguousarray(flipped)
    seen = np.zeros((GRID + 2, GRID + 2), np.uint8)
    reach = (CORNER_TOLERANCE,) * 3
    flags = 8 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
    cv2.floodFill(smooth, seen, (0, 0), (0, 0, 0), reach, reach, flags)
    region = seen[1:-1, 1:-1].astype(np.bool_)
    region[GRID // 2 :] = region[:, GRID // 2 :] = False
    quarter = region[: GRID // 2, : GRID // 2]
    top, left = int(quarter.all(axis=1).argmin()), int(quarter.all(axis=0).argmin())
    round_part = region[top:, left:]
    share = np.count_nonzero(round_part) / region.size
    if max(top, left) > STRIP * GRID or not CORNER_AREA[0] <= share <= CORNER_AREA[1]:
        return None
    across, down = int(round_part[0].argmin()), int(round_part[:, 0].argmin())
    if not (across > 0 and down > 0):
        return None
    fits = (_overlap(round_part, ideal[: GRID - top, : GRID - left]) for ideal in _ideal_corners(across, down))
    if max(fits) < CORNER_FIT:
        return None
    return _Corner(np.asarray(region[:: -1 if number >= 2 else 1, :: -1 if number % 2 else 1]), across, down)


def _ideal_corners(across: int, down: int) -> tuple[BoolMap, BoolMap]:
    """What a quarter of an ellipse, and half an arch (a parabola), leave free in a corner with such legs."""
    y, x = np.mgrid[:GRID, :GRID].astype(np.float32) + 0.5
    u, v = 1 - x / across, 1 - y / down
    inside = (u > 0) & (v > 0)
    return inside & (u * u + v * v > 1), inside & (1 - v < u * u)


def _overlap(first: BoolMap, second: BoolMap) -> float:
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second)) / union if union else 0.0


def _largest_rectangle(free: BoolMap) -> Box:
    """The largest rectangle of True cells: for every row, how far the columns reach up, and the least of a run."""
    height, width = free.shape
    heights = np.zeros(width, np.int64)
    first, last = np.ogrid[:width, :width]  # columns of a run
    best, area = Box(0, 0, width, height), 0
    for row in range(height):
        heights = np.where(free[row], heights + 1, 0)
        lowest = np.minimum.accumulate(np.where(last < first, height, heights), axis=1)
        areas = lowest * (last - first + 1)
        left, right = (int(at) for at in np.unravel_index(areas.argmax(), areas.shape))
        if areas[left, right] > area:
            area = int(areas[left, right])
            best = Box(left, row + 1 - int(lowest[left, right]), right + 1, row + 1)
    return best
