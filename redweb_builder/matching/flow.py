"""Dense optical flow between the two views, in both directions.

Why flow and not a stereo matcher: web and film stereo has disparities of both signs and small vertical error.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import cv2
import torch

from redweb_builder.errors import SettingsError, WeightsUnavailable
from redweb_builder.matching.dis import Shift, dis_estimator, dis_flow, estimate_global_shift, more_consistent
from redweb_builder.matching.raft import Raft
from redweb_builder.types import Flow, Picture, StereoPair
from redweb_builder.weights import Weights


class FlowEstimator(Protocol):
    """Pairs of any sizes in, their Flow out, in order."""

    @property
    def name(self) -> str:
        """What the manifest calls it."""
        ...

    @property
    def batch(self) -> int:
        """How many pairs at a time make good use of the device."""
        ...

    @property
    def fills_cpu(self) -> bool:
        """True where a call keeps every core busy by itself."""
        ...

    @property
    def needs_refinement(self) -> bool:
        """True where the flow is computed on a coarser grid than the picture and gains from polish()."""
        ...

    @property
    def weights(self) -> Weights | None:
        """The weight file, if it needs one."""
        ...

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """Flow of each pair, in order."""
        ...


def load_flow(choice: str, weights: Path | None, device: torch.device) -> tuple[FlowEstimator, str]:
    """The flow estimator of a config.FLOW_CHOICES name, and a sentence for people about how it was chosen.

    "auto" is raft-large if its weights can be had, else raft-small if its can, else DIS; a weight file given with
    "auto" is loaded as whichever RAFT it fits. Raises WeightsUnavailable for an explicit choice, ValueError
    for weights of a choice that has none.
    """
    if choice == "dis":
        if weights is not None:
            raise SettingsError(f"flow dis needs no weights: leave out {weights}, or name the RAFT that it belongs to")
        return Dis(), "DIS optical flow (OpenCV, built in, no weights)"
    if choice != "auto":
        raft = Raft(choice, weights, device)
        return raft, f"{choice} ({_origin_text(raft.weights)})"
    problems = []
    for name in ("raft-large", "raft-small"):
        try:
            raft = Raft(name, weights, device)
            return raft, f"{name} ({_origin_text(raft.weights)})"
        except WeightsUnavailable as problem:
            problems.append(str(problem))
    if weights is not None:
        raise WeightsUnavailable(problems[-1])
    return Dis(), f"DIS optical flow (built-in default: no RAFT weights could be had; {problems[0]})"


def _origin_text(weights: Weights) -> str:
    where = {"path": "from", "cache": "from the hub's cache:", "hub": "downloaded to"}[weights.origin]
    return f"weights {where} {weights.path}"


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
