"""What a data set is to the trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from redweb_builder.types import BoolMap
from trainer.types import DepthSample


class DepthSet(Protocol):
    """Labelled pictures. Readers turn whatever is on disk into DepthSample; nobody else knows a polarity or a mask.

    name: for tables.
    has_true_zero: the labels' zero is infinity, so that their ratios mean something (inverse depth, true disparity).
    unit: of 1 / disparity where there is a true zero ("m", "1/px"), else of the disparity.
    farthest: the depth at which evaluations of this set cut, in that unit, or None.
    notes: sentences for people about what of the set cannot be used.

    index, of all methods: the sample's number from 0.
    """

    name: str
    has_true_zero: bool
    unit: str
    farthest: float | None
    notes: tuple[str, ...]

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

    def files(self, index: int) -> tuple[Path, ...]:
        """The files of a sample, the picture first; none where it lies in a file of the whole set. Raises DataError."""

    def evaluation_mask(self, shape: tuple[int, int]) -> BoolMap:
        """The pixels that published evaluations of this set count: HxW bool. shape: (H, W)."""


class DepthSetBase:
    """What most sets have in common: labels without a zero, no split of their own, evaluated everywhere.

    index, shape: as of DepthSet.
    """

    name = ""
    has_true_zero = False
    unit = "label"
    farthest: float | None = None
    notes: tuple[str, ...] = ()

    def key(self, index: int) -> str:
        """The name of a sample."""
        raise NotImplementedError

    def group(self, index: int) -> str:
        """Every sample by itself."""
        return self.key(index)

    def part(self, index: int) -> str | None:
        """No split of its own."""
        return None

    def files(self, index: int) -> tuple[Path, ...]:
        """None."""
        return ()

    def evaluation_mask(self, shape: tuple[int, int]) -> BoolMap:
        """Everywhere."""
        return np.ones(shape, bool)


def in_metres(data: DepthSet) -> bool:
    """Whether the labels of a set are depth in metres (1 / disparity). data: nothing of it is read."""
    return data.has_true_zero and data.unit == "m"


def judged_pixels(data: DepthSet, sample: DepthSample) -> BoolMap:
    """The pixels that an evaluation counts, HxW bool: known, in the set's own mask, and not beyond its farthest depth.

    data: the set that the sample is of. Raises DataError for a size that the set's evaluation does not know.
    """
    known = np.isfinite(sample.disparity) & data.evaluation_mask(sample.disparity.shape)
    if data.farthest is not None:
        known &= np.nan_to_num(sample.disparity) >= (1 - 1e-6) / data.farthest
    return known
