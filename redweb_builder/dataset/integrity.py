"""Whether a data set is what the build wrote: every file of every pair against the size and SHA-256 in the journal."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.dataset.curation import NAME as CURATION
from redweb_builder.dataset.curation import read_curation
from redweb_builder.dataset.decisions import FILE, read_decisions
from redweb_builder.dataset.journal import (
    HOMES,
    NAME,
    Records,
    Sizes,
    expected_files,
    faults_of_files,
    find_file,
    read_journal,
)
from redweb_builder.dataset.label_reader import read_label
from redweb_builder.dataset.manifest import BLOCK_ROWS, SCHEMA, pairs_of
from redweb_builder.dataset.manifest_file import NAME as MANIFEST
from redweb_builder.dataset.manifest_file import manifest_blocks
from redweb_builder.dataset.paths import is_data_set
from redweb_builder.dataset.unknown import FOLDER as MARKED
from redweb_builder.dataset.unknown import read_unknown
from redweb_builder.errors import StoreError
from redweb_builder.files import read_regular

BUILD = "build"
PASSED_OVER = "passed over"
LOOKED_AT = ("key", "status", "width", "height")  # the columns that are kept of the manifest; all are checked


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a data set.

    file: below the data set. what: in words. mend: "build" where the same build mends it, "remove" where it does once
    the file was removed, "copy" where only a copy of the data set has it, PASSED_OVER where it harms nothing, "" where
    it is left to people.
    """

    file: str
    what: str
    mend: str


@dataclass(frozen=True)
class Checked:
    """The result of a check.

    pairs: number of those with a label. read: of them, those whose contents were read. faults: in the order of checks.
    recorded: whether the size and content of each file are known, by which they are checked.
    """

    pairs: int
    read: int
    faults: list[Fault]
    recorded: bool = True


def check_dataset(out: Path, share: float = 0.0) -> Checked:
    """Check a finished data set; nothing is written.

    out: folder of the data set. share: of the pairs whose contents are read as well, 0 to 1, chosen at random. Sizes
    are always compared. Raises StoreError where `out` holds no finished data set.
    """
    refused: list[str] = []
    blocks = [block.select(LOOKED_AT) for block in manifest_blocks(out, None, refused)]
    rows = pairs_of(pa.concat_tables([SCHEMA.empty_table().select(LOOKED_AT), *blocks]))
    labelled = rows.filter(pc.greater(rows["width"], 0))
    journal, there = read_journal(out), Sizes(out)
    faults = [] if is_data_set(out) else [Fault("build.json", "is missing, or cannot be read", "copy")]
    faults += [Fault(MANIFEST, sentence, BUILD) for sentence in refused]
    faults += [Fault(NAME, damaged, BUILD) for damaged in journal.damaged]
    faults += _faults_of_keys(set(rows["key"].to_pylist()), journal.records)
    chosen, marked, own = sample(len(labelled), share), set(_names(out / MARKED)), set[str]()
    contents: list[Fault] = []
    marks: list[Fault] = []
    for number, record in enumerate(_records(labelled, journal.records)):
        sizes = [Fault(file, what, BUILD) for file, what in faults_of_files(record, there)]
        faults += sizes
        if number in chosen:
            contents += _faults_of_contents(out, record, there, {fault.file for fault in sizes})
        if f"{record['key']}.png" in marked:
            marks += _faults_of_mark(out, record)
        own |= {place[0] for name in expected_files(record, there) if (place := find_file(name, there))}
    faults += [*contents, *marks, *_faults_of_strangers(out, own)]
    recorded = len(journal.records) > 0 or not len(labelled)
    return Checked(len(labelled), len(chosen), [*faults, *faults_of_people(out)], recorded)


def _records(labelled: pa.Table, records: Records) -> Iterator[Mapping[str, Any]]:
    """What the journal says of each labelled pair, one after the other; its row where the journal has none."""
    recorded = records.read(key for key in labelled["key"].to_pylist() if key in records)
    for batch in labelled.to_batches(BLOCK_ROWS):
        for row in batch.to_pylist():
            yield next(recorded) if row["key"] in records else row


