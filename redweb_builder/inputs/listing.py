"""The files below a folder, known by their names alone: of ten million files no object each is in memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import index
from pathlib import PurePath
from typing import SupportsIndex, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

BLOCK = 8192  # names that are made into text at a time

Numbers = NDArray[np.int64]


class Listing(Sequence[PurePath]):
    """Files by their paths below a folder, sorted as paths are: by the names of the folders, then by their own.

    A name is kept as its bytes, with a zero byte for "/": the order of these bytes is that of paths.
    """

    def __init__(self, names: pa.LargeBinaryArray, sizes: Numbers | None = None) -> None:
        """Copy nothing. names: sorted. sizes: bytes of each file; None where nobody asked."""
        self._names, self._sizes = names, sizes

    @classmethod
    def of(cls, names: Iterable[str], sizes: array[int] | None = None) -> Listing:
        """A listing of files in any order.

        names: each with "/" between its parts, relative to the folder. sizes: bytes, in the order of the names, filled
        while they are read; None = not kept.
        """
        chunks: list[pa.Array] = []
        remaining = iter(names)
        while block := [_encoded(name) for name in islice(remaining, BLOCK)]:
            chunks.append(pa.array(block, pa.large_binary()))
        column = pa.concat_arrays(chunks) if chunks else pa.array([], pa.large_binary())
        listing = cls(column, None if sizes is None else np.array(sizes, np.int64))
        if len(column) < 2 or pc.all(pc.less(column[:-1], column[1:])).as_py():
            return listing
        return listing.take(np.asarray(pc.array_sort_indices(column)).astype(np.int64))

    def __len__(self) -> int:
        """Number of files."""
        return len(self._names)

    @overload
    def __getitem__(self, which: SupportsIndex) -> PurePath: ...
    @overload
    def __getitem__(self, which: slice) -> Listing: ...
    def __getitem__(self, which: SupportsIndex | slice) -> PurePath | Listing:
        """A file, or the files of a slice. which: from 0; negative from the end. Raises IndexError."""
        if isinstance(which, slice):
            return self.take(np.arange(len(self))[which])
        return PurePath(self.name(range(len(self))[index(which)]))

    def __iter__(self) -> Iterator[PurePath]:
        """Every file."""
        return map(PurePath, self.names())

    def name(self, number: int) -> str:
        """The path of a file as text, with "/" between its parts. number: its index, from 0."""
        return _decoded(self._names[number].as_py())

    def names(self) -> Iterator[str]:
        """The path of every file as text."""
        for start in range(0, len(self), BLOCK):
            yield from map(_decoded, self._names.slice(start, BLOCK).to_pylist())

    def take(self, numbers: Numbers) -> Listing:
        """Some of the files, as a listing of their own. numbers: their indices, as a listing is sorted."""
        sizes = None if self._sizes is None else self._sizes[numbers]
        return Listing(self._names.take(pa.array(numbers)), sizes)

    def below(self, folder: PurePath) -> range:
        """The indices of the files in a folder and its folders. folder: relative; "." = all."""
        if not folder.parts:
            return range(len(self))
        inside = _encoded(folder.as_posix())
        return range(self._place(inside + b"\0"), self._place(inside + b"\1"))

    def size(self, file: PurePath) -> int | None:
        """The bytes of a file; None where it is none of these, or nobody asked. file: relative to the folder."""
        number = self._place(_encoded(file.as_posix()))
        is_there = number < len(self) and self.name(number) == file.as_posix()
        return int(self._sizes[number]) if is_there and self._sizes is not None else None

    def _place(self, name: bytes) -> int:
        return bisect_left(self._names, name, key=lambda there: there.as_py())


def _encoded(name: str) -> bytes:
    return name.replace("/", "\0").encode("utf-8", "surrogatepass")  # a name that is no UTF-8 has lone surrogates


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass").replace("\0", "/")
