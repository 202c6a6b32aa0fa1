"""Reading a built data set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from redweb_builder.dataset.decisions import FILE, as_decided, read_decisions
from redweb_builder.dataset.paths import image_of, read_label, read_stored, sample_root
from redweb_builder.errors import StoreError
from redweb_builder.types import FloatMap, Picture


@dataclass(frozen=True)
class Sample:
    """One labelled picture.

    image: HxWx3 uint8 RGB, the left view. disparity: HxW float32 px, larger = nearer, NaN = unknown. mask: HxW uint8
    of Mask values. confidence: HxW uint8, 255 = sure, 0 = unknown; a threshold on it chooses between coverage and
    error. record: its row of the manifest, with the verdict of people where they gave one.
    """

    key: str
    image: Picture
    disparity: FloatMap
    mask: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    record: dict[str, Any]


class Dataset:
    """The kept (or the rejected) samples of a built folder, in order of key: len(), [index], [key], iteration.

    What people decided (decisions.jsonl) goes before the filters' verdict. manifest: the table as built.
    """

    def __init__(self, folder: Path, status: str = "kept") -> None:
        """Open a finished data set. Raises StoreError where `folder` is none."""
        self.folder = folder
        self.manifest: pa.Table = read_manifest(folder)
        rows = as_decided(self.manifest.to_pylist(), read_decisions(folder / FILE)[0])
        self._records = {row["key"]: row for row in rows if row["status"] == status and row.get("width")}
        self.keys = list(self._records)

    def __iter__(self) -> Iterator[Sample]:
        """Every sample, in order of key."""
        return (self[key] for key in self.keys)

    @cached_property
    def rejected(self) -> Dataset:
        """The pairs that got as far as a label and were not kept."""
        return Dataset(self.folder, "rejected")

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.keys)

    def __getitem__(self, which: int | str) -> Sample:
        """The sample of an index or a key. Raises IndexError, KeyError; StoreError where a file is damaged."""
        key = self.keys[which] if isinstance(which, int) else which
        record = self._records[key]
        label = read_label(sample_root(self.folder, key), key)
        picture = read_stored(self.image_path(key))
        return Sample(key, picture, label.disparity, label.mask, label.confidence, record)

    def record(self, key: str) -> dict[str, Any]:
        """A sample's row of the manifest, with the verdict of people. Raises KeyError."""
        return self._records[key]

    def image_path(self, key: str) -> Path:
        """The picture file of a key. Raises StoreError where there is none, or a link leads out of the data set."""
        return image_of(self.folder, key)


def open_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """Open a data set that `build` wrote. Raises StoreError where `folder` holds none or an unfinished one."""
    return Dataset(Path(folder))


def read_manifest(folder: Path) -> pa.Table:
    """manifest.parquet of a finished data set, as built. Raises StoreError where `folder` is none."""
    if not (folder / "manifest.parquet").is_file():
        unfinished = (folder / "build.json").is_file()
        raise StoreError(
            f"{folder}: the build is not finished; run the same build-redweb command again to go on"
            if unfinished
            else f"{folder} is not a data set: it has no manifest.parquet"
        )
    try:
        return pq.read_table(folder / "manifest.parquet")
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{folder / 'manifest.parquet'} cannot be read ({error})") from error
