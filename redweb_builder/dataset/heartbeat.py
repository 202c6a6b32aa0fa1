"""status.json: what a running build is at, written now and then for `redweb status`; gone when the build has ended."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from redweb_builder.dataset.journal import size_of_journal
from redweb_builder.files import parse_json, read_regular, write_atomic
from redweb_builder.progress import Progress

NAME = "status.json"
EVERY_S = 10.0
SLOWEST = 5  # pairs of this run that are named
MOST_BYTES = 1 << 20
LARGEST = 1e12  # of a number; a larger one lies


class Heartbeat:
    """Writes status.json while a build runs."""

    def __init__(self, out: Path) -> None:
        """Write nothing yet. out: folder of the data set."""
        self._out, self._file = out, out / NAME
        self._counts, self._journal_bytes = Counter[tuple[str, str | None]](), 0
        self._next = math.inf
        self._slowest: list[tuple[float, str]] = []

    def start(self) -> None:
        """Begin: the folder is there and locked."""
        self._next = time.monotonic() + EVERY_S

    def count(self, recorded: Counter[tuple[str, str | None]]) -> None:
        """Begin to count pairs by what became of them. recorded: those of earlier runs, by status and reason."""
        self._counts = recorded
        self._journal_bytes = size_of_journal(self._out)

    def beat(self, progress: Progress) -> None:
        """Write the state of the build where the last time is EVERY_S ago. A full disk is left for the build to meet.

        progress: of the build; this is called at each of its changes.
        """
        if progress.recorded is not None:
            pair = round(progress.recorded.seconds, 1), progress.recorded.key
            self._slowest = sorted([*self._slowest, pair], reverse=True)[:SLOWEST]
            self._counts[progress.recorded.status, progress.recorded.reason] += 1
            self._journal_bytes = size_of_journal(self._out)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_S
        state = {
            "time": round(time.time(), 1),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "stage": progress.stage,
            "item": progress.item,
            "total": progress.total,
            "done": progress.done,
            "failed": progress.counts["failed"],
            "rate": round(progress.rate, 4) if progress.total else 0.0,
            "slowest": self._slowest,
            "workers": progress.workers,
            "late": [[round(seconds, 1), key] for seconds, key in progress.late()[:SLOWEST]],
            "counts": [[*what, count] for what, count in self._counts.items()],
            "journal_bytes": self._journal_bytes,  # that the counts are of
        }
        with suppress(OSError):
            write_atomic(self._file, json.dumps(state, ensure_ascii=False).encode(errors="replace"))

    def stop(self) -> None:
        """The build has ended. Raises OSError."""
        self._next = math.inf
        self._file.unlink(missing_ok=True)


def count_rows(rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str | None]]:
    """How many rows have each status and reason. rows: of the manifest or the journal."""
    return Counter((row["status"], row["reason"]) for row in rows)


def counts_of(state: Mapping[str, Any]) -> tuple[Counter[tuple[str, str | None]], int]:
    """What a heartbeat says became of the recorded pairs, by status and reason, and the bytes of the journal then.

    state: from read_heartbeat. Nothing, and 0, where it does not say so.
    """
    listed, size = state.get("counts"), state.get("journal_bytes")
    if not isinstance(listed, list) or type(size) is not int or size < 0:
        return Counter(), 0
    counts: Counter[tuple[str, str | None]] = Counter()
    for entry in listed:
        if not isinstance(entry, list) or len(entry) != 3 or type(entry[2]) is not int:
            return Counter(), 0
        counts[str(entry[0]), None if entry[1] is None else str(entry[1])] += entry[2]
    return counts, size


def read_heartbeat(out: Path) -> dict[str, Any]:
    """What a running build, or one that died, wrote last; empty where there is nothing that can be used.

    out: folder of the data set.
    """
    try:
        state = parse_json(read_regular(out / NAME, MOST_BYTES))
    except (OSError, ValueError):
        return {}
    numbers = ("time", "total", "done", "failed", "rate")
    if not isinstance(state, dict) or not all(is_number(state.get(name)) for name in numbers):
        return {}
    return state


def is_number(value: object) -> bool:
    """Whether a value of a heartbeat is a number that can be true. value: as JSON gives it."""
    return isinstance(value, (int, float)) and abs(value) < LARGEST
