"""The data set on disk: atomic writes, journal, resume, manifest.

OUT/Imgs/<key>.jpg|png        left view
OUT/RDs/<key>.png             16 bit, 0 = nearest, 65535 = sky; disparity_px = offset + scale x value
OUT/masks/<key>.png           8 bit: 0 unknown, 1 measured, 2 sky, 3 filled by refinement
OUT/confidence/<key>.png      8 bit: 255 = sure, 0 = unknown
OUT/rejected/                 the same four folders for pairs that got as far as a label and were not kept
OUT/previews/<key>.jpg        the inspection strip of every labelled pair
OUT/journal.jsonl             one line a finished pair, appended as it is finished (journal.py)
OUT/manifest.parquet          the journal judged as one set, in order of key; written when a build ends
OUT/report.html               the inspection report; grid.png the same in one picture
OUT/decisions.jsonl           what people decided (decisions.py); no build touches it
OUT/unknown/<key>.png         what people marked as wrong in a label (unknown.py); no build touches it
OUT/build.json                settings, versions, weights, input fingerprint, counts, times
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from filelock import Timeout

from redweb_builder.config import Thresholds
from redweb_builder.dataset.curation import NAME as CURATION
from redweb_builder.dataset.journal import (
    HOMES,
    PREVIEWS,
    Sizes,
    expected_files,
    faults_of_files,
    find_file,
    mend_journal,
)
from redweb_builder.dataset.label_writer import LabelWriter
from redweb_builder.dataset.manifest import BLOCK_ROWS, SCHEMA, in_blocks, table_of
from redweb_builder.dataset.manifest_file import NAME as MANIFEST
from redweb_builder.dataset.manifest_file import write_manifest
from redweb_builder.dataset.parts import part_of_folder
from redweb_builder.dataset.paths import (
    ENDINGS,
    EYE_ORDERS,
    FOLDERS,
    REVIEW_CACHE,
    build_text,
    is_cached,
    is_data_set,
    read_build,
)
from redweb_builder.dataset.rows import is_key
from redweb_builder.dataset.verdicts import judge_all
from redweb_builder.errors import StoreError
from redweb_builder.files import (
    is_temporary,
    link_or_copy,
    lock,
    make_folder,
    move,
    remove_temporaries,
    replacing,
    unnamed_file,
    write_atomic,
)
from redweb_builder.version import FORMAT

LOCK = ".lock"
RETRIED = ("unreadable",)  # a disk that was away is no verdict: the next build tries these again


class Store(LabelWriter):
    """An output folder, opened for one build at a time. Use as a context manager.

    records: what the journal has of finished pairs, by key; read from the disk when asked. lost: keys of finished pairs
    of which a file is missing, empty or of another size; they are not in `records`, so that they are done again.
    damaged: a sentence about every line of the journal that could not be used.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any], overwrite: bool = False) -> None:
        """Create the folder, or go on with what it holds if it was built the same way.

        out: the folder. identity: what decides the labels (settings, networks, checksums); a folder built with another
        one is refused. overwrite: remove an existing data set first; a folder that is not a data set is never touched.
        Raises StoreError; UnsafePath where a file or folder of the data set is a link that leads out of it.
        """
        super().__init__(out)
        self.identity = json.loads(json.dumps(identity))
        _check_is_ours(out)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot create {out}: {error.strerror}") from error
        self._lock = lock(out / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(f"another build is writing to {out}: wait for it or choose another --out") from error
        try:
            if overwrite and not self._is_own_unfinished():
                self._clear()
            self._refuse_other_identity()
            for folder in ("rejected", *HOMES):
                make_folder(out / folder, out)
            self._remove_half_written()
            self._open_journal()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Store:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let others in."""
        self._lock.release()

    def _open_journal(self) -> None:
        """Fill `records`, `damaged` and `lost`."""
        files = Sizes(self.out)
        retried, lost = set[str](), set[str]()

        def look_at(record: dict[str, Any]) -> None:
            key = record["key"]  # its last line counts
            retried.discard(key)
            lost.discard(key)
            if record.get("reason") in RETRIED:
                retried.add(key)
            elif any(faults_of_files(record, files)):
                lost.add(key)

        journal = mend_journal(self.out, look_at)
        self.records, self.damaged, self.lost = journal.records, journal.damaged, lost
        for key in retried | lost:
            del self.records[key]

    def record(self, record: dict[str, Any]) -> None:
        """Record a pair as done; its files, if any, are written already.

        record: its row of the manifest, and what write_label returned under "files". Raises OSError.
        """
        self.records[record["key"]] = record

    def remove_label(self, key: str) -> None:
        """Remove the files of a pair, whatever its verdict; harmless to repeat. Raises OSError. key: of the pair."""
        for file in (*self._possible_files(key, True), *self._possible_files(key, False)):
            file.unlink(missing_ok=True)
        (self.out / PREVIEWS / f"{key}.jpg").unlink(missing_ok=True)

    def write_errors(self, failures: Sequence[Mapping[str, Any]]) -> None:
        """Write errors.log, the tracebacks of pairs that met an unforeseen error, or remove it where there are none.

        failures: key and detail of each. Raises OSError.
        """
        file = self.out / "errors.log"
        if failures:
            write_atomic(file, "\n".join(f"{failure['key']}\n{failure['detail']}" for failure in failures).encode())
        else:
            file.unlink(missing_ok=True)

    def move_to_final_place(self, kept: Iterable[str], rejected: Iterable[str]) -> None:
        """Move the files of each pair to where its verdict puts them; harmless to repeat.

        kept, rejected: keys of pairs, those without a label among them. Raises OSError.
        """
        for keys, to in ((kept, True), (rejected, False)):
            home, other = self._home(to), self._home(not to)
            for key, folder, ending in product(keys, FOLDERS, ENDINGS):
                name = f"{folder}/{key}{ending}"
                if os.path.exists(f"{other}/{name}"):  # noqa: PTH110 - of every pair; a Path takes as long as the answer
                    move(other / name, home / name)

    def judge(self, thresholds: Thresholds) -> pa.Table:
        """The rows of all recorded pairs by key, judged as one set; files are moved to where the verdicts put them.

        thresholds: the limits that decide. Raises OSError.
        """
        rows = judge_all(self._rows(), thresholds)
        for block in in_blocks(rows):
            self.move_to_final_place(*keys_of_sides(block))
        return rows

    def _rows(self) -> pa.Table:
        """The rows of all recorded pairs by key; those of more than one block lie in a file, mapped into memory."""
        keys = sorted(self.records)
        if len(keys) <= BLOCK_ROWS or sys.platform == "win32":  # there no file can be removed that is mapped
            return table_of(self.records.read(keys))
        with unnamed_file(self.out) as file:
            with pa.ipc.new_file(file, SCHEMA) as writer:
                for start in range(0, len(keys), BLOCK_ROWS):
                    writer.write_table(table_of(self.records.read(keys[start : start + BLOCK_ROWS])))
            file.flush()
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return pa.ipc.open_file(pa.py_buffer(mapped)).read_all()  # the file stays until nothing of it is used

    def adopt(self, records: Sequence[dict[str, Any]], folder: Path, there: Sizes) -> None:
        """Take over pairs of another data set, with their files, in the place of what is here of them.

        records: their lines of the journal. folder: of the other data set. there: its files. Raises OSError.
        """
        for record in records:
            self.remove_label(record["key"])
            for name in expected_files(record, there) if record.get("width") else ():
                place = find_file(name, there)
                if place is not None:
                    link_or_copy(folder / place[0], self.out / name)
        self.records.append(records)

    def finish(self, rows: pa.Table | Iterable[pa.Table], build: Mapping[str, Any]) -> None:
        """Write manifest.parquet and build.json.

        rows: of the whole set in their order, columns of manifest.SCHEMA, at once or BLOCK_ROWS at a time. build: the
        entries of build.json beside format and identity. Raises OSError.
        """
        blocks = in_blocks(rows) if isinstance(rows, pa.Table) else rows
        with replacing(self.out / MANIFEST) as file:
            write_manifest(file, blocks)
        self._remove_half_written()  # a worker of this build may have been killed
        self._write_build(build)

    def _remove_half_written(self) -> None:
        """Remove what processes that were killed have left."""
        for folder in ("rejected", *HOMES):
            remove_temporaries(self.out / folder)
        remove_temporaries(self.out)

    def _write_build(self, more: Mapping[str, Any]) -> None:
        content = {"format": FORMAT, "identity": self.identity, **more}
        write_atomic(self.out / "build.json", build_text(content))

    def _refuse_other_identity(self) -> None:
        build = read_build(self.out)
        if not build:
            self._write_build({"finished": False})
            return
        there = build.get("identity", {})
        if there != self.identity:
            raise StoreError(
                f"{self.out} was built with other settings ({_difference(there, self.identity)}). "
                "Choose another --out, repeat the earlier settings, or replace the data set with --overwrite."
            )

    def _is_own_unfinished(self) -> bool:
        """An interrupted build of the same kind: the same command, --overwrite in it, goes on with it."""
        there = read_build(self.out)
        return there.get("finished") is False and there.get("identity") == self.identity

    def _clear(self) -> None:
        """Remove the data set and nothing else that somebody may have put beside it; first what says it is done.

        build.json stays until it is replaced: at every moment the folder is known for a data set of ours.
        """
        self._remove(
            "journal.jsonl", MANIFEST, CURATION, "grid.png", "report.html", "errors.log", "status.json", EYE_ORDERS
        )
        for folder in (*HOMES, "rejected"):
            _remove_own_files(self.out, folder, _is_file_of_a_pair)
        _remove_own_files(self.out, REVIEW_CACHE, is_cached)
        self._write_build({"finished": False})

    def _remove(self, *names: str) -> None:
        for name in names:
            (self.out / name).unlink(missing_ok=True)


def keys_of_sides(rows: pa.Table) -> tuple[list[str], list[str]]:
    """The keys of kept and of rejected pairs. rows: of a manifest."""
    kept, rejected = (rows["key"].filter(pc.equal(rows["status"], side)).to_pylist() for side in ("kept", "rejected"))
    return kept, rejected


def _remove_own_files(root: Path, name: str, is_ours: Callable[[str], bool]) -> None:
    """Remove the regular files of our names in root/name, and that folder where that leaves nothing.

    Nothing is done where a link stands on the way from root.
    """
    folder = root / name
    if not folder.is_dir() or folder.resolve() != root.resolve() / name:
        return
    with os.scandir(folder) as entries:
        ours = [entry.path for entry in entries if is_ours(entry.name) and entry.is_file(follow_symlinks=False)]
    for file in ours:
        Path(file).unlink()
    remove_temporaries(folder)
    with suppress(OSError):  # what is left is somebody else's
        folder.rmdir()


def _is_file_of_a_pair(name: str) -> bool:
    return name.endswith(ENDINGS) and is_key(name[:-4])


def _check_is_ours(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file: choose another --out")
    if not out.is_dir() or is_data_set(out):
        return
    if any(
        entry.name != LOCK and not is_temporary(entry.name) and not part_of_folder(entry) for entry in out.iterdir()
    ):
        raise StoreError(f"{out} is not empty and not a data set of this program: choose another --out")


def _difference(there: object, here: Mapping[str, Any], prefix: str = "") -> str:
    if not isinstance(there, dict):
        return "its build.json names no settings"
    parts = []
    for name in sorted(set(there) | set(here)):
        before, now = there.get(name), here.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            parts.append(_difference(before, now, f"{prefix}{name}."))
        elif before != now:
            parts.append(f"{prefix}{name}: {before!s:.80} there, {now!s:.80} now")
    return ", ".join(part for part in parts if part)
