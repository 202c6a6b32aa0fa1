"""Which of two duplicates stays."""

from __future__ import annotations

from typing import Any

import pytest

from redweb_builder.dataset.manifest import table_of
from redweb_builder.dataset.verdicts import reject_duplicates


def row(key: str, quality: float, width: int, height: int) -> dict[str, Any]:
    return {"key": key, "status": "kept", "quality": quality, "width": width, "height": height, "perceptual_hash": "f0"}


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
    rows = reject_duplicates(table_of([row("original", 0.74, 768, 509), other]), 4).to_pylist()
    assert [row["key"] for row in rows if row["status"] == "kept"] == [kept]
    rejected = next(row for row in rows if row["status"] != "kept")
    assert rejected["detail"] == f"looks like {kept}"
