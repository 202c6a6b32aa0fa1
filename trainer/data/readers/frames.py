"""Frames on the disk: a picture, a depth file and what says which of its pixels count; what such sets share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redweb_builder.types import BoolMap, FloatMap, Picture
from trainer.data.depth_set import DepthSetBase
from trainer.data.pictures import at_picture_size, read_instances, read_rgb
from trainer.data.readers.protocols import PLAIN, Protocol
from trainer.types import DataError, DepthSample

SCENE_UNIT = "scene unit"  # of depth that is known up to a factor


@dataclass(frozen=True)
class Frame:
    """One frame on the disk.

    key: its name. rgb, depth: its files. scene: what stays on one side of a split. part: "val", "test" or None.
    masks: files that say which pixels of the depth are known.
    """

    key: str
    rgb: Path
    depth: Path
    scene: str
    part: str | None = None
    masks: tuple[Path, ...] = ()


class FrameSet(DepthSetBase):
    """Frames that are a picture and a depth file each: inverse depth with a true zero, 1/m unless `unit` says else.

    A subclass says what the numbers of a depth file are: `depth`; and what a picture needs besides reading: `picture`.
    """

    has_true_zero = True
    unit = "m"

    def __init__(self, name: str, frames: Sequence[Frame], protocol: Protocol = PLAIN) -> None:
        """Open. Nothing is read.

        name: of the set, for tables. frames: where they lie. protocol: of their evaluation. Raises DataError where
        there are no frames.
        """
        if not frames:
            raise DataError(f"{name}: there are no frames in it")
        self.name, self._frames, self._protocol = name, list(frames), protocol
        self.farthest = protocol.farthest

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def key(self, index: int) -> str:
        """The picture's path below its set, without ending."""
        return self._frames[index].key

    def group(self, index: int) -> str:
        """The scene."""
        return self._frames[index].scene

    def part(self, index: int) -> str | None:
        """Test and validation frames that the set names; what it calls train is free to be held out."""
        return self._frames[index].part

    def files(self, index: int) -> tuple[Path, ...]:
        """Picture, depth and masks."""
        frame = self._frames[index]
        return frame.rgb, frame.depth, *frame.masks

    def evaluation_mask(self, shape: tuple[int, int]) -> BoolMap:
        """As the protocol says."""
        return self._protocol.mask(shape)

    def picture(self, frame: Frame) -> Picture:
        """HxWx3 uint8 RGB of a frame. frame: whose picture to read. Raises DataError."""
        return read_rgb(frame.rgb)

    def depth(self, frame: Frame, shape: tuple[int, int]) -> FloatMap:
        """HxW float32 depth of a frame in the set's unit, NaN where unknown.

        frame: whose files to read. shape: (height, width) of its picture. Raises DataError.
        """
        raise NotImplementedError

    def __getitem__(self, index: int) -> DepthSample:
        """Read one frame; depth of another size than its picture is brought to that. Raises DataError."""
        frame = self._frames[index]
        image = self.picture(frame)
        depth = at_picture_size(self.depth(frame, image.shape[:2]), image, frame.depth)
        disparity = inverse(depth, np.isfinite(depth))
        sky, instances = np.zeros(depth.shape, bool), read_instances(frame.rgb.parent.parent, frame.rgb.stem, image)
        return DepthSample(frame.key, image, disparity, sky, 0.0, true_zero=True, instances=instances)


def inverse(depth: FloatMap, known: BoolMap) -> FloatMap:
    """Depth as inverse depth, HxW float32, NaN where it is not known. depth: HxW. known: HxW bool."""
    result = np.full(depth.shape, np.nan, np.float32)
    return np.divide(np.float32(1), depth, out=result, where=known)
