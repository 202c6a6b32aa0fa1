"""How far a label can be believed, pixel by pixel: witnesses that fail at different places.

A pixel is sure where its disparity leads back to where it came from, lies on the surface around it, and flow and row
matching agree on it, there and around. Every witness is an error in px; they are combined as a geometric mean, so
that one bad error does not count for more than several middling ones.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.match import Match
from redweb_builder.types import FloatMap

AROUND_PX = 7
LEAST_PX, MOST_PX = 0.05, 10.0  # errors are told apart between these
REFERENCE_PX = 768  # longer side of the picture whose pixels doubt is given in
GROWTH = 0.65  # errors grow with this power of a picture's size, by the benchmark: matching is finer on large ones


def doubt_of(match: Match, surface: FloatMap) -> FloatMap:
    """HxW float32, the typical error that the witnesses tell of, in px of a picture REFERENCE_PX long.

    surface: HxW float32 px, NaN where there is none.
    """
    off = _error(surface - match.disparity)
    disagreement = _error(match.disagreement)
    witnesses = (_error(match.error), off, _around(off), disagreement, _around(disagreement))
    mean = np.mean([np.log(error + LEAST_PX) for error in witnesses], 0)
    return np.asarray(np.exp(mean) * (REFERENCE_PX / max(surface.shape)) ** GROWTH, np.float32)


def confidence_of(doubt: FloatMap) -> NDArray[np.uint8]:
    """HxW uint8, 255 = no doubt, 128 = 1 px of it: 255 / (1 + doubt)."""
    return np.round(255 / (1 + doubt)).astype(np.uint8)


def _error(difference: FloatMap) -> FloatMap:
    return np.asarray(np.minimum(np.nan_to_num(np.abs(difference), nan=MOST_PX), MOST_PX), np.float32)


def _around(error: FloatMap) -> FloatMap:
    mean: FloatMap = cv2.blur(error, (AROUND_PX, AROUND_PX))
    return mean
