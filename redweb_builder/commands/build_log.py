"""--log of a build: what happened when, a line of JSON each, for programs that watch it."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path

from redweb_builder.files import append
from redweb_builder.progress import PAIRS, Progress


class BuildLog:
    """Appends to a file as it happens: a line a stage when it ends, a line a pair when it is recorded.

    Keys of a line: time (UTC, ISO 8601), pair (null for a stage), stage (of a pair: where it was rejected), status,
    seconds, reason. The last line of a build has the status "finished", "interrupted" or "error". Use as a context
    manager.
    """

    def __init__(self, file: Path) -> None:
        """file: gets the lines, behind those that it has."""
        self._file = file
        self._stage = "loading the program"
        self._began = time.monotonic()

    def __enter__(self) -> BuildLog:
        """Write the first line, so that a file that cannot be written is known at once."""
        self._append(None, self._stage, "started", None, None)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Say how the build ended."""
        status = "finished" if kind is None else "interrupted" if kind is KeyboardInterrupt else "error"
        self._append(None, self._stage, status, time.monotonic() - self._began, str(error) if error else None)

    def watch(self, progress: Progress) -> None:
        """Write what is new. progress: the state of the build."""
        if progress.stage != self._stage:
            now = time.monotonic()
            self._append(None, self._stage, "done", now - self._began, None)
            self._stage, self._began = progress.stage, now
        pair = progress.recorded
        if pair is not None and progress.stage == PAIRS:
            self._append(pair.key, pair.stage, pair.status, pair.seconds, pair.reason)

    def _append(
        self, pair: str | None, stage: str | None, status: str, seconds: float | None, reason: str | None
    ) -> None:
        line = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "pair": pair,
            "stage": stage,
            "status": status,
            "seconds": None if seconds is None else round(seconds, 2),
            "reason": reason,
        }
        append(self._file, (json.dumps(line, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))
