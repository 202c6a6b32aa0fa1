"""A data set in tar shards, as `export --format webdataset` writes them: here or in remote storage.

NAME.tar                  the files of kept samples one after the other; NAME is train-000000 and on, validation-000000
NAME.parquet              its index: the rows of its samples in their order, and where in the tar their files lie
rejected/NAME.tar, .parquet   the same of pairs with a label that were not kept
manifest.parquet          the rows of all pairs, as in a folder; what is kept, it says, and people's decisions
build.json                of the build, without the place of the photographs; "form": "shards"
decisions.jsonl, curation.json   where the data set had them

An index is written after its tar, so that a tar without one is none, and the manifest last. Sets of earlier versions
have neither manifest nor rejected pairs: their rows are those of the indices. A sample is one ranged read.
"""

from __future__ import annotations

import os
import tarfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder.dataset.keys import Keys
from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.manifest_file import CHECKED, Manifest, checked_blocks, refusal_of, table_blocks
from redweb_builder.dataset.paths import Stored
from redweb_builder.dataset.sample_files import FILES, PREVIEW, FolderFiles, SampleFiles
from redweb_builder.dataset.storage import Storage, storage_of
from redweb_builder.errors import StoreError
from redweb_builder.inputs.remote import address_of

FORM = "shards"
REJECTED = "rejected"
MOST_BYTES = 1 << 30  # of a sample
REQUESTS = 16  # at a time, to open a set
BLOCK = tarfile.BLOCKSIZE  # every file of a tar begins at a whole number of them
POSITIONS = pa.schema([(f"{name}_{what}", pa.int64()) for name in FILES for what in ("at", "bytes")])
SHARD = pa.field("shard", pa.int32())  # the number of a row's shard
PLACES = pa.schema(  # what is in memory of each pair, 40 bytes and its key; "at" in blocks
    [SCHEMA.field("key"), *(field.with_type(pa.uint32()) for field in POSITIONS)]
)
INDEX = pa.schema([*SCHEMA, ("image_ending", pa.string()), ("sha256", pa.string()), *POSITIONS])  # of NAME.parquet


def shard_names(names: Iterable[str], below: str = "") -> list[str]:
    """The shards that are whole, without ending, sorted. names: of the files of a folder. below: put before each."""
    there = set(names)
    return sorted(f"{below}{name[:-4]}" for name in there if name.endswith(".tar") and f"{name[:-4]}.parquet" in there)


def is_shard_set(place: str | os.PathLike[str]) -> bool:
    """Whether shards with their indices lie in a folder, or may lie at an address, which is not asked.

    place: a folder, or an address of remote storage.
    """
    return address_of(place) is not None or bool(shard_names(Storage(place).sizes()))


def files_of(folder: Path) -> SampleFiles:
    """The files of the labelled pairs of a data set. Raises StoreError.

    folder: of the data set, or of shards, which may lie in remote storage.
    """
    return ShardFiles(folder) if is_shard_set(folder) else FolderFiles(folder)


