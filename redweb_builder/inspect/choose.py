"""The most telling pairs of a large set: the best, the worst, the borderline, and some of every reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder.dataset.manifest import BLOCK_ROWS, floats_of, key_ranks
from redweb_builder.inspect.grid import KEPT, REJECTED, STATUSES

COLUMNS = ("key", "status", "reason", "quality", "margin")  # that the choice is made by
RUNS = 8  # of BLOCK_ROWS pairs, half a million: of more, reports and reviews show what is in these
MOST_PAIRS = 20_000  # on a page; of more, the most telling are shown
MOST_OF_RUNS = 5_000  # on the page of a set of which runs are sampled: drawing it should not take longer than reading
SOME = 32  # of so many rows one says first how small the least values are
Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def choose(table: pa.Table, rows: int) -> list[int]:
    """Choose the most informative rows of a large set: the places of at most `rows` of them, kept ones first.

    table: pairs with COLUMNS: the status is "kept" or "rejected", quality in [0, 1], margin the distance to the nearest
    threshold; null and NaN count as the worst quality and as far from every threshold.
    Of the kept rows a third each are the best, the worst and the most borderline (smallest margin), shown from
    best to worst. The rejected ones get a third of the rows (more where few were kept) and take turns by reason, the
    most frequent reason first, the most borderline row of a reason first. Ties fall to the key: the order of the
    rows does not matter. Raises ValueError if rows < 1 or a status is unknown.
    """
    if rows < 1:
        raise ValueError(f"the number of rows is at least 1, got {rows}")
    unknown = sorted(map(str, set(pc.unique(table["status"]).to_pylist()) - set(STATUSES)))
    if unknown:
        raise ValueError(f"a status is one of {STATUSES}, got {unknown}")
    kept, rejected = (np.flatnonzero(np.asarray(pc.equal(table["status"], status))) for status in (KEPT, REJECTED))
    ranks = key_ranks(table["key"])
    share = min(len(rejected), max(rows // 3, rows - len(kept)))
    worst_first = _numbers(table["quality"], -np.inf)
    margins = _numbers(table["margin"], np.inf)
    chosen = _choose_kept(kept, -worst_first, margins, ranks, rows - share)
    return chosen + _choose_rejected(rejected, table["reason"], margins, ranks, share)


def some_runs(pairs: pa.Table) -> pa.Table:
    """All pairs, or RUNS runs of BLOCK_ROWS, evenly spaced: more of them is read then from few places of the file.

    pairs: in the order of the manifest.
    """
    if len(pairs) <= RUNS * BLOCK_ROWS:
        return pairs
    starts = np.linspace(0, len(pairs) // BLOCK_ROWS - 1, RUNS).astype(np.int64) * BLOCK_ROWS
    return pa.concat_tables([pairs.slice(start, BLOCK_ROWS) for start in starts.tolist()])


def most_shown(count: int) -> int:
    """How many pairs a page shows at most. count: of the pairs of the set."""
    return MOST_PAIRS if count <= RUNS * BLOCK_ROWS else MOST_OF_RUNS


def telling_keys(pairs: pa.Table, most: int) -> pa.Array:
    """The keys of all pairs, or of the `most` most telling ones. pairs: as `choose` takes them."""
    return _keys_at(pairs, choose(pairs, most) if len(pairs) > most else range(len(pairs)))


def evenly_spaced_keys(pairs: pa.Table, most: int) -> pa.Array:
    """The keys of all pairs, or of `most` of them, as many everywhere in the table. pairs: with their keys."""
    return _keys_at(
        pairs, np.linspace(0, len(pairs) - 1, most).astype(np.int64) if len(pairs) > most else range(len(pairs))
    )


def _keys_at(pairs: pa.Table, places: Sequence[int] | Places) -> pa.Array:
    return pairs["key"].take(pa.array(places, pa.int64())).combine_chunks()


def _choose_kept(kept: Places, qualities: Floats, margins: Floats, ranks: Places, rows: int) -> list[int]:
    """Best, borderline and worst in turn, none twice, ordered from best to worst. qualities: the best is the least."""
    rows = min(rows, len(kept))
    queues: list[Iterator[int]] = [
        iter(_first(kept, qualities, ranks, rows)),
        iter(_first(kept, margins, ranks, rows)),
        iter(_first(kept, -qualities, -ranks, rows)),
    ]
    chosen: set[int] = set()
    for turn in range(rows):
        chosen.add(next(place for place in queues[turn % 3] if place not in chosen))
    return _first(np.array(sorted(chosen), np.int64), qualities, ranks, rows)


def _choose_rejected(
    rejected: Places, reasons: pa.ChunkedArray, margins: Floats, ranks: Places, rows: int
) -> list[int]:
    """One row of each reason in turn until there are so many, grouped by reason."""
    coded = pc.cast(reasons, pa.string()).combine_chunks().dictionary_encode(null_encoding="encode")
    codes, names = np.asarray(coded.indices)[rejected], coded.dictionary.to_pylist()
    counts = np.bincount(codes, minlength=len(names))
    by_count = sorted(np.flatnonzero(counts).tolist(), key=lambda code: (-counts[code], str(names[code])))
    groups = [_first(rejected[codes == code], margins, ranks, rows) for code in by_count]
    turns = sorted((turn, number) for number, members in enumerate(groups) for turn in range(len(members)))[:rows]
    return [groups[number][turn] for number, turn in sorted((number, turn) for turn, number in turns)]


def _first(places: Places, values: Floats, ranks: Places, count: int) -> list[int]:
    """Of some places those of the `count` least values, the least first, ties by rank."""
    if count < 1 or not len(places):
        return []
    if len(some := places[::SOME]) > count:  # the least of some are no less than the least of all
        places = places[values[places] <= np.partition(values[some], count - 1)[count - 1]]
    if len(places) > count:
        places = places[values[places] <= np.partition(values[places], count - 1)[count - 1]]
    first: list[int] = places[np.lexsort((ranks[places], values[places]))][:count].tolist()
    return first


def _numbers(column: pa.ChunkedArray, missing: float) -> Floats:
    values = floats_of(column)
    return np.where(np.isnan(values), missing, values)
