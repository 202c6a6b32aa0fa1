"""MegaDepth (Li & Snavely 2018): NNNN/denseN/imgs/NAME.jpg and NNNN/denseN/depths/NAME.h5 with `depth`.

Depth of multi-view stereo, known up to a factor a scene; 0 = unknown. Pictures with a negative number hold order
(fore- and background) and no depth: they are left without a label, as those who train on it do
(github.com/isl-org/MiDaS/issues/16).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redweb_builder.types import FloatMap
from trainer.data.depth_files import read_depth
from trainer.data.depth_scale import METRES
from trainer.data.pictures import by_stem
from trainer.data.readers.frames import SCENE_UNIT, Frame, FrameSet

HOMES = ("", "MegaDepth_v1", "phoenix/S6/zl548/MegaDepth_v1", "MegaDepth_v1/phoenix/S6/zl548/MegaDepth_v1")


def is_megadepth(folder: Path) -> bool:
    """Whether a folder has that layout."""
    return any(next((folder / home).glob("*/dense*/depths/*.h5"), None) for home in HOMES)


class MegaDepth(FrameSet):
    """Frames with depth up to a factor; groups are the places."""

    unit = SCENE_UNIT

    def __init__(self, folder: Path) -> None:
        """Open. folder: what `is_megadepth` recognises. Frames of which one file is missing are not of the set."""
        frames = []
        for home in HOMES:
            for depths in sorted((folder / home).glob("*/dense*/depths")):
                place = depths.parent.parent.name
                pictures = by_stem(depths.parent / "imgs") if (depths.parent / "imgs").is_dir() else {}
                for depth in sorted(depths.glob("*.h5")):
                    if depth.stem in pictures:
                        key = f"{place}/{depths.parent.name}/{depth.stem}"
                        frames.append(Frame(key, pictures[depth.stem], depth, place))
        super().__init__(folder.resolve().name, frames)

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In the scene's own unit."""
        stored = read_depth(frame.depth)
        if np.less(stored, 0).any():
            return np.full(stored.shape, np.nan, np.float32)
        return METRES.metres(stored)
