"""The data of MoGe (Wang et al. 2025): .index.txt lists folders with image.jpg and depth.png.

depth.png has 16 bits: 0 = unknown, 65535 = infinitely far, v = near^(1-t) far^t with t = (v-1)/65533; near and far
stand in the PNG's text (moge/utils/io.py of github.com/microsoft/MoGe). The unit is the list's own business, so depth
counts as known up to a factor; --depth-scale 1 says that it is metres.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from redweb_builder.files import read_text
from redweb_builder.types import FloatMap
from trainer.data.depth_scale import DepthScale
from trainer.data.pictures import read_grey, text_of
from trainer.data.readers.frames import SCENE_UNIT, Frame, FrameSet
from trainer.types import DataError

INDICES = {".index.txt": None, ".train.txt": None, ".val.txt": "val", ".test.txt": "test"}  # list -> part
FAR, STEPS = 65535, 65533


def is_moge(folder: Path) -> bool:
    """Whether a folder has such a list."""
    return any((folder / name).is_file() for name in INDICES)


class Moge(FrameSet):
    """The frames of the lists in a folder."""

    def __init__(self, folder: Path, scale: DepthScale | None = None) -> None:
        """Open. folder: what `is_moge` recognises. scale: of the command line. Raises DataError for a broken list."""
        self._scale = scale or DepthScale(1.0)
        self.unit = "m" if scale else SCENE_UNIT
        frames: dict[str, Frame] = {}
        for name, part in reversed(INDICES.items()):
            if not (folder / name).is_file():
                continue
            try:
                lines = read_text(folder / name, "utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"{folder / name}: cannot be read as a list of folders ({error})") from error
            for line in filter(None, map(str.strip, lines)):
                home = folder / line
                frames.setdefault(line, Frame(line, home / "image.jpg", home / "depth.png", home.parent.name, part))
        super().__init__(folder.resolve().name, list(frames.values()))

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In the set's unit; what is infinitely far is unknown."""
        stored, text = read_grey(frame.depth), text_of(frame.depth)
        try:
            near, far, unit = (float(text.get(name, default)) for name, default in _TEXT)
        except ValueError:
            near = far = unit = math.nan
        if not (0 < near <= far < math.inf and 0 < unit < math.inf):
            raise DataError(f"{frame.depth}: has no near and far in its text, which MoGe's depth has")
        share = (stored.astype(np.float32) - 1) / STEPS
        values = np.float32(near * unit) * np.float32(far / near) ** share
        return self._scale.metres(np.where((stored == 0) | (stored == FAR), np.float32(np.nan), values))


_TEXT = (("near", ""), ("far", ""), ("unit", "1"))
