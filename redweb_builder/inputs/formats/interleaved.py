"""Two views whose rows, columns or squares alternate in one picture, as row-polarised and plasma screens show them."""

from __future__ import annotations

import numpy as np

from redweb_builder.inputs.layout import NotPair
from redweb_builder.types import Picture

# How much more neighbours differ than those two apart: below 0.8 in 150 photographs, 2.0 in interleaved ones.
ALTERNATING = 1.2
_CONVERT = "half of each view is lost; export it side by side from the program that made it"


def interleaved(picture: Picture) -> NotPair | None:
    """Why a picture of alternating views is no pair; None for every other.

    picture: HxWx3 uint8 RGB, as stored: reduced, the alternation is gone. In a photograph neighbouring pixels differ
    less than those two apart; where views alternate it is the other way round.
    """
    grey = picture[:, :, 1].astype(np.int16)
    rows = _difference(grey[1:], grey[:-1]) > ALTERNATING * _difference(grey[2:], grey[:-2])
    columns = _difference(grey[:, 1:], grey[:, :-1]) > ALTERNATING * _difference(grey[:, 2:], grey[:, :-2])
    if rows and columns:
        return NotPair("interlaced", f"two views mixed in a checkerboard: {_CONVERT}")
    if rows or columns:
        lines = "rows" if rows else "columns"
        return NotPair("interlaced", f"the {lines} of two views alternate ({lines[:-1]}-interleaved): {_CONVERT}")
    return None


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference, grey levels; at least 1, so that flat pictures do not count."""
    return max(1.0, float(np.abs(first - second).mean())) if first.size else 1.0
