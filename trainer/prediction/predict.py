"""Photographs to depth, in Python. For files, folders and films: predict_files.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from redweb_builder.monocular.estimator import has_finite_range
from redweb_builder.monocular.network import RedNet
from redweb_builder.types import FloatMap, Picture
from trainer.checkpoint import load_network, read_header, weights_file
from trainer.config import TrainConfig
from trainer.data.eigen_transforms import Warp, apply_warp, as_frame
from trainer.data.marks import unpack_marks
from trainer.data.transforms import as_input
from trainer.eigen_geometry import CROP, FRAME
from trainer.models.eigen import MetricNetwork
from trainer.types import DataError

NEAREST, FARTHEST = 0.01, 65.0  # m that a metric network may say: what 16-bit millimetres hold


@dataclass(frozen=True)
class Predictor:
    """A loaded checkpoint as a function of a photograph.

    name: for tables. network: in eval mode, on `device`. size: side of the crops that it was trained on, px.
    validation_fraction, test_fraction: that its training held out where a set has no split. trained_on: the marks of
    the samples that it was trained on (data/marks.py), as far as the checkpoint says.
    """

    name: str
    network: RedNet | MetricNetwork
    size: int
    validation_fraction: float
    device: torch.device
    trained_on: frozenset[bytes] = frozenset()
    test_fraction: float = 0.0

    def __call__(self, image: Picture) -> FloatMap:
        """The prediction of a photograph, as `predict_depth` has it. Raises DataError where it is not finite.

        image: HxWx3 uint8 RGB.
        """
        return require_finite(predict_depth(self.network, image, self.size, self.device), self.name)


def load_predictors(paths: Sequence[Path], device: torch.device) -> list[Predictor]:
    """Load every checkpoint once, for many photographs: networks of relative depth in channels_last, as in training.

    paths: .safetensors files, or folders of runs; one that stands twice is loaded once. device: where they run. Raises
    CheckpointError.
    """
    predictors = [load_predictor(path, device) for path in dict.fromkeys(paths)]
    for predictor in predictors:
        if isinstance(predictor.network, RedNet):
            predictor.network.to(memory_format=torch.channels_last)
    return predictors


def load_predictor(path: Path, device: torch.device) -> Predictor:
    """Load a checkpoint, named after its path.

    path: a .safetensors file, or the folder of a run. device: where it runs. Raises CheckpointError.
    """
    network, header = load_network(path, device), read_header(weights_file(path))
    size, validation = header.get("size", TrainConfig.size), header.get("validation", TrainConfig.validation)
    trained_on = unpack_marks(header.get("trained_on", ""))
    test = float(header.get("test", TrainConfig.test))
    return Predictor(str(path), network, int(size), float(validation), device, trained_on, test)


def metric_networks(predictors: Sequence[Predictor]) -> dict[str, MetricNetwork]:
    """The networks of metric depth among some predictors, by name."""
    every = {predictor.name: predictor.network for predictor in predictors}
    return {name: network for name, network in every.items() if isinstance(network, MetricNetwork)}


def require_finite(depth: FloatMap, name: str) -> FloatMap:
    """A prediction as it is given. Raises DataError where it is not finite, as it would be judged like any other.

    depth: HxW float32. name: of the network, or of the picture.
    """
    if not has_finite_range(depth):
        raise DataError(f"{name}: the network gives values that are not finite; its weights are of no use")
    return depth


@torch.inference_mode()
def predict_depth(network: nn.Module, image: Picture, size: int, device: torch.device) -> FloatMap:
    """Relative depth of one photograph, HxW float32, larger = nearer, no unit; of a metric network inverse depth, 1/m.

    network: in eval mode, on `device`. image: HxWx3 uint8 RGB. size: the side of the crops that it was trained on; the
    picture is predicted at about that many pixels (`fitting_size`), and brought back to its own size.
    """
    if isinstance(network, MetricNetwork):
        metres = list(predict_metres(network, image, device).values())[-1]
        return np.float32(1) / metres
    depth = network(as_input(image, size).to(device).contiguous(memory_format=torch.channels_last))
    full = F.interpolate(depth[:, None].float(), size=image.shape[:2], mode="bilinear", align_corners=False)
    result: FloatMap = full[0, 0].cpu().numpy()
    return result


@torch.inference_mode()
def predict_metres(network: MetricNetwork, image: Picture, device: torch.device) -> dict[str, FloatMap]:
    """Depth of one photograph by each stage of a metric network: name of the stage -> HxW float32, metres.

    network: in eval mode, on `device`. image: HxWx3 uint8 RGB. The network sees the middle 304x228 of the picture at
    320x240; its cells are filled 4x, and what lies outside of them takes the nearest value (Eigen et al. 2014). A
    picture of other proportions is squeezed. Depths stay within NEAREST and FARTHEST, so that their inverse and
    logarithm exist.
    """
    crop, _ = apply_warp(as_frame(image), np.zeros((*FRAME, 1), np.float32), Warp())
    pixels = (torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255).to(device)
    logs = network.maps(pixels.contiguous(memory_format=torch.channels_last))
    return {name: filled(_metres(log_depth[0]), image.shape[:2]) for name, log_depth in logs.items()}


def _metres(logs: Tensor) -> FloatMap:
    metres: FloatMap = logs.float().exp().clamp(NEAREST, FARTHEST).cpu().numpy()
    return metres


def filled(depth: FloatMap, shape: tuple[int, ...]) -> FloatMap:
    """The map of the middle of a frame as one of the whole picture.

    depth: 55x74 or 228x304 float32. shape: (H, W) of the picture. Returns HxW float32.
    """
    every = CROP[0] // depth.shape[0]
    cells = depth.repeat(every, axis=0).repeat(every, axis=1)
    rows, columns = ((full - part) // 2 for full, part in zip(FRAME, cells.shape, strict=True))
    frame = np.pad(cells, ((rows, rows), (columns, columns)), mode="edge")
    return np.asarray(cv2.resize(frame, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
