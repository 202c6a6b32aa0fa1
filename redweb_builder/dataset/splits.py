"""Which samples of a data set are held out: whole groups, in the order of a hash of their names.

The choice is the same everywhere, in whatever order the samples come, and other samples in the folder hardly move it.
The trainer holds out by this rule, and exports say by it which samples are for validation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import compress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder.config import VALIDATION_SHARE
from redweb_builder.dataset.shards import REJECTED

GROUPING = ("key", "left", "film_time_s")  # the columns that say which samples belong together


def held_out(groups: pa.Array, validation: float, test: float = 0.0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which samples are for validation, and which for test: whole groups, until they have the share that is asked for.

    groups: the name of each sample's group, text. validation, test: shares of the samples, 0 to 1; validation is taken
    from the beginning of the order, test from its end. Training and validation get something where there are two
    groups, and all three where there are more.
    """
    numbers, sizes, order = _in_order(groups)
    first = _first_groups(order[:-1], sizes, validation * len(groups))
    rest = order[len(first) :][::-1]
    last = _first_groups(rest[:-1], sizes, test * len(groups))
    return np.isin(numbers, first), np.isin(numbers, last)


def k_folds(groups: pa.Array, count: int) -> NDArray[np.intp]:
    """The part of each sample, from 0: whole groups, dealt out in the same order, each to the part that has least.

    groups: as of held_out; at least `count` of them, or parts stay empty. count: of parts.
    """
    numbers, sizes, order = _in_order(groups)
    part_of, filled = np.zeros(len(sizes), np.intp), np.zeros(count, np.int64)
    for number in order.tolist():
        part_of[number] = np.argmin(filled)
        filled[part_of[number]] += sizes[number]
    return part_of[numbers]


def _in_order(groups: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """The number of each sample's group, the sizes of groups by their number, and the numbers in order of the hash."""
    encoded = groups.dictionary_encode()
    hashes = (hashlib.sha256(name.as_py().encode()).digest() for name in encoded.dictionary)
    order = np.argsort(np.fromiter(hashes, "S32", len(encoded.dictionary)), kind="stable")
    numbers = np.asarray(encoded.indices)
    return numbers, np.bincount(numbers, minlength=len(order)), order


def _first_groups(groups: NDArray[np.int64], sizes: NDArray[np.int64], wanted: float) -> NDArray[np.int64]:
    """The first of some groups, as many as it takes to have `wanted` samples. sizes: by the number of a group."""
    before = np.cumsum(sizes[groups]) - sizes[groups]
    return groups[before < wanted]


def groups_of(rows: pa.Table) -> pa.ChunkedArray:
    """The film that a frame is of, so that its frames stay together; the key of every other sample.

    rows: of a manifest, with GROUPING.
    """
    is_frame = pc.and_(pc.is_valid(rows["film_time_s"]), pc.fill_null(pc.not_equal(rows["left"], ""), False))
    return pc.if_else(is_frame, rows["left"], rows["key"])


def split_keys(rows: pa.Table, keys: Sequence[str]) -> dict[str, list[str]]:
    """The keys of "train" and "validation", in their order; a part without samples is not there.

    Rejected ones are in "rejected/train", and in "rejected/validation" where they are frames of a film of which kept
    frames are for validation. rows: of the data set's samples, with status and GROUPING. keys: of those that are split;
    with all kept ones of the data set the parts of these are those of `train`.
    """
    places = pc.index_in(pa.array(keys, pa.string()), rows["key"])
    groups = groups_of(rows).cast(pa.large_string()).take(places).combine_chunks()  # one array of 2 GiB and more
    is_rejected = pc.fill_null(pc.equal(rows["status"].take(places), "rejected"), False).combine_chunks()
    kept = groups.filter(pc.invert(is_rejected))
    held = kept.filter(pa.array(held_out(kept, VALIDATION_SHARE)[0]))
    of_validation, of_rejected = np.asarray(pc.is_in(groups, held)), np.asarray(is_rejected)
    parts = {
        "train": ~of_rejected & ~of_validation,
        "validation": ~of_rejected & of_validation,
        f"{REJECTED}/train": of_rejected & ~of_validation,
        f"{REJECTED}/validation": of_rejected & of_validation,
    }
    return {part: list(compress(keys, some)) for part, some in parts.items() if some.any()}
