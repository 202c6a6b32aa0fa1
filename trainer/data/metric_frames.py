"""A set with depth in metres as Eigen et al. 2014 take it: at 320x240, decoded once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from redweb_builder.types import BoolMap
from trainer.data.check import refuse_many
from trainer.data.depth_set import DepthSet, DepthSetBase, in_metres
from trainer.data.eigen_transforms import as_frame, label_frame
from trainer.eigen_geometry import FRAME
from trainer.types import DataError, DepthSample

MEMORY = 4 << 30  # bytes of frames that are kept; further ones are read each time that they are asked for
FRAME_BYTES = FRAME[0] * FRAME[1] * (3 + 4)


class MetricFrames(DepthSetBase):
    """Frames of 240x320 with inverse depth in 1/m. Those read ahead are never decoded again, in no process.

    broken: frames that could not be read ahead, and why.
    """

    has_true_zero = True
    unit = "m"

    def __init__(
        self, data: DepthSet, indices: Sequence[int], watch: Callable[[int, int], None] = lambda done, of: None
    ) -> None:
        """Read `indices` of a set ahead, as far as memory is meant for it. watch: (frames read, of all).

        data: a set in metres, frames of any size. indices: of its frames. Raises DataError for a set that has no
        metres, and where too many frames cannot be read.
        """
        if not in_metres(data):
            raise DataError(
                f"{data.name}: its labels are not in metres, which metric depth needs. Take RGB-D frames, such as "
                "NYU Depth v2, or train relative depth: --model rednet"
            )
        self.name, self.farthest, self._data = data.name, data.farthest, data
        self._sky = np.zeros(FRAME, bool)
        self.broken: dict[int, str] = {}
        self._kept: dict[int, DepthSample] = {}
        ahead = indices[: MEMORY // FRAME_BYTES]
        for done, index in enumerate(ahead, 1):
            try:
                self._kept[index] = self._read(index)
            except DataError as error:
                self.broken[index] = str(error)
                refuse_many(list(self.broken.values()), len(ahead))
            watch(done, len(ahead))

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

    def files(self, index: int) -> tuple[Path, ...]:
        """The set's own."""
        return self._data.files(index)

    def evaluation_mask(self, shape: tuple[int, int]) -> BoolMap:
        """The set's own."""
        return self._data.evaluation_mask(shape)

    def _read(self, index: int) -> DepthSample:
        sample = self._data[index]
        image, disparity = as_frame(sample.image), label_frame(sample.disparity)
        return DepthSample(sample.key, image, disparity, self._sky, sample.noise, true_zero=True)
