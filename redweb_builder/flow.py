"""Dense optical flow between the two views, in both directions.

Why flow and not a stereo matcher: web and film stereo has disparities of both signs and small vertical error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torchvision.models import optical_flow

from redweb_builder.device import autocast, memory_format
from redweb_builder.types import FloatMap, Flow, Picture, StereoPair
from redweb_builder.weights import Weights, WeightsUnavailable, find_weights

FLOW_CHOICES = ("auto", "raft-large", "raft-small", "dis")
RAFT_UPDATES = 12
RAFT_MIN_SIDE = 128
BATCH_PIXELS = 768 * 768  # of the pictures that `batch` is meant for; larger ones come in smaller batches


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
    def coarse(self) -> bool:
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
    """The flow estimator of a FLOW_CHOICES name, and a sentence for people about how it was chosen.

    "auto" is raft-large if its weights can be had, else raft-small if its can, else DIS; a weight file given with
    "auto" is loaded as whichever RAFT it fits. Raises WeightsUnavailable for an explicit choice.
    """
    if choice == "dis":
        return Dis(), "DIS optical flow (OpenCV, built in, no weights)"
    if choice != "auto":
        raft = Raft(choice, weights, device)
        return raft, f"{choice} ({_told(raft.weights)})"
    problems = []
    for name in ("raft-large", "raft-small"):
        try:
            raft = Raft(name, weights, device)
            return raft, f"{name} ({_told(raft.weights)})"
        except WeightsUnavailable as problem:
            problems.append(str(problem))
    if weights is not None:
        raise WeightsUnavailable(problems[-1])
    return Dis(), f"DIS optical flow (built-in default: no RAFT weights could be had; {problems[0]})"


def _told(weights: Weights) -> str:
    where = {"path": "from", "cache": "from the hub's cache:", "hub": "downloaded to"}[weights.origin]
    return f"weights {where} {weights.path}"


class Raft:
    """RAFT (Teed & Deng, ECCV 2020) in torchvision's implementation; batched by shape, both directions in one batch."""

    def __init__(self, name: str, weights: Path | None, device: torch.device) -> None:
        """Load "raft-large" or "raft-small". Raises WeightsUnavailable, also for a file of another network."""
        build, published = {
            "raft-large": (optical_flow.raft_large, optical_flow.Raft_Large_Weights.C_T_SKHT_V2),
            "raft-small": (optical_flow.raft_small, optical_flow.Raft_Small_Weights.C_T_V1),
        }[name]
        self.name = name
        self.coarse = True
        self.fills_cpu = device.type == "cpu"
        self.device = device
        # Batching pays only where there is more hardware than one pair can fill. One pair at a time on CPU
        # also keeps the result independent of which other pairs are processed with it.
        self.batch = 8 if device.type == "cuda" else 1
        self.weights: Weights = find_weights(weights, published.url)
        network = build(weights=None)
        try:
            state = torch.load(self.weights.path, map_location="cpu", weights_only=True)
            network.load_state_dict(state)
        except Exception as error:  # torch.load raises whatever the damage makes it raise
            raise WeightsUnavailable(
                f"{self.weights.path} does not hold the weights of {name}: {_first_line(error)}"
            ) from error
        self.network = network.eval().to(device, memory_format=memory_format(device))

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """Flow of each pair, in order; pairs of one padded shape share a batch."""
        by_shape = defaultdict(list)
        for index, pair in enumerate(pairs):
            by_shape[_padded_shape(pair.left.shape)].append(index)
        flows: dict[int, Flow] = {}
        for shape, indices in by_shape.items():
            room = max(1, self.batch * BATCH_PIXELS // (shape[0] * shape[1]))
            for start in range(0, len(indices), room):
                part = indices[start : start + room]
                flows.update(zip(part, self._run([pairs[i] for i in part], shape), strict=True))
        return [flows[i] for i in range(len(pairs))]

    @torch.inference_mode()
    def _run(self, pairs: list[StereoPair], shape: tuple[int, int]) -> list[Flow]:
        left = torch.cat([_padded_tensor(p.left, shape) for p in pairs])
        right = torch.cat([_padded_tensor(p.right, shape) for p in pairs])
        memory = memory_format(self.device)
        first = torch.cat([left, right]).to(self.device, memory_format=memory)
        second = torch.cat([right, left]).to(self.device, memory_format=memory)
        with autocast(self.device):
            flow = self.network(first, second, num_flow_updates=RAFT_UPDATES)[-1]
        both = flow.float().permute(0, 2, 3, 1).cpu().numpy()
        if not np.isfinite(both).all():
            raise FloatingPointError(f"{self.name} gave a flow that is not finite: are these its weights?")
        flows = []
        for i, pair in enumerate(pairs):
            top, left_pad = _padding(pair.left.shape, shape)
            height, width = pair.left.shape[:2]
            window = np.s_[top : top + height, left_pad : left_pad + width]
            flows.append(Flow(both[i][window].copy(), both[i + len(pairs)][window].copy()))
        return flows


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _padded_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Sides divisible by 8 and of at least RAFT_MIN_SIDE, which torchvision's RAFT needs and does not fully check."""
    height, width = (max(RAFT_MIN_SIDE, -(-side // 8) * 8) for side in shape[:2])
    return height, width


def _padding(shape: tuple[int, ...], padded: tuple[int, int]) -> tuple[int, int]:
    return (padded[0] - shape[0]) // 2, (padded[1] - shape[1]) // 2


def _padded_tensor(picture: Picture, padded: tuple[int, int]) -> torch.Tensor:
    """HxWx3 uint8 -> 1x3xH'xW' float32 in [-1, 1], its border replicated."""
    top, left = _padding(picture.shape, padded)
    bottom, right = padded[0] - picture.shape[0] - top, padded[1] - picture.shape[1] - left
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float().div(127.5).sub(1)
    return F.pad(tensor, (left, right, top, bottom), mode="replicate")


class Dis:
    """DIS optical flow (Kroeger et al., ECCV 2016) of OpenCV, at full resolution: the default that needs no weights.

    The finest scale and a patch stride of 2, beyond the "medium" preset, for edges and small disparities. OpenCV splits
    DIS by its thread count and the split shows in the result, so the caller keeps OpenCV at one thread (engines.py) and
    the directions and pairs run side by side here.
    """

    name = "dis"
    coarse = False
    fills_cpu = False
    weights: Weights | None = None

    def __init__(self) -> None:
        """Start the threads that the directions run in."""
        self._pool = ThreadPoolExecutor(thread_name_prefix="dis")
        self.batch = max(1, cv2.getNumberOfCPUs() // 2)

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """Flow of each pair, in order."""
        grey = [(_grey(pair.left), _grey(pair.right)) for pair in pairs]
        forward = [self._pool.submit(dis_flow, left, right) for left, right in grey]
        backward = [self._pool.submit(dis_flow, right, left) for left, right in grey]
        return [Flow(f.result(), b.result()) for f, b in zip(forward, backward, strict=True)]


def polish(pair: StereoPair, flow: Flow) -> Flow:
    """A network's flow, computed at an eighth of the resolution, settled on the pixels of the full one.

    A few levels of DIS from the network's flow: the step that buys most after RAFT-small (benchmarks/steps.py).
    """
    left, right = _grey(pair.left), _grey(pair.right)
    dis = _dis(patch_stride=3, iterations=8)
    dis.setCoarsestScale(3)
    dis.setVariationalRefinementIterations(3)
    return Flow(dis.calc(left, right, flow.forward.copy()), dis.calc(right, left, flow.backward.copy()))


def dis_flow(first: Picture, second: Picture, patch_stride: int = 2, iterations: int = 50) -> FloatMap:
    """DIS flow from one HxW uint8 picture to another: HxWx2 float32 px."""
    flow: FloatMap = _dis(patch_stride, iterations).calc(first, second, None)
    return flow


def _dis(patch_stride: int, iterations: int) -> cv2.DISOpticalFlow:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    dis.setPatchStride(patch_stride)
    dis.setGradientDescentIterations(iterations)
    return dis


def _grey(picture: Picture) -> Picture:
    grey: Picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return grey
