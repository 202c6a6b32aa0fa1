"""Whether a data set is what the build wrote: every file of every pair against the size and SHA-256 in the journal."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path
from shlex import quote
from typing import Any

from redweb_builder.dataset.curation import NAME as CURATION
from redweb_builder.dataset.curation import read_curation
from redweb_builder.dataset.decisions import FILE, read_decisions
from redweb_builder.dataset.journal import (
    HOMES,
    NAME,
    Sizes,
    expected_files,
    faults_of_files,
    find_file,
    list_files,
    read_journal,
)
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.paths import read_build, read_label
from redweb_builder.dataset.sources import NAME as SOURCES
from redweb_builder.dataset.unknown import FOLDER as MARKED
from redweb_builder.dataset.unknown import read_unknown
from redweb_builder.errors import StoreError
from redweb_builder.files import read_regular


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a data set.

    file: below the data set. what: in words. mend: "build" where the same build mends it, "remove" where it does once
    the file was removed, "" where it is left to people.
    """

    file: str
    what: str
    mend: str


@dataclass(frozen=True)
class Checked:
    """The result of a check.

    pairs: number of those with a label. read: of them, those whose contents were read. faults: in the order of checks.
    """

    pairs: int
    read: int
    faults: list[Fault]


def check_dataset(out: Path, share: float = 0.0) -> Checked:
    """Check a finished data set; nothing is written.

    out: folder of the data set. share: of the pairs whose contents are read as well, 0 to 1, chosen at random. Sizes
    are always compared. Raises StoreError where `out` holds no finished data set.
    """
    manifest, journal = read_manifest(out), read_journal(out)
    there = list_files(out)
    faults = [Fault(manifest.file.name, refused, "build") for refused in manifest.refused]
    faults += [Fault(NAME, damaged, "build") for damaged in journal.damaged]
    labelled: list[Mapping[str, Any]] = [
        journal.records.get(row["key"], row) for row in manifest.rows if row["key"] and row["width"]
    ]
    faults += _faults_of_keys(manifest.rows, journal.records)
    for record in labelled:
        faults += [Fault(file, what, "build") for file, what in faults_of_files(record, there)]
    faulty = {fault.file for fault in faults}
    chosen = _sample(labelled, share)
    for record in chosen:
        faults += _faults_of_contents(out, record, there, faulty)
    faults += _faults_of_marks(out, labelled)
    faults += _faults_of_strangers(out, labelled, there)
    damaged = read_decisions(out / FILE)[1]
    faults += [Fault(FILE, f"{damaged} damaged lines", "")] if damaged else []
    faults += _faults_of_curation(out)
    return Checked(len(labelled), len(chosen), faults)


def _faults_of_curation(out: Path) -> list[Fault]:
    try:
        read_curation(out)
    except StoreError as error:
        return [Fault(CURATION, str(error), "")]
    return []


def _faults_of_keys(rows: Sequence[Mapping[str, Any]], records: Mapping[str, Any]) -> list[Fault]:
    """Pairs that stand in the manifest or in the journal only; a data set that came without journal is taken so."""
    keys = {row["key"] for row in rows if row["key"]}
    if not records:
        return []
    return [
        *(Fault("manifest.parquet", f"{key} is not in the journal", "build") for key in sorted(keys - records.keys())),
        *(Fault(NAME, f"{key} is not in the manifest", "build") for key in sorted(records.keys() - keys)),
    ]


def _sample(records: Sequence[Mapping[str, Any]], share: float) -> list[Mapping[str, Any]]:
    """A share of the pairs, at least one. Not seeded: checks of a small share again and again should reach them all."""
    if share <= 0 or not records:
        return []
    return random.Random().sample(list(records), min(len(records), ceil(share * len(records))))


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


def _faults_of_marks(out: Path, labelled: Sequence[Mapping[str, Any]]) -> Iterator[Fault]:
    """What people marked as unknown and cannot be read, or lies on a label of another size."""
    marked = set(_names(out / MARKED))
    for record in labelled:
        name = f"{record['key']}.png"
        if name not in marked:
            continue
        try:
            wrong = read_unknown(out, record["key"])
        except StoreError as error:
            yield Fault(f"{MARKED}/{name}", str(error), "")
            continue
        if wrong is not None and wrong.shape != (record["height"], record["width"]):
            yield Fault(f"{MARKED}/{name}", "its size is not that of the label", "")


def _faults_of_strangers(out: Path, labelled: Sequence[Mapping[str, Any]], there: Sizes) -> Iterator[Fault]:
    """What lies in the folders of the data set and is no file of a pair, and links wherever the program writes."""
    own = {find_file(name, there) for record in labelled for name in expected_files(record, there)}
    places = {place[0] for place in own if place}
    for folder in HOMES:
        if (out / folder).is_symlink():
            yield Fault(folder, "is a link", "")
            continue
        if (out / folder).exists() and not (out / folder).is_dir():
            yield Fault(folder, "is no folder", "")
            continue
        for name in sorted(_names(out / folder)):
            if f"{folder}/{name}" not in places:
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


def mending_command(out: Path) -> str:
    """The command that makes missing files of a data set again, as far as build.json names its input.

    out: folder of the data set.
    """
    if (out / SOURCES).is_file():
        return f"python cli.py restore {quote(str(out))} --from YOUR_COPIES"
    source = read_build(out).get("input")
    stereo_dir = quote(source) if isinstance(source, str) else "STEREO_DIR"
    return (
        f"python cli.py build-redweb {stereo_dir} --out {quote(str(out))}   (with the options that it was built with)"
    )
