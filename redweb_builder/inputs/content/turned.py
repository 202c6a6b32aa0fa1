"""An eye that stands on its head or is mirrored: rigs with a camera upside down, or with a mirror."""

from __future__ import annotations

import numpy as np

from redweb_builder.inputs.content.agreement import AGREEMENT, agreement
from redweb_builder.types import Picture

_TURNS = (
    ("stands on its head", (slice(None, None, -1), slice(None, None, -1))),
    ("is mirrored left to right", (slice(None), slice(None, None, -1))),
    ("is mirrored top to bottom", (slice(None, None, -1), slice(None))),
)


def how_turned(left: Picture, right: Picture) -> str:
    """How one of two eyes is turned against the other, in words; empty where they agree as they are, or not at all.

    left, right: HxWx3 uint8 RGB, equal in size. Which of the two is upright cannot be seen.
    """
    if agreement(left, right) >= AGREEMENT:
        return ""
    scores = {text: agreement(left, np.ascontiguousarray(right[turn])) for text, turn in _TURNS}
    text = max(scores, key=lambda text: scores[text])
    return text if scores[text] >= AGREEMENT else ""
