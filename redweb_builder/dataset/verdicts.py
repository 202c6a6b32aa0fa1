"""Measurements of a whole set -> the verdict on each of its pairs; needs no picture and no network."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder.config import Thresholds
from redweb_builder.dataset.clips import clip_ranges, sequences_of, with_clip_ranges
from redweb_builder.dataset.duplicates import Candidates, find_duplicates, have_near
from redweb_builder.dataset.manifest import (
    BLOCK_ROWS,
    DUPLICATE,
    JUDGED,
    SCHEMA,
    bytes_of,
    floats_of,
    in_blocks,
    index_in,
    key_ranks,
    nine_digits,
    with_values,
)
from redweb_builder.dataset.paths import read_build
from redweb_builder.errors import StoreError
from redweb_builder.filters.checks import Check, checks, first_failed, margins
from redweb_builder.inputs.remote import shown

FRAME = ("status", "clip", "film_time_s", "min_px", "max_px")  # what is compared of a film's frames
COMPARED = ("key", "perceptual_hash", "quality", "width", "height", *FRAME)  # the columns that `compare` needs


def thresholds_of(folder: Path) -> Thresholds:
    """The limits of a data set: those of its last refilter, else those it was built with.

    folder: of the data set. Raises StoreError where build.json names none.
    """
    build = read_build(folder)
    if not build:
        raise StoreError(f"{shown(folder)} is no data set of this program: it has no build.json that can be read")
    try:
        return Thresholds(**(build.get("thresholds") or build["identity"]["thresholds"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"{shown(folder)}/build.json names no thresholds that this version knows ({error})") from error


@dataclass(frozen=True)
class Compared:
    """What only a whole set tells of its rows.

    duplicates: the places of pairs that look like a better one, growing. twins: the keys of these better ones.
    distances: bits in which the hashes of the two differ. bits: the most that were asked for. ranges: of clip_ranges.
    """

    duplicates: NDArray[np.int64]
    twins: pa.Array
    distances: NDArray[np.int64]
    bits: float | None
    ranges: pa.Table

    def applied(self, table: pa.Table, start: int = 0) -> pa.Table:
        """Rows with their duplicates rejected, and the ranges of clips.

        table: judged rows of the set. start: the place of the first one.
        """
        first, last = np.searchsorted(self.duplicates, (start, start + len(table))).tolist()
        alike = {"status": "rejected", "stage": DUPLICATE, "reason": DUPLICATE, "threshold": nine_digits(self.bits)}
        columns: dict[str, Any] = {name: pa.repeat(value, last - first) for name, value in alike.items()}
        columns["value"] = self.distances[first:last]
        columns["detail"] = pc.binary_join_element_wise("looks like", self.twins[first:last], " ")
        table = with_values(table, self.duplicates[first:last] - start, columns)
        return with_clip_ranges(table, self.ranges) if "clip_min_px" in table.column_names else table


def judge_all(table: pa.Table, thresholds: Thresholds) -> pa.Table:
    """The manifest's rows with the verdicts of other thresholds, duplicates rejected, clips' ranges set.

    table: the whole set, files in no pair among it. thresholds: the limits that decide.
    """
    blocks = [judged(block, thresholds) for block in in_blocks(table)]
    compared = compare(blocks, thresholds.duplicate_bits)
    return pa.concat_tables(compared.applied(block, number * BLOCK_ROWS) for number, block in enumerate(blocks))


def judged(table: pa.Table, thresholds: Thresholds) -> pa.Table:
    """Rows of a manifest with the verdicts of other thresholds on each by itself.

    table: its columns are the measurements that are judged, key, status, stage, reason, and any others. thresholds: the
    limits that decide.
    """
    is_judged = pa.array(are_judged(table))
    limits = checks(thresholds)
    values = {check.measurement: floats_of(table[check.measurement]) for check in limits}
    failed = first_failed(limits, values.__getitem__, len(table))
    fails = pa.array(failed, mask=failed < 0)
    columns: dict[str, Any] = {
        "status": pc.if_else(pc.is_valid(fails), "rejected", "kept"),
        "stage": pc.if_else(pc.is_valid(fails), "filter", None),
        "reason": pa.array([check.reason for check in limits], pa.string()).take(fails),
    }
    if "detail" in table.column_names:
        nearest = margins(limits, values.__getitem__, len(table))
        columns |= _details(limits, values, failed) | {"margin": [nine_digits(value) for value in nearest.tolist()]}
    for name, column in columns.items():
        index = table.schema.get_field_index(name)
        field = table.schema.field(index)
        there = pc.if_else(is_judged, pa.array(column, field.type), table[name])
        table = table.set_column(index, field, there)
    return table


def are_judged(table: pa.Table) -> NDArray[np.bool_]:
    """On which rows thresholds decide. table: of a manifest, with key and stage."""
    judged: NDArray[np.bool_] = (index_in(table["stage"], JUDGED) >= 0) & np.asarray(pc.is_valid(table["key"]))
    return judged


def _details(
    limits: Sequence[Check], values: Mapping[str, NDArray[np.float64]], failed: NDArray[np.intp]
) -> dict[str, Any]:
    """Value, limit and sentence of each rejection. values: by measurement. failed: of first_failed."""
    deciding: list[float | None] = [None] * len(failed)
    details: list[str | None] = [None] * len(failed)
    for number, check in enumerate(limits):
        places = np.flatnonzero(failed == number)
        for place, value in zip(places.tolist(), values[check.measurement][places].tolist(), strict=True):
            deciding[place], details[place] = nine_digits(value), check.detail(value)
    thresholds = pa.array([nine_digits(check.limit) for check in limits], pa.float64())
    return {
        "value": deciding,
        "threshold": thresholds.take(pa.array(failed, mask=failed < 0)),
        "detail": details,
    }


def compare(blocks: Iterable[pa.Table], bits: float | None) -> Compared:
    """Find the duplicates among the kept pairs of a set, and the ranges of its clips.

    blocks: the judged rows of the whole set, some at a time, with COMPARED, texts of pa.string() or DICTIONARY. bits:
    the most in which the 64-bit perceptual hashes of two duplicates differ; None = nothing is a duplicate.
    duplicates.py says which of two stays.
    """
    keys: list[pa.Array] = []
    candidates: list[pa.Table] = [_candidates(SCHEMA.empty_table(), 0)]
    frames: list[pa.Table] = [_frames(SCHEMA.empty_table(), 0)]
    start = 0
    for block in blocks:
        keys += block["key"].chunks
        if bits is not None:
            candidates.append(_candidates(block, start))
        frames.append(_frames(block, start))
        start += len(block)
    frame_table = pa.concat_tables(frames)
    pictured = pa.concat_tables(candidates)
    pictured = pictured.filter(pa.array(have_near(pictured["hash"].to_numpy(), bits or 0)))
    ranked, pictures = _by_quality(pictured, key_ranks(pa.chunked_array(keys, pa.string())), sequences_of(frame_table))
    found = find_duplicates(pictures, bits or 0)
    found = found[np.argsort(ranked[found[:, 0]])]
    duplicates, twins = ranked[found[:, 0]], _taken(keys, ranked[found[:, 1]])
    stays = pc.invert(pc.is_in(frame_table["place"], pa.array(duplicates)))
    return Compared(duplicates, twins, found[:, 2], bits, clip_ranges(frame_table.filter(stays)))


def _taken(chunks: Sequence[pa.Array], places: NDArray[np.int64]) -> pa.Array:
    """The values at some places of a column in chunks; taken from the column itself, all of it would be copied."""
    starts = np.cumsum([0, *map(len, chunks)])
    order = np.argsort(places)
    edges = np.searchsorted(places[order], starts)
    taken = [pa.nulls(0, pa.string())]
    for chunk, start, first, last in zip(chunks, starts, edges[:-1], edges[1:], strict=False):
        taken.append(chunk.take(pa.array(places[order[first:last]] - start)))
    return pa.concat_arrays(taken).take(pa.array(np.argsort(order)))


def _frames(block: pa.Table, start: int) -> pa.Table:
    """The frames of clips among some rows, with their places. start: the place of the first row."""
    is_frame = pc.is_valid(block["clip"])
    frames = block.select(FRAME).filter(is_frame).cast(pa.schema([SCHEMA.field(name) for name in FRAME]))
    return frames.append_column("place", pa.array(np.flatnonzero(np.asarray(is_frame)) + start))


def _candidates(block: pa.Table, start: int) -> pa.Table:
    """The pairs of some rows that may be duplicates, as numbers. start: the place of the first row."""
    hashed = np.asarray(pc.is_valid(block["perceptual_hash"]))
    eligible = (index_in(block["status"], ("kept",)) == 0) & hashed
    hashes = np.frombuffer(unhexlify(bytes_of(block["perceptual_hash"])[0]), ">u8").astype(np.uint64)
    columns = {
        "place": np.flatnonzero(eligible) + start,
        "hash": hashes[eligible[hashed]],
        "quality": floats_of(block["quality"])[eligible],
        "area": (floats_of(block["width"]) * floats_of(block["height"]))[eligible],
        "clip": block["clip"].filter(pa.array(eligible)).cast(pa.string()),
    }
    return pa.table(columns)


def _by_quality(
    candidates: pa.Table, ranks: NDArray[np.int64], sequences: set[str]
) -> tuple[NDArray[np.int64], Candidates]:
    """The places of the candidates from the best label to the worst, and what find_duplicates needs of them.

    ranks: of all rows of the set, by key.
    """
    places, qualities = candidates["place"].to_numpy(), np.nan_to_num(candidates["quality"].to_numpy())
    order = np.lexsort((ranks[places], -qualities))
    in_sequence = pc.is_in(candidates["clip"], pa.array(sorted(sequences), pa.string()))
    clips = pc.if_else(in_sequence, candidates["clip"], None)
    by_quality = clips.take(pa.array(order)).to_pylist() if clips.null_count < len(clips) else [None] * len(clips)
    hashes, areas = candidates["hash"].to_numpy()[order], np.nan_to_num(candidates["area"].to_numpy()[order])
    return places[order], Candidates(hashes, qualities[order], areas, by_quality)
