"""Which eye is which in a film: asked of frames from all over it, answered once for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from redweb_builder.inputs.read import read_pair
from redweb_builder.matching.dis import one_opencv_thread
from redweb_builder.rectification.eye_order import eye_order
from redweb_builder.rectification.quick_flow import SIDE, quick_look
from redweb_builder.types import InputError, PairSource

ASKED = 7


def film_order(frames: Sequence[PairSource]) -> float:
    """The mean eye_order (eyes.py) of at most ASKED frames of a film, spread over it; 0 where none can be read."""
    scores = []
    every = max(1, -(-len(frames) // ASKED))
    with one_opencv_thread():
        for frame in frames[every // 2 :: every]:
            try:
                pair = read_pair(frame, SIDE)
            except InputError:
                continue
            scores.append(eye_order(quick_look(pair.left, pair.right)))
    return sum(scores) / len(scores) if scores else 0.0
