"""How a build ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.dataset.manifest import DUPLICATE, LEFT_OUT, count_values


@dataclass(frozen=True)
class Summary:
    """How a build ended.

    out: folder of the data set. kept, rejected: pairs. duplicates: of the rejected, those that pass every filter and
    look like a better kept pair.
    reasons: rejections by reason. left_out: files of the input that are in no pair, by reason. failed: keys of pairs
    that met an unforeseen error. flow, segmenter: names of the networks. seconds: of this run.
    redone: pairs that were finished before and were done again, since a file of theirs was missing or of another size.
    lost: pairs that would have been, had this run's input them. damaged_lines: of the journal; their pairs were done
    again as well. unchanged: the data set was finished by the same command from the same files, and nothing was done.
    """

    out: Path
    kept: int
    rejected: int
    duplicates: int
    reasons: dict[str, int]
    left_out: dict[str, int]
    failed: list[str]
    flow: str
    segmenter: str
    seconds: float
    redone: int = 0
    lost: int = 0
    damaged_lines: int = 0
    unchanged: bool = False


def counts_of(rows: pa.Table) -> dict[str, Any]:
    """Summary's kept, rejected, duplicates, reasons and left_out. rows: of a manifest, with "status" and "reason"."""
    counts = count_values(rows["status"])
    return {
        "kept": counts["kept"],
        "rejected": counts["rejected"],
        "duplicates": pc.sum(pc.equal(rows["reason"], DUPLICATE)).as_py() or 0,
        "reasons": _reasons(rows, "rejected"),
        "left_out": _reasons(rows, LEFT_OUT),
    }


def _reasons(rows: pa.Table, status: str) -> dict[str, int]:
    """How many rows of a status have each reason, the most frequent first."""
    return dict(count_values(rows["reason"].filter(pc.equal(rows["status"], status))).most_common())
