"""Measurements of a whole set -> the verdict on each of its pairs; needs no picture and no network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from redweb_builder.config import Thresholds
from redweb_builder.dataset.clips import sequences_of, set_clip_ranges
from redweb_builder.dataset.manifest import DUPLICATE, JUDGED, MEASUREMENTS, nine_digits, verdict_columns
from redweb_builder.dataset.paths import read_build
from redweb_builder.errors import StoreError
from redweb_builder.filters.checks import judge, margin
from redweb_builder.types import Rejection

LARGER = 1.2  # times the px of the other: below, pictures count as equal in size
ALIKE = 0.1  # of quality, in [0, 1]: labels that differ by less count as equally good


def thresholds_of(folder: Path) -> Thresholds:
    """The limits of a data set: those of its last refilter, else those it was built with.

    folder: of the data set. Raises StoreError where build.json names none.
    """
    build = read_build(folder)
    try:
        return Thresholds(**(build.get("thresholds") or build["identity"]["thresholds"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"{folder / 'build.json'} names no thresholds that this version knows ({error})") from error


def judge_all(rows: Iterable[dict[str, Any]], thresholds: Thresholds) -> list[dict[str, Any]]:
    """Copies of the manifest's rows with the verdicts of other thresholds, duplicates rejected, clips' ranges set.

    rows: of the whole set, files in no pair among them. thresholds: the limits that decide.
    """
    new = [_judged(row, thresholds) if row.get("stage") in JUDGED and row["key"] else dict(row) for row in rows]
    reject_duplicates(new, thresholds.duplicate_bits)
    set_clip_ranges(new)
    return new


def _judged(row: dict[str, Any], thresholds: Thresholds) -> dict[str, Any]:
    measurements = {name: math.nan if row.get(name) is None else float(row[name]) for name in MEASUREMENTS}
    rejection = judge(measurements, thresholds)
    distance = margin(measurements, thresholds)
    return row | verdict_columns(rejection) | {"margin": nine_digits(distance)}


def reject_duplicates(rows: Sequence[dict[str, Any]], bits: float | None) -> None:
    """Reject every kept row whose left view looks like an earlier kept one's, in place.

    rows: of the whole set. bits: the most in which the 64-bit perceptual hashes (imagehash.phash) of two duplicates
    differ; None = nothing is a duplicate. The better of the two by quality is kept, the earlier key at a tie; but the
    larger picture where their labels are alike, since a small copy is easier to match. Frames of one sequence
    (clips.py) are no duplicates of each other.
    """
    if bits is None:
        return
    kept = [row for row in rows if row["status"] == "kept" and row.get("perceptual_hash")]
    kept.sort(key=lambda row: (-(row.get("quality") or 0), row["key"]))
    hashes = np.array([int(row["perceptual_hash"], 16) for row in kept], np.uint64)
    sequences = sequences_of(rows)
    clips = [row["clip"] if row.get("clip") in sequences else None for row in kept]
    alive: list[int] = []
    for index, row in enumerate(kept):
        rivals = alive if clips[index] is None else [other for other in alive if clips[other] != clips[index]]
        distances = np.bitwise_count(hashes[rivals] ^ hashes[index])
        if not rivals or distances.min() > bits:
            alive.append(index)
            continue
        best, nearest = rivals[int(distances.argmin())], float(distances.min())
        twin = kept[best]
        if _is_larger_and_alike(row, twin):
            alive[alive.index(best)] = index
            row, twin = twin, row
        detail = f"looks like {twin['key']}"
        row |= verdict_columns(Rejection(DUPLICATE, DUPLICATE, nearest, float(bits), detail))


def _is_larger_and_alike(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a row's picture is clearly larger than another's, and its quality hardly lower."""
    areas = [(pair.get("width") or 0) * (pair.get("height") or 0) for pair in (row, other)]
    return areas[0] >= LARGER * areas[1] > 0 and (row.get("quality") or 0) >= (other.get("quality") or 0) - ALIKE
