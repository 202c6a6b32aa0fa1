"""What the forms of NYU Depth v2 have in common, and the form with 8-bit depth.

Frames of the official test part are never trained on. Other forms: nyu_mat.py, nyu_raw.py, sparse_to_dense.py,
rgb_depth.py, file_lists.py.
"""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np

from redweb_builder.files import open_text
from redweb_builder.types import BoolMap
from trainer.data.depth_set import DepthSetBase
from trainer.data.pictures import is_file, read_grey, read_rgb, same_size
from trainer.data.readers.protocols import FULL, NYU, subsampled
from trainer.types import DataError, DepthSample

BORDER = 8  # white frame of the labelled set, px at full size
INSIDE = np.s_[BORDER : FULL[0] - BORDER, BORDER : FULL[1] - BORDER]

# The 249 scenes of the official training part: a room and its numbers (utils/train_scenes.txt of github.com/cleinc/bts)
_TRAINING = """
basement 1; bathroom 1 2 5 6 7 10 11 13 14 16 19 23 24 28 30 33 34 35 39 41 42 45 48 49 50 51 53 54 55 56 57; bedroom
4 10 12 14 15 16 17 19 20 21 25 26 28 29 31 33 34 35 36 38 39 40 41 42 45 47 50 51 52 53 56 57 59 60 62 63 65 66 67 69
71 72 74 76 78 79 80 81 82 86 90 94 96 97 98 100 104 106 107 113 116 118 120 124 125 126 129 130 132 136 138 140;
bookstore 1; cafe 1; classroom 3 4 5 6 10 11 12 16 18 22; computer_lab 2; conference_room 1 2; dinette 1; dining_room
1 2 4 7 8 10 12 13 14 15 16 19 23 24 28 29 31 33 34 37; excercise_room 1; foyer 2; furniture_store 1 2; home_office 4
5 6 7 8 11 13; home_storage 1; indoor_balcony 1; kitchen 3 6 8 10 11 16 17 19 28 29 31 33 35 37 41 43 45 47 48 49 50
51 52 53 59 60; laundry_room 1; living_room 4 5 6 10 11 12 18 19 20 22 29 32 33 35 37 38 39 40 42 46 47 50 55 58 62 63
67 68 69 70 71 78 82 83 85 86; nyu_office 0 1; office 3 4 6 9 11 12 18 19 21 23 24 25 26; office_kitchen 1 3; playroom
2 3 4 6; printer_room 1; reception_room 1 2 4; student_lounge 1; study 3 4 5 6 8; study_room 4 5
"""
TRAINING_SCENES = {room: frozenset(map(int, numbers)) for room, *numbers in map(str.split, _TRAINING.split(";"))}


def official_part(recording: str) -> str | None:
    """ "test" for a recording of a scene that is not in the official training part, else None, also for other names.

    recording: such as kitchen_0028b, the second recording of the scene kitchen_0028.
    """
    match = re.fullmatch(r"(.+)_(\d+)[a-z]?", recording)
    if not match or match[1] not in TRAINING_SCENES:
        return None
    return None if int(match[2]) in TRAINING_SCENES[match[1]] else "test"


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
            table = csv.DictReader(open_text(folder / "frames.csv"))
            rows = [(int(row["frame0"]), row["official_split"], float(row["dmax_m"])) for row in table]
            if not all(0 < largest < math.inf for _, _, largest in rows):
                raise ValueError("dmax_m is a length")
        except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
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
