"""What people decided about the samples: decisions.jsonl, beside the labels and never in them.

A line a decision, appended and flushed to the disk; nothing is ever rewritten. Several people, and several programs,
may append to one file; files of several people can be merged, since every line has an id of its own. A line that is
damaged stays where it is, is passed over, and is counted.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.dataset.manifest import status_columns, with_values
from redweb_builder.dataset.rows import is_key
from redweb_builder.dataset.storage import read_whole, storage_of
from redweb_builder.files import MOST_TEXT_BYTES, append, lock, parse_json, read_regular, require_plain
from redweb_builder.inputs.remote import address_of

FILE = "decisions.jsonl"
LOCK = ".decisions.lock"
LAST_TIME = datetime(8999, 12, 31, 23, 59, 59, 999999, timezone.utc)  # a later one is damage
# The times of a file's lines, without parsing each: a click of the reviewer would wait for 10,000 lines.
# Quotes within a text are escaped in JSON, so that a text with this in it does not match. A line whose time is written
# otherwise, with escapes, is damage: its time would not be found.
_TIME = re.compile(rb'"time":\s*"([0-9T:.+-]{32})"')
VERDICTS = ("accept", "reject")
DECISIONS = (*VERDICTS, "skip", "undo")
UNSTATED = "no-reason-given"
STAGE = "review"  # the stage of a manifest row that a person decided


@dataclass(frozen=True)
class Decision:
    """What a person decided about a pair.

    id: its own. key: of the pair. decision: one of DECISIONS. reviewer: a name. time: UTC, ISO 8601 with microseconds.
    reason: a short code or a sentence, of a rejection. undoes: of an undo, the id of the same reviewer's decision that
    it takes back.
    """

    id: str
    key: str
    decision: str
    reviewer: str
    time: str
    reason: str | None = None
    undoes: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError on anything that is no decision."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str) and not (value is None and field.name in ("reason", "undoes")):
                raise ValueError(f"{field.name} of a decision is text, got {value!r}")
        if self.decision not in DECISIONS:
            raise ValueError(f"a decision is one of {', '.join(DECISIONS)}, got {self.decision!r}")
        if (self.decision == "undo") != (self.undoes is not None):
            raise ValueError("an undo, and nothing else, names the decision that it undoes")


def decide(key: str, decision: str, reviewer: str, reason: str | None = None, undoes: str | None = None) -> Decision:
    """A decision made now, with an id of its own.

    key, decision, reviewer, reason, undoes: as Decision has them. Raises ValueError as Decision does.
    """
    now = datetime.now(timezone.utc)
    return Decision(uuid.uuid4().hex, key, decision, reviewer, _time_text(now), reason, undoes)


def record_decision(folder: Path, decision: Decision) -> Decision:
    """Append a decision made now; return it as it was recorded.

    A clock that once stood in the future would make every later verdict void. The time is therefore at least a
    microsecond after the newest in the file; after LAST_TIME it is the same, and the order of lines decides. folder: of
    the data set. Raises OSError as append_decisions does.
    """
    with lock(folder / LOCK):
        require_plain(folder / FILE)
        newest = _newest_time(folder / FILE)
        if decision.time <= newest:
            later = datetime.fromisoformat(newest) + timedelta(microseconds=1)
            decision = replace(decision, time=_time_text(min(later, LAST_TIME)))
        append(folder / FILE, _lines([decision]))
    return decision


def _newest_time(file: Path) -> str:
    """The newest time in a file of decisions, "" where there is none."""
    try:
        times = {time.decode() for time in _TIME.findall(read_regular(file, MOST_TEXT_BYTES))}
    except FileNotFoundError:
        return ""
    return next((time for time in sorted(times, reverse=True) if _is_time(time)), "")


def _is_time(text: str) -> bool:
    """Whether a text is a time as this program writes it."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return False
    return time.utcoffset() == timedelta(0) and text == _time_text(time) and time <= LAST_TIME


def append_decisions(folder: Path, decisions: Sequence[Decision]) -> None:
    """Append decisions as they are: all of them and on the disk, or none and an OSError.

    In remote storage the file is written again; what two programs append there at once, one of them loses. folder: of
    the data set. Raises UnsafePath where the file or its lock is a link or no regular file; StoreError.
    """
    if address_of(folder):
        _append_remote(folder, _lines(decisions))
        return
    with lock(folder / LOCK):
        append(folder / FILE, _lines(decisions))


def _append_remote(folder: Path, lines: bytes) -> None:
    try:
        before = read_whole(folder, FILE, MOST_TEXT_BYTES)
    except FileNotFoundError:
        before = b""
    torn = b"\n" if before and not before.endswith(b"\n") else b""
    storage_of(folder).write(FILE, before + torn + lines)


def _lines(decisions: Iterable[Decision]) -> bytes:
    return "".join(json.dumps(asdict(decision), ensure_ascii=False) + "\n" for decision in decisions).encode()


