"""manifest.parquet of a data set: written block by block; read some rows and columns at a time, every row checked."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from redweb_builder.dataset.manifest import BLOCK_ROWS, DICTIONARY, SCHEMA, are_growing, one_chunk
from redweb_builder.dataset.parquet_pages import PlainPage, plain_pages
from redweb_builder.dataset.rows import fault_of, surely_usable
from redweb_builder.dataset.storage import open_whole
from redweb_builder.errors import StoreError
from redweb_builder.inputs.remote import address_of, shown

NAME = "manifest.parquet"
MAX_TEXT_BYTES = 1 << 32  # of all texts that are read; some 10 million pairs have as much
MAX_ROWS = 10_000_000  # a few bytes of Parquet can claim any number
REQUIRED = ("key", "status")  # columns without which a table is no manifest
FEW_COLUMNS = 32  # with more of them WIDE_ROWS are read at a time, but where few rows of large groups are wanted
WIDE_ROWS = 1 << 13
SMALL_GROUP = 1 << 13  # rows of the first groups of a file: a small set takes little memory, a large one little time
UNTHREADED = 16  # blocks: threads make reading of a small file no faster, and what they allocate stays with them
IN_SMALL_GROUPS = 1 << 18  # rows; those behind them are in groups of BLOCK_ROWS
ROW = "row"  # the number of a row in the file, which counts from 1: a column where some rows are left out
DISTINCT = ("key", "left", "right", "source_sha256", "perceptual_hash", "homography")  # texts of most rows
CATEGORICAL = ("status", "stage", "reason", "clip")  # texts that many rows have in common
CHECKED = (*REQUIRED, "stage", "width")  # what the check of a row needs, always read


@dataclass(frozen=True)
class Manifest:
    """A manifest whose rows were checked.

    file: that it was read from. table: the rows that can be used, in the order of the file; columns of
    manifest.SCHEMA, all or those that were asked for. refused: a sentence about every other row, with its number, which
    counts from 1.
    """

    file: Path
    table: pa.Table
    refused: list[str]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows that can be used, each as a dict: some 5 KB a row, so not for what must work on millions."""
        rows: list[dict[str, Any]] = self.table.to_pylist()
        return rows

    def refusal(self) -> str | None:
        """A sentence about the rows that were refused; None where there are none."""
        return refusal_of(self.file, len(self.table), self.refused)


def refusal_of(file: Path, usable: int, refused: Sequence[str]) -> str | None:
    """A sentence about rows that were refused; None where there are none.

    file: that has them. usable: number of rows that can be used. refused: a sentence about each other one.
    """
    if not refused:
        return None
    count = f"{len(refused)} of {len(refused) + usable} rows"
    return f"{shown(file)}: {count} cannot be used and are passed over ({refused[0]})"


def read_manifest(folder: Path, columns: Sequence[str] | None = None) -> Manifest:
    """manifest.parquet of a finished data set, as built, every row checked.

    folder: of the data set. columns: those to read, CHECKED always among them; None = all. A row is refused for what
    was read of it. Raises StoreError where `folder` is no finished data set, or its manifest is none of ours.
    """
    refused: list[str] = []
    tables = list(manifest_blocks(folder, columns, refused))
    return Manifest(folder / NAME, pa.concat_tables([_schema(columns).empty_table(), *tables]), refused)


def _schema(columns: Sequence[str] | None) -> pa.Schema:
    """The columns that are read where some are asked for: those and CHECKED, in the order of SCHEMA; None = all."""
    return pa.schema([field for field in SCHEMA if columns is None or field.name in (*CHECKED, *columns)])


def manifest_blocks(
    folder: Path, columns: Sequence[str] | None, refused: list[str], wanted: pa.Array | None = None
) -> Iterator[pa.Table]:
    """The rows that can be used, BLOCK_ROWS at a time at most; a sentence about each other one is added to `refused`.

    folder: of the data set. columns: as of read_manifest. wanted: the keys of the rows to look at, null among them for
    the files in no pair; the column ROW is added; None = all. Raises StoreError as read_manifest.
    """
    return _one_ahead(map(_as_texts, encoded_blocks(folder, columns, refused, wanted)))


