"""A data set that the builder made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from redweb_builder.dataset.reader import Sample, open_dataset
from redweb_builder.dataset.sample_files import MAPS
from redweb_builder.dataset.splits import groups_of
from redweb_builder.dataset.storage import storage_of
from redweb_builder.errors import StoreError
from redweb_builder.types import Mask
from trainer.data.depth_set import DepthSetBase
from trainer.data.pictures import read_instances
from trainer.types import DataError, DepthSample

PARTS = {"train": "train", "validation": "val"}  # the names of splits in exports, and here
NOISE_PX = 0.25  # what a flow may be off on a surface that it did match


@dataclass(frozen=True)
class LabelUse:
    """Which labels of a built set are used, and how much they count.

    min_confidence: 0 to 255; labels below it are unknown. measured_only: filled pixels are unknown. weighted: a label
    counts by its confidence, 255 = 1, instead of all alike.
    """

    min_confidence: int = 0
    measured_only: bool = False
    weighted: bool = False


class RedwebSet(DepthSetBase):
    """Kept samples of a built folder, or of its shards.

    Labels are px disparity without a zero (converged cameras), noise 0.25 px.
    """

    unit = "px"

    def __init__(self, folder: Path, use: LabelUse | None = None) -> None:
        """Open.

        folder: of the set, or of shards; also an address of remote storage. use: which labels; None = all alike. Raises
        StoreError for an unfinished build, DataError for one that kept nothing.
        """
        self.name, self._folder = folder.resolve().name, folder
        self._use = use or LabelUse()
        self._set = open_dataset(folder, self._use.min_confidence)
        self.notes = (self._set.refusal,) if self._set.refusal else ()
        self._groups = groups_of(self._set.grouping())
        if not len(self._set):
            raise DataError(f"{folder}: the build kept no pair, so there is nothing in it; its grid.png shows why")

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._set)

    def key(self, index: int) -> str:
        """The builder's key."""
        return str(self._set.keys[index])

    def group(self, index: int) -> str:
        """A film, or the sample by itself."""
        return str(self._groups[index].as_py())

    def part(self, index: int) -> str | None:
        """Of shards the split that they were exported with; else left to us."""
        return PARTS.get(self._set.part(index) or "")

    def files(self, index: int) -> tuple[Path, ...]:
        """The picture and the maps of the label; none of a sample in a shard. Raises DataError."""
        if not self._set.files.are_files:
            return ()
        try:
            stored = self._set.files.stored(self.key(index), "image", *MAPS)
        except (StoreError, OSError) as error:
            raise DataError(str(error)) from error
        return tuple(file for _, file in stored if isinstance(file, Path))

    def _read(self, index: int, again: bool = True) -> Sample:
        """Raises as __getitem__. again: try once more where the storage answers; it may have been gone for a while."""
        try:
            return self._set[index]
        except (StoreError, OSError) as error:
            if not storage_of(self._folder).answers():
                raise
            if again:
                return self._read(index, again=False)
            raise DataError(str(error)) from error

    def __getitem__(self, index: int) -> DepthSample:
        """Read one sample. Raises DataError; StoreError where remote storage does not answer."""
        sample = self._read(index)
        filled = (sample.mask == Mask.FILLED) & self._use.measured_only
        disparity = np.where(filled, np.float32(np.nan), sample.disparity)
        confidence = np.divide(sample.confidence, 255, dtype=np.float32) if self._use.weighted else None
        return DepthSample(
            sample.key,
            sample.image,
            disparity,
            sample.mask == Mask.SKY,
            NOISE_PX,
            confidence=confidence,
            instances=read_instances(self._folder, sample.key, sample.image),
        )