class ShardFiles:
    """The files of pairs in tars, each found by the indices.

    storage: where the shards lie. refused: a sentence about each row of an index that cannot be used.
    """

    are_files = False

    def __init__(self, folder: Path) -> None:
        """Read the indices.

        folder: of the shards, which may lie in remote storage. Raises StoreError where no shards are there, or an
        index is none of ours.
        """
        self.storage = storage_of(folder)
        self.shards = shard_names(self.storage.sizes())
        if not self.shards:
            raise StoreError(f"{self.storage.address} holds no shards with their indices (NAME.tar and NAME.parquet)")
        self.shards += shard_names(self.storage.sizes(REJECTED), f"{REJECTED}/")
        self.refused: list[str] = []
        checked = pa.schema([field for field in SCHEMA if field.name in CHECKED])
        blocks = self._rows(range(len(self.shards)), pa.schema([*checked, *POSITIONS]), self.refused)
        rows = _joined(map(_in_blocks, blocks), pa.schema([*PLACES, SHARD]))
        if self.refused and not len(rows):
            raise StoreError(f"{self.storage.address}: {self.refused[0]}; export the set again")
        rows, order = _without_repeated(rows, self.refused)
        self._order = order.astype(np.uint32)  # a dict would take 80 times as much
        self._ends = np.searchsorted(np.asarray(rows["shard"]), np.arange(len(self.shards)), "right")
        self._places = rows.select(PLACES.names)

    @property
    def keys(self) -> Keys:
        """Of all rows of the indices, in their order."""
        return Keys(self._places["key"])

    def refusal(self) -> str | None:
        """A sentence about the rows of the indices that were refused; None where there are none."""
        return refusal_of(Path(self.storage.address) / "*.parquet", len(self._places), self.refused)

    def manifest(self) -> Manifest:
        """The rows of kept samples, as the indices have them: the manifest of a set of an earlier version."""
        refused: list[str] = []
        kept = [number for number, name in enumerate(self.shards) if not name.startswith(f"{REJECTED}/")]
        table, _ = _without_repeated(_joined(self._rows(kept, INDEX, refused), INDEX), refused)
        return Manifest(Path(self.storage.address) / "*.parquet", table.select(SCHEMA.names), refused)

    def _rows(self, shards: Sequence[int], schema: pa.Schema, refused: list[str]) -> Iterator[pa.Table]:
        """Some columns of the rows of some indices, with the number of their shard, some at a time.

        Keys grow within a split alone: each is checked by itself, so that two of them may have a key in common.
        schema: what is read. refused: gets a sentence about each row that is left out.
        """
        for _, some in groupby(shards, lambda number: _split_of(self.shards[number])):
            for block in checked_blocks(self._blocks(list(some), schema, refused), refused):
                yield self._with_positions(block, refused)

    def _blocks(self, shards: Sequence[int], schema: pa.Schema, refused: list[str]) -> Iterator[pa.Table]:
        """The rows of some indices; a damaged one costs its own samples, not the set."""
        names = [f"{self.shards[number]}.parquet" for number in shards]
        with ThreadPoolExecutor(REQUESTS) as threads:
            for start in range(0, len(shards), REQUESTS):  # what was read and waits takes memory
                some = slice(start, start + REQUESTS)
                contents = threads.map(self.storage.read, names[some])
                for number, name, content in zip(shards[some], names[some], contents, strict=True):
                    try:
                        for block in table_blocks(BytesIO(content), name, schema):
                            yield block.append_column(SHARD, pa.array(np.full(len(block), number, np.int32)))
                    except StoreError as error:
                        refused.append(str(error))

    def _with_positions(self, block: pa.Table, refused: list[str]) -> pa.Table:
        """The rows that say where their files lie."""
        usable = _have_positions(block)
        for row in block.filter(pc.invert(usable)).select(["key", "shard"]).to_pylist():
            name = f"{self.shards[row['shard']]}.parquet"
            refused.append(f"{name} does not say where the files of {row['key']} lie")
        return block.filter(usable)

    def entry(self, key: str) -> dict[str, Any]:
        """Where the files of a pair lie: "shard", its number, and the columns of POSITIONS. Raises StoreError.

        key: of the pair, from anywhere.
        """
        rank = bisect_left(self._order, key, key=lambda index: self.keys[int(index)])
        index = int(self._order[rank]) if rank < len(self._order) else -1
        if index < 0 or self.keys[index] != key:
            raise StoreError(f"{self.storage.address}: no shard has files of {key!r}; export the set again")
        row: dict[str, Any] = self._places.slice(index, 1).to_pylist()[0]
        starts = {name: BLOCK * row[name] for name in row if name.endswith("_at") and row[name] is not None}
        return row | starts | {"shard": int(np.searchsorted(self._ends, index, "right"))}

    def rows_of(self, shard: int) -> slice:
        """Which rows are those of a shard. shard: its number."""
        return slice(int(self._ends[shard - 1]) if shard else 0, int(self._ends[shard]))

    def least_size(self, shard: int) -> int:
        """Where the last file of a tar ends by its index, in bytes; 0 where it has no rows. shard: its number."""
        rows = self._places[self.rows_of(shard)]
        starts = (pc.multiply(rows[f"{name}_at"].cast(pa.int64()), BLOCK) for name in FILES)
        ends = (pc.add(at, rows[f"{name}_bytes"]) for at, name in zip(starts, FILES, strict=True))
        return pc.max(pc.max_element_wise(*ends)).as_py() or 0

    def hashes(self, shard: int) -> dict[str, str | None]:
        """The SHA-256 of each pair's files in a shard, by key. Raises StoreError. shard: its number."""
        rows = self._blocks([shard], pa.schema([INDEX.field("key"), INDEX.field("sha256")]), [])
        return {row["key"]: row["sha256"] for block in rows for row in block.to_pylist()}

    def stored(self, key: str, *names: str) -> tuple[Stored, ...]:
        """As of SampleFiles, in one read. key, names: as there."""
        row = self.entry(key)
        if row[f"{PREVIEW}_at"] is None and PREVIEW in names:
            raise StoreError(f"{self.storage.address}: the shard of {key} has no preview of it")
        places = [(row[f"{name}_at"], row[f"{name}_bytes"]) for name in names]
        start = min(at for at, _ in places)
        end = max(at + size for at, size in places)
        content = self.storage.read(f"{self.shards[row['shard']]}.tar", start, end - start)
        return tuple(
            (f"{self.storage.address}: {key}, {name}", content[at - start : at - start + size])
            for name, (at, size) in zip(names, places, strict=True)
        )

    def version(self, key: str) -> str:
        """Where the label lies in its shard, which is never changed. Raises StoreError. key: as of SampleFiles."""
        row = self.entry(key)
        return f"{self.shards[row['shard']]}/{row['rd_at']}/{row['rd_bytes']}"

    def part(self, key: str) -> str:
        """As of SampleFiles, in the name of the shard. Raises StoreError. key: of the pair."""
        shard: str = self.shards[self.entry(key)["shard"]]
        return _split_of(shard).removeprefix(f"{REJECTED}/")


