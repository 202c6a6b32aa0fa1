"""Why one picture does not hold the two eyes of a pair."""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.inputs.content.agreement import AGREEMENT, COLOUR_SHIFT, colour_shift
from redweb_builder.inputs.content.views import views_in_thirds
from redweb_builder.inputs.layout import NotPair
from redweb_builder.types import Picture

# Photographs have more levels than this; label maps, which repeat and so look like two views, have fewer.
MIN_LEVELS = 32
FLAT_SHARE = 0.93  # of a picture in its two commonest tones: above it, a drawing
FLAT_NEIGHBOURS = 0.8  # share of equal neighbours along the rows of a map
FLAT_COLOURS, FLAT_GREYS = 512, 64  # most colours, or grey levels, of a map; photographs in grey have up to 256 levels
PANORAMA = 2.5  # width to height
POLE_SPREAD = 12.0  # grey levels along the first and last row of a sphere, where every column is the same point
ONE_COLOUR = 0.99  # of a picture: above it, there is nothing to see in it
SEAM = 0.62  # above it, pictures were put together; see seam for the evidence
SEAM_REACH = 32  # px to each side


def why_no_pair(picture: Picture, size: tuple[int, int], beside: float, over: float, gap: bool) -> NotPair:
    """Why a picture whose halves do not agree is no pair.

    picture: HxWx3 uint8 RGB, may be reduced. size: (width, height) of the file. beside, over: how far its halves agree
    side by side, and one over the other. gap: a margin lies between its left and right half.
    """
    shifted = colour_shift(picture)
    if shifted >= COLOUR_SHIFT:
        return NotPair("anaglyph", f"red lies beside green and blue in {shifted:.0%} of it: an anaglyph")
    if gap or seam(picture) >= SEAM or seam(picture.transpose(1, 0, 2)) >= SEAM:
        return NotPair("collage", f"different pictures put together (agreement {max(beside, over):.2f})")
    if is_sphere(picture):
        return NotPair("panorama", "a 360-degree picture: closed sideways, one colour at each pole")
    several = views_in_thirds(picture)
    if several is not None:
        return several
    if max(size) >= PANORAMA * min(size):
        return NotPair("panorama", f"a wide panorama: its halves do not agree ({beside:.2f})")
    return NotPair(
        "single",
        f"a single view: its halves do not agree (side by side {beside:.2f}, "
        f"over-under {over:.2f}, {AGREEMENT} needed)",
    )


def seam(picture: Picture) -> float:
    """Share of the rows with an edge in one column in the very middle, higher than is usual beside it: 0 to 1.

    picture: HxWx3 uint8 RGB. Where two pictures were put together it is 0.7 to 1; of 866 single photographs, asked both
    ways, one passes 0.6 (the project's test data, JPEG). Edges of a scene are seldom that straight.
    """
    middle = picture.shape[1] // 2
    if middle < 2 * SEAM_REACH:
        return 0.0
    around = picture[:, middle - SEAM_REACH - 1 : middle + SEAM_REACH].astype(np.int16)
    steps = np.abs(np.diff(around, axis=1)).sum(axis=2)
    in_middle = slice(SEAM_REACH - 1, SEAM_REACH + 2)
    usual = np.median(np.delete(steps, in_middle, axis=1), axis=1)
    return float(np.mean(steps[:, in_middle] > (2 * usual + 6)[:, None], axis=0).max())


def is_drawing(picture: Picture) -> bool:
    """Whether a picture has too few tones for a photograph: a label map, a mask, a flat drawing."""
    tones = np.sort(np.bincount(picture[:, :, 1].ravel(), minlength=256))[::-1]
    return bool(np.count_nonzero(tones) < MIN_LEVELS or tones[:2].sum() > FLAT_SHARE * tones.sum())


def is_flat_map(picture: Picture) -> bool:
    """Whether a picture, HxWx3 uint8 RGB, is painted in a few flat colours, as segmentation maps are.

    Not where nearly all of it has one colour: that is a picture without texture. Asked of at most 64 rows of the
    picture as it is stored: reduced, or compressed as JPEG, a map has more colours.
    """
    rows = np.ascontiguousarray(picture[:: max(1, len(picture) // 64)])
    colours = rows[..., 0].astype(np.uint32) << 16 | rows[..., 1].astype(np.uint32) << 8 | rows[..., 2]
    equal = np.count_nonzero(colours[:, 1:] == colours[:, :-1]) / max(1, colours[:, 1:].size)
    values, counts = np.unique(colours, return_counts=True)
    if counts.max() > ONE_COLOUR * colours.size:
        return False
    grey = bool(np.all((values & 255) * 0x010101 == values))
    return bool(equal >= FLAT_NEIGHBOURS and 2 <= len(values) <= (FLAT_GREYS if grey else FLAT_COLOURS))


def is_sphere(picture: Picture) -> bool:
    """Whether a picture is a whole equirectangular sphere: 2 : 1, closed sideways, one colour at each pole."""
    height, width = picture.shape[:2]
    if abs(width - 2 * height) > 2:
        return False
    small = np.asarray(cv2.resize(picture, (256, 128), interpolation=cv2.INTER_AREA)).astype(np.float32)
    inside = float(np.abs(np.diff(small, axis=1)).mean())
    seam = float(np.abs(small[:, 0] - small[:, -1]).mean())
    poles = max(float(row.std(axis=0).max()) for row in (small[0], small[-1]))
    return seam <= max(2 * inside, 3.0) and poles <= POLE_SPREAD