def encoded_blocks(
    folder: Path, columns: Sequence[str] | None, refused: list[str], wanted: pa.Array | None = None
) -> Iterator[pa.Table]:
    """manifest_blocks with the columns CATEGORICAL dictionary-encoded, as in the file: to work on them takes less time.

    folder, columns, refused, wanted: as of manifest_blocks. Raises StoreError as read_manifest.
    """
    schema = pa.schema(
        [field.with_type(DICTIONARY) if field.name in CATEGORICAL else field for field in _schema(columns)]
    )
    with _opened(folder) as opened:
        blocks = table_blocks(opened, shown(folder / NAME), schema, wanted)
        yield from _one_ahead(checked_blocks(_one_ahead(blocks), refused))


@contextmanager
def _opened(folder: Path) -> Iterator[BinaryIO]:
    """The manifest of a data set, open for reading. Raises StoreError as read_manifest, also where reading fails."""
    try:
        with open_whole(folder, NAME) as opened:
            yield opened
    except FileNotFoundError as error:
        raise StoreError(_without_manifest(folder)) from error
    except OSError as error:
        raise StoreError(_unreadable(shown(folder / NAME), error)) from error


def _unreadable(file: str, error: Exception) -> str:
    return f"{file} cannot be read as a manifest ({' '.join(str(error).split())})"


def _as_texts(block: pa.Table) -> pa.Table:
    """The same rows with the columns CATEGORICAL as texts."""
    fields = [field.with_type(pa.string()) if field.type == DICTIONARY else field for field in block.schema]
    return block.cast(pa.schema(fields))


def stated_rows(folder: Path) -> int:
    """How many rows the manifest of a finished data set says that it has. Raises StoreError as read_manifest.

    folder: of the data set.
    """
    with _opened(folder) as opened:
        try:
            rows: int = pq.read_metadata(opened).num_rows
        except pa.ArrowException as error:
            raise StoreError(_unreadable(shown(folder / NAME), error)) from error
    return rows


def has_manifest(folder: Path) -> bool:
    """Whether a data set has the rows of all its pairs: neither an unfinished build nor shards of an earlier version.

    folder: of the data set, or of shards, which may lie in remote storage. Raises StoreError.
    """
    try:
        open_whole(folder, NAME).close()
    except OSError:
        return False
    return True


def _without_manifest(folder: Path) -> str:
    """Why a folder is no finished data set, and what to do."""
    if _may_have_shards(folder):
        shards = "shards without it are of an earlier version, or their export was not finished: export the set again"
        return f"{shown(folder)} is not a data set: it has no {NAME}; {shards}"
    if (folder / "build.json").is_file():
        return (
            f"{folder}: the build is not finished. Where one is at work, which `python cli.py status "
            f"{quote(str(folder))}` tells, wait for it; else the same build-redweb command goes on"
        )
    return f"{folder} is not a data set: it has no {NAME}"


def _may_have_shards(folder: Path) -> bool:
    return address_of(folder) is not None or any(folder.glob("*.tar"))


def write_manifest(file: BinaryIO, blocks: Iterable[pa.Table]) -> None:
    """Write the rows of a set as Parquet. Raises OSError.

    file: open for writing. blocks: the rows in their order, with the columns of SCHEMA.
    """
    # With dictionaries of what is seldom the same twice a file is a fifth larger, and slower to read.
    with_dictionary = [field.name for field in SCHEMA if field.type != pa.float64() and field.name not in DISTINCT]
    # Hashes and measurements hardly become shorter by compression, and unpacking them is a quarter of the time to read.
    is_packed = {field.name: field.type != pa.float64() and field.name != "perceptual_hash" for field in SCHEMA}
    compression = {name: "SNAPPY" if packed else "NONE" for name, packed in is_packed.items()}
    with pq.ParquetWriter(file, SCHEMA, use_dictionary=with_dictionary, compression=compression) as writer:
        for group in _row_groups(blocks):
            writer.write_table(group)


