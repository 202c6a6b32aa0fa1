"""RGB-D frames that are a picture and a depth file each: the folders rgb/ and depth/. File lists: file_lists.py.

Depth files hold 16-bit integers in the set's scale (depth_scale.py), or floats in metres; 0 and what is not finite is
unknown. Frames are read as they are: whoever wrote the files has decided about borders and holes.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redweb_builder.files import open_text
from redweb_builder.types import FloatMap
from trainer.data.depth_files import DEPTH_ENDINGS, depth_by_stem, read_depth, refuse_relative
from trainer.data.depth_scale import (
    DENSEDEPTH,
    METRES,
    MILLIMETRES,
    DepthScale,
    check_typical,
    one_scale,
    read_depth_json,
)
from trainer.data.pictures import by_stem, matched
from trainer.data.readers.frames import Frame, FrameSet
from trainer.data.readers.protocols import PLAIN, PROTOCOLS, Protocol
from trainer.data.splits import evenly_spaced
from trainer.types import DataError

SPLIT = "split.csv"  # of the folder form: key, part, scene
CHECKED = 12  # frames whose depth is read when a set is opened


class FrameFiles(FrameSet):
    """Frames whose depth files hold numbers in one scale."""

    def __init__(
        self, name: str, frames: Sequence[Frame], scale: DepthScale | None = None, protocol: Protocol = PLAIN
    ) -> None:
        """Open.

        name: of the set, for tables. frames: where they lie. scale: of all depth files, as stated; None = millimetres
        in integers, metres in floats, which must then look like a room. protocol: of their evaluation. Raises DataError
        where there are no frames, or where their typical depth shows that the scale is another one.
        """
        super().__init__(name, frames, protocol)
        self._scale = scale
        self._check_scale()

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """In metres, as the scale says."""
        refuse_relative(frame.depth)
        stored = read_depth(frame.depth)
        return self._scale_of(stored, frame.depth).metres(stored)

    def _scale_of(self, stored: NDArray[np.generic], file: Path) -> DepthScale:
        if self._scale:
            return self._scale
        if stored.dtype.kind == "f":
            return METRES
        if stored.dtype.itemsize > 1:
            return MILLIMETRES
        if self._protocol.eight_bits:
            return DENSEDEPTH
        raise DataError(
            f"{file}: has 8 bits, which cannot be millimetres; depth must be 16-bit PNG or floats in metres, or state "
            "its scale with --depth-scale"
        )

    def _check_scale(self) -> None:
        """Read some depth maps and refuse a scale that cannot be right. Frames that are broken do not count here."""
        medians, known, assumed = [], [], self._scale
        for index in evenly_spaced(range(len(self)), CHECKED):
            file = self._frames[index].depth
            try:
                stored = read_depth(file)
            except DataError:
                continue
            refuse_relative(file)
            assumed = self._scale_of(stored, file)
            metres = assumed.metres(stored)
            if np.isfinite(metres).any():
                medians.append(float(np.nanmedian(metres)))
                known.append(float(np.isfinite(metres).mean()))
        if medians:
            unstated = None if self._scale or self._protocol.known_scale else assumed
            check_typical(self.name, medians, float(np.mean(known)), unstated)


class RgbDepth(FrameFiles):
    """rgb/NAME.jpg|png with depth/NAME.png|npy|..., split.csv (key, part, scene) and depth.json where there are any."""

    def __init__(self, folder: Path, scale: DepthScale | None = None) -> None:
        """Open. scale: of the command line. Raises DataError for a picture without depth, or depth without a picture.

        A depth.json in the folder states the scale, and whether the frames are NYU Depth v2's.
        """
        stated = read_depth_json(folder)
        depth_by_stem(folder / "depth")
        pictures, depths = by_stem(folder / "rgb"), by_stem(folder / "depth", DEPTH_ENDINGS)
        parts = _read_split(folder / SPLIT)
        frames = []
        for stem in matched(pictures, depths, folder):
            part, scene = parts.get(stem, ("", stem))
            frames.append(Frame(stem, pictures[stem], depths[stem], scene, part if part in ("test", "val") else None))
        super().__init__(
            folder.resolve().name, frames, one_scale(folder, stated.scale, scale), PROTOCOLS[stated.protocol]
        )


def _read_split(file: Path) -> dict[str, tuple[str, str]]:
    if not file.is_file():
        return {}
    try:
        table = csv.DictReader(open_text(file))
        # A frame whose scene is left empty is one of its own: all of them in one scene could not be held out.
        return {row["key"]: (row["part"] or "", row["scene"] or row["key"]) for row in table}
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{file}: needs columns key, part, scene ({error})") from error
