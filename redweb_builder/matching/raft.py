"""RAFT (Teed & Deng, ECCV 2020) in torchvision's implementation, run in both directions at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from redweb_builder.config import AUTO_PRECISION
from redweb_builder.errors import WeightsUnavailable
from redweb_builder.networks.device import TORCH_TYPES, choose_precision
from redweb_builder.networks.weights import Weights, find_weights
from redweb_builder.types import Flow, Picture, StereoPair

PUBLISHED = {  # torchvision's Raft_Large_Weights.C_T_SKHT_V2 and Raft_Small_Weights.C_T_V1
    "raft-large": "https://download.pytorch.org/models/raft_large_C_T_SKHT_V2-ff5fadd5.pth",
    "raft-small": "https://download.pytorch.org/models/raft_small_C_T_V1-ad48884c.pth",
}
UPDATES = 12  # recurrent updates
MIN_SIDE = 128  # px, of the padded view
BATCH_PIXELS = 768 * 768  # pixels of a view for which `batch` is meant; larger views come in smaller batches
MAX_PIXELS = 1280 * 960  # larger views are reduced; memory, 4 GB at this size, grows with the pixels squared


class Raft:
    """RAFT for pairs, batched by shape. Both directions are in one batch, so that their features are computed once."""

    def __init__(self, name: str, weights: Path | None, device: torch.device, precision: str = AUTO_PRECISION) -> None:
        """Load a network.

        name: "raft-large" or "raft-small". weights: a file in place of torchvision's published weights. device: where
        it runs. precision: of config.PRECISIONS. Raises WeightsUnavailable where the weights cannot be had or belong to
        another network.
        """
        self.weights: Weights = find_weights(weights, PUBLISHED[name])
        # Behind the weights, since torchvision takes a second of the start, and without weights there is no RAFT.
        from torchvision.models import optical_flow

        from redweb_builder.matching.raft_network import BothDirections

        self.name = name
        self.needs_refinement = True
        self.fills_cpu = device.type == "cpu"
        self.device, self.precision = device, choose_precision(precision, device)
        # Batching pays only where there is more hardware than one pair can fill. One pair at a time on CPU
        # also keeps the result independent of which other pairs are processed with it.
        self.batch = 8 if device.type == "cuda" else 1
        network = getattr(optical_flow, name.replace("-", "_"))(weights=None)
        try:
            state = torch.load(self.weights.path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch.load raises whatever the damage makes it raise
            raise WeightsUnavailable(
                f"{self.weights.path} does not hold the weights of {name}: {_first_line(error)}"
            ) from error
        try:
            network.load_state_dict(state)
        except (RuntimeError, TypeError, AttributeError) as error:  # by what the file holds in place of a state_dict
            raise WeightsUnavailable(
                f"{self.weights.path} does not hold the weights of {name}: they are of another network"
            ) from error
        self.network = BothDirections(network.eval(), TORCH_TYPES[self.precision]).to(device)

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """Flow of each pair, in both directions, in the order of the pairs.

        Pairs of one padded shape share a batch. Views above MAX_PIXELS are reduced, and their flow is enlarged. Raises
        FloatingPointError where the network gives values that are not finite.
        """
        reduced = [_reduced(pair) for pair in pairs]
        by_shape = defaultdict(list)
        for index, pair in enumerate(reduced):
            by_shape[_padded_shape(pair.left.shape)].append(index)
        flows: dict[int, Flow] = {}
        for shape, indices in by_shape.items():
            room = _room(self.batch, shape[0] * shape[1])
            for start in range(0, len(indices), room):
                part = indices[start : start + room]
                flows.update(zip(part, self._run_that_fits([reduced[i] for i in part], shape), strict=True))
        return [_enlarged(flows[i], pair.left.shape) for i, pair in enumerate(pairs)]

    def _run_that_fits(self, pairs: list[StereoPair], shape: tuple[int, int]) -> list[Flow]:
        """Run the network on a batch; where its device has too little memory, on halves of it."""
        try:
            return self._run(pairs, shape)
        except torch.OutOfMemoryError:
            if len(pairs) == 1:
                raise
        half = len(pairs) // 2  # outside the handler, whose traceback holds the tensors of the batch
        return self._run_that_fits(pairs[:half], shape) + self._run_that_fits(pairs[half:], shape)

    @torch.inference_mode()
    def _run(self, pairs: list[StereoPair], shape: tuple[int, int]) -> list[Flow]:
        """One transfer to the device, of 8-bit views, and one back."""
        padded = [_padded(view, shape) for view in (*(pair.left for pair in pairs), *(pair.right for pair in pairs))]
        views = torch.from_numpy(np.stack(padded))
        views = views.pin_memory() if self.device.type == "cuda" else views
        views = views.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float().div(127.5).sub(1)
        flow = self.network(views, UPDATES)
        both = flow.permute(0, 2, 3, 1).cpu().numpy()
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


def _room(batch: int, pixels: int) -> int:
    """Number of pairs of a view of `pixels` that fit a batch: memory grows with the pixels, or with their square."""
    share = BATCH_PIXELS / pixels
    return max(1, int(batch * min(share, share**2)))


def _reduced(pair: StereoPair) -> StereoPair:
    """The pair reduced to at most MAX_PIXELS a view."""
    height, width = pair.left.shape[:2]
    scale = (MAX_PIXELS / (height * width)) ** 0.5
    if scale >= 1:
        return pair
    size = int(width * scale), int(height * scale)
    left, right = (cv2.resize(view, size, interpolation=cv2.INTER_AREA) for view in (pair.left, pair.right))
    return replace(pair, left=left, right=right)


def _enlarged(flow: Flow, shape: tuple[int, ...]) -> Flow:
    """The flow of a reduced pair, enlarged to the height and width of `shape`, in px of that size."""
    height, width = flow.forward.shape[:2]
    if (height, width) == shape[:2]:
        return flow
    factor = np.array([shape[1] / width, shape[0] / height], np.float32)
    return Flow(*(cv2.resize(part, shape[1::-1]) * factor for part in (flow.forward, flow.backward)))


def _padded_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Sides divisible by 8 and of at least MIN_SIDE, which torchvision's RAFT needs and does not fully check."""
    height, width = (max(MIN_SIDE, -(-side // 8) * 8) for side in shape[:2])
    return height, width


def _padding(shape: tuple[int, ...], padded: tuple[int, int]) -> tuple[int, int]:
    return (padded[0] - shape[0]) // 2, (padded[1] - shape[1]) // 2


def _padded(picture: Picture, shape: tuple[int, int]) -> Picture:
    """HxWx3 uint8, its border replicated up to the height and width of `shape`."""
    top, left = _padding(picture.shape, shape)
    bottom, right = shape[0] - picture.shape[0] - top, shape[1] - picture.shape[1] - left
    return np.asarray(cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8)
