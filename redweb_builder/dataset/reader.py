"""Reading a built data set: its manifest, checked row by row, and its samples."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.colour import colour_scale, disparity_picture, mask_picture
from redweb_builder.dataset.codec import image_bytes
from redweb_builder.dataset.keys import Keys
from redweb_builder.dataset.label_reader import label_from, read_stored
from redweb_builder.dataset.manifest_file import has_manifest
from redweb_builder.dataset.sample_files import MAPS, content_of, ending_of
from redweb_builder.dataset.sample_rows import Condition, Conditions, LazyRow, SampleRows
from redweb_builder.dataset.shards import ShardFiles, files_of
from redweb_builder.dataset.splits import GROUPING
from redweb_builder.dataset.unknown import FOLDER as UNKNOWN
from redweb_builder.dataset.unknown import read_unknown
from redweb_builder.errors import SettingsError, StoreError, UserError
from redweb_builder.inputs.remote import address_of, shown
from redweb_builder.types import BoolMap, FloatMap, Label, Mask, Picture

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5  # samples of a data set that a notebook shows
SHOWN_PX = 120  # their height there


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled picture; equal to itself alone.

    key: of the pair, and the name of its files. image: HxWx3 uint8 RGB, the left view. disparity: HxW float32 px,
    larger = nearer, NaN = unknown. mask: HxW uint8 of Mask values. confidence: HxW uint8, 255 = sure, 0 = unknown; a
    threshold on it chooses between coverage and error. record: its row of the manifest, with the verdict of people
    where they gave one.
    """

    key: str
    image: Picture
    disparity: FloatMap
    mask: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        """Key, size, and how much of the picture has a label."""
        height, width = self.mask.shape
        return f"<Sample {self.key}: {width} x {height} px, {np.mean(self.mask != Mask.UNKNOWN):.0%} labelled>"

    def picture(self) -> Picture:
        """To look at, Hx3Wx3 uint8 RGB: the left view, its disparity (bright = near, checker = unknown), its mask."""
        low, high = colour_scale(self.disparity, self.mask)
        return np.hstack([self.image, disparity_picture(self.disparity, low, high), mask_picture(self.mask)])

    def show(self) -> None:
        """Open `picture` in the system's viewer."""
        Image.fromarray(self.picture()).show(title=self.key)

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return image_bytes(Image.fromarray(self.picture()), "PNG")


