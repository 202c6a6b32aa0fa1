"""The pairs of an input: a sequence that stays in Arrow's memory, some 0.2 KiB a pair, where an object takes 1 KiB."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder.types import Corners, PairSource

BLOCK = 1024  # pairs that are objects at a time

_TEXT = pa.large_binary()  # a path that is no UTF-8 has lone surrogates
_SEPARATOR = "\0"  # which no path holds
_PLAIN = {  # columns of plain values
    "right_first": pa.bool_(),
    "guessed": pa.bool_(),
    "order_stated": pa.bool_(),
    "time": pa.float64(),
    "film_order": pa.float64(),
    "offset": pa.float64(),
    "clip_frame": pa.int64(),
    "alignment": pa.list_(pa.float64()),
    "order_prior": pa.float64(),
    "fov": pa.float64(),
}
_REPEATED = ("layout", "rule", "clip")  # columns of texts that many pairs share
_FILES = ("left", "right")


class PairSources(Sequence[PairSource]):
    """Sources of pairs in a fixed order. Each is made anew when it is asked for, equal to the one that was given.

    table: a row a source.
    """

    def __init__(self, table: pa.Table) -> None:
        """Copy nothing. table: as `of` makes it."""
        self.table = table

    @classmethod
    def of(cls, sources: Iterable[PairSource]) -> PairSources:
        """The same sources in Arrow's memory. sources: in any order; they may be made one by one."""
        if isinstance(sources, PairSources):
            return sources
        remaining = iter(sources)
        first = _encoded([])
        blocks = iter(lambda: list(islice(remaining, BLOCK)), [])
        return cls(pa.Table.from_batches([first, *map(_encoded, blocks)]))

    def sorted_by_key(self) -> PairSources:
        """The same sources in the order of their keys."""
        keys = self.table["key"]
        if len(self) < 2 or pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py():
            return self
        return self.take(np.asarray(pc.sort_indices(keys)).astype(np.int64))

    def all_keys(self) -> Iterator[str]:
        """The key of every source."""
        for chunk in self.table["key"].chunks:
            for start in range(0, len(chunk), BLOCK):
                yield from map(_decoded, chunk.slice(start, BLOCK).to_pylist())

    def has_key(self, key: str) -> bool:
        """Whether a source has this key. key: of a pair."""
        hashes, places = self._by_hash
        wanted = hash(key)
        place = bisect_left(hashes, wanted)
        while place < len(hashes) and hashes[place] == wanted:
            if _decoded(self.table["key"][places[place]].as_py()) == key:
                return True
            place += 1
        return False

    @cached_property
    def _by_hash(self) -> tuple[array[int], array[int]]:
        """The hashes of the keys, ascending, and the place of each."""
        hashes = np.fromiter(map(hash, self.all_keys()), np.int64, len(self))
        order = np.argsort(hashes)
        return array("q", hashes[order].tobytes()), array("q", order.astype(np.int64).tobytes())

    def __len__(self) -> int:
        """Number of pairs."""
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, which: SupportsIndex) -> PairSource: ...
    @overload
    def __getitem__(self, which: slice) -> PairSources: ...
    def __getitem__(self, which: SupportsIndex | slice) -> PairSource | PairSources:
        """A source, or the sources of a slice. which: from 0; negative from the end. Raises IndexError."""
        if not isinstance(which, slice):
            place = range(len(self))[index(which)]
            return next(iter(self[place : place + 1]))
        start, stop, step = which.indices(len(self))
        if step == 1:
            return PairSources(self.table.slice(start, max(0, stop - start)))
        return self.take(np.arange(start, stop, step))

    def take(self, places: NDArray[np.int64]) -> PairSources:
        """Some of the sources. places: their indices, in any order."""
        return PairSources(self.table.unify_dictionaries().take(pa.array(places)).combine_chunks())

    def __iter__(self) -> Iterator[PairSource]:
        """Every source."""
        return chain.from_iterable(map(_sources, self.table.to_batches(max_chunksize=BLOCK)))

    def __eq__(self, other: object) -> bool:
        """Whether a sequence holds equal sources in the same order. other: of any kind."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == source for mine, source in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        """How many there are."""
        return f"<{len(self)} sources of pairs>"


def _encoded(sources: Sequence[PairSource]) -> pa.RecordBatch:
    """The rows of a block of sources."""
    columns: dict[str, pa.Array] = {"key": pa.array([_bytes(source.key) for source in sources], _TEXT)}
    for name in _FILES:
        files: list[Path] = [getattr(source, name) for source in sources]
        columns[f"{name}_folder"] = _dictionary([str(file.parent) for file in files])
        columns[f"{name}_name"] = pa.array([_bytes(file.name) for file in files], _TEXT)
    for name in _REPEATED:
        columns[name] = _dictionary([getattr(source, name) for source in sources])
    columns["calibration"] = _dictionary([_SEPARATOR.join(map(str, source.calibration)) for source in sources])
    crops = [None if source.crops is None else [*chain(*source.crops)] for source in sources]
    columns["crops"] = pa.array(crops, pa.list_(pa.int64()))
    for name, kind in _PLAIN.items():
        columns[name] = pa.array([getattr(source, name) for source in sources], kind)
    return pa.RecordBatch.from_pydict(columns)


def _sources(block: pa.RecordBatch) -> Iterator[PairSource]:
    """The sources of a block of rows."""
    columns: dict[str, Iterable[Any]] = {name: block.column(name).to_pylist() for name in _PLAIN}
    columns |= {name: _texts(block.column(name)) for name in _REPEATED}
    columns["key"] = map(_decoded, block.column("key").to_pylist())
    for name in _FILES:
        folders = _texts(block.column(f"{name}_folder"), Path)
        names = map(_decoded, block.column(f"{name}_name").to_pylist())
        columns[name] = [folder / file for folder, file in zip(folders, names, strict=True)]
    columns["calibration"] = _texts(block.column("calibration"), _paths)
    columns["crops"] = map(_corners, block.column("crops").to_pylist())
    columns["alignment"] = [None if numbers is None else tuple(numbers) for numbers in columns["alignment"]]
    for values in zip(*columns.values(), strict=True):
        yield PairSource(**dict(zip(columns, values, strict=True)))


def _dictionary(texts: Sequence[str | None]) -> pa.DictionaryArray:
    return pa.array([None if text is None else _bytes(text) for text in texts], _TEXT).dictionary_encode()


def _texts(column: pa.DictionaryArray, made: Any = str) -> list[Any]:
    """The texts of a column, each made into something, once where many rows share it."""
    numbers = column.indices.to_pylist()
    known = {number: made(_decoded(column.dictionary[number].as_py())) for number in {*numbers} - {None}}
    return [known.get(number) for number in numbers]


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(map(Path, text.split(_SEPARATOR))) if text else ()


def _corners(numbers: list[int] | None) -> tuple[Corners, Corners] | None:
    return None if numbers is None else (tuple(numbers[:4]), tuple(numbers[4:]))  # type: ignore[return-value]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")
