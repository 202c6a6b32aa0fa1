"""Which of two duplicates stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from redweb_builder.config import Thresholds
from redweb_builder.dataset.manifest import table_of
from redweb_builder.dataset.verdicts import compare, judge_all, judged


def row(key: str, quality: float, width: int, height: int) -> dict[str, Any]:
    return {
        "key": key,
        "status": "kept",
        "quality": quality,
        "width": width,
        "height": height,
        "perceptual_hash": "f0" * 8,
    }


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        (row("copy", 0.78, 398, 261), "original"),
        (row("copy", 0.95, 398, 261), "copy"),
        (row("copy", 0.78, 768, 500), "copy"),
        (row("copy", 0.5, 1024, 678), "original"),
    ],
)
def test_the_larger_of_two_duplicates_stays_where_labels_are_alike(other: dict[str, Any], kept: str) -> None:
    table = table_of([row("original", 0.74, 768, 509), other])
    rows = compare([table], 4).applied(table).to_pylist()
    assert [row["key"] for row in rows if row["status"] == "kept"] == [kept]
    rejected = next(row for row in rows if row["status"] != "kept")
    assert rejected["detail"] == f"looks like {kept}"


def test_a_set_in_blocks_is_judged_as_at_once() -> None:
    """Duplicates and the ranges of clips reach across blocks; the keys are not in order, and decide ties."""
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**63, 8).tolist()
    rows = [
        row(f"{number:02}", float(generator.integers(3)) / 2, 100, 100)
        | {"perceptual_hash": f"{hashes[generator.integers(8)]:016x}", "agreement": generator.random()}
        | {"clip": "ab"[int(number) % 2], "film_time_s": number, "min_px": -number, "max_px": number}
        for number in (*range(20), 3.5, 0.5, 40)
    ]
    rows.insert(7, {"status": "left-out", "left": "a.txt"})
    table, limits = table_of(rows), Thresholds(min_agreement=0.3)
    whole = judge_all(table, limits)
    blocks = [judged(table.slice(start, 5), limits) for start in range(0, len(table), 5)]
    compared = compare(blocks, limits.duplicate_bits)
    assert pa.concat_tables(compared.applied(block, 5 * number) for number, block in enumerate(blocks)).equals(whole)
    assert {"kept", "rejected", "left-out"} == set(whole["status"].to_pylist())
    assert len(compared.duplicates) > 3
    assert len(compared.ranges) == 2
