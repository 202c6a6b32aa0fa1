"""journal.jsonl: a line a finished pair, appended when its files are on the disk. It defines what is done.

A line is a row of the manifest as JSON, with the size and SHA-256 of every file of the pair under "files".
"""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from redweb_builder.dataset.paths import FOLDERS
from redweb_builder.dataset.rows import fault_of_record, files_of
from redweb_builder.files import append, open_regular, parse_json, replacing

NAME = "journal.jsonl"
MOST_LINE_BYTES = 1 << 20  # a longer line counts as several, each of which is damaged
PREVIEWS = "previews"
HOMES = (*FOLDERS, PREVIEWS, *(f"rejected/{folder}" for folder in FOLDERS))  # the folders of pairs' files


class Records(MutableMapping[str, dict[str, Any]]):
    """The records of a journal by key, the last line of a key counts. In memory is where each line begins, no more.

    A deletion is forgotten with this object: the line stays in the file.
    """

    def __init__(self, file: Path) -> None:
        """file: the journal; it need not be there yet."""
        self._file = file
        self._starts: dict[str, int] = {}  # byte of each line

    def __getitem__(self, key: str) -> dict[str, Any]:
        """The record of a pair. Raises KeyError; OSError."""
        return next(self.read([key]))

    def read(self, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The records of some pairs, one after the other. keys: in any order. Raises KeyError; OSError."""
        starts = [self._starts[key] for key in keys]
        if not starts:  # there may be no file yet
            return
        with open_regular(self._file) as opened, BufferedReader(opened) as file:
            for start in starts:
                file.seek(start)
                record: dict[str, Any] = parse_json(file.readline())
                yield record

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(key, record) of every pair, one after the other; pairs may be deleted meanwhile. Raises OSError."""
        keys = list(self._starts)
        return zip(keys, self.read(keys), strict=True)

    def __setitem__(self, key: str, record: dict[str, Any]) -> None:
        """Append a record to the file, flushed to the disk. Raises OSError. key: of the pair, as in the record."""
        self.append([record])

    def append(self, records: Sequence[dict[str, Any]]) -> None:
        """Append records to the file, all of them or none, flushed to the disk once. Raises OSError.

        records: each with its key.
        """
        lines = [(json.dumps(record, ensure_ascii=False) + "\n").encode() for record in records]
        append(self._file, b"".join(lines))
        start = self._file.stat().st_size - sum(map(len, lines))
        for record, line in zip(records, lines, strict=True):
            self.place(record["key"], start)
            start += len(line)

    def place(self, key: str, start: int) -> None:
        """Say where the line of a pair begins. key: of the pair. start: byte of the file."""
        self._starts[key] = start

    def __delitem__(self, key: str) -> None:
        """Forget a record. Raises KeyError."""
        del self._starts[key]

    def __iter__(self) -> Iterator[str]:
        """The keys, in the order of their first lines."""
        return iter(self._starts)

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self._starts)

    def __contains__(self, key: object) -> bool:
        """Whether a pair is recorded."""
        return key in self._starts


@dataclass(frozen=True)
class Journal:
    """What a journal says.

    records: of the lines that can be used. damaged: a sentence about every other one, with its number, which counts
    from 1.
    """

    records: Records
    damaged: list[str]


def read_journal(out: Path, watch: Callable[[dict[str, Any]], None] = lambda record: None) -> Journal:
    """The journal of a data set, empty where there is none. Raises OSError.

    out: folder of the data set. watch: called with the record of each line; that of a key's last line counts.
    """
    journal = Journal(Records(out / NAME), [])
    for start, _, record in journal_lines(out, journal.damaged):
        journal.records.place(record["key"], start)
        watch(record)
    return journal


def journal_lines(out: Path, damaged: list[str], start: int = 0) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """(byte, line, record) of every line of a journal that can be used; none where there is no journal.

    out: folder of the data set. damaged: gets a sentence about every other line. start: byte of the line that is read
    first. Raises OSError.
    """
    try:
        opened = open_regular(out / NAME)
    except FileNotFoundError:
        return
    with opened, BufferedReader(opened) as file:
        file.seek(start)
        for number, line in enumerate(iter(partial(file.readline, MOST_LINE_BYTES), b""), 1):
            record, fault = _parsed(line)
            if fault is None:
                yield start, line, record
            elif line != b"\n":
                damaged.append(f"line {number}: {fault}")
            start += len(line)


