"""status.json: what a running build is at, written now and then for `redweb status`; gone when the build has ended."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

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
        self._file = out / NAME
        self._next = math.inf
        self._slowest: list[tuple[float, str]] = []

    def start(self) -> None:
        """Begin: the folder is there and locked."""
        self._next = time.monotonic() + EVERY_S

    def beat(self, progress: Progress) -> None:
        """Write the state of the build where the last time is EVERY_S ago. A full disk is left for the build to meet.

        progress: of the build; this is called at each of its changes.
        """
        if progress.recorded is not None:
            pair = round(progress.recorded.seconds, 1), progress.recorded.key
            self._slowest = sorted([*self._slowest, pair], reverse=True)[:SLOWEST]
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
        }
        with suppress(OSError):
            write_atomic(self._file, json.dumps(state, ensure_ascii=False).encode())

    def stop(self) -> None:
        """The build has ended. Raises OSError."""
        self._next = math.inf
        self._file.unlink(missing_ok=True)


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