def _without_repeated(table: pa.Table, refused: list[str]) -> tuple[pa.Table, NDArray[np.uint64]]:
    """The rows without those whose key an earlier row has, and their places in order of key.

    refused: gets a sentence about each row that is left out.
    """
    order = pc.sort_indices(table["key"])  # of equal ones the first stays first
    ordered = table["key"].take(order)
    repeated = order[1:].filter(pc.equal(ordered[1:], ordered[:-1]))
    if not len(repeated):
        return table, np.asarray(order)
    refused += [f"there is another row of {key}" for key in table["key"].take(repeated).to_pylist()]
    return _without_repeated(table.filter(np.isin(np.arange(len(table)), repeated, invert=True)), refused)


def _in_blocks(rows: pa.Table) -> pa.Table:
    """Rows of indices whose places are counted in blocks of a tar."""
    for name in FILES:
        column = f"{name}_at"
        rows = rows.set_column(rows.column_names.index(column), column, pc.divide(rows[column], BLOCK))
    return rows


def _joined(blocks: Iterator[pa.Table], schema: pa.Schema) -> pa.Table:
    """Some columns of rows that come some at a time, in chunks of REQUESTS: each takes as much as hundreds of rows."""
    rows = (block.select(schema.names).cast(schema) for block in blocks)
    parts = (pa.concat_tables(some).combine_chunks() for some in iter(lambda: list(islice(rows, REQUESTS)), []))
    return pa.concat_tables([schema.empty_table(), *parts])


def _split_of(shard: str) -> str:
    return shard.rsplit("-", 1)[0]


def _have_positions(block: pa.Table) -> pa.ChunkedArray:
    """Which rows of an index say where the files of their samples lie; bool."""
    places = {name: (block[f"{name}_at"], block[f"{name}_bytes"]) for name in FILES}
    tests = []
    for name, (at, size) in places.items():
        within = pc.and_(pc.greater_equal(at, 0), pc.and_(pc.greater(size, 0), pc.less(size, MOST_BYTES)))
        begins = pc.and_(pc.equal(pc.bit_wise_and(at, BLOCK - 1), 0), pc.less(at, BLOCK << 32))
        within = pc.fill_null(pc.and_(within, begins), False)
        tests.append(pc.or_(within, pc.and_(pc.is_null(at), pc.is_null(size))) if name == PREVIEW else within)
    starts = [at for at, _ in places.values()]
    extent = pc.subtract(pc.max_element_wise(*starts), pc.min_element_wise(*starts))  # without what is null
    tests.append(pc.fill_null(pc.less(extent, MOST_BYTES), False))
    usable = tests[0]
    for test in tests[1:]:
        usable = pc.and_(usable, test)
    return usable
