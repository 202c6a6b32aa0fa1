"""What the forms of NYU Depth v2 have in common, and the form with 8-bit depth.

Frames of the official test part are never trained on. Other forms: nyu_mat.py, rgb_depth.py, file_lists.py.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from redweb_builder.types import BoolMap
from trainer.data.depth_set import DepthSetBase
from trainer.data.pictures import is_file, read_grey, read_rgb, same_size
from trainer.data.readers.protocols import FULL, NYU, subsampled
from trainer.types import DataError, DepthSample

BORDER = 8  # white frame of the labelled set, px at full size
INSIDE = np.s_[BORDER : FULL[0] - BORDER, BORDER : FULL[1] - BORDER]


class Nyu(DepthSetBase):
    """Inverse depth, 1/m, with a true zero; evaluated in the Eigen crop and up to 10 m."""

    has_true_zero = True
    unit = "m"
    farthest: float | None = NYU.farthest

    def evaluation_mask(self, shape: tuple[int, int]) -> BoolMap:
        """The Eigen crop, subsampled as the frames are ([1::2, 1::2])."""
        return NYU.mask(shape)


class NyuFrames(Nyu):
    """frames.csv, rgb/NNNNN.jpg, depth_u8_framemax/NNNNN.png (640x480, or 320x240).

    depth in metres = (value + 0.5) / 255 * dmax_m of frames.csv. Validation frames are taken by scene: the official
    split is by scene and frames are in order of scene, so every unbroken run of training frames is of whole scenes.
    """

    def __init__(self, folder: Path) -> None:
        """Open. Raises DataError where frames.csv is not as it should be or has no frame in the folder."""
        self.name, self._folder = folder.resolve().name, folder
        try:
            with (folder / "frames.csv").open(newline="") as file:
                rows = [
                    (int(row["frame0"]), row["official_split"], float(row["dmax_m"])) for row in csv.DictReader(file)
                ]
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise DataError(
                f"{folder / 'frames.csv'}: needs columns frame0, official_split, dmax_m ({error})"
            ) from error
        self._frames: list[tuple[int, str, float, int]] = []  # frame, part, largest depth, run of one part
        run, before = 0, ""
        for frame, part, largest in sorted(rows):
            run, before = run + (part != before), part
            if is_file(folder / "rgb" / f"{frame:05d}.jpg"):
                self._frames.append((frame, part, largest, run))
        if not self._frames:
            raise DataError(f"{folder}: none of the frames of frames.csv is in rgb/")

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def key(self, index: int) -> str:
        """Five digits."""
        return f"{self._frames[index][0]:05d}"

    def group(self, index: int) -> str:
        """The run of whole scenes that the frame is in."""
        return f"run {self._frames[index][3]}"

    def part(self, index: int) -> str | None:
        """The official test part stays apart."""
        return "test" if self._frames[index][1] == "test" else None

    def files(self, index: int) -> tuple[Path, ...]:
        """Picture and depth."""
        key = self.key(index)
        return self._folder / "rgb" / f"{key}.jpg", self._folder / "depth_u8_framemax" / f"{key}.png"

    def __getitem__(self, index: int) -> DepthSample:
        """Read one frame. Raises DataError."""
        key, largest = self.key(index), self._frames[index][2]
        picture, depth_file = self.files(index)
        image, values = read_rgb(picture), read_grey(depth_file)
        same_size(image, values, depth_file)
        disparity = np.float32(255 / largest) / (values.astype(np.float32) + np.float32(0.5))
        disparity[~subsampled(INSIDE, values.shape)] = np.nan
        return DepthSample(key, image, disparity, np.zeros(values.shape, bool), 0.0, true_zero=True)
