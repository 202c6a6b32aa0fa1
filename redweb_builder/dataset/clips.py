"""Films in sequence: what the rows of one clip share. A clip is what lies between two cuts of a film."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.dataset.manifest import with_values

SEQUENCE_S = 0.5  # frames of a clip that lie no farther apart are a sequence: motion is followed from one to the next


def sequences_of(rows: Iterable[dict[str, Any]]) -> set[str]:
    """The clips whose neighbouring frames lie typically at most SEQUENCE_S apart, whatever became of the frames.

    rows: of a manifest; their clip and film_time_s (s) count.
    """
    times: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.get("clip") and row.get("film_time_s") is not None:
            times[row["clip"]].append(row["film_time_s"])
    return {
        clip
        for clip, some in times.items()
        if len(some) > 1 and median(later - earlier for earlier, later in pairwise(sorted(some))) <= SEQUENCE_S
    }


def neighbours_of(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows of neighbouring frames of sequences, earlier first, where none between the two is missing."""
    rows = list(rows)
    sequences = sequences_of(rows)
    frames = [row for row in rows if row.get("clip") in sequences and row.get("clip_frame") is not None]
    frames.sort(key=lambda row: (row["clip"], row["clip_frame"]))
    for earlier, later in pairwise(frames):
        if earlier["clip"] == later["clip"] and later["clip_frame"] == earlier["clip_frame"] + 1:
            yield earlier, later


def rows_of_clips(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a manifest that are frames of a clip, in their order. table: the whole manifest."""
    frames: list[dict[str, Any]] = table.filter(pc.is_valid(table["clip"])).to_pylist()
    return frames


def clip_ranges(table: pa.Table) -> pa.Table:
    """The rows with clip_min_px and clip_max_px of kept frames: the range of disparity over a clip's kept frames.

    table: the whole manifest. The two columns are null in all other rows.
    """
    empty = pa.nulls(len(table), pa.float64())
    for name in ("clip_min_px", "clip_max_px"):
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), empty)
    rows = rows_of_clips(table)
    ranges: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["status"] == "kept" and None not in (row["min_px"], row["max_px"]):
            ranges[row["clip"]] += [row["min_px"], row["max_px"]]
    of_rows = [ranges.get(row["clip"]) if row["status"] == "kept" else None for row in rows]
    columns = {
        "clip_min_px": [min(some) if some else None for some in of_rows],
        "clip_max_px": [max(some) if some else None for some in of_rows],
    }
    return with_values(table, np.flatnonzero(np.asarray(pc.is_valid(table["clip"]))), columns)
