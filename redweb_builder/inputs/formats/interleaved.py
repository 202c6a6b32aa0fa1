"""Two views whose rows, columns or squares alternate in one picture, as row-polarised and plasma screens show them."""

from __future__ import annotations

import numpy as np

from redweb_builder.types import Picture

# How much more neighbours differ than those two apart: below 0.8 in 150 photographs, 2.0 in interleaved ones.
ALTERNATING = 1.2


def interleaved(picture: Picture) -> str | None:
    """How two views alternate in a picture: "row-interleaved", "column-interleaved", "checkerboard"; None: not at all.

    picture: HxWx3 uint8 RGB, as stored: reduced, the alternation is gone. In a photograph neighbouring pixels differ
    less than those two apart; where views alternate it is the other way round.
    """
    grey = picture[:, :, 1].astype(np.int16)
    rows, columns = alternates(grey), alternates(grey.T)
    if rows and columns:
        return "checkerboard"
    return "row-interleaved" if rows else "column-interleaved" if columns else None


def alternates(grey: np.ndarray) -> bool:
    """Whether the rows of an array differ more from their neighbours than from those two apart.

    grey: along its first axis rows, or frames of a film; grey levels.
    """
    return _difference(grey[1:], grey[:-1]) > ALTERNATING * _difference(grey[2:], grey[:-2])


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference, grey levels; at least 1, so that flat pictures do not count."""
    return max(1.0, float(np.abs(first - second).mean())) if first.size else 1.0
