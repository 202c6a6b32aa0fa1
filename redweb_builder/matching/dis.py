"""DIS optical flow (Kroeger et al., ECCV 2016) in OpenCV, and the global shift that it starts from; no network."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from redweb_builder.matching.consistency import PREVIEW_PX, forward_backward_error
from redweb_builder.matching.texture import grey_levels
from redweb_builder.networks.weights import Weights
from redweb_builder.process import available_cores
from redweb_builder.types import FloatMap, Flow, Picture, StereoPair

LEAST_SIDE = 16  # px; OpenCV's DIS needs views as large
# Settings of dis_estimator.
QUICK = 3, 8, 5  # of previews
FINE = 2, 50, 5  # of labels
# Of the global shift.
MIN_SHIFT = 0.04  # share of the width; DIS, which starts from zero flow, reaches smaller shifts by itself
SHIFT_SIDE = 112  # px, longer side of the reduced views in which the global shift is estimated
MAX_SHIFT_X, MAX_SHIFT_Y = 0.4, 0.1  # shares of width and height that are searched
START_SIDE = 224  # px, longer side of the reduced views whose flows decide between zero and the global shift
FAINT = 10.0  # grey levels a px; weaker gradients weigh less
MIN_EDGES = 10.0  # edge pixels of equal direction in both views; plain views have no global shift
MIN_GAIN = 0.02  # share of all pixels by which the flow from the shift must be more consistent

Shift = tuple[int, int]  # x, y, whole px


def quick_flow(left: Picture, right: Picture, start: Shift = (0, 0)) -> Flow:
    """The DIS flow of a preview, in both directions.

    left, right: HxW uint8. start: forward flow at which the search begins, px; its negative is used backward.
    """
    dis = dis_estimator(*QUICK)
    return Flow(_flow(dis, left, right, start), _flow(dis, right, left, (-start[0], -start[1])))


def fine_flow(first: Picture, second: Picture, start: Shift = (0, 0)) -> FloatMap:
    """The DIS flow of a label from the first picture to the second, HxWx2 float32 px.

    first, second: HxW uint8. start: flow at which the search begins.
    """
    return _flow(dis_estimator(*FINE), first, second, start)


def _flow(dis: cv2.DISOpticalFlow, first: Picture, second: Picture, start: Shift) -> FloatMap:
    flow: FloatMap = dis.calc(first, _moved(second, start), None)
    return flow + np.asarray(start, np.float32) if any(start) else flow


def _moved(view: Picture, start: Shift) -> Picture:
    """The second view, HxW uint8, moved so that a flow of `start` becomes one of zero.

    An initial flow, which OpenCV takes too, stays a candidate at every scale and makes a worse flow than none.
    """
    x, y = start
    if not (x or y):
        return view
    back = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    size = (view.shape[1], view.shape[0])
    return np.asarray(cv2.warpAffine(view, back, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def reduced(views: Sequence[Picture], side: int) -> tuple[list[Picture], float]:
    """Views with a longer side of at most `side` px, and their size over that of the full views, in (0, 1].

    views: HxW or HxWx3 uint8, of equal size. Each side keeps LEAST_SIDE.
    """
    height, width = views[0].shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(LEAST_SIDE, round(width * scale)), max(LEAST_SIDE, round(height * scale))
    return [np.asarray(cv2.resize(view, size, interpolation=cv2.INTER_AREA), np.uint8) for view in views], scale


def best_start(left: Picture, right: Picture) -> Shift:
    """Where the search for the flow of two views begins: at their global shift, px, or at (0, 0).

    left, right: HxW uint8. The flows of reduced views decide: that from the shift must be more consistent by MIN_GAIN.
    """
    shift = estimate_global_shift(left, right)
    if shift is None:
        return 0, 0
    (small_left, small_right), scale = reduced((left, right), START_SIDE)
    reduced_shift = round(scale * shift[0]), round(scale * shift[1])
    flows = (quick_flow(small_left, small_right, start) for start in ((0, 0), reduced_shift))
    from_zero, from_shift = (consistent_share(flow) for flow in flows)
    return shift if from_shift > from_zero + MIN_GAIN else (0, 0)


def estimate_global_shift(left: Picture, right: Picture) -> Shift | None:
    """The one flow vector that fits the views as a whole, px; None where it is short or the views are plain.

    left, right: HxW uint8. Cameras turned outwards or inwards, or pictures cropped apart, move everything by a tenth of
    the width and more. The shift is that of the highest cross-correlation of the gradient directions of reduced views,
    within MAX_SHIFT_X and MAX_SHIFT_Y. Strength of an edge does not count.
    """
    scale = SHIFT_SIDE / max(left.shape)
    height, width = (max(1, round(side * scale)) for side in left.shape)
    small = (cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA) for view in (left, right))
    left_edges, right_edges = (_gradient_directions(view) for view in small)
    most_y, most_x = round(MAX_SHIFT_Y * height), round(MAX_SHIFT_X * width)
    padded = cv2.copyMakeBorder(right_edges, most_y, most_y, most_x, most_x, cv2.BORDER_CONSTANT)
    correlation = sum(cv2.matchTemplate(padded[..., axis], left_edges[..., axis], cv2.TM_CCORR) for axis in (0, 1))
    x, y = np.arange(-most_x, most_x + 1), np.arange(-most_y, most_y + 1)[:, None]
    overlap = (width - np.abs(x)) * (height - np.abs(y))
    # The correlation of unrelated edges grows with the square root of the overlap.
    row, column = np.unravel_index(np.argmax(correlation / np.sqrt(overlap)), overlap.shape)
    if correlation[row, column] < MIN_EDGES:
        return None
    shift = round(x[column] / scale), round(y[row, 0] / scale)
    return shift if np.hypot(*shift) > MIN_SHIFT * left.shape[1] else None


def consistent_share(flow: Flow) -> float:
    """Share of the left view's pixels, in [0, 1], whose forward-backward error is below PREVIEW_PX.

    flow: in both directions, px.
    """
    return float((forward_backward_error(flow) < PREVIEW_PX).mean())


def _gradient_directions(grey: Picture) -> FloatMap:
    """HxWx2 float32: the gradient, of length near 1 where it is much stronger than FAINT, shorter where it is weak."""
    gradient = np.stack([cv2.Sobel(grey, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))], -1)
    return np.asarray(gradient / (np.linalg.norm(gradient, axis=-1, keepdims=True) + FAINT), np.float32)


def dis_estimator(patch_stride: int, iterations: int, refinements: int) -> cv2.DISOpticalFlow:
    """OpenCV's estimator, "medium" preset, with its finest scale at full resolution.

    patch_stride: px between patches. iterations: gradient descent steps of a patch. refinements: variational ones.
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    dis.setPatchStride(patch_stride)
    dis.setGradientDescentIterations(iterations)
    dis.setVariationalRefinementIterations(refinements)
    return dis


