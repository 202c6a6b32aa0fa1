"""sources.jsonl: what the pictures of a set without pictures are made from, a line a pair.

A line has the key, the picture's name below the set with its size and SHA-256, and the same of each file of the source
by its path below the input folder: {"key", "picture": [name, size, sha256], "files": {path: [size, sha256]}}.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from redweb_builder.dataset.rows import fault_of_sources
from redweb_builder.errors import StoreError
from redweb_builder.files import parse_json, read_regular, sha256_of

NAME = "sources.jsonl"
MAX_BYTES = 1 << 30  # some 2 million pairs


@dataclass(frozen=True)
class Stamp:
    """What tells a file from another. size: bytes. sha256: hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Sources:
    """Of a pair. picture: its name below the set, "Imgs/<key>.png". stamp: of the picture. files: of the source."""

    picture: str
    stamp: Stamp
    files: dict[str, Stamp]


def stamp_of(content: bytes) -> Stamp:
    """The stamp of a file. content: all of its bytes."""
    return Stamp(len(content), sha256(content).hexdigest())


def stamp_of_file(file: Path) -> Stamp:
    """The stamp of a file that may be larger than memory. file: a regular one. Raises OSError."""
    return Stamp(file.stat().st_size, sha256_of(file))


def sources_lines(sources: Iterable[tuple[str, Sources]]) -> bytes:
    """The content of sources.jsonl. sources: (key, its sources)."""
    return b"".join(_line(key, pair) for key, pair in sources)


def _line(key: str, pair: Sources) -> bytes:
    files = {path: [stamp.size, stamp.sha256] for path, stamp in pair.files.items()}
    record = {"key": key, "picture": [pair.picture, pair.stamp.size, pair.stamp.sha256], "files": files}
    return (json.dumps(record, ensure_ascii=False) + "\n").encode()


def read_sources(folder: Path) -> tuple[dict[str, Sources], list[str]]:
    """The sources of each pair by key, and a sentence about every line that cannot be used.

    folder: of the set. Raises StoreError where there is no such file, or it cannot be read.
    """
    try:
        content = read_regular(folder / NAME, MAX_BYTES)
    except OSError as error:
        raise StoreError(
            f"{folder / NAME} cannot be read ({error.strerror or error}): "
            "only what `export --format labels-only` wrote can be restored"
        ) from error
    sources, faults = {}, []
    for number, line in enumerate(content.split(b"\n"), 1):
        try:
            record = parse_json(line) if line else None
            fault = fault_of_sources(record) if line else None
        except ValueError as error:
            fault = str(error)
        if fault is not None:
            faults.append(f"{NAME}, line {number}: {fault}")
        elif record is not None:
            sources[record["key"]] = _parsed(record)
    return sources, faults


def _parsed(record: dict[str, Any]) -> Sources:
    name, *stamp = record["picture"]
    return Sources(name, Stamp(*stamp), {path: Stamp(*stamp) for path, stamp in record["files"].items()})
