"""Files of remote storage, copied to this machine for as long as they are read.

A photograph is copied when its pair is read, and removed after it. The films that were read last are kept: frames of
one follow each other. Decoders see the copies only, and no network.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from errno import EDQUOT, ENOSPC
from functools import cache
from itertools import count
from pathlib import Path, PurePath
from threading import Lock
from typing import TypeVar
from urllib.parse import quote

from redweb_builder.errors import InputError, StoreError
from redweb_builder.files import create, link_or_copy, remove_temporaries, scratch_folder
from redweb_builder.inputs.formats import films
from redweb_builder.inputs.listing import Listing
from redweb_builder.inputs.remote import Remote, remote_file
from redweb_builder.inputs.walk import is_hidden
from redweb_builder.types import LeftOut

AT_ONCE = 16  # files that are asked side by side
IN_A_ROW = 1024  # of them, before the first one that waits is waited for
KEPT = 4  # films: two of two eyes each
LONGEST_NAME = 255  # bytes of a file's or folder's name; what a disk takes
HEAD_BYTES = 1 << 18  # of a file, in which its header lies, behind a preview and a colour profile

Part = Callable[[Path], tuple[int, int, int]]

_NO_PATH = "its name in the storage is no path that a file could have; give it another one"
_PLACE = Lock()
Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Copies:
    """Where some files of remote storage lie on this machine."""

    def __init__(self, root: Path, folder: Path) -> None:
        """root: the path of the storage, made of its address. folder: the place of its copy."""
        self._root, self._folder = root, folder

    def here(self, file: Path) -> Path:
        """The copy of a file. file: below the root."""
        return self._folder / file.relative_to(self._root)

    def there(self, copy: Path) -> Path:
        """The file of a copy. copy: as `here` gives it."""
        return self._root / copy.relative_to(self._folder)

    def in_words(self, text: str) -> str:
        """A message about copies as one about the files. text: the message."""
        return text.replace(str(self._folder), str(self._root))


@contextmanager
def copied(files: Sequence[Path], part: Part | None = None) -> Iterator[Copies]:
    """Copies of files until the block ends. An InputError that is raised in it names the files.

    files: of one storage, paths made of addresses. part: of a file, its size, and the first byte and the number of the
    bytes that the copy has; the others are zeros. None = copy all. Raises InputError "unreadable" where a file cannot
    be had; StoreError where the storage does not answer, or this disk is full.
    """
    with scratch_folder(_place()) as folder:
        copies = Copies(_root_of(files[0]), folder)
        for file in dict.fromkeys(files):
            _copy(file, copies.here(file), part)
        try:
            yield copies
        except InputError as error:
            raise InputError(error.reason, copies.in_words(str(error))) from error


def head(file: Path) -> tuple[int, int, int]:
    """The part of a file that has its header, for `copied`. file: of remote storage. Raises as Remote.size."""
    remote, name = _remote(file)
    return remote.size(name), 0, HEAD_BYTES


def side_by_side(ask: Callable[[Item], Answer], items: Sequence[Item], remote: bool) -> Iterator[Answer]:
    """What a function answers for each item, in order.

    ask: the function; called from several threads where remote. items: what it is asked. remote: whether
    it waits for a network.
    """
    if not remote:
        yield from map(ask, items)
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for start in range(0, len(items), IN_A_ROW):
            yield from pool.map(ask, items[start : start + IN_A_ROW])


def remote_files_below(root: Path, left_out: list[LeftOut]) -> Listing:
    """Every visible file below a folder of remote storage, with its bytes.

    root: made of an address. left_out: gets files whose names no disk could have. Raises StoreError.
    """
    remote, folder = _remote(root)
    inside = len(folder) + 1 if folder else 0
    sizes = array("q")

    def names() -> Iterator[str]:
        for name, size in remote.files(folder):
            below = name[inside:]
            if not below or below.endswith("/"):  # stands for a folder
                continue
            if not _is_path(below):
                left_out.append(LeftOut(root / quote(below, safe="")[:LONGEST_NAME], "unreadable", _NO_PATH))
            elif not any(map(is_hidden, below.split("/"))):
                sizes.append(size)
                yield below

    return Listing.of(names(), sizes)


def remote_size(file: Path) -> int | None:
    """The bytes of one file of remote storage; None where it is not there. file: made of an address."""
    remote, name = _remote(file)
    try:
        return remote.size(name)
    except FileNotFoundError:
        return None


def _is_path(name: str) -> bool:
    """Whether a name of remote storage can be the path of a file below a folder."""
    parts = name.split("/")
    return (
        PurePath(name).parts == tuple(parts)
        and ".." not in parts
        and "\0" not in name
        and all(len(part.encode(errors="replace")) <= LONGEST_NAME for part in parts)
    )


def _copy(file: Path, to: Path, part: Part | None, again: bool = True) -> None:
    """Raises as `copied`. again: try once more where the storage answers; it may have been gone for a while."""
    remote, name = _remote(file)
    if not _is_path(name):
        raise InputError("unreadable", f"{file}: {_NO_PATH}")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        if part is not None:
            _copy_part(remote, name, to, *part(file))
        elif file.suffix.lower() in films.EXTENSIONS:
            _FILMS.link(file, to)
        else:
            remote.copy(name, to)
    except FileNotFoundError as error:
        raise InputError("unreadable", f"{file}: is no longer there") from error
    except StoreError as error:
        if not remote.answers():
            raise
        if again:
            to.unlink(missing_ok=True)
            return _copy(file, to, part, again=False)
        why = " ".join(str(error.__cause__).split())[:200]
        raise InputError(
            "unreadable", f"{file}: the storage does not give it ({why}); the next build asks again"
        ) from error
    except OSError as error:
        if error.errno in (ENOSPC, EDQUOT):
            raise StoreError(f"no room for copies in {tempfile.gettempdir()}: name another folder by TMPDIR") from error
        raise InputError("unreadable", f"{file}: cannot be copied ({error.strerror})") from error


def _copy_part(remote: Remote, name: str, to: Path, size: int, start: int, length: int) -> None:
    content = remote.read(name, start, min(length, size - start)) if size else b""
    with create(to) as copy:
        copy.truncate(size)
        copy.seek(start)
        copy.write(content)


class _Films:
    """The films that were copied last. Each use is a second name: a film that is dropped stays until it is read."""

    def __init__(self) -> None:
        self._kept: dict[Path, Path] = {}
        self._numbers = count()
        self._lock = Lock()

    def link(self, film: Path, to: Path) -> None:
        """Make a name for the copy of a film, which is copied where it is not kept. Raises as Remote.copy; OSError."""
        with self._lock:
            copy = self._kept.pop(film, None)
            if copy is None:
                while len(self._kept) >= KEPT:
                    self._kept.pop(next(iter(self._kept))).unlink()
                copy = _place() / str(next(self._numbers))
                remote, name = _remote(film)
                remote.copy(name, copy)
            self._kept[film] = copy
            link_or_copy(copy, to)


_FILMS = _Films()


def _place() -> Path:
    """A folder of this process for copies, that nobody else may read; it is removed when the process ends."""
    with _PLACE:
        return _made_place()


@cache
def _made_place() -> Path:
    folder, process, stack = Path(tempfile.gettempdir()), os.getpid(), ExitStack()
    remove_temporaries(folder)
    place = stack.enter_context(scratch_folder(folder, 0o700))
    atexit.register(lambda: stack.close() if os.getpid() == process else None)
    return place


def _remote(file: Path) -> tuple[Remote, str]:
    found = remote_file(file)
    assert found is not None
    return found


def _root_of(file: Path) -> Path:
    return Path(_remote(file)[0].address)
