"""Any two-view network of the user's, exported to ONNX or TorchScript: optical flow, or rectified stereo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from redweb_builder.config import EXPORTED_FLOWS
from redweb_builder.errors import WeightsUnavailable
from redweb_builder.files import sha256_of
from redweb_builder.matching.network_file import NetworkFile, read_network_file
from redweb_builder.matching.rectified import rectified_flow
from redweb_builder.networks.exported import Arrays, last_line, load_exported
from redweb_builder.networks.weights import Weights
from redweb_builder.types import FloatMap, Flow, Picture, StereoPair

Field = TypeVar("Field", Picture, FloatMap)
Size = tuple[int, int]  # width, height, px; (0, 0) = any

TRIAL = (320, 256)  # px, width and height of the pair that a network of any size is tried on
TRIAL_PX = 8  # disparity of that pair
TURNED = 0.25  # relative error up to which the disparity with the other sign counts as found


class ExportedFlow:
    """A flow estimator from a network file and the .toml file beside it (network_file.py).

    trial: what the network says of a pair of known disparity, for people.

    One pair at a time: a file may hold one size of batch only, and on the CPU a result may not depend on the batch.
    """

    batch = 1
    precision = None  # the file's own

    def __init__(self, choice: str, device: torch.device) -> None:
        """Load a network and try it on a small pair.

        choice: "onnx:FILE" or "torchscript:FILE". device: where it runs. Raises WeightsUnavailable where a file is
        missing or damaged, where the network does not run as its .toml file says, and where its sign is turned.
        """
        form, _, path = choice.partition(":")
        assert form in EXPORTED_FLOWS
        self.file = Path(path)
        self.name = f"{form}:{self.file.name}"
        self.network = load_exported(self.file, form, device)
        parts = [self.file, self.file.with_suffix(".toml")]
        self.described = read_network_file(parts[1])
        if (data := self.file.with_name(f"{self.file.name}.data")).is_file():  # weights that an ONNX file refers to
            parts.append(data)
        self.weights: Weights = Weights(self.file, "path", sha256_of(*parts))
        self.needs_refinement = self.described.refine
        self.fills_cpu = device.type == "cpu"
        self.dtype = self.network.dtype or self.described.dtype
        self.size = self._stated_size() or (self.described.width, self.described.height)
        self.trial = self._try_out()

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """Flow of each pair, in both directions, in the order of the pairs.

        pairs: aligned, of any sizes. Raises FloatingPointError where the network gives values that are not finite.
        """
        return [self._flow(pair) for pair in pairs]

    def _stated_size(self) -> Size | None:
        """The size that the file takes, None for any. Raises WeightsUnavailable where its inputs are others."""
        shapes, inputs = self.network.shapes, self.described.inputs
        if shapes and len(shapes) != len(inputs):
            raise WeightsUnavailable(
                f"{self.file} takes {len(shapes)} inputs, not {len(inputs)} "
                f"(inputs in {self.file.with_suffix('.toml').name})"
            )
        shape = shapes[inputs.index("left")] if shapes else ()
        if len(shape) == 4 and shape[2] and shape[3]:
            return shape[3], shape[2]
        return None

    def _flow(self, pair: StereoPair) -> Flow:
        if self.described.output == "disparity":
            return rectified_flow(pair, lambda left, right: self._run(left, right)[..., 0])
        return Flow(self._run(pair.left, pair.right), self._run(pair.right, pair.left))

    def _run(self, left: Picture, right: Picture) -> FloatMap:
        """The network's output for two views, HxWxC float32 px of these views: flow (C = 2) or disparity (C = 1)."""
        height, width = left.shape[:2]
        fixed = all(self.size)
        inner = self.size if fixed else (width, height)
        views = {"left": _fitted(left, inner), "right": _fitted(right, inner)}
        if not fixed:
            views = {name: _padded(view, self.described.multiple) for name, view in views.items()}
        rows, columns = views["left"].shape[:2]
        views |= {f"half-{name}": _fitted(view, (columns // 2, rows // 2)) for name, view in views.items()}
        outputs = self.network.run([_tensor(views[name], self.described, self.dtype) for name in self.described.inputs])
        values = self._checked(outputs, (rows, columns))[: inner[1], : inner[0]]
        scale = np.array([width / inner[0], height / inner[1]], np.float32)[: values.shape[-1]]
        full = _fitted(values, (width, height)).reshape(height, width, -1)
        return np.asarray(full * scale * self.described.sign, np.float32)

    def _checked(self, outputs: Arrays, shape: tuple[int, int]) -> FloatMap:
        """The output that counts, HxWxC float32 at `shape`; raise ValueError, FloatingPointError where it is none."""
        channels = 2 if self.described.output == "flow" else 1
        number = self.described.result
        if not -len(outputs) <= number < len(outputs):
            raise ValueError(f"it has {len(outputs)} outputs, and result = {number} is none of them")
        values = np.asarray(outputs[number], np.float32)
        actual = values.shape
        while values.ndim > 3 and values.shape[0] == 1:
            values = values[0]
        if values.ndim == 2:
            values = values[None]
        if values.ndim != 3 or values.shape[0] < channels or (channels == 2 and values.shape[0] != 2):
            words = "1x2xHxW for a flow" if channels == 2 else "1xHxW or 1x1xHxW for a disparity"
            raise ValueError(f"output {number} has the shape {actual}; it must be {words}")
        if abs(values.shape[1] / values.shape[2] * shape[1] / shape[0] - 1) > 0.02:
            raise ValueError(
                f"output {number} has the shape {actual}, that of no picture of {shape[0]} rows, {shape[1]} columns"
            )
        if not np.isfinite(values).all():
            raise FloatingPointError(f"{self.name} gave values that are not finite: are its inputs as its .toml says?")
        # Values are px of the network's input, also where its map is smaller.
        return _fitted(np.ascontiguousarray(values[:channels].transpose(1, 2, 0)), shape[::-1]).reshape(
            *shape, channels
        )

    def _try_out(self) -> str:
        """Run the network on a pair of known disparity; what it says of it. Raises WeightsUnavailable."""
        width, height = self.size if all(self.size) else TRIAL
        noise = np.random.default_rng(0).integers(0, 256, (height // 4 + 1, width // 4 + 8, 3), np.uint8)
        wide = cv2.resize(noise, (width + TRIAL_PX, height), interpolation=cv2.INTER_CUBIC)
        left, right = (np.ascontiguousarray(view) for view in (wide[:, :width], wide[:, TRIAL_PX:]))
        try:
            measured = float(np.median(self._run(left, right)[..., 0]))
        except Exception as error:  # either library raises what it will on inputs that do not fit
            raise WeightsUnavailable(
                f"{self.file} does not run as {self.file.with_suffix('.toml').name} says: {last_line(error)}"
            ) from error
        expected = TRIAL_PX if self.described.output == "disparity" else -TRIAL_PX
        if abs(measured + expected) < TURNED * TRIAL_PX:
            raise WeightsUnavailable(
                f"{self.file} says {measured:+.1f} px where {expected:+d} px is right: in "
                f"{self.file.with_suffix('.toml').name} set sign = {-self.described.sign}"
            )
        return f"{measured:+.1f} px on a test pair of {expected:+d} px"


def _tensor(view: Picture, described: NetworkFile, dtype: str) -> NDArray[np.generic]:
    """HxWx3 uint8 RGB -> 1xCxHxW as the network takes it."""
    values = view
    if described.channels == "grey":
        values = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)[..., None]
    elif described.channels == "bgr":
        values = view[..., ::-1]
    if dtype == "uint8":
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])
    mean, std = (np.asarray(part, np.float32) for part in (described.mean, described.std))
    scaled = (values.astype(np.float32) * np.float32(described.white / 255) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None].astype(dtype))


def _fitted(field: Field, size: Size) -> Field:
    """A picture or map, resized to (width, height)."""
    height, width = field.shape[:2]
    if (width, height) == size:
        return field
    smaller = size[0] * size[1] < width * height
    resized: Field = cv2.resize(field, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return resized


def _padded(view: Picture, multiple: int) -> Picture:
    """The view with its border replicated, right and below, up to sides that are multiples."""
    below, right = (-side % multiple for side in view.shape[:2])
    padded: Picture = cv2.copyMakeBorder(view, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return padded
