"""What the review server knows: the samples of a data set, what was decided so far, and who is deciding now."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from redweb_builder.dataset.curation import NAME as CURATION
from redweb_builder.dataset.curation import Curation, usable_curation, with_agreement
from redweb_builder.dataset.decisions import (
    FILE,
    Decision,
    decide,
    is_disputed,
    merge_decisions,
    not_undone,
    parse_decisions,
    record_decision,
    standing,
    verdict_of,
)
from redweb_builder.dataset.label_reader import read_stored
from redweb_builder.dataset.manifest import pairs_of
from redweb_builder.dataset.manifest_file import NAME as MANIFEST
from redweb_builder.dataset.manifest_file import read_manifest, read_rows, refusal_of
from redweb_builder.dataset.paths import REVIEW_CACHE, name_of, photographs_of
from redweb_builder.dataset.sample_files import content_of
from redweb_builder.dataset.shards import files_of
from redweb_builder.dataset.unknown import from_runs, read_unknown, runs_of, write_unknown
from redweb_builder.dataset.verdicts import thresholds_of
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.export.points import ply, points_of
from redweb_builder.files import MOST_TEXT_BYTES, make_folder
from redweb_builder.filters.checks import checks
from redweb_builder.filters.wording import PEOPLE_SAY
from redweb_builder.inputs.remote import address_of
from redweb_builder.inspect.choose import COLUMNS, most_shown, some_runs, telling_keys
from redweb_builder.inspect.table import table
from redweb_builder.review.cache import Cache
from redweb_builder.review.pictures import label_of, render
from redweb_builder.types import Mask

LABELS_IN_MEMORY = 4
LONGEST_NAME = 60  # letters


class Session:
    """The reviewers of one data set. Safe to be called from several threads.

    pairs: how many the set has; of more than a page shows the most telling are reviewed. refusal: a sentence about
    what cannot be used of its manifest and curation; None where all can. home: the folder that decisions go to: the
    data set, or a folder beside which one works where that lies in remote storage.
    """

    def __init__(self, folder: Path, reviewer: str, source: Path | None = None) -> None:
        """Open a finished data set.

        folder: the data set, or its shards, which may lie in remote storage. reviewer: the name for decisions that come
        without one. source: the folder of the stereo photographs, where it is not the one that build.json names, or is
        in remote storage. Raises StoreError; SettingsError for a name that decisions cannot have.
        """
        try:
            self.folder, self.reviewer = folder, _checked_name(reviewer)
        except ValueError as error:
            raise SettingsError(f"--reviewer: {error}") from error
        self.source = photographs_of(folder, source)
        self.home = _home_of(folder)
        self.files = files_of(folder)
        self._built: list[int] | None = None
        self._rows: dict[str, dict[str, Any]] = {}
        self._read_rows()
        self._lock = Lock()
        self.cache = Cache(self.home / REVIEW_CACHE)
        self._decisions: list[Decision] = []
        self._read_to = 0
        self._label = lru_cache(LABELS_IN_MEMORY)(lambda key, version: label_of(self.files, key))

    def __len__(self) -> int:
        """Number of pairs that are shown."""
        return len(self._rows)

    def samples(self) -> bytes:
        """JSON: the table of the pairs as built, and what the page needs once."""
        self._read_rows()
        return self._samples

    def _table(self, curation: Curation) -> bytes:
        limits = {check.measurement: check for check in checks(thresholds_of(self.folder))}
        page = {
            "name": name_of(self.folder),
            "reviewer": self.reviewer,
            "source": self.source is not None,
            "say": PEOPLE_SAY,
        }
        rows = with_agreement(self._rows.values(), curation)
        return json.dumps(table(rows, limits) | page, ensure_ascii=False).encode()

    def decisions(self) -> dict[str, Any]:
        """key -> what stands about it, of every sample that somebody decided about."""
        return {key: _verdict_fields(by_reviewer) for key, by_reviewer in standing(self._decided()).items()}

    def name_of(self, given: object) -> str:
        """The reviewer that a request names, where several people use one page; None is this session's own.

        given: from anywhere. Raises ValueError where it is no name.
        """
        if given is None:
            return self.reviewer
        return _checked_name(given)

    def decide(self, key: str, decision: str, reason: str | None, reviewer: str) -> dict[str, Any]:
        """Record a decision about a pair; returns {"key": key, "now": what stands about it}.

        key: of the pair. decision: accept, reject or skip. reason: of a rejection, a code or a sentence. reviewer: of
        name_of. Raises StoreError where there is no such pair, or none with a label to accept; ValueError on another
        decision; OSError where it is not saved.
        """
        if decision == "accept":
            self.files.version(self._row(key)["key"])  # what has no label cannot be rescued
        self._row(key)
        record_decision(self.home, decide(key, decision, reviewer, reason))
        return self._now(key)

    def undo(self, reviewer: str) -> dict[str, Any] | None:
        """Take back a reviewer's latest decision; returns as `decide` does, None where there is none.

        reviewer: of name_of. Raises OSError where that is not saved.
        """
        mine = [decision for decision in not_undone(self._decided()) if decision.reviewer == reviewer]
        if not mine:
            return None
        last = mine[-1]
        record_decision(self.home, decide(last.key, "undo", reviewer, undoes=last.id))
        return self._now(last.key)

    def picture(self, kind: str, key: str) -> bytes:
        """The JPEG or PNG of a sample, from the cache where it is there.

        kind: one of pictures.KINDS. key: of the sample. Raises StoreError.
        """
        row = self._row(key)
        name = f"{kind}/{key}/{self.files.version(key)}"
        return self.cache.get(name, lambda: render(self.folder, self.files, kind, row, self.source))

    def stored(self, key: str, name: str) -> bytes:
        """A stored file of a sample. Raises StoreError, OSError.

        key: of the sample, from anywhere. name: of sample_files.FILES.
        """
        return content_of(self.files.stored(key, name)[0])

    def points(self, key: str) -> bytes:
        """The sample's point cloud, a PLY file. Raises StoreError. key: of the sample."""
        label = label_of(self.files, self._row(key)["key"])
        ((name, picture),) = self.files.stored(key, "image")
        image = read_stored(picture, name)
        if image.shape[:2] != label.mask.shape:
            raise StoreError(f"the picture of {key} has another size than its label")
        return ply(points_of(image, label.disparity, label.mask, label.confidence))

    def order(self, key: str, a: tuple[int, int], b: tuple[int, int]) -> dict[str, Any]:
        """Which of two pixels of a label is nearer.

        key: of the sample. a, b: (x, y) in px of the label. Returns {"text": in words, "points": what the label has at
        a and at b}. Raises StoreError; ValueError where a pixel lies outside.
        """
        points = [self._point(key, *pixel) for pixel in (a, b)]
        return {"points": points, "text": _order(*points)}

    def unknown(self, key: str) -> list[int]:
        """What people marked as unknown in a label, as runs_of has it. Raises StoreError. key: of the sample."""
        height, width = self._size(key)
        wrong = read_unknown(self.folder, key, (height, width))
        return [height * width] if wrong is None else runs_of(wrong)

    def mark_unknown(self, key: str, runs: object, reviewer: str) -> float:
        """Keep what a person marked in a label, in place of what was marked before; returns its share of the picture.

        key: of the sample. runs: as of from_runs. reviewer: of name_of. Raises StoreError; ValueError for other runs;
        OSError where it is not saved.
        """
        if self.home != self.folder:
            raise StoreError("what is marked as unknown is kept beside labels on this machine: copy the shards here")
        wrong = from_runs(runs, *self._size(key))
        write_unknown(self.folder, key, wrong, reviewer)
        return float(wrong.mean())

    def _size(self, key: str) -> tuple[int, int]:
        """Height and width of a label, px."""
        row = self._row(key)
        if not row["width"] or not row["height"]:
            raise StoreError(f"{key} has no label, or its row has no size")
        return row["height"], row["width"]

    def _point(self, key: str, x: int, y: int) -> dict[str, Any]:
        label = self._label(self._row(key)["key"], self.files.version(key))
        height, width = label.mask.shape
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"({x}, {y}) lies beyond a picture of {width} x {height} px")
        mask, disparity = Mask(int(label.mask[y, x])), float(label.disparity[y, x])
        return {
            "x": x,
            "y": y,
            "basis": mask.word,
            "disparity": disparity if np.isfinite(disparity) and mask != Mask.SKY else None,
        }

    def _row(self, key: str) -> dict[str, Any]:
        try:
            return self._rows[key]
        except KeyError:
            raise StoreError(f"the data set has no pair {key!r}") from None

    def _read_rows(self) -> None:
        """Read the rows again where they have changed since: a refilter or `curate` may have done so."""
        now = [_time_of_change(self.folder / name) for name in (MANIFEST, "build.json", CURATION)]
        if now == self._built:
            return
        manifest = read_manifest(self.folder, COLUMNS)
        pairs = pairs_of(manifest.table)
        shown = read_rows(manifest, telling_keys(some_runs(pairs), most_shown(len(pairs))))
        self._rows = {row["key"]: row for row in shown.rows}
        self.pairs = len(pairs)
        curation, damaged = usable_curation(self.folder)
        refused = refusal_of(shown.file, len(manifest.table), shown.refused)
        self.refusal = "; ".join(filter(None, (refused, *damaged))) or None
        self._samples = self._table(curation)  # made here, so that the page need not wait for it
        self._built = now

    def _now(self, key: str) -> dict[str, Any]:
        about = [decision for decision in self._decided() if decision.key == key]
        return {"key": key, "now": _verdict_fields(standing(about).get(key, {}))}

    def _decided(self) -> list[Decision]:
        """The file's decisions; what others have appended since is read too, whole lines only."""
        file = self.home / FILE
        with self._lock:
            size = file.stat().st_size if file.is_file() else 0  # a FIFO would be waited for
            if size < self._read_to:  # another file
                self._decisions, self._read_to = [], 0
            if size > self._read_to:
                with file.open("rb") as opened:
                    opened.seek(self._read_to)
                    new = opened.read(MOST_TEXT_BYTES)
                whole = new[: new.rfind(b"\n") + 1]
                self._decisions = [*self._decisions, *parse_decisions(whole)[0]]
                self._read_to += len(whole)
            return self._decisions


