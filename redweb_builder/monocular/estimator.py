"""Photograph -> relative depth by a monocular network: the built-in one, or a file that somebody brings."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from redweb_builder.config import BUILTIN, NONE
from redweb_builder.errors import SettingsError, WeightsUnavailable
from redweb_builder.files import sha256_of
from redweb_builder.monocular import SHIPPED
from redweb_builder.monocular.network import RedNet, RedNetConfig
from redweb_builder.networks import lite0
from redweb_builder.networks.device import autocast, one_torch_thread
from redweb_builder.networks.encoder_input import IMAGENET_MEAN, IMAGENET_STD, fitting_size
from redweb_builder.networks.exported import ONNX, TORCHSCRIPT, ExportedNetwork, last_line, load_exported
from redweb_builder.networks.folding import fold_batch_norms
from redweb_builder.networks.weights import Weights, shipped_weights
from redweb_builder.types import FloatMap, Picture

MODEL = RedNetConfig(lite0.NAME, 64)  # of the built-in network
SIDE = 256  # px; a picture is seen at about SIDE x SIDE pixels
OWN_INPUT = "redweb_input"  # entry of an exported file: it takes RGB in [0, 1], and normalises by itself
FORMS = {".onnx": ONNX} | dict.fromkeys((".pt", ".ts", ".torchscript"), TORCHSCRIPT)


class DepthEstimator(Protocol):
    """Takes a picture of any size and returns its relative depth, at its size, on however many cores the same."""

    @property
    def name(self) -> str:
        """Name in build.json."""
        ...

    @property
    def weights(self) -> Weights:
        """The weight file."""
        ...

    def __call__(self, picture: Picture) -> FloatMap:
        """HxW float32 of a HxWx3 uint8 RGB picture: larger = nearer, known up to scale and shift."""
        ...


def load_depth(choice: str, device: torch.device) -> DepthEstimator | None:
    """The monocular depth network; None for "none".

    choice: "builtin", "none", or the path of an ONNX (.onnx) or TorchScript (.pt, .ts, .torchscript) file whose larger
    numbers are nearer. device: where it runs; an ONNX file runs on the CPU. Raises WeightsUnavailable for a file that
    cannot be used, SettingsError for another kind of file.
    """
    if choice == NONE:
        return None
    if choice == BUILTIN:
        return BuiltinDepth(device)
    file = Path(choice)
    if not file.is_file():
        raise WeightsUnavailable(
            f"there is no depth network at {file}: give builtin, none, or an ONNX or TorchScript file"
        )
    if file.suffix not in FORMS:
        raise SettingsError(
            f"{file} is no ONNX (.onnx) or TorchScript (.pt) file; `redweb export` makes them of a checkpoint"
        )
    with one_torch_thread():  # onnxruntime gets as many threads as PyTorch has
        return FileDepth(file, load_exported(file, FORMS[file.suffix], device, [OWN_INPUT]))


class BuiltinDepth:
    """The network that comes with the program."""

    name = BUILTIN

    def __init__(self, device: torch.device, file: Path = SHIPPED) -> None:
        """Load the network.

        device: where it runs. file: fp16 weights, with their checksum beside them. Raises WeightsUnavailable for
        weights that are damaged or of another version.
        """
        self.weights, self.device = shipped_weights(file), device
        network = RedNet(MODEL)
        try:
            network.load_state_dict(load_file(file))
        except (RuntimeError, SafetensorError) as error:
            raise WeightsUnavailable(f"{file} is not of this version's network: {error}") from error
        fold_batch_norms(network.eval())
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, picture: Picture) -> FloatMap:
        """See DepthEstimator. picture: HxWx3 uint8 RGB."""
        with one_torch_thread():
            return _at_size(self._depth(picture), picture)

    def _depth(self, picture: Picture) -> Tensor:
        pixels = _pixels(picture, fitting_size(picture.shape[0], picture.shape[1], SIDE)).to(self.device)
        with autocast(self.device):
            depth: Tensor = self.network(pixels.contiguous(memory_format=torch.channels_last))
        return depth


class FileDepth:
    """A network in a file: of `redweb export`, or a MiDaS, DPT or Depth Anything export of relative depth."""

    def __init__(self, file: Path, network: ExportedNetwork) -> None:
        """Try a network on a small picture.

        file: named in build.json. network: what it computes; with OWN_INPUT among its notes it takes RGB in [0, 1],
        else pictures are normalised by ImageNet's mean and deviation. Raises WeightsUnavailable for a network that
        gives no map.
        """
        self.name, self.weights, self.network = file.name, Weights(file, "path", sha256_of(file)), network
        self.is_own = OWN_INPUT in network.notes
        sides = [side for side in (network.shapes[0] if network.shapes else ())[2:] if side]
        self.size = (sides[0], sides[1]) if len(sides) == 2 else None  # height and width, px; None = any
        trial = np.zeros((64, 96, 3), np.uint8)
        try:
            shape = self._depth(trial).squeeze().shape
        except Exception as error:  # whatever a foreign network raises
            raise WeightsUnavailable(
                f"{file} does not work on a picture as a depth network: {last_line(error)}"
            ) from error
        if len(shape) != 2:
            raise WeightsUnavailable(f"{file} is no depth network: it must give one map a picture, not {tuple(shape)}")

    @torch.inference_mode()
    def __call__(self, picture: Picture) -> FloatMap:
        """See DepthEstimator. picture: HxWx3 uint8 RGB. Raises FloatingPointError where the depth is not finite."""
        with one_torch_thread():
            return _at_size(self._depth(picture), picture)

    def _depth(self, picture: Picture) -> Tensor:
        pixels = _pixels(picture, self.size or fitting_size(picture.shape[0], picture.shape[1], SIDE))
        if not self.is_own:
            mean, std = (torch.tensor(value)[:, None, None] for value in (IMAGENET_MEAN, IMAGENET_STD))
            pixels = (pixels - mean) / std
        depth = np.asarray(self.network.run([pixels.numpy()])[0], np.float32)
        if not has_finite_range(depth):
            raise FloatingPointError(f"{self.name} gave values that are not finite: what comes out of it is no depth")
        return torch.from_numpy(depth)


def has_finite_range(depth: NDArray[np.float32]) -> bool:
    """Whether all values are finite, and the difference of the largest and the least. depth: not empty, any shape."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.ptp(depth)))


def _pixels(picture: Picture, size: tuple[int, int]) -> Tensor:
    """HxWx3 uint8 -> 1x3xhxw float32 in [0, 1]. size: h, w."""
    is_smaller = size[0] < picture.shape[0]
    small = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
    return torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255


def _at_size(depth: Tensor, picture: Picture) -> FloatMap:
    """A network's map at the picture's size, HxW float32."""
    small = np.ascontiguousarray(depth.squeeze().float().cpu().numpy())
    return np.asarray(cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)
