"""Which samples of a data set are held out: whole groups, in the order of a hash of their names.

The choice is the same everywhere, in whatever order the samples come, and other samples in the folder hardly move it.
The trainer holds out by this rule, and exports say by it which samples are for validation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.config import VALIDATION_SHARE

T = TypeVar("T", bound=Hashable)
GROUPING = ("key", "left", "film_time_s")  # the columns that say which samples belong together


def held_out(groups: Mapping[str, Sequence[T]], validation: float, test: float = 0.0) -> tuple[set[T], set[T]]:
    """The samples for validation and for test: whole groups, until they have the share that is asked for.

    groups: the samples of each group, by its name. validation, test: shares of the samples, 0 to 1; validation is taken
    from the beginning of the order, test from its end. Training and validation get something where there are two
    groups, and all three where there are more.
    """
    names = sorted(groups, key=_hash)
    total = sum(map(len, groups.values()))
    first = _first_groups(groups, names[: max(len(names) - 1, 0)], validation * total)
    rest = [name for name in reversed(names) if first.isdisjoint(groups[name])]
    return first, _first_groups(groups, rest[: max(len(rest) - 1, 0)], test * total)


def k_folds(groups: Mapping[str, Sequence[T]], count: int) -> list[list[T]]:
    """The samples in `count` parts: whole groups, dealt out in the same order, each to the part that has least.

    groups: the samples of each group, by its name; at least `count` of them, or parts stay empty.
    """
    parts: list[list[T]] = [[] for _ in range(count)]
    for name in sorted(groups, key=_hash):
        min(parts, key=len).extend(groups[name])
    return parts


def _first_groups(groups: Mapping[str, Sequence[T]], names: Sequence[str], wanted: float) -> set[T]:
    """The samples of the first of some groups, as many groups as it takes to have `wanted` samples."""
    held: set[T] = set()
    for name in names:
        if len(held) >= wanted:
            break
        held.update(groups[name])
    return held


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def groups_of(rows: pa.Table) -> pa.ChunkedArray:
    """The film that a frame is of, so that its frames stay together; the key of every other sample.

    rows: of a manifest, with GROUPING.
    """
    is_frame = pc.and_(pc.is_valid(rows["film_time_s"]), pc.fill_null(pc.not_equal(rows["left"], ""), False))
    return pc.if_else(is_frame, rows["left"], rows["key"])


def group_of_each(rows: pa.Table) -> dict[str, str]:
    """`groups_of` by key, in the order of the rows; a key that is its own group is there once.

    rows: of a manifest, with GROUPING.
    """
    pairs = zip(rows["key"].to_pylist(), groups_of(rows), strict=True)
    return {key: key if (group := value.as_py()) == key else group for key, value in pairs}


def split_keys(group_of: Mapping[str, str], keys: Sequence[str]) -> dict[str, list[str]]:
    """The keys of "train" and "validation", in their order; a part without samples is not there.

    group_of: each sample of the data set. keys: of those that are split; with all of them the parts are those of
    `train`.
    """
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(group_of[key], []).append(key)
    held = held_out(groups, VALIDATION_SHARE)[0]
    parts = {
        "train": [key for key in keys if key not in held],
        "validation": [key for key in keys if key in held],
    }
    return {part: some for part, some in parts.items() if some}
