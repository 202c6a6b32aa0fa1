"""A set with depth in metres as Eigen et al. 2014 take it: 320x240 by direct subsampling, decoded once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from redweb_builder.types import BoolMap
from trainer.data.depth_set import DepthSet, DepthSetBase, in_metres
from trainer.eigen_geometry import FRAME
from trainer.types import DataError, DepthSample

MEMORY = 4 << 30  # bytes of frames that are kept; further ones are read each time that they are asked for
FRAME_BYTES = FRAME[0] * FRAME[1] * (3 + 4)


class MetricFrames(DepthSetBase):
    """Frames of 240x320 with inverse depth in 1/m. Those read ahead are never decoded again, in no process."""

    has_true_zero = True
    unit = "m"

    def __init__(
        self, data: DepthSet, indices: Sequence[int], watch: Callable[[int, int], None] = lambda done, of: None
    ) -> None:
        """Read `indices` of a set ahead, as far as memory is meant for it. watch: (frames read, of all).

        Raises DataError: for a set that has no metres, and for what its reader raises.
        """
        if not in_metres(data):
            raise DataError(
                f"{data.name}: its labels are not in metres, which metric depth needs. Take NYU Depth v2 in one of its "
                "forms, or train relative depth: --model rednet"
            )
        self.name, self.farthest, self._data = data.name, data.farthest, data
        self._sky = np.zeros(FRAME, bool)
        self._kept: dict[int, DepthSample] = {}
        ahead = indices[: MEMORY // FRAME_BYTES]
        for done, index in enumerate(ahead):
            self._kept[index] = self._read(index)
            watch(done + 1, len(ahead))

    def __len__(self) -> int:
        """Number of frames of the set."""
        return len(self._data)

    def __getitem__(self, index: int) -> DepthSample:
        """A frame. Raises DataError."""
        return self._kept.get(index) or self._read(index)

    def key(self, index: int) -> str:
        """The set's own."""
        return self._data.key(index)

    def group(self, index: int) -> str:
        """The set's own."""
        return self._data.group(index)

    def part(self, index: int) -> str | None:
        """The set's own."""
        return self._data.part(index)

    def evaluation_mask(self, shape: tuple[int, int]) -> BoolMap:
        """The set's own."""
        return self._data.evaluation_mask(shape)

    def _read(self, index: int) -> DepthSample:
        sample = self._data[index]
        height, width = sample.disparity.shape
        every = height // FRAME[0]
        if every < 1 or (height, width) != (every * FRAME[0], every * FRAME[1]):
            raise DataError(
                f"{self.name}, {sample.key}: is {width}x{height}. Frames must be 320x240 or a whole multiple of it, "
                "since depth is subsampled and never interpolated"
            )
        chosen = np.s_[every - 1 :: every, every - 1 :: every]  # [1::2, 1::2] of 640x480
        image, disparity = np.ascontiguousarray(sample.image[chosen]), np.ascontiguousarray(sample.disparity[chosen])
        return DepthSample(sample.key, image, disparity, self._sky, sample.noise)
