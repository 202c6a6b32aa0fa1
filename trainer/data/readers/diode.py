"""DIODE (Vasiljevic et al. 2019): val/indoors/scene_N/scan_N/NAME.png, NAME_depth.npy and NAME_depth_mask.npy.

Parts are train and val, places indoors and outdoor. Depth is HxWx1 float32 metres; the mask is not 0 where it is known
(diode-dataset.org). Its validation part is what published evaluations use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redweb_builder.types import FloatMap
from trainer.data.depth_files import read_depth
from trainer.data.depth_scale import METRES
from trainer.data.readers.frames import Frame, FrameSet
from trainer.data.readers.protocols import DIODE
from trainer.types import DataError

DEPTH, MASK = "_depth.npy", "_depth_mask.npy"
SCANS = "scene_*/scan_*"
HOMES = ("", "train", "val", "indoors", "outdoor", "train/indoors", "train/outdoor", "val/indoors", "val/outdoor")


def is_diode(folder: Path) -> bool:
    """Whether a folder has that layout: the data set, one of its parts, or indoors or outdoor of one."""
    return any(next((folder / home).glob(f"{SCANS}/*{DEPTH}"), None) for home in HOMES)


class Diode(FrameSet):
    """Frames with depth in metres; groups are the scenes."""

    def __init__(self, name: str, frames: list[Frame]) -> None:
        """Open. name: for tables. frames: see `diode_frames`, or of a list. Raises DataError where there are none."""
        super().__init__(name, frames, DIODE)

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In metres, where every mask says that it is known."""
        metres = METRES.metres(read_depth(frame.depth))
        for file in frame.masks:
            mask = read_depth(file)
            if mask.shape != metres.shape:
                raise DataError(f"{file}: the mask is {mask.shape}, its depth map {metres.shape}")
            metres[mask == 0] = np.nan
        return metres


def diode_frames(folder: Path) -> list[Frame]:
    """The frames of a folder that `is_diode` recognises; those of a folder val are the validation part."""
    frames = []
    for home in HOMES:
        for depth in sorted((folder / home).glob(f"{SCANS}/*{DEPTH}")):
            stem = depth.name.removesuffix(DEPTH)
            scene = depth.parent.parent
            parts = (*folder.resolve().parts[-2:], *scene.relative_to(folder).parts)
            part = "val" if "val" in parts else None
            files = depth.with_name(f"{stem}.png"), depth, scene.name
            frames.append(Frame(stem, *files, part, (depth.with_name(f"{stem}{MASK}"),)))
    return frames
