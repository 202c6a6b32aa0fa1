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

from redweb_builder.dataset.decisions import FILE, as_decided, read_decisions, verdicts_of
from redweb_builder.dataset.keys import Keys
from redweb_builder.dataset.manifest import BLOCK_ROWS, SCHEMA, in_blocks, one_chunk
from redweb_builder.dataset.manifest_file import NAME, Manifest, manifest_blocks, refusal_of, stated_rows
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.inputs.remote import shown

OPENED = ("key", "status", "reason", "width")  # what makes a row a sample, and what people's verdicts need
STATUS = pa.dictionary(pa.int8(), pa.string())  # the status in memory, where it stays with the key
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
        self._verdicts = verdicts_of(read_decisions(folder / FILE)[0])
        self.refusal, rows = self._opened()
        self._take(rows)

    def _opened(self) -> tuple[str | None, pa.Table]:
        """What of the manifest was refused, and key and status of the samples; of few rows all columns are checked."""
        count, refused = 0, list[str]()
        rows = [pa.schema([SCHEMA.field("key"), ("status", STATUS)]).empty_table()]
        for block in self._built(None if self._are_few else OPENED, refused):
            count += len(block)
            decided = as_decided(block.select(OPENED), self._verdicts)
            samples = _filtered(decided, self._are_samples(decided))
            status = samples["status"].dictionary_encode().cast(STATUS)
            rows.append(samples.select(["key"]).append_column("status", status))
            del block, decided, samples  # while the next one is read
        refusal = self._stored.refusal() if self._stored else refusal_of(self._folder / NAME, count, refused)
        return refusal, pa.concat_tables(rows).unify_dictionaries()

    def _built(self, columns: Sequence[str] | None, refused: list[str]) -> Iterator[pa.Table]:
        """Some columns of the rows of the whole set as built, some at a time; the rest is as of manifest_blocks."""
        if self._stored:
            return iter(in_blocks(self._stored.table))
        return manifest_blocks(self._folder, columns, refused)

    def _are_samples(self, rows: pa.Table) -> pa.ChunkedArray:
        """Which rows of the manifest, as people decided, are those of samples; bool."""
        return pc.and_(pc.is_in(rows["status"], self._statuses), pc.is_valid(rows["width"]))

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
        return self._built(None, [])

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
                return table.select(names).cast(pa.schema(map(SCHEMA.field, names)))
        keys, wanted = self._rows["key"], list(dict.fromkeys(("key", *names)))
        blocks, are_samples = [pa.schema(map(SCHEMA.field, wanted)).empty_table()], [pa.nulls(0, pa.bool_())]
        for block in self._built((*OPENED, *names), []):
            decided = as_decided(block, self._verdicts)
            blocks.append(decided.select(wanted))
            are_samples += self._are_samples(decided).chunks
            del block, decided  # while the next one is read
        every = pa.concat_tables(blocks)
        rows = _filtered(every, pa.chunked_array(are_samples))
        if not rows["key"].equals(keys):  # a part of the samples, or the manifest is another now
            rows = every.take(pc.index_in(keys, every["key"]))
        return rows.set_column(0, SCHEMA.field("key"), keys).select(names)

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
        return as_decided(rows, self._verdicts)

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


def _filtered(rows: pa.Table, kept: pa.ChunkedArray) -> pa.Table:
    """Some of the rows; all of them are not copied. kept: bool."""
    return rows if pc.all(kept).as_py() else rows.filter(kept)
