"""What people decided about the samples: decisions.jsonl, beside the labels and never in them.

A line a decision, appended and flushed to the disk; nothing is ever rewritten. Several people, and several programs,
may append to one file; files of several people can be merged, since every line has an id of its own. A line torn by a
crash stays where it is, is passed over, and is counted.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from redweb_builder.files import append, lock

FILE = "decisions.jsonl"
VERDICTS = ("accept", "reject")
DECISIONS = (*VERDICTS, "skip", "undo")
UNSTATED = "no-reason-given"
STAGE = "review"  # the stage of a manifest row that a person decided


@dataclass(frozen=True)
class Decision:
    """One line. decision: one of DECISIONS. undoes: of an undo, the id of the same reviewer's decision it takes back.

    time: UTC, ISO 8601 with microseconds. reason: a short code or a sentence, of a rejection.
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
    """A decision made now. Raises ValueError as Decision does."""
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    return Decision(uuid.uuid4().hex, key, decision, reviewer, now, reason, undoes)


def append_decisions(folder: Path, decisions: Sequence[Decision]) -> None:
    """Append to the data set's decisions.jsonl: all of them and on the disk, or none and an OSError."""
    lines = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in decisions).encode()
    with lock(folder / ".decisions.lock"):
        append(folder / FILE, lines)


def read_decisions(file: Path) -> tuple[list[Decision], int]:
    """Every decision of a file in its order, and how many lines are damaged; nothing where there is no file."""
    try:
        return parse_decisions(file.read_bytes())
    except FileNotFoundError:
        return [], 0


def parse_decisions(content: bytes) -> tuple[list[Decision], int]:
    """Every decision of a file's lines in their order, and how many lines are damaged."""
    decisions, damaged = [], 0
    for line in filter(None, content.split(b"\n")):
        try:
            decisions.append(Decision(**json.loads(line)))
        except (ValueError, TypeError):
            damaged += 1
    return decisions, damaged


def merge_decisions(folder: Path, files: Sequence[Path]) -> int:
    """Append what others decided and the data set does not have yet, by id; return how many lines are new."""
    known = {one.id for one in read_decisions(folder / FILE)[0]}
    new = {one.id: one for file in files for one in read_decisions(file)[0] if one.id not in known}
    if new:
        append_decisions(folder, list(new.values()))
    return len(new)


def not_undone(decisions: Iterable[Decision]) -> list[Decision]:
    """What was decided and not taken back by the one who decided it, in order of time; the undos are not among it."""
    made = sorted(decisions, key=lambda one: one.time)
    undone = {(one.undoes, one.reviewer) for one in made if one.undoes}
    return [one for one in made if one.decision != "undo" and (one.id, one.reviewer) not in undone]


def standing(decisions: Iterable[Decision]) -> dict[str, dict[str, Decision]]:
    """key -> reviewer -> their latest verdict that was not undone, else their skip, in order of time.

    A skip passes a sample by: it takes back no verdict.
    """
    stands: dict[str, dict[str, Decision]] = {}
    for one in not_undone(decisions):
        by_reviewer = stands.setdefault(one.key, {})
        before = by_reviewer.get(one.reviewer)
        if one.decision in VERDICTS or before is None or before.decision not in VERDICTS:
            by_reviewer.pop(one.reviewer, None)  # so that the latest comes last
            by_reviewer[one.reviewer] = one
    return stands


def verdict_of(by_reviewer: dict[str, Decision]) -> Decision | None:
    """The verdict on a sample: the latest accept or reject. Who decides later, knowing the others', settles it."""
    return next((one for one in reversed(by_reviewer.values()) if one.decision in VERDICTS), None)


def is_disputed(by_reviewer: Mapping[str, Decision]) -> bool:
    """Whether two reviewers' verdicts on a sample differ."""
    return len({one.decision for one in by_reviewer.values() if one.decision in VERDICTS}) > 1


def as_decided(rows: Iterable[dict[str, Any]], decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """The manifest's rows as people left them: a verdict replaces the status of a labelled pair, nothing else."""
    stands = standing(decisions)
    return [_decided(row, verdict_of(stands.get(row["key"], {}))) for row in rows]


def _decided(row: dict[str, Any], verdict: Decision | None) -> dict[str, Any]:
    status = {"accept": "kept", "reject": "rejected"}[verdict.decision] if verdict else row["status"]
    if verdict is None or status == row["status"] or not row.get("width"):
        return row
    said = (verdict.reason or UNSTATED) if status == "rejected" else None
    detail = f"{verdict.decision} by {verdict.reviewer}, {verdict.time}"
    if row["reason"]:
        detail += f"; before: {row['reason']}"
    return row | {
        "status": status, "stage": STAGE, "reason": said, "value": None, "threshold": None, "detail": detail
    }  # fmt: skip
