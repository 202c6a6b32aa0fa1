"""journal.jsonl: a line a finished pair, appended when its files are on the disk. It defines what is done.

A line is a row of the manifest as JSON, with the size and SHA-256 of every file of the pair under "files".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redweb_builder.dataset.paths import FOLDERS
from redweb_builder.dataset.rows import fault_of_record, files_of
from redweb_builder.files import append, parse_json, read_regular, write_atomic

NAME = "journal.jsonl"
PREVIEWS = "previews"
HOMES = (*FOLDERS, PREVIEWS, *(f"rejected/{folder}" for folder in FOLDERS))  # the folders of pairs' files
Sizes = dict[str, dict[str, int]]  # folder below the data set -> name of a regular file in it -> its size in bytes


@dataclass(frozen=True)
class Journal:
    """What a journal says.

    records: by key, the last line of a key counts. damaged: a sentence about every line that cannot be used, with its
    number, which counts from 1. whole: the bytes of the lines that can be used.
    """

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    whole: bytes = b""


def read_journal(out: Path) -> Journal:
    """The journal of a data set, empty where there is none. out: folder of the data set. Raises OSError."""
    try:
        content = read_regular(out / NAME)
    except FileNotFoundError:
        return Journal()
    records: dict[str, dict[str, Any]] = {}
    damaged, whole = [], []
    *lines, torn = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            record = parse_json(line)
            fault = fault_of_record(record)
        except ValueError as error:  # also UnicodeDecodeError
            fault = str(error)
        if fault is None:
            records[record["key"]] = record
            whole.append(line + b"\n")
        elif line:
            damaged.append(f"line {number}: {fault}")
    if torn:
        damaged.append(f"line {len(lines) + 1}: it has no end")
    return Journal(records, damaged, b"".join(whole))


def mend_journal(out: Path) -> Journal:
    """read_journal, and lines that cannot be used are taken out of the file. Raises OSError."""
    journal = read_journal(out)
    if journal.damaged:
        write_atomic(out / NAME, journal.whole)
    return journal


def append_record(out: Path, record: Mapping[str, Any]) -> None:
    """Append a pair's line, flushed to the disk. out: folder of the data set. Raises OSError.

    record: the pair's row, with its files.
    """
    append(out / NAME, (json.dumps(record, ensure_ascii=False) + "\n").encode())


def list_files(out: Path) -> Sizes:
    """The regular files in the folders of a data set, one listing a folder. out: folder of the data set."""
    return {folder: _sizes(out / folder) for folder in HOMES}


def _sizes(folder: Path) -> dict[str, int]:
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name: entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if entry.is_file(follow_symlinks=False)
            }
    except (FileNotFoundError, NotADirectoryError):
        return {}


def find_file(name: str, there: Sizes) -> tuple[str, int] | None:
    """Where a file of a pair lies, below the data set, and its size; None where it is not there.

    name: as in a record, "RDs/<key>.png". there: from list_files. A pair whose verdict changes moves, file by file.
    """
    folder, _, file = name.partition("/")
    for home in (folder, f"rejected/{folder}"):
        size = there.get(home, {}).get(file)
        if size is not None:
            return f"{home}/{file}", size
    return None


def faults_of_files(record: Mapping[str, Any], there: Sizes) -> Iterable[tuple[str, str]]:
    """(name, what is wrong) of the files of a pair that are missing, empty, or of another size than was recorded.

    record: a line of the journal. there: from list_files. A line without sizes asks for files that are not empty.
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

    record: a line of the journal. there: from list_files, for the extension of a picture of an old line.
    """
    if record.get("files"):
        return {name: (size, sha256) for name, (size, sha256) in record["files"].items()}
    names = files_of(record["key"])
    png, jpg = f"Imgs/{record['key']}.png", f"Imgs/{record['key']}.jpg"
    names.discard(jpg if find_file(png, there) else png)
    if not there.get(PREVIEWS):  # a set that came without them
        names.discard(f"{PREVIEWS}/{record['key']}.jpg")
    return dict.fromkeys(sorted(names), (None, None))
