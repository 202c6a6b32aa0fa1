"""Rectified stereo with ground-truth disparity: a folder a scene with left.*, disp_left.*, meta.json, at any depth.

disparity in px = |value| * scale of meta.json; values that are 0 or not finite are unknown (KITTI, Middlebury). For
evaluation: the zero of true disparity is infinity, so its ratios are those of depth.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redweb_builder.files import parse_json, read_text
from redweb_builder.types import FloatMap
from trainer.data.depth_files import read_depth
from trainer.data.depth_set import DepthSetBase
from trainer.data.pictures import read_rgb, same_size
from trainer.types import DataError, DepthSample

LARGEST_SCALE = 1000.0  # px of a stored unit; published sets have 1 at most


class StereoTruth(DepthSetBase):
    """The left views with true disparity."""

    has_true_zero = True
    unit = "1/px"

    def __init__(self, folder: Path) -> None:
        """Open. Raises DataError for a scene without its files. folder: scenes lie in it at any depth."""
        self.name, self._folder = folder.resolve().name, folder
        self._scenes: list[tuple[Path, Path, float]] = []
        for truth in sorted(folder.rglob("disp_left.*")):
            left = next(truth.parent.glob("left.*"), None)
            try:
                scale = float(parse_json(read_text(truth.parent / "meta.json"))["scale"])
                if not 0 < scale <= LARGEST_SCALE:
                    raise ValueError(f"{scale} is none")
            except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
                raise DataError(f"{truth.parent}: needs meta.json with the scale of its disparity ({error})") from error
            if left is None:
                raise DataError(f"{truth.parent}: has {truth.name} and no left picture")
            self._scenes.append((left, truth, scale))

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self._scenes)

    def key(self, index: int) -> str:
        """The scene's path below the set."""
        return self._scenes[index][1].parent.relative_to(self._folder).as_posix()

    def files(self, index: int) -> tuple[Path, ...]:
        """Left picture and disparity."""
        return self._scenes[index][:2]

    def __getitem__(self, index: int) -> DepthSample:
        """Read one scene. Raises DataError."""
        left, truth, scale = self._scenes[index]
        image, disparity = read_rgb(left), _disparity(truth, scale)
        same_size(image, disparity, truth)
        return DepthSample(self.key(index), image, disparity, np.zeros(disparity.shape, bool), 0.0, true_zero=True)


def _disparity(file: Path, scale: float) -> FloatMap:
    """HxW float32 px, NaN where unknown."""
    values = np.abs(read_depth(file).astype(np.float32))
    known = np.isfinite(values) & (values > 0)
    return np.where(known, values * np.float32(scale), np.float32(np.nan))