def _row_groups(blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows as the file groups them, however they come. A group is in memory as a whole where it is read."""
    waiting: list[pa.Table] = []
    done, size = 0, SMALL_GROUP
    for block in blocks:
        waiting.append(block.select(SCHEMA.names))
        if sum(map(len, waiting)) < size:
            continue
        rows = _joined(waiting)
        while len(rows) >= size:
            yield rows.slice(0, size)
            done, rows = done + size, rows.slice(size)
            size = SMALL_GROUP if done < IN_SMALL_GROUPS else BLOCK_ROWS
        waiting = [rows] if len(rows) else []
    if waiting:
        yield _joined(waiting)


def _joined(blocks: list[pa.Table]) -> pa.Table:
    """Blocks as one, each column in one chunk. `blocks` becomes empty, so that one column alone is in memory twice."""
    columns = {name: [chunk for block in blocks for chunk in block[name].chunks] for name in SCHEMA.names}
    blocks.clear()
    joined = [one_chunk(pa.chunked_array(columns.pop(field.name), field.type)) for field in SCHEMA]
    return pa.table(joined, schema=SCHEMA)


def read_rows(manifest: Manifest, keys: pa.Array, columns: Sequence[str] | None = None, left_out: int = 0) -> Manifest:
    """The rows of some pairs with other columns, in the order of the file, then the first files in no pair.

    manifest: read already, with a few columns. keys: of the pairs, text. columns: those to read, CHECKED always among
    them; None = all. left_out: at most so many files. What was refused there or is here counts as refused. Raises
    StoreError as read_manifest.
    """
    schema = _schema(columns)
    refused: list[str] = []
    wanted = pa.concat_arrays([keys, pa.nulls(min(left_out, 1), pa.string())])
    blocks = manifest_blocks(manifest.file.parent, columns, refused, wanted)
    table = pa.concat_tables([schema.empty_table(), *(block.select(schema.names) for block in blocks)])
    pairs, files = (table.filter(test(table["key"])) for test in (pc.is_valid, pc.is_null))
    by_row = {sentence.split(":")[0]: sentence for sentence in (*refused, *manifest.refused)}
    return Manifest(manifest.file, pa.concat_tables([pairs, files.slice(0, left_out)]), list(by_row.values()))


def checked_blocks(blocks: Iterator[pa.Table], refused: list[str]) -> Iterator[pa.Table]:
    """Rows without those that cannot be used, about each of which a sentence is added to `refused`.

    blocks: the rows of a set, some at a time, with the columns CHECKED, and ROW where some are left out. Whole columns
    are tested first, then the rows that fail.
    """
    keys, start = _Keys(), 0
    for block in blocks:
        usable = surely_usable(block)
        faults = {index: fault_of(block.slice(index, 1).to_pylist()[0]) for index in np.flatnonzero(~usable).tolist()}
        usable[list(faults)] = [fault is None for fault in faults.values()]
        for index, key in keys.repeated(one_chunk(block["key"]), usable):
            faults[index], usable[index] = f"there is another row of {key}", False
        rows = block[ROW].to_pylist() if ROW in block.column_names else range(start + 1, start + len(block) + 1)
        refused += [f"row {rows[index]}: {fault}" for index, fault in sorted(faults.items()) if fault]
        start += len(block)
        yield block if usable.all() else block.filter(pa.array(usable))
        del block


class _Keys:
    """The keys of the usable rows so far: in a manifest as written they grow, so that the last one is enough."""

    def __init__(self) -> None:
        self._last = ""
        self._blocks: list[pa.Array] = []
        self._seen: set[str] | None = None  # once they have not grown

    def repeated(self, keys: pa.Array, usable: NDArray[np.bool_]) -> list[tuple[int, str]]:
        """(index, key) of a block's usable rows whose key has come before."""
        known = (keys if usable.all() else keys.filter(pa.array(usable))).drop_null()
        if self._seen is None and are_growing(known, self._last):
            self._last = known[-1].as_py() if len(known) else self._last
            self._blocks.append(known)
            return []
        if self._seen is None:
            self._seen = {key for block in self._blocks for key in block.to_pylist()}
        repeated = []
        for index, key in enumerate(keys.to_pylist()):
            if usable[index] and key is not None:
                repeated += [(index, key)] if key in self._seen else []
                self._seen.add(key)
        return repeated


def table_blocks(opened: BinaryIO, file: str, schema: pa.Schema, wanted: pa.Array | None = None) -> Iterator[pa.Table]:
    """The rows of a Parquet file in the columns and types of a schema, BLOCK_ROWS at a time at most.

    opened: the file. file: its name, for messages. schema: a column that the file does not have is null; texts are of
    pa.string() or DICTIONARY. wanted: the keys of the rows that are given, with their numbers in the column ROW; None =
    all. Raises StoreError where the file is damaged, of another kind, or larger than is read.
    """
    try:
        yield from _blocks(opened, file, schema, wanted)
    except (OSError, pa.ArrowException, KeyError, UnicodeDecodeError) as error:  # the last by a column's name
        raise StoreError(_unreadable(file, error)) from error


def _blocks(opened: BinaryIO, file: str, schema: pa.Schema, wanted: pa.Array | None) -> Iterator[pa.Table]:
    metadata = pq.read_metadata(opened)
    names = _parquet(opened, metadata, ()).schema_arrow.names
    if missing := [name for name in REQUIRED if name not in names]:
        raise StoreError(f"{file} is not a manifest of this program: it has no column {missing[0]!r}")
    if metadata.num_rows > MAX_ROWS:
        raise StoreError(f"{file} claims {metadata.num_rows} rows; at most {MAX_ROWS} are read")
    if (stated := _stated_bytes(metadata)) > MAX_TEXT_BYTES:
        raise StoreError(f"{file} unpacks to {stated} bytes; at most {MAX_TEXT_BYTES} are read")
    there = [name for name in schema.names if name in names]
    size = 0
    texts = [name for name in there if schema.field(name).type in (pa.string(), DICTIONARY)]
    for start, batch, possible in _batches(opened, metadata, there, texts, wanted):
        batch.validate(full=True)  # text that is no UTF-8 among it; now, while texts lie in dictionaries
        size += sum(_text_bytes(column) for column in batch.columns)
        if size > MAX_TEXT_BYTES:
            raise StoreError(f"{file} holds {size} bytes of text; at most {MAX_TEXT_BYTES} are read")
        if wanted is not None:
            is_wanted = pc.is_in(_plain(batch["key"], pa.string()), possible)
            numbers = pa.array(np.arange(start + 1, start + len(batch) + 1)).filter(is_wanted)
            batch = batch.filter(is_wanted)
        block = pa.Table.from_arrays(
            [
                _plain(batch[field.name], field.type) if field.name in there else pa.nulls(len(batch), field.type)
                for field in schema
            ],
            schema=schema,
        )
        yield block if wanted is None else block.append_column(ROW, numbers)
        del batch, block


def _batches(
    opened: BinaryIO, metadata: pq.FileMetaData, columns: Sequence[str], texts: Sequence[str], wanted: pa.Array | None
) -> Iterator[tuple[int, pa.RecordBatch, pa.Array | None]]:
    """Some columns of the rows, some at a time, the number of rows before, and the wanted keys that may be there.

    texts: those of the columns that hold text. wanted: as of table_blocks. Groups of rows are left out that cannot hold
    a wanted one. Texts stay in their dictionaries, as stored, until their size is known, or come as they are where each
    is stored by itself.
    """

    careful = _parquet(opened, metadata, texts)
    quick = _parquet(opened, metadata, [name for name in texts if name not in DISTINCT])
    others = [name for name in texts if name in DISTINCT and name != "key"]
    ordered = pa.nulls(0, pa.string()) if wanted is None else wanted.sort()
    keys = [key.encode() for key in ordered.drop_null().to_pylist()]
    before, possible = 0, wanted
    schema = careful.schema_arrow
    is_flat = not any(pa.types.is_nested(kind) for kind in schema.types)  # else a column is stored as several
    places = {name: schema.get_field_index(name) if is_flat else -1 for name in ("key", *others)}  # -1 also of several
    for number in range(metadata.num_row_groups):
        is_wide = len(columns) > FEW_COLUMNS and (wanted is None or metadata.row_group(number).num_rows <= SMALL_GROUP)
        start = before
        before += metadata.row_group(number).num_rows
        pages = _plain_pages(opened, careful, number, "key", places["key"])
        if wanted is not None and not len(possible := _wanted_in(pages, ordered, keys)):
            continue
        of_others = (_plain_pages(opened, careful, number, name, places[name]) for name in others)
        parquet = quick if all(found is not None for found in (pages, *of_others)) else careful
        # Starting threads takes longer than reading a small file, and a large one is read block by block.
        rows = WIDE_ROWS if is_wide else BLOCK_ROWS
        for batch in parquet.iter_batches(rows, [number], columns, use_threads=False):
            yield start, batch, possible
            start += len(batch)
            del batch  # or it would be in memory together with the next one


def _parquet(opened: BinaryIO, metadata: pq.FileMetaData, dictionaries: Sequence[str]) -> pq.ParquetFile:  # noqa: TID251
    """A reader of a file of which nothing is buffered: else it would be in memory as a whole.

    Nobody asks it or the metadata for `schema`: the two would hold each other, megabytes of a large file, until Python
    searches for garbage.
    """
    return pq.ParquetFile(opened, metadata=metadata, read_dictionary=dictionaries, pre_buffer=False)  # noqa: TID251


def _plain_pages(
    opened: BinaryIO,
    parquet: pq.ParquetFile,  # noqa: TID251
    group: int,
    name: str,
    place: int,
) -> list[PlainPage] | None:
    """`plain_pages` of a column in a group of rows; None also where its place in the file is unknown, -1.

    A value is read first: where what the file says of a column cannot be, Arrow's reader raises, but asking pyarrow for
    it ends the process. For the same reason nobody may ask it for the statistics.
    """
    next(parquet.iter_batches(1, [group], [name], use_threads=False), None)
    return plain_pages(opened, parquet.metadata.row_group(group).column(place)) if place >= 0 else None


def _wanted_in(pages: Sequence[PlainPage] | None, wanted: pa.Array, keys: Sequence[bytes]) -> pa.Array:
    """Of the wanted keys those that may be in some pages, told from what these state of theirs.

    pages: of keys; None = unknown. wanted: keys, growing, then perhaps nulls. keys: the same in UTF-8, without null.
    """
    nulls = wanted[len(keys) :]
    if pages is not None and all(page.nulls == 0 for page in pages):
        nulls = nulls[:0]
    least, greatest = ([getattr(page, name) for page in pages or ()] for name in ("least", "greatest"))
    if not pages or not all(isinstance(key, bytes) for key in (*least, *greatest)):
        return pa.concat_arrays([wanted[: len(keys)], nulls])
    first, last = bisect_left(keys, min(least)), bisect_right(keys, max(greatest))
    return pa.concat_arrays([wanted[first:last], nulls])


def _one_ahead(blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same blocks; of a large file each is made by another thread while the one before it is worked on."""
    yield from islice(blocks, UNTHREADED)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = thread.submit(next, blocks, None)
            yield block


def _stated_bytes(metadata: pq.FileMetaData) -> int:
    """How large a file says that it is when it is unpacked, each stored text counted once."""
    return sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))


def _plain(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column as values of a type. Texts that are each stored once, as keys are, are their dictionary already."""
    if kind == DICTIONARY:
        is_small = column.type == DICTIONARY and len(column.dictionary) <= len(column)  # damaged files have larger ones
        return column if is_small else column.cast(pa.string()).dictionary_encode()
    if isinstance(column, pa.DictionaryArray) and column.dictionary.type == kind and not column.null_count:
        places = np.asarray(column.indices)
        first = int(places[0]) if len(places) else 0
        if np.array_equal(places, np.arange(first, first + len(places))):
            return column.dictionary.slice(first, len(places))
    return column.cast(kind)


def _text_bytes(column: pa.Array) -> int:
    """How long the texts of a column are, all rows together; 0 where it holds none. One stored text may fill a million
    rows.
    """
    if isinstance(column, pa.StringArray):
        return int(column.view(pa.binary()).total_values_length)
    if isinstance(column, pa.DictionaryArray) and pa.types.is_string(column.type.value_type):
        return pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0
    return 0
