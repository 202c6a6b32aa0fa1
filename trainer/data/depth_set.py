"""What a data set is to the trainer."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from redweb_builder.types import BoolMap
from trainer.types import DepthSample


class DepthSet(Protocol):
    """Labelled pictures. Readers turn whatever is on disk into DepthSample; nobody else knows a polarity or a mask.

    name: for tables. metric: the labels' zero is infinity, so that their ratios mean something (inverse depth, true
    disparity). unit: of 1 / disparity for metric sets ("m", "1/px"), else of the disparity. farthest: the depth at
    which evaluations of this set cut, in that unit, or None.
    """

    name: str
    metric: bool
    unit: str
    farthest: float | None

    def __len__(self) -> int:
        """Number of samples."""

    def __getitem__(self, index: int) -> DepthSample:
        """Read one sample. Raises DataError, which names the file."""

    def key(self, index: int) -> str:
        """The name of a sample, without reading it."""

    def group(self, index: int) -> str:
        """Samples of one group (a scene, a film) stay on one side of a split."""

    def part(self, index: int) -> str | None:
        """The set's own split: "train", "val" or "test"; None = left to us."""

    def judged(self, shape: tuple[int, int]) -> BoolMap:
        """Where this set's published evaluations look: HxW bool."""


class Layout:
    """What most sets have in common: labels without a zero, no split of their own, judged everywhere."""

    name = ""
    metric = False
    unit = "label"
    farthest: float | None = None

    def key(self, index: int) -> str:
        """The name of a sample."""
        raise NotImplementedError

    def group(self, index: int) -> str:
        """Every sample by itself."""
        return self.key(index)

    def part(self, index: int) -> str | None:
        """No split of its own."""
        return None

    def judged(self, shape: tuple[int, int]) -> BoolMap:
        """Everywhere."""
        return np.ones(shape, bool)


def in_metres(data: DepthSet) -> bool:
    """Whether the labels of a set are depth in metres (1 / disparity)."""
    return data.metric and data.unit == "m"
