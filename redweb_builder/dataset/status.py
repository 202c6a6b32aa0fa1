"""How far a build is, with all of its parts: read from its journals and heartbeats; nothing is locked or written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redweb_builder.dataset.heartbeat import count_rows, counts_of, is_number, read_heartbeat
from redweb_builder.dataset.journal import journal_lines, read_journal
from redweb_builder.dataset.manifest_file import has_manifest, manifest_blocks
from redweb_builder.dataset.parts import part_folders
from redweb_builder.dataset.paths import is_ours, read_build
from redweb_builder.errors import StoreError
from redweb_builder.inputs.remote import shown

SILENT_S = 120.0  # after so long without a heartbeat a build is taken for dead, or stuck
SIDES = ("kept", "rejected")
FINISHED, RUNNING, SILENT, STOPPED = "finished", "running", "silent", "stopped"


@dataclass(frozen=True)
class BuildStatus:
    """How far one folder is.

    state: FINISHED; RUNNING; SILENT: it died, or one pair takes long; STOPPED: unfinished, and it ended by itself, or
    has just begun. total: pairs, None where no build has said so yet. done, kept, rejected: recorded pairs; of a
    finished build duplicates are rejected, before they are not compared yet. reasons: rejections. failed: pairs that
    met an unforeseen error in this run. rate: pairs a second of this run. seconds_left: at this rate; None where
    unknown. age: s between the last heartbeat and now. host, stage, item: of the build that runs, or died. slowest:
    (seconds, key) of this run. workers: processes of a cluster that are at work; None where the build has none. late:
    (seconds, key) of pairs that are in work for long.
    """

    folder: str
    state: str
    total: int | None
    done: int
    kept: int
    rejected: int
    reasons: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    rate: float = 0.0
    seconds_left: float | None = None
    age: float | None = None
    host: str = ""
    stage: str = ""
    item: str = ""
    slowest: tuple[tuple[float, str], ...] = ()
    workers: int | None = None
    late: tuple[tuple[float, str], ...] = ()


def status_of(out: Path) -> list[BuildStatus]:
    """How far each part of a build is; the build itself where it has no parts, or is merged; also that of shards.

    out: its folder, or that of the shards, which may lie in remote storage.

    Raises StoreError where there is neither. Clocks of other machines are taken to be right.
    """
    folders = [out] if is_ours(read_build(out)) else part_folders(out)
    if not folders:
        raise StoreError(
            f"{shown(out)} holds no data set and no parts of one; a build that is still finding pairs has none yet"
        )
    return [_status_of_folder(folder) for folder in folders]


def _status_of_folder(folder: Path) -> BuildStatus:
    beat = read_heartbeat(folder)
    age = abs(time.time() - beat["time"]) if beat else None  # one from the future is old: the clock was set back
    finished = bool(read_build(folder).get("finished"))
    counts = _counts(folder, beat, finished)
    kept, rejected = (sum(count for what, count in counts.items() if what[0] == side) for side in SIDES)
    done = kept + rejected
    reasons = Counter({reason: count for (side, reason), count in counts.items() if side == SIDES[1] and reason})
    total = int(beat["total"]) or None if beat else done if finished else None
    ended = FINISHED if finished else STOPPED
    state = ended if age is None else RUNNING if age < SILENT_S else SILENT
    rate = float(beat.get("rate", 0.0)) if state == RUNNING else 0.0
    left = max(0, total - done) / rate if total is not None and rate > 0 else None
    return BuildStatus(
        folder.name,
        state,
        total,
        done,
        kept,
        rejected,
        dict(reasons.most_common()),
        int(beat.get("failed", 0)),
        rate,
        left,
        age,
        str(beat.get("host", "")),
        str(beat.get("stage", "")),
        str(beat.get("item", "")),
        _timed_pairs(beat.get("slowest")),
        int(beat["workers"]) if is_number(beat.get("workers")) else None,
        _timed_pairs(beat.get("late")),
    )


def _counts(folder: Path, beat: Mapping[str, Any], finished: bool) -> Counter[tuple[str, str | None]]:
    """How many pairs have each status and reason: of the manifest of a finished set, else of a heartbeat and of what
    the journal has gained since. A journal of millions without a heartbeat is read whole, which takes minutes.
    """
    if finished and not beat and has_manifest(folder):
        of_manifest: Counter[tuple[str, str | None]] = Counter()
        for block in manifest_blocks(folder, ("reason",), []):
            counted = block.group_by(["status", "reason"], use_threads=False).aggregate([([], "count_all")]).to_pylist()
            of_manifest.update({(row["status"], row["reason"]): row["count_all"] for row in counted})
        return of_manifest
    counts, start = counts_of(beat)
    if start:
        return counts + count_rows(record for _, _, record in journal_lines(folder, [], start))
    records = read_journal(folder).records
    return count_rows(records.read(records))


def _timed_pairs(listed: object) -> tuple[tuple[float, str], ...]:
    """What a heartbeat says of some pairs, (seconds, key) each, as far as it can be used."""
    pairs = listed if isinstance(listed, list) else []
    return tuple((float(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list) and _is_timed(pair))


def _is_timed(pair: list[object]) -> bool:
    return len(pair) == 2 and is_number(pair[0]) and isinstance(pair[1], str)
