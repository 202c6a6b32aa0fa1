"""The files of the labelled pairs of a data set, by their names in FILES: in a folder here, in tars in shards.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from redweb_builder.dataset.paths import Stored, image_of, sample_root, stored_file
from redweb_builder.dataset.storage import require_inside
from redweb_builder.files import read_regular

MAPS = {"rd": "RDs", "mask": "masks", "confidence": "confidence"}  # the maps of a label, and their folders
PREVIEW = "preview"
FILES = ("image", *MAPS, PREVIEW)


class SampleFiles(Protocol):
    """Where the files of the labelled pairs of a data set are, kept and rejected."""

    @property
    def are_files(self) -> bool:
        """Whether they lie in a folder as files, so that a page beside them can show them."""

    def refusal(self) -> str | None:
        """A sentence about what cannot be used of the list of these files; None where there is nothing."""

    def stored(self, key: str, *names: str) -> tuple[Stored, ...]:
        """Some files of a pair, in this order. Raises StoreError where one is missing.

        key: of the pair, from anywhere. names: of FILES.
        """

    def version(self, key: str) -> str:
        """A text that changes when the label does. Raises StoreError. key: of the pair, from anywhere."""

    def part(self, key: str) -> str | None:
        """The split that a pair was exported to, "train" or "validation"; None where nobody has split. key: of it."""


@dataclass(frozen=True)
class FolderFiles:
    """A file each, in a data set's folder or in its rejected/. folder: of the data set."""

    folder: Path
    are_files = True

    def refusal(self) -> None:
        """None: a folder has no list of them."""

    def stored(self, key: str, *names: str) -> tuple[Stored, ...]:
        """As of SampleFiles; also where a link leads out of the data set. key, names: as there."""
        return tuple((str(file), file) for file in (self._file(key, name) for name in names))

    def _file(self, key: str, name: str) -> Path:
        if name == "image":
            return image_of(self.folder, key)
        if name == PREVIEW:
            sample_root(self.folder, key)
            return require_inside(self.folder, self.folder / "previews" / f"{key}.jpg")
        return stored_file(self.folder, MAPS[name], key)

    def version(self, key: str) -> str:
        """The time of the label's last change in ns. Raises StoreError. key: as of SampleFiles."""
        return str(stored_file(self.folder, "RDs", key).stat().st_mtime_ns)

    def part(self, key: str) -> None:
        """None. key: of the pair."""


def content_of(stored: Stored) -> bytes:
    """The bytes of a file. Raises OSError. stored: of SampleFiles."""
    _, content = stored
    return content if isinstance(content, bytes) else read_regular(content)


def ending_of(stored: Stored) -> str:
    """Which form a picture has: "png", else "jpg". stored: its file, of SampleFiles."""
    _, content = stored
    is_png = content.startswith(b"\x89PNG") if isinstance(content, bytes) else content.suffix == ".png"
    return "png" if is_png else "jpg"
