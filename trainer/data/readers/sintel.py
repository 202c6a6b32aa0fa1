"""MPI Sintel with its depth (Butler et al. 2012): training/depth/SCENE/frame_NNNN.dpt, training/final or clean/SCENE/.

A .dpt file is the float32 202021.25, width and height as int32, and float32 depth row by row, little-endian
(sintel_io.py of the data set). The film has no metres. The final pass is taken where both are there.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from redweb_builder.types import FloatMap
from trainer.data.depth_scale import METRES
from trainer.data.readers.frames import SCENE_UNIT, Frame, FrameSet
from trainer.data.readers.protocols import SINTEL
from trainer.types import DataError

TAG = 202021.25
HEADER = struct.Struct("<fii")
PASSES = ("final", "clean")


def is_sintel(folder: Path) -> bool:
    """Whether a folder has that layout, or is its folder training."""
    return any(next(home.glob("depth/*/*.dpt"), None) for home in (folder, folder / "training"))


class Sintel(FrameSet):
    """Frames with depth in the film's own unit; groups are the scenes."""

    unit = SCENE_UNIT

    def __init__(self, folder: Path) -> None:
        """Open. folder: what `is_sintel` recognises. Raises DataError where the pictures are not there."""
        home = next(home for home in (folder, folder / "training") if next(home.glob("depth/*/*.dpt"), None))
        passed = next((home / name for name in PASSES if (home / name).is_dir()), None)
        if passed is None:
            raise DataError(f"{home}: has depth and no pictures; unpack MPI-Sintel-training_images.zip there (final/)")
        frames = []
        for depth in sorted((home / "depth").glob("*/*.dpt")):
            scene = depth.parent.name
            frames.append(Frame(f"{scene}/{depth.stem}", passed / scene / f"{depth.stem}.png", depth, scene))
        super().__init__(folder.resolve().name, frames, SINTEL)

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In the film's unit."""
        height, width = shape
        try:
            content = (
                frame.depth.read_bytes() if frame.depth.stat().st_size == HEADER.size + 4 * height * width else b""
            )
        except OSError as error:
            raise DataError(f"{frame.depth}: cannot be opened ({error.strerror})") from error
        if not content or HEADER.unpack_from(content) != (TAG, width, height):
            raise DataError(f"{frame.depth}: is no .dpt file of {width}x{height}, the size of its picture")
        return METRES.metres(np.frombuffer(content, "<f4", offset=HEADER.size).reshape(shape))
