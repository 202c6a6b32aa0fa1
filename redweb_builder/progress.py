"""The progress of a build, stage by stage and pair by pair, reported to a watcher."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock

PAIRS = "pairs"  # the stage in which pairs are worked on
# The steps of a pair, in order, and the part of its work that is done when each begins.
READING, MATCHING, LABELLING = "reading", "matching", "labelling"
DONE_BEFORE = {READING: 0.0, MATCHING: 0.2, LABELLING: 0.75}
LATE_S = 300.0  # a pair that is in work for so long is named; pairs take seconds


@dataclass(frozen=True)
class Recorded:
    """A pair that is done. key: of the pair. status: "kept", "rejected" or "failed".

    stage, reason: where and why it was not kept, as in the manifest; None where it was. seconds: that it took.
    """

    key: str
    status: str
    stage: str | None
    reason: str | None
    seconds: float


class Progress:
    """The state of a build. Several threads report to it; `watch` is called after every change, one call at a time.

    stage: what the build does now, in words. item: the file or pair that it works on. total: number of pairs. done:
    number of recorded pairs, `resumed` of them by earlier runs. counts: recorded pairs by status ("kept", "rejected",
    "failed") and, after they are compared, "duplicate". notes: sentences for people, in order. recorded: the
    pair whose end is this change; None at every other change. workers: processes of a cluster that are at work; None
    where the build runs in this one.
    """

    def __init__(self, watch: Callable[[Progress], None] = lambda progress: None) -> None:
        """watch: called with this object after every change."""
        self.stage = ""
        self.item = ""
        self.total = self.done = self.resumed = 0
        self.counts: Counter[str] = Counter()
        self.notes: list[str] = []
        self.recorded: Recorded | None = None
        self.workers: int | None = None
        self._watch = watch
        self._lock = RLock()
        self._started = time.monotonic()
        self._begun: dict[str, float] = {}  # key of each pair in work -> part of it that is done, in [0, 1]
        self._since: dict[str, float] = {}  # key of each pair in work -> when its first step began

    def enter(self, stage: str) -> None:
        """Begin a stage. stage: its name, in words."""
        with self._lock:
            self.stage, self.item = stage, ""
            self._watch(self)

    def at(self, item: object) -> None:
        """Name the file or pair that the stage works on. item: shown by str()."""
        with self._lock:
            self.item = str(item)
            self._watch(self)

    def start(self, total: int, recorded: Counter[str]) -> None:
        """Begin the stage of pairs. total: their number. recorded: earlier runs recorded so many, by status."""
        with self._lock:
            self.total, self.counts = total, recorded
            self.done = self.resumed = recorded.total()
            self._started = time.monotonic()
            self.enter(PAIRS)

    def step(self, key: str, step: str) -> None:
        """A pair begins a step. key: of the pair. step: a key of DONE_BEFORE."""
        with self._lock:
            self._begun[key] = DONE_BEFORE[step]
            self._since.setdefault(key, time.monotonic())
            self.at(f"{step} {key}")

    def end(self, recorded: Recorded) -> None:
        """A pair is recorded. recorded: what became of it."""
        with self._lock:
            self._begun.pop(recorded.key, None)
            self._since.pop(recorded.key, None)
            self.counts[recorded.status] += 1
            self.done += 1
            self.recorded = recorded
            self._watch(self)
            self.recorded = None

    def watched(self, workers: int) -> None:
        """The processes of a cluster were asked what they do. workers: how many of them are at work.

        The pair that is late is named, since everything may wait for it.
        """
        with self._lock:
            self.workers = workers
            late = self.late()
            self.at(f"late, {late[0][0]:.0f} s: {late[0][1]}" if late else self.item)

    def late(self) -> list[tuple[float, str]]:
        """(seconds, key) of the pairs that began more than LATE_S ago and are not recorded, the longest first."""
        with self._lock:
            now = time.monotonic()
            pairs = [(now - since, key) for key, since in self._since.items() if now - since > LATE_S]
        return sorted(pairs, reverse=True)

    @property
    def position(self) -> float:
        """Number of pairs done; those in work count by their part that is done."""
        return min(self.done + sum(self._begun.values()), float(self.total))

    @property
    def rate(self) -> float:
        """Pairs a second in this run; 0 before the first step is done."""
        return (self.position - self.resumed) / max(time.monotonic() - self._started, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end of the pairs at this rate; None while the rate is 0."""
        return (self.total - self.position) / self.rate if self.rate > 0 else None
