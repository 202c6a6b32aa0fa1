"""Measurements of a whole set -> the verdict on each of its pairs; needs no picture and no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.config import Thresholds
from redweb_builder.dataset.clips import clip_ranges, rows_of_clips, sequences_of
from redweb_builder.dataset.duplicates import Candidates, find_duplicates
from redweb_builder.dataset.manifest import (
    DUPLICATE,
    JUDGED,
    floats_of,
    nine_digits,
    status_columns,
    verdict_columns,
    with_values,
)
from redweb_builder.dataset.paths import read_build
from redweb_builder.errors import StoreError
from redweb_builder.filters.checks import checks, first_failed
from redweb_builder.types import Rejection


def thresholds_of(folder: Path) -> Thresholds:
    """The limits of a data set: those of its last refilter, else those it was built with.

    folder: of the data set. Raises StoreError where build.json names none.
    """
    build = read_build(folder)
    try:
        return Thresholds(**(build.get("thresholds") or build["identity"]["thresholds"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"{folder / 'build.json'} names no thresholds that this version knows ({error})") from error


def judge_all(table: pa.Table, thresholds: Thresholds) -> pa.Table:
    """The manifest's rows with the verdicts of other thresholds, duplicates rejected, clips' ranges set.

    table: the whole set, files in no pair among it; without `margin` and the ranges of clips where these are not asked
    for. thresholds: the limits that decide.
    """
    judged = np.asarray(pc.and_(pc.is_in(table["stage"], pa.array(JUDGED, pa.string())), pc.is_valid(table["key"])))
    places = np.flatnonzero(judged)
    table = with_values(table, places, _verdicts(table.take(pa.array(places)), thresholds))
    table = reject_duplicates(table, thresholds.duplicate_bits)
    return clip_ranges(table) if "clip_min_px" in table.column_names else table


def _verdicts(rows: pa.Table, thresholds: Thresholds) -> dict[str, list[object] | pa.Array]:
    """The columns of the verdicts that thresholds give, and of the margins."""
    limits = checks(thresholds)
    failed, nearest = first_failed(limits, lambda name: floats_of(rows[name]), len(rows))
    columns: dict[str, list[object] | pa.Array] = {
        "status": pa.array(np.where(failed < 0, "kept", "rejected")),
        "stage": pa.array(np.full(len(rows), "filter"), mask=failed < 0),
        "reason": pa.array([check.reason for check in limits], pa.string()).take(pa.array(failed, mask=failed < 0)),
        "threshold": pa.array([nine_digits(check.limit) for check in limits], pa.float64()).take(
            pa.array(failed, mask=failed < 0)
        ),
    }
    values: list[object] = [None] * len(rows)
    details: list[object] = [None] * len(rows)
    for number, check in enumerate(limits):
        places = np.flatnonzero(failed == number)
        for place, value in zip(places.tolist(), floats_of(rows[check.measurement])[places].tolist(), strict=True):
            values[place], details[place] = nine_digits(value), check.detail(value)
    columns |= {"value": values, "detail": details}
    return columns | {"margin": [nine_digits(value) for value in nearest.tolist()]}


def reject_duplicates(table: pa.Table, bits: float | None) -> pa.Table:
    """The rows, every kept one rejected whose left view looks like a better kept one's.

    table: the whole set. bits: the most in which the 64-bit perceptual hashes of two duplicates differ; None = nothing
    is a duplicate. duplicates.py says which of two stays.
    """
    if bits is None:
        return table
    names = ("key", "perceptual_hash", "quality", "width", "height", "clip")
    eligible = np.asarray(pc.and_(pc.equal(table["status"], "kept"), pc.is_valid(table["perceptual_hash"])))
    places = np.flatnonzero(eligible)
    kept = table.select(names).take(pa.array(places))
    qualities = np.nan_to_num(floats_of(kept["quality"]))
    ranked = pa.table({"quality": qualities, "key": kept["key"]})
    order = np.asarray(pc.sort_indices(ranked, [("quality", "descending"), ("key", "ascending")]))
    kept, places = kept.take(pa.array(order)), places[order]
    sequences = sequences_of(rows_of_clips(table))
    candidates = Candidates(
        np.array([int(text, 16) for text in kept["perceptual_hash"].to_pylist()], np.uint64),
        qualities[order],
        np.nan_to_num(floats_of(kept["width"])) * np.nan_to_num(floats_of(kept["height"])),
        [clip if clip in sequences else None for clip in kept["clip"].to_pylist()],
    )
    found = find_duplicates(candidates, bits)
    twins = kept["key"].take(pa.array([twin for _, twin, _ in found], pa.int64())).to_pylist()
    rows = [
        verdict_columns(Rejection(DUPLICATE, DUPLICATE, float(distance), float(bits), f"looks like {twin}"))
        for (_, _, distance), twin in zip(found, twins, strict=True)
    ]
    columns = {name: [row[name] for row in rows] for name in status_columns("rejected")}
    return with_values(table, places[[index for index, _, _ in found]], columns)
