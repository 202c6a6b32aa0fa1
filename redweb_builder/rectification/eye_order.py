"""Eye order: which of two views is the left eye's, estimated from the pictures.

With the eyes exchanged every disparity changes its sign, and far becomes near. Geometry alone does not show it: a scene
turned inside out has the same flow. Three cues do, and a fourth where there is a monocular depth network.

* Occlusion: a strip that only one view shows belongs to the background. In a left view the strip has the colour of what
  lies to its left, in a right view the colour of what lies to its right.
* Contours: the edge between a near and a far surface belongs to the near one and moves with it (Gibson, Kaplan,
  Reynolds and Wheeler, 1969). So the picture's edge lies on the near side of a step in the flow.
* Height: in most photographs lower rows are nearer.
* Depth: the network's depth of the left view agrees with the disparity, or with its opposite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.errors import StoreError
from redweb_builder.inputs.read import read_pair
from redweb_builder.matching.consistency import PREVIEW_PX, disparity_of
from redweb_builder.matching.quick_flow import SIDE, Preview, preview_flow
from redweb_builder.monocular.agreement import concordance
from redweb_builder.process import available_cores, one_opencv_thread
from redweb_builder.types import FloatMap, Flow, PairSource, Picture

if TYPE_CHECKING:
    from redweb_builder.monocular.estimator import DepthEstimator  # torch takes seconds

Ask: TypeAlias = Callable[[PairSource, int], float]  # a source and the side in px at which it is read -> its score

# Log odds that the eyes are as the source has them: of a picture, for each 1.0 of its score (logistic regression on one
# half of 276 pairs: 8.0; on the other half: 10.5), and the most that one picture counts for.
LOG_ODDS, MOST_LOG_ODDS = 8.0, 6.0
STATED_BY_NAMES = 0.8  # log odds of two files, whose names state the order, before any picture is asked
STATED_INSIDE = 4.0  # log odds of one file whose order a camera, a stereo program or a word ("cross", "-rl") states

# The occlusion cue, of weight 1.
STRIP_PX, STRIP_SHARE = 3, 0.2  # shortest strip, px, and longest strip, share of the width
BESIDE_PX = 4  # width of the surface on each side that the strip is compared with
MAX_VOTE = 60.0  # grey levels, sum of three channels; limits the vote of one strip
NEUTRAL_VOTES = 300.0  # grey levels added to the sum of all votes, so that a handful of strips is not certain

# The contour cue.
CONTOUR_WEIGHT = 0.5
CONTOUR_PX = 4  # distance from a step in the flow within which its contour lies
CONTOUR_STEP = 1.0  # px, least step in disparity
CONTOUR_NEUTRAL_VOTES = 30.0  # likewise, in contours
FAINT = 10.0  # grey levels, sum of three channels; contours below it weigh less

# The height cue.
LOWER_NEARER_WEIGHT = 0.5
MIN_CONSISTENT = 0.1  # share of the picture that must be consistent

# Of the other cues and of the agreement with the network's depth, in [-1, 1], where there is a network: logistic
# regression on 172 pairs of the development half, 5.4 and 6.4 log odds, in units of LOG_ODDS.
OTHERS_WEIGHT, DEPTH_WEIGHT = 0.68, 0.8


@dataclass(frozen=True)
class Ordered:
    """A preview with its eyes in order.

    exchanged: the source had them the other way round. score: eye_order of the order as it is here. depth: float32 of
    its left view, larger = nearer; None without a monocular depth network.
    """

    preview: Preview
    exchanged: bool
    score: float
    depth: FloatMap | None


def eye_order(preview: Preview, depth: FloatMap | None = None) -> float:
    """The score of the order in which a preview has its eyes: positive = left is left, negative = exchanged.

    depth: HxW float32, of the preview's left view by a network, larger = nearer; None = the other cues decide alone.
    Exchanged eyes change the sign. A magnitude of about 1 is certain, of about 0 unknown. Occlusion and contours count
    by the balance of their votes over the sum. Both views vote, the right one as the left view of the mirrored pair.
    """
    mirrored = Preview(_flipped(preview.right), _flipped(preview.left), _mirrored(preview.flow), preview.scale)
    score = 0.0
    cues = (
        (_strip_votes, 1.0, NEUTRAL_VOTES),
        (_contour_votes, CONTOUR_WEIGHT, CONTOUR_NEUTRAL_VOTES),
    )
    for votes, weight, neutral in cues:
        balance, total = np.add(votes(preview), votes(mirrored))
        score += weight * float(balance / (total + neutral))
    score += LOWER_NEARER_WEIGHT * lower_nearer(preview)
    return score if depth is None else OTHERS_WEIGHT * score + DEPTH_WEIGHT * depth_agreement(preview, depth)


def find_order(
    source: PairSource, preview: Preview, network: DepthEstimator | None, may_exchange: bool = True
) -> Ordered:
    """The views of a pair in the order that its picture and its group give them.

    source: of the pair. preview: of it, in the order of the source. network: of monocular depth, None = none.
    may_exchange: False = the order of the source stays. The order that the group or the film of the source makes likely
    is looked at first: where the picture confirms it, one view alone passes through the network.
    """
    exchanged = may_exchange and are_eyes_swapped(source, source.film_order or 0.0)
    views = preview.swapped() if exchanged else preview
    depth = depth_of(views.left, network)
    if source.film_order is not None:
        return Ordered(views, exchanged, -source.film_order if exchanged else source.film_order, depth)
    score = eye_order(views, depth)
    if may_exchange and are_eyes_swapped(source, -score if exchanged else score) != exchanged:
        return Ordered(views.swapped(), not exchanged, -score, depth_of(views.right, network))
    return Ordered(views, exchanged, score, depth)


def asked_order(source: PairSource, max_side: int = SIDE, network: DepthEstimator | None = None) -> float:
    """The score of a source as it is, read at a size. Raises what reading raises.

    source: of the pair. max_side: px; of a size other than that of the pair's own preview the network sees another
    picture. network: of monocular depth, None = none.
    """
    pair = read_pair(source, max_side)
    preview = preview_flow(pair.left, pair.right)
    return eye_order(preview, depth_of(preview.left, network))


def ask_each(
    sources: Sequence[PairSource], ask: Ask, max_side: int, watch: Callable[[Path], None], cores: int | None = None
) -> list[float | None]:
    """The score of each source, in order, several at a time; None where it cannot be read.

    sources: of the pairs. ask: asked_order or one that remembers. max_side: px, to which pictures are read. watch:
    called with the first file of each. cores: so many at a time; None = as many as this process may use. Raises
    StoreError where remote storage does not answer: all other pairs would have no vote either.
    """

    def ask_one(source: PairSource) -> float | None:
        watch(source.left)
        try:
            return ask(source, max_side)
        except StoreError:
            raise
        except Exception:  # a pair that cannot be read has no vote; the build records why
            return None

    with one_opencv_thread(), ThreadPoolExecutor(cores or available_cores()) as pool:
        return list(pool.map(ask_one, sources))


def depth_of(picture: Picture, network: DepthEstimator | None) -> FloatMap | None:
    """HxW float32, what a network says of a picture, HxWx3 uint8 RGB; None without one.

    picture: the left view. network: of monocular depth.
    """
    return network(picture) if network else None


def are_eyes_swapped(source: PairSource, score: float) -> bool:
    """Whether the eyes of a source are to be exchanged.

    source: of the pair. What speaks for its order is its form or, where its group was asked (group_order.py), the
    prior from the other pairs. score: eye_order of the source as it is.
    """
    prior = stated_log_odds(source) if source.order_prior is None else source.order_prior
    return log_odds(score) + prior < 0


def log_odds(score: float) -> float:
    """A score of eye_order as log odds that left is left."""
    return float(np.clip(LOG_ODDS * score, -MOST_LOG_ODDS, MOST_LOG_ODDS))


def stated_log_odds(source: PairSource) -> float:
    """Log odds that a source has its eyes in order, from its form alone; 0 where nothing states the order."""
    if source.guessed and not source.order_stated:
        return 0.0
    return STATED_BY_NAMES if source.layout == "files" else STATED_INSIDE


def lower_nearer(preview: Preview) -> float:
    """Correlation of row and disparity over consistent pixels, in [-1, 1]; 0 where too few are consistent.

    preview: of the pair. The top third is left out: ceilings and crowns of trees come nearer again towards the top.
    """
    consistent = preview.error <= PREVIEW_PX
    consistent[: len(consistent) // 3] = False
    rows, _ = np.nonzero(consistent)
    values = disparity_of(preview.flow)[consistent]
    if values.size < max(100, MIN_CONSISTENT * consistent.size):
        return 0.0
    values = np.clip(values, *np.percentile(values, (2, 98)))
    if values.std() < 1e-3 or rows.std() == 0:
        return 0.0
    return float(np.corrcoef(rows, values)[0, 1])


def depth_agreement(preview: Preview, depth: FloatMap) -> float:
    """Concordance of a network's depth of the left view with the disparity of consistent pixels, in [-1, 1].

    preview: of the pair. depth: as of eye_order. 0 where too few pixels are consistent.
    """
    agreement = concordance(disparity_of(preview.flow), depth, preview.error <= PREVIEW_PX)
    return 0.0 if np.isnan(agreement) else agreement


def _strip_votes(preview: Preview) -> tuple[float, float]:
    """Balance and sum of the votes of occluded strips, grey levels; positive = a strip is like what is to its left.

    A strip is a run of inconsistent pixels in a row. It counts as occluded where its length agrees with the step in
    disparity across it. Its vote is how much better its colour agrees with one side than with the other.
    """
    view, consistent = preview.left, preview.error <= PREVIEW_PX
    width = consistent.shape[1]
    edges = np.diff(np.pad(consistent, ((0, 0), (1, 1)), constant_values=True).astype(np.int8), axis=1)
    rows, start = np.nonzero(edges == -1)
    _, stop = np.nonzero(edges == 1)
    length = stop - start
    usable = (start >= BESIDE_PX) & (stop <= width - BESIDE_PX)
    usable &= (length >= STRIP_PX) & (length <= STRIP_SHARE * width)
    rows, start, stop, length = rows[usable], start[usable], stop[usable], length[usable]
    disparity = disparity_of(preview.flow)
    step = disparity[rows, stop] - disparity[rows, start - 1]
    occluded = (step > 2) & (np.abs(length - step) < np.maximum(2, 0.35 * step))
    rows, start, stop = rows[occluded], start[occluded], stop[occluded]
    sums = cv2.integral(cv2.GaussianBlur(view, (0, 0), 0.7))  # of all that lies above and to the left

    def colour(first: NDArray[np.int64], last: NDArray[np.int64]) -> FloatMap:
        in_row = sums[rows + 1, last] - sums[rows, last] - sums[rows + 1, first] + sums[rows, first]
        return np.asarray(in_row / (last - first)[:, None], np.float32)

    strip = colour(start + 1, np.maximum(stop - 1, start + 2))
    unlike_left = np.abs(strip - colour(start - BESIDE_PX, start)).sum(1)
    unlike_right = np.abs(strip - colour(stop, stop + BESIDE_PX)).sum(1)
    votes = np.clip(unlike_right - unlike_left, -MAX_VOTE, MAX_VOTE)
    return float(votes.sum()), float(np.abs(votes).sum())


def _contour_votes(preview: Preview) -> tuple[float, float]:
    """Balance and sum of the votes of steps in the flow; positive = the contour lies on the near side of the step.

    A step is a local maximum of the disparity's change along a row. Its vote, in [-1, 1], is the contrast between the
    strongest picture edges on both sides.
    """
    view, disparity = preview.left, cv2.medianBlur(disparity_of(preview.flow), 5)
    smooth = cv2.GaussianBlur(view, (0, 0), 0.8)
    edges, step = np.zeros_like(disparity), np.zeros_like(disparity)
    edges[:, 1:-1] = sum(channel / np.float32(2) for channel in cv2.split(cv2.absdiff(smooth[:, 2:], smooth[:, :-2])))
    step[:, 1:-1] = disparity[:, 2:] - disparity[:, :-2]
    height = np.abs(step)
    highest = cv2.dilate(height, np.ones((1, 2 * CONTOUR_PX + 1), np.uint8))
    rows, columns = np.nonzero((height >= highest) & (height > CONTOUR_STEP))
    inside = (columns > 2 * CONTOUR_PX + 1) & (columns < view.shape[1] - 2 * CONTOUR_PX - 2)
    rows, columns = rows[inside], columns[inside]
    if not columns.size:
        return 0.0, 0.0
    away = np.arange(1, 2 * CONTOUR_PX + 1)
    on_right, on_left = (edges[rows[:, None], columns[:, None] + side * away].max(axis=1) for side in (1, -1))
    votes = np.sign(step[rows, columns]) * (on_right - on_left) / (on_right + on_left + FAINT)
    return float(votes.sum()), float(np.abs(votes).sum())


def _flipped(view: Picture) -> Picture:
    return np.ascontiguousarray(view[:, ::-1])


def _mirrored(flow: Flow) -> Flow:
    """The flow of the mirrored pair, in which the right view is the left one."""
    forward, backward = (
        np.ascontiguousarray(part[:, ::-1] * (-1, 1), np.float32) for part in (flow.backward, flow.forward)
    )
    return Flow(forward, backward)
