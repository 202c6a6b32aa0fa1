"""The rows of a data set's samples: few columns are in memory, others are read from the manifest when asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from redweb_builder.dataset.decisions import FILE, as_decided, read_decisions
from redweb_builder.dataset.keys import Keys
from redweb_builder.dataset.manifest import BLOCK_ROWS, SCHEMA, in_blocks, one_chunk
from redweb_builder.dataset.manifest_file import NAME, Manifest, manifest_blocks, read_manifest, stated_rows
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.inputs.remote import shown

OPENED = ("key", "status", "reason", "width")  # what makes a row a sample, and what people's verdicts need
KEPT = ("key", "status")  # of them, what stays in memory
MOST_CHECKED = 1 << 18  # rows: of so many all columns are checked at once, and kept once a row is looked into (400 MB)
NEARBY = 1 << 12  # of more rows so many are read together

Condition = tuple[str, str, Any]  # such as ("agreement", ">", 0.9)
Conditions = Sequence[Condition] | Sequence[Sequence[Condition]]


class SampleRows:
    """The rows of some samples, as people decided, in the order of the samples.

    keys: of the samples. refusal: a sentence about rows of the manifest that cannot be used; None where there are none.
    """

    def __init__(self, folder: Path, statuses: Sequence[str], stored: Manifest | None = None) -> None:
        """Read the manifest. Raises StoreError where `folder` is no finished data set.

        folder: of the data set, here or in remote storage. statuses: of its samples. stored: the rows of a set that has
        no such file.
        """
        self._folder, self._statuses, self._stored = folder, pa.array(statuses, pa.string()), stored
        self._are_few = stored is not None or stated_rows(folder) <= MOST_CHECKED
        manifest = stored or self._opened()
        self.refusal = manifest.refusal()
        self._decisions = read_decisions(folder / FILE)[0]
        self._take(self._samples_of(as_decided(manifest.table.select(OPENED), self._decisions)).select(KEPT))

    def _opened(self) -> Manifest:
        """The columns OPENED of the manifest; the others of few rows are only checked."""
        refused: list[str] = []
        empty = pa.schema([SCHEMA.field(name) for name in OPENED]).empty_table()
        blocks = manifest_blocks(self._folder, None if self._are_few else OPENED, refused)
        table = pa.concat_tables([empty, *map(_opened_columns, blocks)])
        return Manifest(self._folder / NAME, table, refused)

    def _samples_of(self, rows: pa.Table) -> pa.Table:
        """Rows of the manifest, as people decided, without those that are no samples."""
        are_samples = pc.and_(pc.is_in(rows["status"], self._statuses), pc.is_valid(rows["width"]))
        return rows if pc.all(are_samples).as_py() else rows.filter(are_samples)  # a filter copies

    def _take(self, rows: pa.Table) -> None:
        self._rows = rows
        self.keys = Keys(rows["key"])
        self._nearby: dict[str, dict[str, Any]] = {}

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> SampleRows:
        """The rows of some samples. Raises IndexError; SettingsError for what is no list of indices.

        indices: from 0, or a NumPy mask of all samples.
        """
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "biu"):
            raise SettingsError("take wants indices or a mask; of keys: filter([('key', 'in', keys)])")
        if chosen.dtype == bool and chosen.shape != (len(self.keys),):
            raise IndexError(f"a mask of {chosen.shape} for {len(self.keys)} samples")
        part = copy(self)
        places = pa.array(np.flatnonzero(chosen) if chosen.dtype == bool else chosen, pa.int64())
        if "table" in vars(self):
            part.table = self.table.take(places)
        part._take(self._rows.take(places))
        return part

    def place(self, key: str) -> int:
        """The index of a sample. key: of it. Raises KeyError."""
        try:
            return self.keys.index(key)
        except ValueError:
            raise KeyError(key) from None

    def manifest_blocks(self) -> Iterator[pa.Table]:
        """The rows of the whole data set as built, all columns, without those that cannot be used, some at a time.

        Raises StoreError.
        """
        return iter(in_blocks(self._stored.table)) if self._stored else manifest_blocks(self._folder, None, [])

    @cached_property
    def table(self) -> pa.Table:
        """All columns, as of `columns`: some 1.6 KB a row. They stay columns: dicts would need six times as much."""
        return self.columns(SCHEMA.names)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns, a row a sample; null but for the key in a row that cannot be used for what it holds in them.

        names: of columns of the manifest. Raises SettingsError for another name, StoreError.
        """
        if unknown := [name for name in names if name not in SCHEMA.names]:
            raise SettingsError(f"{unknown[0]!r}: the columns of a manifest are {', '.join(SCHEMA.names)}")
        for table in (self._rows, vars(self).get("table")):
            if table is not None and set(names) <= set(table.column_names):
                return table.select(names)
        keys = self._rows["key"]
        manifest = self._stored or read_manifest(self._folder, (*OPENED, *names))
        every = as_decided(manifest.table, self._decisions)
        rows = self._samples_of(every)
        if not rows["key"].equals(keys):  # a part of the samples, or the manifest is another now
            rows = every.take(pc.index_in(keys, every["key"]))
        return rows.set_column(rows.column_names.index("key"), SCHEMA.field("key"), keys).select(names)

    def matching(self, conditions: Conditions) -> NDArray[np.int64]:
        """The indices of the rows that meet conditions, growing.

        conditions: all of a list, or those of one list of several, as pyarrow.parquet takes them. Raises SettingsError
        for a condition that is none, StoreError.
        """
        kept, names = _expression(conditions)
        rows = self.columns(names).append_column("index", pa.array(np.arange(len(self.keys))))
        try:
            found = rows.filter(kept)["index"]
        except pa.ArrowException as error:
            raise SettingsError(f"{conditions!r}: {error}") from error
        return np.asarray(found, np.int64)

    def blocks(self) -> Iterator[pa.Table]:
        """All columns, BLOCK_ROWS samples at a time, without rows that cannot be used after all."""
        for start in range(0, len(self.keys), BLOCK_ROWS):
            yield self.read(self.keys[start : start + BLOCK_ROWS])

    def read(self, keys: Sequence[str]) -> pa.Table:
        """All columns of the rows of some samples, in the order of the manifest, without those that cannot be used.

        keys: of the samples, of any number: nothing of it is kept. Raises StoreError.
        """
        wanted = Keys.of(keys).column
        if self._stored:
            rows = self._stored.table.filter(pc.is_in(self._stored.table["key"], wanted))
        else:
            blocks = manifest_blocks(self._folder, None, [], one_chunk(wanted))
            rows = pa.concat_tables([SCHEMA.empty_table(), *(block.select(SCHEMA.names) for block in blocks)])
        return as_decided(rows, self._decisions)

    def row(self, key: str) -> dict[str, Any]:
        """The row of a sample. The first one reads those of all samples where they are few, else of those beside it.

        key: of the sample. Raises KeyError; StoreError where the row cannot be used.
        """
        place = self.place(key)
        if self._are_few:
            row: dict[str, Any] | None = self.table.slice(place, 1).to_pylist()[0]
        else:
            if key not in self._nearby:
                first = place - place % NEARBY
                self._nearby = self._by_key(self.keys[first : first + NEARBY])
            row = self._nearby.get(key)
        if row is None or row["status"] is None:
            raise self._unusable(key)
        return dict(row)

    def records(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The rows of some samples by key, in the order of `keys`. Raises StoreError where one cannot be used.

        keys: as of `read`.
        """
        rows = self._by_key(keys)
        if missing := [key for key in keys if key not in rows]:
            raise self._unusable(missing[0])
        return {key: rows[key] for key in keys}

    def _by_key(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {row["key"]: row for row in self.read(keys).to_pylist()}

    def _unusable(self, key: str) -> StoreError:
        return StoreError(f"{shown(self._folder)}: the row of {key} cannot be used; `check` says why")


class LazyRow(Mapping[str, Any]):
    """A row that is read when it is looked into: who goes through samples seldom does."""

    def __init__(self, rows: SampleRows, key: str) -> None:
        """Read nothing. rows: of the samples. key: of one of them."""
        self._rows, self._key = rows, key

    @cached_property
    def _row(self) -> dict[str, Any]:
        return self._rows.row(self._key)

    def __getitem__(self, name: str) -> Any:
        """The value of a column. name: of it. Raises KeyError; StoreError where the row cannot be used."""
        return self._row[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the columns."""
        return iter(self._row)

    def __len__(self) -> int:
        """Number of columns."""
        return len(self._row)

    def __repr__(self) -> str:
        """As a dict."""
        return repr(self._row)

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process, the row goes and not the whole data set."""
        return dict, (self._row,)


def _expression(conditions: Conditions) -> tuple[pc.Expression, list[str]]:
    """Conditions as an expression of Arrow, and the columns that it needs. Raises SettingsError."""
    try:
        groups: Any = [conditions] if isinstance(conditions[0][0], str) else conditions
        return pq.filters_to_expression(conditions), sorted({name for group in groups for name, _, _ in group})
    except (IndexError, TypeError, ValueError, pa.ArrowException) as error:
        raise SettingsError(f"{conditions!r}: conditions are such as [('agreement', '>', 0.9)] ({error})") from error


def _opened_columns(rows: pa.Table) -> pa.Table:
    return rows.select(OPENED)