def _time_text(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")


def read_decisions(file: Path) -> tuple[list[Decision], int]:
    """Every decision of a file in its order, and how many lines are damaged; nothing where there is no file.

    file: its path; also in remote storage. Raises OSError; UnsafePath where `file` is no regular file; StoreError.
    """
    try:
        return parse_decisions(read_whole(file.parent, file.name, MOST_TEXT_BYTES))
    except FileNotFoundError:
        return [], 0


def parse_decisions(content: bytes) -> tuple[list[Decision], int]:
    """Every decision of a file's lines in their order, and how many lines are damaged. content: the bytes of lines."""
    decisions, damaged = [], 0
    for line in filter(None, content.split(b"\n")):
        try:
            decision = Decision(**parse_json(line))
            _check(decision)
            if decision.time.encode() not in _TIME.findall(line):
                raise ValueError("the time of a decision is written without escapes")
        except (ValueError, TypeError):
            damaged += 1
        else:
            decisions.append(decision)
    return decisions, damaged


def _check(decision: Decision) -> None:
    """Raise ValueError where a decision that was read is none that this program writes."""
    if not is_key(decision.key):
        raise ValueError("a decision is about the key of a pair")
    if not _is_time(decision.time):
        raise ValueError("the time of a decision is UTC with microseconds")
    _lines([decision])  # text that is no UTF-8


def merge_decisions(folder: Path, files: Sequence[Path]) -> tuple[int, int]:
    """Append what others decided and the data set does not have yet, by id; how many lines are new, and are damaged.

    folder: of the data set. files: decisions.jsonl of others. Raises OSError.
    """
    known = {decision.id for decision in read_decisions(folder / FILE)[0]}
    read = [read_decisions(file) for file in files]
    new = {decision.id: decision for theirs, _ in read for decision in theirs if decision.id not in known}
    if new:
        append_decisions(folder, list(new.values()))
    return len(new), sum(damaged for _, damaged in read)


def not_undone(decisions: Iterable[Decision]) -> list[Decision]:
    """The decisions that their own reviewer did not take back, in order of time; undos are not among them."""
    by_time = sorted(decisions, key=lambda decision: decision.time)
    undone = {(undo.undoes, undo.reviewer) for undo in by_time if undo.undoes}
    return [made for made in by_time if made.decision != "undo" and (made.id, made.reviewer) not in undone]


def standing(decisions: Iterable[Decision]) -> dict[str, dict[str, Decision]]:
    """key -> reviewer -> their latest verdict that was not undone, else their skip, in order of time.

    decisions: in any order. A skip passes a sample by: it takes back no verdict.
    """
    stands: dict[str, dict[str, Decision]] = {}
    for decision in not_undone(decisions):
        by_reviewer = stands.setdefault(decision.key, {})
        before = by_reviewer.get(decision.reviewer)
        if decision.decision in VERDICTS or before is None or before.decision not in VERDICTS:
            by_reviewer.pop(decision.reviewer, None)  # so that the latest comes last
            by_reviewer[decision.reviewer] = decision
    return stands


def verdict_of(by_reviewer: dict[str, Decision]) -> Decision | None:
    """The verdict on a pair: the latest accept or reject, since who decides later knows the others' verdicts.

    by_reviewer: the pair's entry in `standing`. None where nobody gave a verdict.
    """
    return next((decision for decision in reversed(by_reviewer.values()) if decision.decision in VERDICTS), None)


def is_disputed(by_reviewer: Mapping[str, Decision]) -> bool:
    """Whether two reviewers' verdicts on a pair differ. by_reviewer: the pair's entry in `standing`."""
    return len({decision.decision for decision in by_reviewer.values()} & set(VERDICTS)) > 1


def verdicts_of(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """The verdict on each pair that has one, by key. decisions: in any order."""
    return {key: verdict for key, people in standing(decisions).items() if (verdict := verdict_of(people))}


def as_decided(table: pa.Table, verdicts: Mapping[str, Decision]) -> pa.Table:
    """The manifest's rows as people left them: a verdict replaces the status of a labelled pair, nothing else.

    table: rows of the manifest, of any of its columns; they stay in their order. verdicts: by key, as of verdicts_of.
    """
    if not verdicts:
        return table
    places = np.flatnonzero(np.asarray(pc.is_in(table["key"], pa.array(list(verdicts), pa.string()))))
    if not len(places):
        return table
    rows = [_decided(row, verdicts[row["key"]]) for row in table.take(pa.array(places)).to_pylist()]
    columns = {name: [row.get(name) for row in rows] for name in status_columns("kept")}
    return with_values(table, places, columns)


def _decided(row: dict[str, Any], verdict: Decision) -> dict[str, Any]:
    status = {"accept": "kept", "reject": "rejected"}[verdict.decision]
    if status == row["status"] or not row.get("width"):
        return row
    reason = (verdict.reason or UNSTATED) if status == "rejected" else None
    detail = f"{verdict.decision} by {verdict.reviewer}, {verdict.time}"
    if row.get("reason"):
        detail += f"; before: {row['reason']}"
    return row | status_columns(status, STAGE, reason, detail)
