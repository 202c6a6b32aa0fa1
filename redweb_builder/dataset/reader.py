"""Reading a built data set: its manifest, checked row by row, and its samples."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.colour import colour_scale, disparity_picture, mask_picture
from redweb_builder.dataset.codec import image_bytes
from redweb_builder.dataset.decisions import FILE, as_decided, read_decisions
from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.paths import image_of, read_label, read_stored, require_inside
from redweb_builder.dataset.rows import fault_of
from redweb_builder.dataset.unknown import FOLDER as UNKNOWN
from redweb_builder.dataset.unknown import read_unknown
from redweb_builder.errors import SettingsError, StoreError, UserError
from redweb_builder.files import read_regular
from redweb_builder.types import BoolMap, FloatMap, Label, Mask, Picture

if TYPE_CHECKING:
    import pandas as pd

NAME = "manifest.parquet"
MAX_TEXT_BYTES = 1 << 30  # of all texts in all rows; some 2 million pairs have as much
MAX_ROWS = 5_000_000  # some 5 GB in memory; a few bytes of Parquet can claim any number
SHOWN = 5  # samples of a data set that a notebook shows
SHOWN_PX = 120  # their height there
REQUIRED = ("key", "status")  # columns without which a table is no manifest


@dataclass(frozen=True)
class Sample:
    """One labelled picture.

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
    record: dict[str, Any]

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


@dataclass(frozen=True)
class Manifest:
    """A manifest whose rows were checked.

    file: that it was read from. table: the rows that can be used, columns of manifest.SCHEMA. refused: a sentence about
    every other row, with its number, which counts from 1.
    """

    file: Path
    table: pa.Table
    refused: list[str]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows that can be used, in the order of the file."""
        rows: list[dict[str, Any]] = self.table.to_pylist()
        return rows

    def refusal(self) -> str | None:
        """A sentence about the rows that were refused; None where there are none."""
        if not self.refused:
            return None
        count = f"{len(self.refused)} of {len(self.refused) + len(self.table)} rows"
        return f"{self.file}: {count} cannot be used and are passed over ({self.refused[0]})"


class Dataset:
    """The kept (or the rejected) samples of a built folder, in order of key: len(), [index], [key], [slice], iteration.

    What people decided (decisions.jsonl) goes before the filters' verdict. manifest: the table as built, without the
    rows that cannot be used. refusal: a sentence about these rows; None where there are none.
    """

    def __init__(self, folder: Path, status: str = "kept", min_confidence: int = 0) -> None:
        """Open a finished data set.

        folder: of the data set. status: "kept", "rejected", or "labelled", which is both. min_confidence: 0 to 255; a
        label below it is unknown. Raises StoreError where `folder` is no finished data set, SettingsError for another
        confidence.
        """
        if not 0 <= min_confidence <= 255:
            raise SettingsError(f"min_confidence {min_confidence}: must be from 0 to 255")
        self.folder, self.min_confidence, self._status = folder, min_confidence, status
        manifest = read_manifest(folder)
        self.manifest: pa.Table = manifest.table
        self.refusal = manifest.refusal()
        rows = as_decided(manifest.rows, read_decisions(folder / FILE)[0])
        wanted = ("kept", "rejected") if status == "labelled" else (status,)
        self._records = {row["key"]: row for row in rows if row["status"] in wanted and row["width"]}
        self.keys = list(self._records)

    def __iter__(self) -> Iterator[Sample]:
        """Every sample, in order of key."""
        return (self[key] for key in self.keys)

    @cached_property
    def rejected(self) -> Dataset:
        """The pairs that got as far as a label and were not kept."""
        return Dataset(self.folder, "rejected", self.min_confidence)

    def __repr__(self) -> str:
        """Folder, how many samples, and the first of their keys."""
        keys = ", ".join(self.keys[:3]) + (", ..." if len(self) > 3 else "")
        return f"<Dataset {self.folder}: {len(self)} {self._status} samples ({keys})>"

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.keys)

    def _repr_html_(self) -> str:
        """What a notebook shows: the first samples, with their figures."""
        rows = [
            f"<tr><td><img height={SHOWN_PX} src='data:image/jpeg;base64,{_small_jpeg(sample.picture())}'></td>"
            f"<td>{escape(sample.key)}</td><td>{sample.record.get('quality') or 0:.2f}</td></tr>"
            for sample in self[:SHOWN]
        ]
        return f"{escape(repr(self))}<table><tr><th></th><th>key</th><th>quality</th></tr>{''.join(rows)}</table>"

    @overload
    def __getitem__(self, which: int | str) -> Sample: ...
    @overload
    def __getitem__(self, which: slice) -> Dataset: ...
    def __getitem__(self, which: int | str | slice) -> Sample | Dataset:
        """The sample of an index or a key, or the part of a slice, of which nothing is read.

        which: an index from 0 in the order of keys, a key, or a slice of indices. Raises IndexError, KeyError;
        StoreError where a file is damaged.
        """
        if isinstance(which, slice):
            return self._part(self.keys[which])
        key = self.keys[which] if isinstance(which, int) else which
        record = self._records[key]
        label = self.label(key)
        file = self.image_path(key)
        picture = read_stored(file)
        if picture.shape[:2] != label.mask.shape:
            raise StoreError(f"{file}: its size is not that of its label")
        return Sample(key, picture, label.disparity, label.mask, label.confidence, record)

    def label(self, key: str) -> Label:
        """The label of a sample, unknown where people marked it so, or its confidence is below the least asked for.

        key: of the sample. Raises StoreError where a file is damaged.
        """
        label, wrong = read_label(self.folder, key), read_unknown(self.folder, key)
        if self.min_confidence:
            label = without(label, label.confidence < self.min_confidence)
        if wrong is None:
            return label
        if wrong.shape != label.mask.shape:
            raise StoreError(f"{self.folder / UNKNOWN / key}.png: its size is not that of the label; remove it")
        return without(label, wrong)

    def is_as_stored(self, key: str) -> bool:
        """Whether the label of a sample is what its files hold. key: of the sample."""
        return not self.min_confidence and not (self.folder / UNKNOWN / f"{key}.png").exists()

    def filter(self, keep: Callable[[dict[str, Any]], bool]) -> Dataset:
        """The samples that a condition keeps; nothing is read.

        keep: of a row of the manifest, such as `lambda row: row["agreement"] > 0.9`.
        """
        return self._part([key for key in self.keys if keep(self._records[key])])

    def _part(self, keys: list[str]) -> Dataset:
        part = copy(self)
        vars(part).pop("rejected", None)
        part.keys, part._records = keys, {key: self._records[key] for key in keys}
        return part

    def to_pandas(self) -> pd.DataFrame:
        """The rows of the samples, by key, with the verdicts of people. Raises UserError where pandas is missing."""
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise UserError("to_pandas needs pandas: pip install pandas") from error
        return pd.DataFrame(list(self._records.values()), columns=SCHEMA.names).set_index("key")

    def record(self, key: str) -> dict[str, Any]:
        """A sample's row of the manifest, with the verdict of people. Raises KeyError. key: of the sample."""
        return self._records[key]

    def image_path(self, key: str) -> Path:
        """The picture file of a key. Raises StoreError where there is none, or a link leads out of the data set."""
        return image_of(self.folder, key)


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


