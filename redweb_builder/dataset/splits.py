"""Which samples of a data set are held out: whole groups, in the order of a hash of their names.

The choice is the same everywhere, in whatever order the samples come, and other samples in the folder hardly move it.
The trainer holds out by this rule, and exports say by it which samples are for validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder.config import VALIDATION_SHARE
from redweb_builder.dataset.keys import Keys
from redweb_builder.dataset.shards import REJECTED

Groups: TypeAlias = "pa.Array | pa.ChunkedArray"  # the name of each sample's group, text
GROUPING = ("key", "left", "film_time_s")  # the columns that say which samples belong together


def held_out(groups: Groups, validation: float, test: float = 0.0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which samples are for validation, and which for test: whole groups, until they have the share that is asked for.

    groups: the name of each sample's group, text. validation, test: shares of the samples, 0 to 1; validation is taken
    from the beginning of the order, test from its end. Training and validation get something where there are two
    groups, and all three where there are more.
    """
    ranks = _ranks(groups)
    sizes = np.bincount(ranks)
    first = _first_groups(sizes[:-1], validation * len(groups))
    last = _first_groups(sizes[first:][::-1][:-1], test * len(groups))
    return ranks < first, ranks >= len(sizes) - last


def k_folds(groups: Groups, count: int) -> NDArray[np.intp]:
    """The part of each sample, from 0: whole groups, dealt out in the same order, each to the part that has least.

    groups: as of held_out; at least `count` of them, or parts stay empty. count: of parts.
    """
    ranks = _ranks(groups)
    sizes = np.bincount(ranks)
    part_of, filled = np.zeros(len(sizes), np.intp), np.zeros(count, np.int64)
    for rank, size in enumerate(sizes.tolist()):
        part_of[rank] = np.argmin(filled)
        filled[part_of[rank]] += size
    return part_of[ranks]


def _ranks(groups: Groups) -> NDArray[np.int64]:
    """The place of each sample's group in the order of the groups: by the first 8 bytes of the SHA-256 of their names.

    Of 5 million groups two are one with a probability of one in a million, which does no harm.
    """
    names = Keys(pa.table([groups], ["name"])["name"])
    digests = np.fromiter(
        (int.from_bytes(sha256(name.encode()).digest()[:8], "big") for name in names), np.uint64, len(groups)
    )
    return np.searchsorted(np.unique(digests), digests)


def _first_groups(sizes: NDArray[np.int64], wanted: float) -> int:
    """How many of some groups, the first ones, it takes to have `wanted` samples. sizes: of the groups."""
    return int(np.count_nonzero(np.cumsum(sizes) - sizes < wanted))


def groups_of(rows: pa.Table) -> pa.ChunkedArray:
    """The film that a frame is of, so that its frames stay together; the key of every other sample.

    rows: of a manifest, with GROUPING; `left` is needed where one is of a film.
    """
    if rows["film_time_s"].null_count == len(rows):  # nothing is copied
        return rows["key"]
    is_frame = pc.and_(pc.is_valid(rows["film_time_s"]), pc.fill_null(pc.not_equal(rows["left"], ""), False))
    return pc.if_else(is_frame, rows["left"], rows["key"])


def split(rows: pa.Table, keys: Sequence[str]) -> dict[str, NDArray[np.uint32]]:
    """Which of some keys are of "train" and of "validation": their places, growing; a part without any is not there.

    Rejected ones are in "rejected/train", and in "rejected/validation" where they are frames of a film of which kept
    frames are for validation. rows: of the data set's samples, with status and GROUPING. keys: of those that are split;
    with all kept ones of the data set the parts of these are those of `train`.
    """
    groups, statuses = groups_of(rows), rows["status"]
    wanted = Keys.of(keys).column
    if not wanted.equals(rows["key"]):
        places = pc.index_in(wanted, rows["key"])
        groups, statuses = groups.cast(pa.large_string()).take(places), statuses.take(places)  # one array each
    is_rejected = pc.fill_null(pc.equal(statuses, "rejected"), False)
    del rows, statuses  # which take as much as the ranks
    kept = groups.filter(pc.invert(is_rejected)) if pc.any(is_rejected).as_py() else groups
    held = kept.filter(pa.array(held_out(kept, VALIDATION_SHARE)[0])).combine_chunks()
    of_validation, of_rejected = np.asarray(pc.is_in(groups, held)), np.asarray(is_rejected)
    parts = {
        "train": ~of_rejected & ~of_validation,
        "validation": ~of_rejected & of_validation,
        f"{REJECTED}/train": of_rejected & ~of_validation,
        f"{REJECTED}/validation": of_rejected & of_validation,
    }
    return {part: np.flatnonzero(some).astype(np.uint32) for part, some in parts.items() if some.any()}
