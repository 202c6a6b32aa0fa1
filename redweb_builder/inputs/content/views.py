"""Pictures of more than two views: quilts for lenticular displays, left-right-left triples, grids."""

from __future__ import annotations

import re
from itertools import pairwise

import cv2
import numpy as np

from redweb_builder.inputs.content.agreement import AGREEMENT, agreement
from redweb_builder.inputs.layout import NotPair
from redweb_builder.types import Picture

SURE = 0.5  # agreement of views inside what could be an eye; below, the scene is taken for one that repeats itself
MARGIN = 0.1  # they agree about as well as the halves do
THUMBNAIL = 96  # px; thirds are compared at this size first, since most pictures are single photographs
ALIKE = 0.4  # correlation of such thumbnails from which the thirds are compared block by block

_QUILT = re.compile(r"(?i)[-_ ]qs(\d{1,2})x(\d{1,2})a\d")  # Looking Glass: name_qs8x6a0.75
_TRIPLE = re.compile(r"(?i)(?:^|[-_. ])(lrl|rlr)$")


def named_views(stem: str) -> NotPair | None:
    """What a file name without extension says of more than two views; None where it says nothing. Nothing is opened.

    stem: the file's name without its extension.
    """
    quilt = _QUILT.search(stem)
    if quilt:
        return _views(f"a quilt of {quilt[1]} x {quilt[2]} views")
    return _views("three views beside each other (left-right-left)") if _TRIPLE.search(stem) else None


def views_in_thirds(picture: Picture) -> NotPair | None:
    """Whether a picture, HxWx3 uint8 RGB, whose halves do not agree is three views that do, in a row or a column."""
    across, down = picture.shape[1] // 3, picture.shape[0] // 3
    row = [picture[:, at * across : (at + 1) * across] for at in range(3)]
    column = [picture[at * down : (at + 1) * down] for at in range(3)]
    for thirds, text in ((row, "beside each other"), (column, "one over the other")):
        if all(_thumbnails_agree(*two) and agreement(*two) >= AGREEMENT for two in pairwise(thirds)):
            return _views(f"three views {text}")
    return None


def views_in_half(half: Picture, score: float) -> NotPair | None:
    """Whether what could be one eye is several views itself. half: HxWx3 uint8 RGB. score: how far the halves agree."""
    height, width = half.shape[0] // 2, half.shape[1] // 2
    inside = (half[:, :width], half[:, -width:]), (half[:height], half[-height:])
    if max(agreement(*two) for two in inside) >= max(SURE, score - MARGIN):
        return _views("a grid or row of four or more views (a quilt)")
    return None


def _views(what: str) -> NotPair:
    return NotPair("many-views", f"{what}; cut two neighbours out, left eye first, and name that file -lr")


def _thumbnails_agree(first: Picture, second: Picture) -> bool:
    """Whether the middle of one picture is somewhere near the middle of the other, at thumbnail size."""
    small_first, small_second = (
        np.asarray(
            cv2.resize(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        )
        for view in map(np.ascontiguousarray, (first, second))
    )
    edge = THUMBNAIL // 6
    middle = small_first[edge // 2 : -edge // 2, edge:-edge]
    return float(np.nan_to_num(cv2.matchTemplate(small_second, middle, cv2.TM_CCOEFF_NORMED)).max()) >= ALIKE