def _checked_name(given: object) -> str:
    """A reviewer's name. given: from anywhere. Raises ValueError where it is none."""
    if not isinstance(given, str) or not 0 < len(given.strip()) <= LONGEST_NAME:
        raise ValueError(f"a reviewer's name has 1 to {LONGEST_NAME} letters")
    return given.strip()


def _home_of(folder: Path) -> Path:
    """The folder that decisions about a data set are written to, with those that were made before. Raises OSError."""
    if address_of(folder) is None:
        return folder
    home = Path(f"{name_of(folder)}-review")
    make_folder(home, Path())
    merge_decisions(home, [folder / FILE])
    return home


def _time_of_change(file: Path) -> int:
    """When a file changed last, ns; 0 where it is not there, or lies in remote storage and is read once."""
    return file.stat().st_mtime_ns if file.exists() else 0


def _verdict_fields(by_reviewer: dict[str, Decision]) -> dict[str, Any]:
    verdict = verdict_of(by_reviewer)
    return {
        "verdict": verdict.decision if verdict else None,
        "disputed": is_disputed(by_reviewer),
        "verdicts": [[last.reviewer, last.decision, last.reason, last.time] for last in by_reviewer.values()],
    }


def _order(a: dict[str, Any], b: dict[str, Any]) -> str:
    """In words, which of two points is nearer. a, b: as `_point` returns them."""
    if "unknown" in (a["basis"], b["basis"]):
        return "The label does not know the depth of " + ("A" if a["basis"] == "unknown" else "B")
    if a["basis"] == b["basis"] == "sky":
        return "Both are sky"
    if "sky" in (a["basis"], b["basis"]):
        return "B is nearer: A is sky" if a["basis"] == "sky" else "A is nearer: B is sky"
    difference = a["disparity"] - b["disparity"]
    if difference == 0:
        return "A and B are equally far"
    return f"{'A' if difference > 0 else 'B'} is nearer, by {abs(difference):.2f} px of disparity"
