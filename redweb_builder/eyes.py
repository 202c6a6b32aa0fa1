"""Which eye is which, told from the picture.

With the eyes exchanged every disparity changes its sign and the far becomes near. Geometry alone cannot tell: a scene
turned inside out casts the same flow. Two things can. First, occlusion: a strip that only one view shows belongs to the
background, so in a left view it looks like what lies to its left, in a right view like what lies to its right. Second,
most photographs are nearer at the bottom.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.disparity import disparity_of, round_trip_error
from redweb_builder.quick import QuickLook
from redweb_builder.types import FloatMap, Flow, PairSource, Picture

SWAPPED = -0.1  # an eye_order below this exchanges eyes whose order the source states; a guessed order is worth 0
AGREE_PX = 1.0
STRIP_PX = (3, 0.2)  # shortest strip in px, longest as a share of the width
BESIDE_PX = 4  # how much of the surface on each side is compared with the strip
MAX_VOTE = 60.0  # grey levels, three channels together; no single strip decides
DOUBT = 300.0  # votes that say nothing, added so that a handful of strips does not count as certain
LOWER_NEARER_WEIGHT = 0.5
MIN_CONFIRMED = 0.1  # share of the picture below which rows and disparities are not correlated


def eye_order(look: QuickLook) -> float:
    """Positive: left is left; negative: the eyes are exchanged, which changes the sign. About 1 is certain."""
    mirrored = QuickLook(_flipped(look.right), _flipped(look.left), _mirrored(look.flow), look.shrink)
    for_left, of_left = _strip_votes(look.left, look.flow)
    for_right, of_right = _strip_votes(mirrored.left, mirrored.flow)
    strips = (for_left + for_right) / (of_left + of_right + DOUBT)
    return strips + LOWER_NEARER_WEIGHT * lower_nearer(look.flow)


def is_exchanged(source: PairSource, score: float) -> bool:
    """Whether an eye order of this score speaks against the order in which a source has its eyes."""
    return score < (0 if source.guessed and not source.order_stated else SWAPPED)


def lower_nearer(flow: Flow) -> float:
    """Correlation of row and disparity over confirmed pixels, in [-1, 1]; 0 where there is nothing to correlate.

    The top third is left out: ceilings and crowns of trees come nearer again towards the top.
    """
    confirmed = round_trip_error(flow) <= AGREE_PX
    confirmed[: len(confirmed) // 3] = False
    rows, _ = np.nonzero(confirmed)
    values = disparity_of(flow)[confirmed]
    if values.size < max(100, MIN_CONFIRMED * confirmed.size):
        return 0.0
    values = np.clip(values, *np.percentile(values, (2, 98)))
    if values.std() < 1e-3 or rows.std() == 0:
        return 0.0
    return float(np.corrcoef(rows, values)[0, 1])


def _strip_votes(view: Picture, flow: Flow) -> tuple[float, float]:
    """Votes for "this strip continues what is to its left" less those for its right; and all votes, in grey levels.

    A strip is a run of unconfirmed pixels in a row whose length is what the step in disparity across it explains.
    """
    confirmed = round_trip_error(flow) <= AGREE_PX
    width = confirmed.shape[1]
    edges = np.diff(np.pad(confirmed, ((0, 0), (1, 1)), constant_values=True).astype(np.int8), axis=1)
    rows, start = np.nonzero(edges == -1)
    _, stop = np.nonzero(edges == 1)
    length = stop - start
    usable = (start >= BESIDE_PX) & (stop <= width - BESIDE_PX)
    usable &= (length >= STRIP_PX[0]) & (length <= STRIP_PX[1] * width)
    rows, start, stop, length = rows[usable], start[usable], stop[usable], length[usable]
    disparity = disparity_of(flow)
    step = disparity[rows, stop] - disparity[rows, start - 1]
    explained = (step > 2) & (np.abs(length - step) < np.maximum(2, 0.35 * step))
    rows, start, stop = rows[explained], start[explained], stop[explained]
    sums = np.pad(np.cumsum(cv2.GaussianBlur(view, (0, 0), 0.7).astype(np.float32), axis=1), ((0, 0), (1, 0), (0, 0)))

    def colour(first: NDArray[np.int64], last: NDArray[np.int64]) -> FloatMap:
        return np.asarray((sums[rows, last] - sums[rows, first]) / (last - first)[:, None], np.float32)

    strip = colour(start + 1, np.maximum(stop - 1, start + 2))
    unlike_left = np.abs(strip - colour(start - BESIDE_PX, start)).sum(1)
    unlike_right = np.abs(strip - colour(stop, stop + BESIDE_PX)).sum(1)
    votes = np.clip(unlike_right - unlike_left, -MAX_VOTE, MAX_VOTE)
    return float(votes.sum()), float(np.abs(votes).sum())


def _flipped(view: Picture) -> Picture:
    return np.ascontiguousarray(view[:, ::-1])


def _mirrored(flow: Flow) -> Flow:
    """The flow of the pair seen in a mirror, where right is left and left is right."""
    forward, backward = (
        np.ascontiguousarray(part[:, ::-1] * (-1, 1), np.float32) for part in (flow.backward, flow.forward)
    )
    return Flow(forward, backward)
