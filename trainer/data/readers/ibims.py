"""iBims-1 (Koch et al. 2018): rgb/, depth/, mask_invalid/, mask_transp/, PNG files of one name, and imagelist.txt.

16-bit depth, 65535 = 50 m, 0 = unknown; a mask is 0 where the depth is not known (mask_invalid) or is of glass
(mask_transp). It is for evaluation, so all frames are a test part.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redweb_builder.types import FloatMap
from trainer.data.depth_files import read_depth
from trainer.data.depth_scale import DepthScale
from trainer.data.pictures import by_stem, matched, read_grey
from trainer.data.readers.frames import Frame, FrameSet
from trainer.types import DataError

SCALE = DepthScale(65535 / 50)
MASKS = ("mask_invalid", "mask_transp")


def is_ibims(folder: Path) -> bool:
    """Whether a folder has that layout."""
    return all((folder / name).is_dir() for name in ("rgb", "depth", *MASKS))


class Ibims(FrameSet):
    """100 frames with depth in metres."""

    def __init__(self, folder: Path) -> None:
        """Open. folder: what `is_ibims` recognises. Raises DataError where names do not match."""
        rgb, depth, *masks = (by_stem(folder / name) for name in ("rgb", "depth", *MASKS))
        for mask in masks:
            matched(depth, mask, folder)
        frames = [
            Frame(stem, rgb[stem], depth[stem], stem, "test", tuple(mask[stem] for mask in masks))
            for stem in matched(rgb, depth, folder)
        ]
        super().__init__(folder.resolve().name, frames)

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In metres, where both masks say that it is known."""
        metres = SCALE.metres(read_depth(frame.depth))
        for file in frame.masks:
            mask = read_grey(file)
            if mask.shape != metres.shape:
                raise DataError(f"{file}: the mask is {mask.shape}, its depth map {metres.shape}")
            metres[mask == 0] = np.nan
        return metres