def size_of_journal(out: Path) -> int:
    """Bytes of the journal, 0 where there is none. out: folder of the data set."""
    return (out / NAME).stat().st_size if (out / NAME).is_file() else 0


def _parsed(line: bytes) -> tuple[dict[str, Any], str | None]:
    """A record, and what is wrong with it."""
    if not line.endswith(b"\n"):
        return {}, "it has no end"
    try:
        record = parse_json(line)
        return record, fault_of_record(record)
    except ValueError as error:  # also UnicodeDecodeError
        return {}, str(error)


def mend_journal(out: Path, watch: Callable[[dict[str, Any]], None] = lambda record: None) -> Journal:
    """read_journal, and lines that cannot be used are taken out of the file. Raises OSError. out, watch: as there."""
    journal = read_journal(out, watch)
    if not journal.damaged:
        return journal
    with replacing(out / NAME) as file:
        for _, line, _ in journal_lines(out, []):
            file.write(line)
    return Journal(read_journal(out).records, journal.damaged)


class Sizes:
    """The regular files in the folders of a data set, and their bytes: in memory are 16 bytes a file.

    A file is known by the hash of its name; of ten million files two have one in 400,000 cases.
    """

    def __init__(self, out: Path) -> None:
        """List them, one listing a folder. out: folder of the data set. Raises OSError."""
        hashes, sizes = array("q"), array("q")
        self.has_previews = False
        for folder in HOMES:
            before = len(hashes)
            for name, size in _sizes(out / folder):
                hashes.append(hash(f"{folder}/{name}"))
                sizes.append(size)
            self.has_previews |= folder == PREVIEWS and len(hashes) > before
        order = np.argsort(np.array(hashes, np.int64))
        self._hashes, self._sizes = (array("q", np.array(part, np.int64)[order].tobytes()) for part in (hashes, sizes))

    def of(self, file: str) -> int | None:
        """The bytes of a file; None where it is not there. file: its name below the data set."""
        wanted = hash(file)
        place = bisect_left(self._hashes, wanted)
        return self._sizes[place] if self._hashes[place : place + 1] == array("q", [wanted]) else None


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False).st_size
    except (FileNotFoundError, NotADirectoryError):
        return


def find_file(name: str, there: Sizes) -> tuple[str, int] | None:
    """Where a file of a pair lies, below the data set, and its size; None where it is not there.

    name: as in a record, "RDs/<key>.png". there: of the data set. A pair whose verdict changes moves, file by file.
    """
    for place in (name, f"rejected/{name}"):
        size = there.of(place)
        if size is not None:
            return place, size
    return None


def faults_of_files(record: Mapping[str, Any], there: Sizes) -> Iterable[tuple[str, str]]:
    """(name, what is wrong) of the files of a pair that are missing, empty, or of another size than was recorded.

    record: a line of the journal. there: of the data set. A line without sizes asks for files that are not empty.
    """
    if not record.get("width"):
        return
    for name, (recorded, _) in expected_files(record, there).items():
        place = find_file(name, there)
        if place is None:
            yield name, "missing"
        elif place[1] == 0:
            yield place[0], "empty"
        elif recorded is not None and place[1] != recorded:
            yield place[0], f"{place[1]} bytes, {recorded} were written"


def expected_files(record: Mapping[str, Any], there: Sizes) -> dict[str, tuple[int | None, str | None]]:
    """Size and SHA-256 by name of the files of a labelled pair; None, None where the journal does not have them.

    record: a line of the journal. there: of the data set, for the extension of a picture of an old line.
    """
    if record.get("files"):
        return {name: (size, sha256) for name, (size, sha256) in record["files"].items()}
    names = files_of(record["key"])
    png, jpg = f"Imgs/{record['key']}.png", f"Imgs/{record['key']}.jpg"
    names.discard(jpg if find_file(png, there) else png)
    if not there.has_previews:  # a set that came without them
        names.discard(f"{PREVIEWS}/{record['key']}.jpg")
    return dict.fromkeys(sorted(names), (None, None))