class Dataset:
    """The kept (or the rejected) samples of a data set, in order of key: len(), [index], [key], [slice], iteration.

    What people decided (decisions.jsonl) goes before the filters' verdict. refusal: a sentence about rows that cannot
    be used; None where there are none. files: where the files of the samples are.
    """

    def __init__(self, folder: Path, status: str = "kept", min_confidence: int = 0) -> None:
        """Open a finished data set.

        folder: of the data set, or of shards, which may lie in remote storage. status: "kept", "rejected", or
        "labelled", which is both. min_confidence: 0 to 255; a label below it is unknown. Raises StoreError where
        `folder` is no finished data set, SettingsError for another confidence.
        """
        require_confidence(min_confidence)
        self.folder, self.min_confidence, self._status = folder, min_confidence, status
        statuses = ("kept", "rejected") if status == "labelled" else (status,)
        if has_manifest(folder):  # which takes more memory to read than indices do; these get what is free again
            self._rows = SampleRows(folder, statuses)
            self.files = files_of(folder)
        else:
            self.files = files_of(folder)
            of_indices = self.files.manifest() if isinstance(self.files, ShardFiles) else None  # of an earlier version
            self._rows = SampleRows(folder, statuses, of_indices)
        self.refusal = "; ".join(filter(None, (self._rows.refusal, self.files.refusal()))) or None

    @property
    def keys(self) -> Keys:
        """The keys of the samples, in their order, as a list would give them."""
        return self._rows.keys

    def __contains__(self, key: object) -> bool:
        """Whether there is a sample of a key; nothing is read. key: of it."""
        return key in self.keys

    def __iter__(self) -> Iterator[Sample]:
        """Every sample, in order of key."""
        return (self[index] for index in range(len(self)))

    @cached_property
    def rejected(self) -> Dataset:
        """The pairs that got as far as a label and were not kept."""
        return Dataset(self.folder, "rejected", self.min_confidence)

    def __repr__(self) -> str:
        """Folder, how many samples, and the first of their keys."""
        keys = ", ".join(self.keys[:3]) + (", ..." if len(self) > 3 else "")
        return f"<Dataset {shown(self.folder)}: {len(self)} {self._status} samples ({keys})>"

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.keys)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first samples, with their figures."""
        rows = "".join(map(self._row_html, self.keys[:SHOWN]))
        return f"{escape(repr(self))}<table><tr><th></th><th>key</th><th>quality</th></tr>{rows}</table>"

    def _row_html(self, key: str) -> str:
        """A sample in a row of that table; where its files are damaged, what is wrong with them."""
        try:
            picture, quality = self[key].picture(), f"{self.record(key)['quality'] or 0:.2f}"
        except (StoreError, OSError) as error:
            return f"<tr><td>{escape(str(error))}</td><td>{escape(key)}</td><td></td></tr>"
        shown_picture = f"<img height={SHOWN_PX} src='data:image/jpeg;base64,{_small_jpeg(picture)}'>"
        return f"<tr><td>{shown_picture}</td><td>{escape(key)}</td><td>{quality}</td></tr>"

    @overload
    def __getitem__(self, which: SupportsIndex | str) -> Sample: ...
    @overload
    def __getitem__(self, which: slice) -> Dataset: ...
    def __getitem__(self, which: SupportsIndex | str | slice) -> Sample | Dataset:
        """The sample of an index or a key, or the part of a slice, of which nothing is read.

        which: an index from 0 in the order of keys, a key, or a slice of indices. Raises IndexError, KeyError;
        StoreError where a file is damaged.
        """
        if isinstance(which, slice):
            return self.take(range(len(self))[which])
        key = self.keys[self._rows.place(which) if isinstance(which, str) else which]
        picture, label = self._read(key)
        if picture.shape[:2] != label.mask.shape:
            raise StoreError(f"{shown(self.folder)}, {key}: the size of the picture is not that of its label")
        return Sample(key, picture, label.disparity, label.mask, label.confidence, LazyRow(self._rows, key))

    def _read(self, key: str) -> tuple[Picture, Label]:
        (name, picture), *maps = self.files.stored(key, "image", *MAPS)
        return read_stored(picture, name), self._usable(key, label_from(*maps))

    def label(self, key: str) -> Label:
        """The label of a sample, unknown where people marked it so, or its confidence is below the least asked for.

        key: of the sample. Raises StoreError where a file is damaged.
        """
        return self._usable(key, label_from(*self.files.stored(key, *MAPS)))

    def _usable(self, key: str, label: Label) -> Label:
        """A label without what is below the least confidence, and what people marked as wrong."""
        height, width = label.mask.shape
        wrong = read_unknown(self.folder, key, (height, width))
        if self.min_confidence:
            label = without(label, label.confidence < self.min_confidence)
        return label if wrong is None else without(label, wrong)

    def is_as_stored(self, key: str) -> bool:
        """Whether the label of a sample is what its files hold. key: of the sample."""
        return not self.min_confidence and not (self.folder / UNKNOWN / f"{key}.png").exists()

    def stored_picture(self, key: str) -> tuple[str, bytes]:
        """The picture's file: "jpg" or "png", and its bytes. Raises StoreError, OSError. key: of the sample."""
        (stored,) = self.files.stored(key, "image")
        return ending_of(stored), content_of(stored)

    def stored_maps(self, key: str) -> dict[str, bytes]:
        """The PNG files of a label by name: rd (16 bit, scale and offset in its text), mask, confidence.

        A folder that a data set does not have is left out. Raises StoreError, OSError. key: of the sample.
        """
        has_confidence = not self.files.are_files or (self.folder / MAPS["confidence"]).is_dir()
        names = [name for name in MAPS if name != "confidence" or has_confidence]
        return dict(zip(names, map(content_of, self.files.stored(key, *names)), strict=True))

    def part(self, index: int) -> str | None:
        """The split that a sample was exported to: "train" or "validation"; None of a folder. index: from 0."""
        return self.files.part(self.keys[index])

    @overload
    def filter(self, keep: Callable[[dict[str, Any]], bool]) -> Dataset: ...
    @overload
    def filter(self, keep: Sequence[Condition]) -> Dataset: ...
    @overload
    def filter(self, keep: Sequence[Sequence[Condition]]) -> Dataset: ...
    def filter(self, keep: Callable[[dict[str, Any]], bool] | Conditions) -> Dataset:
        """The samples that meet a condition; no picture is read.

        keep: conditions as pyarrow.parquet and pandas take them, such as [("agreement", ">", 0.9)]: all of a list must
        hold, or those of one list of several; only their columns are read. Or a function of a row of the manifest, such
        as `lambda row: row["agreement"] > 0.9`, which takes some 20 microseconds a sample. Raises SettingsError.
        """
        if not callable(keep):
            return self.take(self._rows.matching(keep))
        kept = {row["key"] for block in self._rows.blocks() for row in block.to_pylist() if keep(row)}
        return self.take([index for index, key in enumerate(self.keys) if key in kept])

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> Dataset:
        """Some samples, in the order that is given; no picture is read.

        indices: from 0, or a NumPy mask of all samples. Raises IndexError; SettingsError for what is none of these.
        """
        part = copy(self)
        vars(part).pop("rejected", None)
        part._rows = self._rows.take(indices)
        return part

    def columns(self, *names: str) -> pa.Table:
        """Some columns of the manifest, a row a sample, as people decided. Raises SettingsError where there is none so.

        names: such as "agreement". A row that cannot be used for what it holds in them is null but for the key.
        """
        return self._rows.columns(names)

    def grouping(self) -> pa.Table:
        """The columns by which splits.py tells which samples belong together; no file names where none is of a film."""
        rows = self.columns("key", "status", "film_time_s")
        has_films = rows["film_time_s"].null_count < len(rows)
        return self.columns("status", *GROUPING) if has_films else rows

    @property
    def table(self) -> pa.Table:
        """All columns, as of `columns`: some 1.6 KB a row."""
        return self._rows.table

    def manifest_blocks(self) -> Iterator[pa.Table]:
        """The rows of the whole data set as built, all columns, without those that cannot be used, some at a time."""
        return self._rows.manifest_blocks()

    def to_pandas(self) -> pd.DataFrame:
        """The rows of the samples, by key, with the verdicts of people. Raises UserError where pandas is missing."""
        try:
            import pandas  # noqa: F401
        except ModuleNotFoundError as error:
            raise UserError("to_pandas needs pandas: pip install pandas") from error
        table: pd.DataFrame = self.table.to_pandas()  # by Arrow: numbers stay numbers where none is there
        return table.set_index("key")

    def record(self, key: str) -> dict[str, Any]:
        """A sample's row of the manifest, with the verdict of people.

        The first one reads the rows of all samples, or of those beside it where there are more than
        sample_rows.MOST_CHECKED. key: of the sample. Raises KeyError; StoreError where the row cannot be used.
        """
        return self._rows.row(key)

    def records(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The rows of some samples by key, in the order of `keys`, read now and not kept.

        keys: of the samples. Raises StoreError where one cannot be used.
        """
        return self._rows.records(keys)

    def image_path(self, key: str) -> Path:
        """The picture file of a key. Raises StoreError where there is none, or a link leads out of the data set."""
        ((_, picture),) = self.files.stored(key, "image")
        if not isinstance(picture, Path):
            raise StoreError(f"{key} lies in a shard of {shown(self.folder)}: it has no file of its own")
        return picture


def _small_jpeg(picture: Picture) -> str:
    """A picture in base64, twice as large as it is shown: screens have dense pixels."""
    small = Image.fromarray(picture)
    small.thumbnail((small.width, 2 * SHOWN_PX))
    return b64encode(image_bytes(small, "JPEG", quality=85)).decode()


def without(label: Label, wrong: BoolMap) -> Label:
    """A label that is unknown in some places. label: of a picture. wrong: HxW bool, where."""
    return Label(
        np.where(wrong, np.float32(np.nan), label.disparity),
        np.where(wrong, np.uint8(Mask.UNKNOWN), label.mask),
        np.where(wrong, np.uint8(0), label.confidence),
    )


def require_confidence(least: int) -> None:
    """Raise SettingsError where a least confidence is none. least: 0 to 255."""
    if not 0 <= least <= 255:
        raise SettingsError(f"min_confidence {least}: must be from 0 to 255")


def open_dataset(folder: str | os.PathLike[str], min_confidence: int = 0) -> Dataset:
    """Open a data set that `build` wrote, or the shards of one (shards.py).

    folder: of the data set, or of shards, which may lie in remote storage ("s3://bucket/set"). min_confidence: 0 to
    255; a label whose confidence is below it is unknown, as if it had not been there. Raises StoreError where there is
    none, or an unfinished one; SettingsError for another confidence.
    """
    place = Path(folder)  # absolute, since a notebook may go to another folder, where there is another set of that name
    return Dataset(place if address_of(place) else place.absolute(), min_confidence=min_confidence)
