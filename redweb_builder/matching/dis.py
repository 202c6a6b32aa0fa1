"""DIS flow (Kroeger et al. 2016) as OpenCV has it, without a network: also for what must start at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from redweb_builder.matching.consistency import PREVIEW_PX, forward_backward_error
from redweb_builder.types import FloatMap, Flow, Picture, StereoPair
from redweb_builder.weights import Weights

FAR_APART = 0.04  # of the width: views displaced by more are also matched from there, since DIS starts from nothing
COARSE_PX = 112  # longer side of the pictures that the displacement is looked for in
MOST_ACROSS, MOST_UP = 0.4, 0.1  # of width and height
FAINT = 10.0  # grey levels: gradients below have less and less of a say
MIN_EDGES = 10.0  # pixels of one direction in both; blank pictures have no place
GAIN = 0.02  # of all pixels

Shift = tuple[int, int]


def dis_flow(
    first: Picture, second: Picture, patch_stride: int = 2, iterations: int = 50, start: Shift = (0, 0)
) -> FloatMap:
    """DIS flow from one HxW uint8 picture to another: HxWx2 float32 px. start: what the search begins at, whole px.

    The second picture is moved by it: a flow to begin with, which OpenCV takes too, is a candidate at every scale and
    makes a worse flow than none.
    """
    x, y = start
    if x or y:
        back = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
        size = (second.shape[1], second.shape[0])
        second = np.asarray(cv2.warpAffine(second, back, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    flow: FloatMap = dis_estimator(patch_stride, iterations).calc(first, second, None)
    return flow + np.asarray(start, np.float32)


def estimate_global_shift(left: Picture, right: Picture) -> Shift | None:
    """By how much the right view, as a whole, lies beside the left one, px; None where it is too little to matter.

    left, right: HxW uint8. Cameras turned outwards or inwards, or cropped apart, move everything by a tenth of the
    width and more. Edges of both views, by direction and not by strength, are laid over one another in every position.
    """
    shrink = COARSE_PX / max(left.shape)
    height, width = (max(1, round(side * shrink)) for side in left.shape)
    small = (cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA) for view in (left, right))
    one, other = (_directions(view) for view in small)
    up, across = round(MOST_UP * height), round(MOST_ACROSS * width)
    around = cv2.copyMakeBorder(other, up, up, across, across, cv2.BORDER_CONSTANT)
    alike = sum(cv2.matchTemplate(around[..., axis], one[..., axis], cv2.TM_CCORR) for axis in (0, 1))
    x, y = np.arange(-across, across + 1), np.arange(-up, up + 1)[:, None]
    overlap = (width - np.abs(x)) * (height - np.abs(y))
    row, column = np.unravel_index(np.argmax(alike / np.sqrt(overlap)), overlap.shape)  # what chance gives grows so
    if alike[row, column] < MIN_EDGES:
        return None
    found = round(x[column] / shrink), round(y[row, 0] / shrink)
    return found if np.hypot(*found) > FAR_APART * left.shape[1] else None


def more_consistent(flow: Flow, other: Flow) -> Flow:
    """The second flow of a pair where it leads back to where it came from at plainly more pixels, else the first."""
    return other if consistent_share(other) > consistent_share(flow) + GAIN else flow


def consistent_share(flow: Flow) -> float:
    """Share of the left view's pixels that the flow leads back to within PREVIEW_PX of where they were."""
    return float((forward_backward_error(flow) < PREVIEW_PX).mean())


def _directions(grey: Picture) -> FloatMap:
    gradient = np.stack([cv2.Sobel(grey, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))], -1)
    return np.asarray(gradient / (np.linalg.norm(gradient, axis=-1, keepdims=True) + FAINT), np.float32)


def dis_estimator(patch_stride: int, iterations: int) -> cv2.DISOpticalFlow:
    """OpenCV's estimator at full resolution."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    dis.setPatchStride(patch_stride)
    dis.setGradientDescentIterations(iterations)
    return dis


class Dis:
    """DIS optical flow (Kroeger et al., ECCV 2016) of OpenCV, at full resolution: the default that needs no weights.

    Views that lie far apart are also matched from where they meet (`displacement`). The finest scale and a patch stride
    of 2, beyond the "medium" preset, are for edges and small disparities. OpenCV splits DIS by its thread count and the
    split shows in the result, so the caller keeps OpenCV at one thread (engines.py) and the directions and pairs run
    side by side here.
    """

    name = "dis"
    needs_refinement = False
    fills_cpu = False
    weights: Weights | None = None

    def __init__(self) -> None:
        """Start the threads that the directions run in."""
        self._pool = ThreadPoolExecutor(thread_name_prefix="dis")
        self.batch = max(1, cv2.getNumberOfCPUs() // 2)

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """Flow of each pair, in order."""
        grey = [(_grey(pair.left), _grey(pair.right)) for pair in pairs]
        flows = self._both_ways(grey, [(0, 0)] * len(grey))
        far = {index: start for index, views in enumerate(grey) if (start := estimate_global_shift(*views))}
        again = self._both_ways([grey[index] for index in far], list(far.values()))
        for index, flow in zip(far, again, strict=True):
            flows[index] = more_consistent(flows[index], flow)
        return flows

    def _both_ways(self, grey: Sequence[tuple[Picture, Picture]], starts: Sequence[Shift]) -> list[Flow]:
        started = [
            (
                self._pool.submit(dis_flow, left, right, start=(x, y)),
                self._pool.submit(dis_flow, right, left, start=(-x, -y)),
            )
            for (left, right), (x, y) in zip(grey, starts, strict=True)
        ]
        return [Flow(forward.result(), backward.result()) for forward, backward in started]


def refine_flow(pair: StereoPair, flow: Flow) -> Flow:
    """A network's flow, computed at an eighth of the resolution, settled on the pixels of the full one.

    A few levels of DIS from the network's flow: the step that buys most after RAFT-small (benchmarks/steps.py).
    """
    left, right = _grey(pair.left), _grey(pair.right)
    dis = dis_estimator(patch_stride=3, iterations=8)
    dis.setCoarsestScale(3)
    dis.setVariationalRefinementIterations(3)
    return Flow(dis.calc(left, right, flow.forward.copy()), dis.calc(right, left, flow.backward.copy()))


def _grey(picture: Picture) -> Picture:
    grey: Picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return grey
