"""The keys of a data set's samples: a sequence of text that stays in Arrow's memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from operator import index
from typing import Any, SupportsIndex, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SHOWN = 3
AT_ONCE = 1 << 12  # keys that iteration makes Python texts of together


class Keys(Sequence[str]):
    """Keys in the order of their samples, as a list would give them.

    A Python text takes 60 bytes, and processes that read a list of them copy its memory, since they count references.
    JSON and sums of lists need `list(keys)`.

    column: the keys, Arrow's text.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        """Copy nothing. column: the keys, text without null."""
        self.column = column

    @classmethod
    def of(cls, keys: Sequence[str]) -> Keys:
        """The same keys in Arrow's memory. keys: any sequence of text."""
        return keys if isinstance(keys, Keys) else cls(pa.chunked_array([keys], pa.string()))

    def __len__(self) -> int:
        """Number of keys."""
        return len(self.column)

    @overload
    def __getitem__(self, which: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, which: slice) -> Keys: ...
    def __getitem__(self, which: SupportsIndex | slice) -> str | Keys:
        """The key of an index, or the keys of a slice. which: from 0; negative from the end. Raises IndexError."""
        if not isinstance(which, slice):
            return str(self.column[index(which)].as_py())
        start, stop, step = which.indices(len(self))
        if step == 1:
            return Keys(self.column.slice(start, max(0, stop - start)))
        return self.take(np.arange(start, stop, step))

    def take(self, indices: NDArray[np.integer[Any]]) -> Keys:
        """Some keys, in the order that is given. indices: from 0. Raises IndexError."""
        return Keys(self.column.take(pa.array(indices)))

    def __iter__(self) -> Iterator[str]:
        """Every key."""
        for start in range(0, len(self), AT_ONCE):
            yield from self.column.slice(start, AT_ONCE).to_pylist()

    def __contains__(self, key: object) -> bool:
        """Whether it is one of them. key: of any kind."""
        return isinstance(key, str) and self._place(key) is not None

    def index(self, key: str, start: int = 0, stop: int | None = None) -> int:
        """The first index of a key. key: of it. start, stop: as of list.index. Raises ValueError."""
        part = self if start == 0 and stop is None else self[start:stop]
        place = part._place(key)
        if place is None:
            raise ValueError(f"{key!r} is no key of a sample")
        return place + slice(start, stop).indices(len(self))[0]

    def _place(self, key: str) -> int | None:
        rank = bisect_left(self._order, key, key=self.__getitem__)
        place = int(self._order[rank]) if rank < len(self) else -1
        return place if place >= 0 and self[place] == key else None

    @cached_property
    def _order(self) -> Sequence[int] | NDArray[np.uint32]:
        """The places in order of key, of equal ones the first before the others."""
        if len(self) < 2 or pc.all(pc.less(self.column[:-1], self.column[1:])).as_py():  # as in a manifest
            return range(len(self))
        return np.asarray(pc.sort_indices(self.column)).astype(np.uint32)

    def __eq__(self, other: object) -> bool:
        """Whether a sequence holds the same keys in the same order. other: of any kind."""
        if isinstance(other, Keys):
            return bool(self.column.equals(other.column))
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == key for mine, key in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        """As of a list, of which only the first keys are shown."""
        more = ", ..." if len(self) > SHOWN else ""
        return f"[{', '.join(map(repr, self[:SHOWN]))}{more}]"

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to another process, a part goes without the rest of its memory."""
        return Keys, (pa.chunked_array([pa.concat_arrays(self.column.chunks)] if len(self) else [], pa.string()),)