class Dis:
    """DIS at full resolution: the flow estimator that needs no weights.

    Views that lie far apart by their preview are matched from their global shift (`best_start`). The finest scale and
    patches 2 px apart, beyond the "medium" preset, are for edges and small disparities. OpenCV splits DIS by its thread
    count and the split shows in the result, so the caller keeps OpenCV at one thread (engines.py), and directions and
    pairs run side by side here.
    """

    name = "dis"
    needs_refinement = False
    fills_cpu = False
    precision = None
    weights: Weights | None = None

    def __init__(self, cores: int | None = None) -> None:
        """Start the threads that the directions run in.

        cores: so many run side by side; None = all that this process may use, which OpenCV asks no container for.
        """
        cores = cores or available_cores()
        self._pool = ThreadPoolExecutor(cores, "dis")
        self.batch = max(1, cores // 2)

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """Flow of each pair, in both directions, in the order of the pairs."""
        grey = [(grey_levels(pair.left), grey_levels(pair.right)) for pair in pairs]
        starts = [best_start(*views) if pair.far_apart else (0, 0) for views, pair in zip(grey, pairs, strict=True)]
        return self._both_ways(grey, starts)

    def _both_ways(self, grey: Sequence[tuple[Picture, Picture]], starts: Sequence[Shift]) -> list[Flow]:
        running = [
            (
                self._pool.submit(fine_flow, left, right, start=(x, y)),
                self._pool.submit(fine_flow, right, left, start=(-x, -y)),
            )
            for (left, right), (x, y) in zip(grey, starts, strict=True)
        ]
        return [Flow(forward.result(), backward.result()) for forward, backward in running]


def refine_flow(pair: StereoPair, flow: Flow) -> Flow:
    """A network's flow refined to the full resolution: DIS on its finest scales, with the network's flow as start.

    pair: aligned. flow: HxWx2 px in both directions, computed by the network at an eighth of the resolution. DIS ends
    in a variational refinement (Kroeger et al., ECCV 2016). Of all steps this gains most after RAFT-small
    (benchmarks.quality.steps).
    """
    left, right = grey_levels(pair.left), grey_levels(pair.right)
    dis = dis_estimator(patch_stride=3, iterations=8, refinements=3)
    dis.setCoarsestScale(3)
    return Flow(dis.calc(left, right, flow.forward.copy()), dis.calc(right, left, flow.backward.copy()))