def faults_of_people(out: Path) -> list[Fault]:
    """What is wrong with the decisions and the curation of a data set. out: its folder, or that of its shards."""
    damaged = read_decisions(out / FILE)[1]
    faults = [Fault(FILE, f"{damaged} damaged line{'' if damaged == 1 else 's'}", PASSED_OVER)] if damaged else []
    try:
        read_curation(out)
    except StoreError as error:
        faults.append(Fault(CURATION, str(error), ""))
    return faults


def _faults_of_keys(keys: set[str], records: Records) -> list[Fault]:
    """Pairs that stand in the manifest or in the journal only; a data set that came without journal is taken so."""
    if not records:
        return []
    alone = sorted(records.keys() - keys)
    # Of files that could not be read, and are gone or mended since: a build drops the pair, and its line stays.
    missing = [key for key, record in zip(alone, records.read(alone), strict=True) if not record.get("file_states")]
    return [
        *(Fault("manifest.parquet", f"{key} is not in the journal", BUILD) for key in sorted(keys - records.keys())),
        *(Fault(NAME, f"{key} is not in the manifest", BUILD) for key in missing),
    ]


def sample(pairs: int, share: float) -> set[int]:
    """The places of some pairs, at least one. Not seeded: checks of a small share should in time reach them all.

    pairs: how many there are. share: of them, 0 to 1; 0 is none.
    """
    return set(random.Random().sample(range(pairs), min(pairs, ceil(share * pairs)))) if share > 0 else set()


def _faults_of_contents(out: Path, record: Mapping[str, Any], there: Sizes, faulty: set[str]) -> Iterator[Fault]:
    """Files of a pair with another SHA-256 than was recorded; without records, a label that cannot be read."""
    has_checksums = False
    for name, (_, checksum) in expected_files(record, there).items():
        place = find_file(name, there)
        has_checksums |= checksum is not None
        if place is None or place[0] in faulty or checksum is None:
            continue
        try:
            content = read_regular(out / place[0])
        except OSError as error:
            yield Fault(place[0], f"cannot be read ({error.strerror or error})", "remove")
            continue
        if sha256(content).hexdigest() != checksum:
            yield Fault(place[0], "its content is not what was written (SHA-256)", "remove")
    if not has_checksums:
        try:
            read_label(out, record["key"])
        except StoreError as error:
            yield Fault(f"RDs/{record['key']}.png", str(error), "remove")


def _faults_of_mark(out: Path, record: Mapping[str, Any]) -> Iterator[Fault]:
    """What people marked as unknown in a label, where it cannot be read or has other proportions."""
    file = f"{MARKED}/{record['key']}.png"
    try:
        read_unknown(out, record["key"], (record["height"], record["width"]))
    except StoreError as error:
        yield Fault(file, str(error), "")


def _faults_of_strangers(out: Path, own: set[str]) -> Iterator[Fault]:
    """What lies in the folders of the data set and is no file of a pair, and links wherever the program writes.

    own: the files of pairs, below the data set.
    """
    for folder in HOMES:
        if (out / folder).is_symlink():
            yield Fault(folder, "is a link", "")
            continue
        if (out / folder).exists() and not (out / folder).is_dir():
            yield Fault(folder, "is no folder", "")
            continue
        for name in sorted(_names(out / folder)):
            if f"{folder}/{name}" not in own:
                kind = "is a link" if (out / folder / name).is_symlink() else "belongs to no pair"
                yield Fault(f"{folder}/{name}", kind, "")
    for name in ("manifest.parquet", "build.json", NAME, FILE, "grid.png", "report.html", ".lock", ".decisions.lock"):
        if (out / name).is_symlink():
            yield Fault(name, "is a link", "")


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  (Path objects of 10,000 files take longer than the listing)
    except (FileNotFoundError, NotADirectoryError):
        return []
