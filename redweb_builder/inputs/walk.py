"""The files below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from redweb_builder.errors import StoreError
from redweb_builder.inputs.listing import Listing
from redweb_builder.inputs.remote import remote_file
from redweb_builder.types import LeftOut

# Copies of macOS's archives, previews that a Synology disk makes of each photograph, and what people threw away.
_NOT_THEIRS = frozenset(("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN"))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over with all that it holds. name: without the folders above."""
    return name.startswith(".") or name in _NOT_THEIRS


def state_of(files: Sequence[Path]) -> list[list[int]]:
    """Size in bytes and time of the last change in ns of each file; [] for one that cannot be asked.

    files: their paths. Of one of remote storage a number that stands for its content is there in place of the time.
    """
    return [_state_of(file) for file in files]


def _state_of(file: Path) -> list[int]:
    try:
        if remote := remote_file(file):
            return remote[0].state(remote[1])
        status = file.stat()
    except (OSError, StoreError):
        return []
    return [status.st_size, status.st_mtime_ns]


def files_below(
    root: Path, left_out: list[LeftOut], skip: Callable[[Path], bool], extensions: Collection[str] | None = None
) -> Listing:
    """Every visible file below `root`, relative to it; no folder twice, by its real place where there is one.

    skip: folders below `root` that are passed over. left_out: gets folders that cannot be read; and broken links, and
    what is no regular file, where their names end in one of these extensions; None = whatever their names.
    """
    return Listing.of(_walked(root, left_out, skip, extensions))


def _walked(
    root: Path, left_out: list[LeftOut], skip: Callable[[Path], bool], extensions: Collection[str] | None
) -> Iterator[str]:
    """The files as they are found, relative; links to folders are entered last, so that real places go first."""
    entered: set[tuple[int, int]] = set()
    folders, links = [root], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                listing = sorted(entries, key=lambda entry: entry.name)
            if folder != root and skip(folder):
                continue
        except OSError as error:
            left_out.append(LeftOut(folder, "unreadable", f"the folder cannot be read ({error.strerror})"))
            continue
        place = (folder / "x").relative_to(root).as_posix()[:-1]
        for entry in listing:
            if is_hidden(entry.name):
                continue
            try:
                if entry.is_dir():
                    (links if entry.is_symlink() else folders).append(folder / entry.name)
                elif entry.is_file():
                    yield place + entry.name
                elif extensions is None or Path(entry.name).suffix.lower() in extensions:
                    missing = entry.is_symlink() and not Path(entry.path).exists()
                    detail = "a link to a file that is not there" if missing else "it is no regular file"
                    left_out.append(LeftOut(folder / entry.name, "unreadable", detail))
            except OSError as error:
                left_out.append(LeftOut(folder / entry.name, "unreadable", f"cannot be followed ({error.strerror})"))
