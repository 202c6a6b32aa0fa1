"""Samples at one size, as plain arrays: what a DataLoader of PyTorch can put together to batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from redweb_builder.dataset.reader import Sample
from redweb_builder.errors import SettingsError

if TYPE_CHECKING:  # a DataLoader takes any object that has a length and items, but its annotation names this class
    from torch.utils.data import Dataset as TorchDataset

    Arrays = TorchDataset[Any]
else:
    Arrays = object


class Samples(Protocol):
    """A data set, or a part of one."""

    def __len__(self) -> int:
        """Number of samples."""

    def __getitem__(self, which: int) -> Sample:
        """Read one. which: an index from 0."""


class SampleArrays(Arrays):
    """Every sample as a dict of arrays at size x size; whole pictures, squeezed.

    key: str. image: 3xSxS float32 RGB in [0, 1], by area. disparity: SxS float32 px of the stored picture, larger =
    nearer, NaN = unknown; mask, confidence: SxS uint8; all three by the nearest pixel, so that nothing is made up
    between near and far. It has what a torch.utils.data.Dataset needs, and can be sent to worker processes.
    """

    def __init__(self, samples: Samples, size: int, transform: Callable[[dict[str, Any]], Any] | None = None) -> None:
        """samples: to take them from. size: px, 1 or more. transform: applied to each dict; None = none.

        Raises SettingsError.
        """
        if not isinstance(size, (int, np.integer)) or size < 1:
            raise SettingsError(f"size {size!r}: must be a whole number of px, 1 or more")
        self._samples, self._size, self._transform = samples, size, transform

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._samples)

    def __getitem__(self, index: int) -> Any:
        """Read one. Raises IndexError; StoreError where a file is damaged. index: from 0."""
        sample = self._samples[index]
        size = (self._size, self._size)
        image = cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA)
        arrays: dict[str, Any] = {
            "key": sample.key,
            "image": np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32) / 255,
        }
        for name in ("disparity", "mask", "confidence"):
            arrays[name] = cv2.resize(getattr(sample, name), size, interpolation=cv2.INTER_NEAREST_EXACT)
        return arrays if self._transform is None else self._transform(arrays)