def open_dataset(folder: str | os.PathLike[str], min_confidence: int = 0) -> Dataset:
    """Open a data set that `build` wrote.

    folder: of the data set. min_confidence: 0 to 255; a label whose confidence is below it is unknown, as if it had not
    been there. Raises StoreError where there is none, or an unfinished one; SettingsError for another confidence.
    """
    return Dataset(Path(folder), min_confidence=min_confidence)


def read_manifest(folder: Path) -> Manifest:
    """manifest.parquet of a finished data set, as built, every row checked.

    folder: of the data set. Raises StoreError where it is no finished data set, or its manifest is none of ours.
    """
    file = folder / NAME
    if not file.is_file():
        unfinished = (folder / "build.json").is_file()
        raise StoreError(
            f"{folder}: the build is not finished; run the same build-redweb command again to go on"
            if unfinished
            else f"{folder} is not a data set: it has no {NAME}"
        )
    table = _read_table(require_inside(folder, file))
    usable, refused, keys = [], [], set()
    for index, row in enumerate(table.to_pylist()):
        fault = fault_of(row)
        if fault is None and row["key"] is not None and row["key"] in keys:
            fault = f"there is another row of {row['key']}"
        if fault is None:
            usable.append(index)
            keys.add(row["key"])
        else:
            refused.append(f"row {index + 1}: {fault}")
    return Manifest(file, table if not refused else table.take(pa.array(usable, pa.int64())), refused)


def _read_table(file: Path) -> pa.Table:
    """The columns of SCHEMA, in its types; a column that is not there is null. Raises StoreError."""
    try:
        content = pa.BufferReader(read_regular(file))
        names = pq.read_schema(content).names
        # Texts stay in their dictionaries, as stored, until their size is known.
        texts = [field.name for field in SCHEMA if field.type == pa.string() and field.name in names]
        parquet = pq.ParquetFile(content, read_dictionary=texts)
        if missing := [name for name in REQUIRED if name not in names]:
            raise StoreError(f"{file} is not a manifest of this program: it has no column {missing[0]!r}")
        if parquet.metadata.num_rows > MAX_ROWS:
            raise StoreError(f"{file} claims {parquet.metadata.num_rows} rows; at most {MAX_ROWS} are read")
        if (stated := _stated_bytes(parquet)) > MAX_TEXT_BYTES:
            raise StoreError(f"{file} unpacks to {stated} bytes; at most {MAX_TEXT_BYTES} are read")
        wanted = [name for name in SCHEMA.names if name in names]
        table = parquet.read(columns=wanted, use_threads=False)  # starting threads takes longer than reading
        if (size := sum(_text_bytes(column) for column in table.columns)) > MAX_TEXT_BYTES:
            raise StoreError(f"{file} holds {size} bytes of text; at most {MAX_TEXT_BYTES} are read")
        columns = [
            table.column(field.name).cast(field.type) if field.name in names else pa.nulls(len(table), field.type)
            for field in SCHEMA
        ]
        table = pa.Table.from_arrays(columns, schema=SCHEMA)
        table.validate(full=True)  # text that is no UTF-8 among it
    except (OSError, pa.ArrowException, KeyError, UnicodeDecodeError) as error:  # the last by a column's name
        raise StoreError(f"{file} cannot be read as a manifest ({' '.join(str(error).split())})") from error
    return table


def _stated_bytes(parquet: pq.ParquetFile) -> int:
    """How large a file says that it is when it is unpacked, each stored text counted once."""
    groups = range(parquet.metadata.num_row_groups)
    return sum(parquet.metadata.row_group(group).total_byte_size for group in groups)


def _text_bytes(column: pa.ChunkedArray) -> int:
    """How long the texts of a column are, all rows together; 0 where it holds none. One stored text may fill a million
    rows.
    """
    size = 0
    for chunk in column.chunks:
        if isinstance(chunk, pa.DictionaryArray) and pa.types.is_string(chunk.type.value_type):
            size += pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0
    return size
