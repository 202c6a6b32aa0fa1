"""Parts of a build: each is a data set of its own, in a folder of the whole, so that no two machines share a file.

A pair belongs to a part by the hash of its key; the frames of a clip stay together. Files that are added move nothing.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path

from redweb_builder.dataset.paths import is_data_set
from redweb_builder.pair_sources import PairSources

Part = tuple[int, int]  # number, from 1, and how many there are

_NAME = re.compile(r"part-(\d+)-of-(\d+)")


def folder_of_part(out: Path, part: Part) -> Path:
    """The folder of a part. out: of the whole. part: which."""
    number, count = part
    return out / f"part-{number:0{len(str(count))}d}-of-{count}"


def part_of_folder(folder: Path) -> Part | None:
    """Which part a folder holds by its name; None for other folders. folder: need not be there."""
    match = _NAME.fullmatch(folder.name)
    return (int(match[1]), int(match[2])) if match else None


def part_folders(out: Path) -> list[Path]:
    """The folders of parts that are data sets, by number. out: of the whole; may be missing."""
    if not out.is_dir():
        return []
    parts = [(part_of_folder(entry), entry) for entry in out.iterdir()]
    return [folder for part, folder in sorted((part, entry) for part, entry in parts if part) if is_data_set(folder)]


def sources_of_part(sources: PairSources, part: Part | None) -> PairSources:
    """The sources of a part in their order; all of them where there are no parts. part: which."""
    if part is None:
        return sources
    number, count = part
    return PairSources.of(source for source in sources if _hash(source.clip or source.key) % count == number - 1)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
