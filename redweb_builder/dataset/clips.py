"""Films in sequence: what the rows of one clip share. A clip is what lies between two cuts of a film."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.dataset.manifest import floats_of, with_values

SEQUENCE_S = 0.5  # frames of a clip that lie no farther apart are a sequence: motion is followed from one to the next
RANGE = ("clip_min_px", "clip_max_px")


def sequences_of(table: pa.Table) -> set[str]:
    """The clips whose neighbouring frames lie typically at most SEQUENCE_S apart, whatever became of the frames.

    table: rows of a manifest; their clip and film_time_s (s) count.
    """
    frames = table.select(["clip", "film_time_s"]).drop_null()
    frames = frames.filter(pc.not_equal(frames["clip"], "")).sort_by(
        [("clip", "ascending"), ("film_time_s", "ascending")]
    )
    clips = frames["clip"].combine_chunks().dictionary_encode()
    codes, apart = np.asarray(clips.indices), np.diff(floats_of(frames["film_time_s"]))
    same = codes[1:] == codes[:-1]
    codes, apart = codes[1:][same], apart[same]
    apart = apart[np.lexsort((apart, codes))]
    counts = np.bincount(codes, minlength=len(clips.dictionary))
    known = np.flatnonzero(counts)
    ends, counts = np.cumsum(counts)[known], counts[known]
    medians = (apart[ends - counts // 2 - 1] + apart[ends - (counts + 1) // 2]) / 2
    return set(clips.dictionary.take(pa.array(known[medians <= SEQUENCE_S])).to_pylist())


def neighbours_of(table: pa.Table) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Key, clip and number of neighbouring frames of sequences, earlier first, where none between the two is missing.

    table: the whole manifest.
    """
    in_sequence = pc.is_in(table["clip"], pa.array(sorted(sequences_of(table)), pa.string()))
    frames = table.select(["key", "clip", "clip_frame"]).filter(in_sequence).drop_null()
    rows = frames.sort_by([("clip", "ascending"), ("clip_frame", "ascending")]).to_pylist()
    for earlier, later in pairwise(rows):
        if earlier["clip"] == later["clip"] and later["clip_frame"] == earlier["clip_frame"] + 1:
            yield earlier, later


def clip_ranges(table: pa.Table) -> pa.Table:
    """The range of disparity over the kept frames of each clip: columns clip and RANGE.

    table: the frames of the whole set, with status, clip, min_px and max_px.
    """
    kept = table.filter(pc.and_(pc.equal(table["status"], "kept"), pc.is_valid(table["clip"])))
    known = kept.select(["clip", "min_px", "max_px"]).drop_null()
    if not len(known):  # no films: what would be imported to group rows takes longer than all else here
        return known.rename_columns(["clip", *RANGE])
    return (
        known.group_by("clip", use_threads=False)
        .aggregate([("min_px", "min"), ("max_px", "max")])
        .select(["clip", "min_px_min", "max_px_max"])
        .rename_columns(["clip", *RANGE])
    )


def with_clip_ranges(table: pa.Table, ranges: pa.Table) -> pa.Table:
    """The rows with RANGE of kept frames; the two columns are null in all other rows.

    table: rows of a manifest. ranges: of clip_ranges.
    """
    for name in RANGE:
        empty = pa.nulls(len(table), pa.float64())
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), empty)
    of_ranges = pc.index_in(table["clip"], ranges["clip"].combine_chunks(), skip_nulls=True)
    places = np.flatnonzero(np.asarray(pc.and_(pc.is_valid(of_ranges), pc.equal(table["status"], "kept"))))
    chosen = ranges.take(of_ranges.take(pa.array(places)))
    return with_values(table, places, {name: chosen[name].combine_chunks() for name in RANGE})
