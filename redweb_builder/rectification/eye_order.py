"""Which eye is which, told from the picture.

With the eyes exchanged every disparity changes its sign and the far becomes near. Geometry alone cannot tell: a scene
turned inside out casts the same flow. Three things can. Occlusion: a strip that only one view shows belongs to the
background, so in a left view it looks like what lies to its left, in a right view like what lies to its right.
Contours: the edge between a near and a far surface is the near one's and moves with it (Gibson, Kaplan, Reynolds and
Wheeler, 1969), so a step in the flow has the picture's edge on its near side. And most photographs are nearer at the
bottom.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.matching.consistency import PREVIEW_PX, disparity_of, forward_backward_error
from redweb_builder.rectification.quick_flow import Preview
from redweb_builder.types import FloatMap, Flow, PairSource, Picture

# An eye_order below these exchanges the eyes: of two files that people named, and of one file in which a camera, a
# stereo program or a word ("cross", "-rl") states the order. An order that nothing states is worth 0.
SWAPPED, SWAPPED_INSIDE = -0.1, -0.5
STRIP_PX = (3, 0.2)  # shortest strip in px, longest as a share of the width
BESIDE_PX = 4  # how much of the surface on each side is compared with the strip
MAX_VOTE = 60.0  # grey levels, three channels together; no single strip decides
DOUBT = 300.0  # votes that say nothing, added so that a handful of strips does not count as certain
LOWER_NEARER_WEIGHT = 0.5
CONTOUR_WEIGHT = 0.5
CONTOUR_PX = 4  # so far from a step in the flow its contour is looked for
CONTOUR_STEP = 1.0  # px; the least step in disparity
CONTOUR_DOUBT = 30.0  # contours that say nothing, as DOUBT
FAINT = 10.0  # grey levels, three channels together; a contour below says little
MIN_CONFIRMED = 0.1  # share of the picture below which rows and disparities are not correlated


def eye_order(look: Preview) -> float:
    """Positive: left is left; negative: the eyes are exchanged, which changes the sign. About 1 is certain."""
    mirrored = Preview(_flipped(look.right), _flipped(look.left), _mirrored(look.flow), look.shrink)
    occlusion = 0.0
    for votes, weight, doubt in ((_strip_votes, 1.0, DOUBT), (_contour_votes, CONTOUR_WEIGHT, CONTOUR_DOUBT)):
        votes_for, cast = np.add(votes(look.left, look.flow), votes(mirrored.left, mirrored.flow))
        occlusion += weight * float(votes_for / (cast + doubt))
    return occlusion + LOWER_NEARER_WEIGHT * lower_nearer(look.flow)


def are_eyes_swapped(source: PairSource, score: float) -> bool:
    """Whether an eye order of this score speaks against the order in which a source has its eyes."""
    if source.guessed and not source.order_stated:
        return score < 0
    return score < (SWAPPED if source.layout == "files" else SWAPPED_INSIDE)


def lower_nearer(flow: Flow) -> float:
    """Correlation of row and disparity over confirmed pixels, in [-1, 1]; 0 where there is nothing to correlate.

    The top third is left out: ceilings and crowns of trees come nearer again towards the top.
    """
    confirmed = forward_backward_error(flow) <= PREVIEW_PX
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
    confirmed = forward_backward_error(flow) <= PREVIEW_PX
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


def _contour_votes(view: Picture, flow: Flow) -> tuple[float, float]:
    """Votes for "the contour of this step is on its near side" less those for the far side; and all votes.

    Steps are looked for along rows; a vote is the contrast of the strongest edges on both sides, at most 1.
    """
    disparity = cv2.medianBlur(disparity_of(flow), 5)
    edges = np.abs(np.gradient(cv2.GaussianBlur(view, (0, 0), 0.8).astype(np.float32), axis=1)).sum(axis=2)
    step = np.zeros_like(disparity)
    step[:, 1:-1] = disparity[:, 2:] - disparity[:, :-2]
    height = np.abs(step)
    highest = cv2.dilate(height, np.ones((1, 2 * CONTOUR_PX + 1), np.uint8))
    rows, at = np.nonzero((height >= highest) & (height > CONTOUR_STEP))
    inside = (at > 2 * CONTOUR_PX + 1) & (at < view.shape[1] - 2 * CONTOUR_PX - 2)
    rows, at = rows[inside], at[inside]
    if not at.size:
        return 0.0, 0.0
    away = np.arange(1, 2 * CONTOUR_PX + 1)
    on_right, on_left = (edges[rows[:, None], at[:, None] + side * away].max(axis=1) for side in (1, -1))
    votes = np.sign(step[rows, at]) * (on_right - on_left) / (on_right + on_left + FAINT)
    return float(votes.sum()), float(np.abs(votes).sum())


def _flipped(view: Picture) -> Picture:
    return np.ascontiguousarray(view[:, ::-1])


def _mirrored(flow: Flow) -> Flow:
    """The flow of the pair seen in a mirror, where right is left and left is right."""
    forward, backward = (
        np.ascontiguousarray(part[:, ::-1] * (-1, 1), np.float32) for part in (flow.backward, flow.forward)
    )
    return Flow(forward, backward)
