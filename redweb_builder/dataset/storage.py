"""Where a data set lies: a folder of this machine, or remote storage."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

import pyarrow as pa

from redweb_builder.errors import StoreError
from redweb_builder.files import create, open_regular, read_regular, replacing, write_atomic
from redweb_builder.inputs.remote import Remote, address_of

MOST_BYTES = 1 << 28  # of a file that is read whole: an index of 500 samples has far less
BUFFER_BYTES = 1 << 20  # read at once of a file that is opened: columns of a small manifest lie close together


def require_inside(folder: Path, file: Path) -> Path:
    """`file`, checked to be a regular file and to lie below `folder`, wherever links lead. Raises StoreError."""
    if not file.is_file() or not (
        _lies_below(str(folder), str(file)) or file.resolve().is_relative_to(folder.resolve())
    ):
        raise StoreError(f"{folder} has no {file.name} in {file.parent.name}")
    return file


def _lies_below(folder: str, file: str) -> bool:
    """Whether a path below a folder has neither a link nor ".." behind it: told in a sixth of the time of resolving it,
    which a report of ten thousand pairs does thirty thousand times.
    """
    below = file.removeprefix(f"{folder}/")
    if below == file or ".." in below:
        return False
    while file != folder:
        if os.path.islink(file):  # noqa: PTH114 - as above
            return False
        file = os.path.dirname(file)  # noqa: PTH120
    return True


@lru_cache(maxsize=8)
def storage_of(folder: Path) -> Storage:
    """The storage at a place, with the connections that it has in this process. folder: as of address_of."""
    return Storage(folder)


def read_whole(folder: Path, name: str, most: int) -> bytes:
    """A file of a data set. Raises FileNotFoundError where there is none; OSError, StoreError.

    folder: of the data set, here or in remote storage. name: of the file. most: the largest size in bytes that is read.
    """
    if address_of(folder):
        return storage_of(folder).read_to_end(name, most)
    return read_regular(folder / name, most)


def open_whole(folder: Path, name: str) -> BinaryIO:
    """The same file, open for reading some of its bytes. Raises FileNotFoundError; OSError, StoreError.

    A file of this machine is Arrow's own: from a Python file it reads only while no other thread runs Python code, for
    which it waits up to 5 ms each time. folder, name: as of read_whole.
    """
    if address := address_of(folder):
        return cast(BinaryIO, io.BufferedReader(_RemoteFile(Remote(address), name), BUFFER_BYTES))
    if not (folder / name).is_file():
        raise FileNotFoundError(folder / name)
    regular = open_regular(require_inside(folder, folder / name))
    try:
        native = pa.OSFile(str(folder / name))
    except UnicodeEncodeError:  # Arrow takes paths in UTF-8 alone
        return cast(BinaryIO, regular)
    regular.close()
    return cast(BinaryIO, native)


class Storage:
    """A folder of shards. It can be sent to worker processes, each of which opens its own connections.

    address: as people see it.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        """Open nothing yet. place: a folder of this machine, or an address."""
        address = address_of(place)
        self._remote = Remote(address) if address else None
        self._folder = Path(place)
        self.address = address or str(place)

    def answers(self) -> bool:
        """Whether it answers at all, so that what cannot be read is the fault of a file."""
        return self._remote is None or self._remote.answers()

    def sizes(self, below: str = "") -> dict[str, int]:
        """The names of the files in a folder, sorted, and their sizes in bytes; links are left out. Raises StoreError.

        below: the folder in this one; "" is this one itself. It need not be there.
        """
        if self._remote is not None:
            return self._remote.sizes(below)
        folder = self._folder / below
        if not folder.is_dir():
            return {}
        with os.scandir(folder) as there:
            files = [entry for entry in there if entry.is_file(follow_symlinks=False)]
            return dict(sorted((file.name, file.stat().st_size) for file in files))

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Some bytes of a file. Raises StoreError where it is missing, cannot be read, is shorter, or longer than read.

        name: of the file, in the folder. start: the first byte. size: how many; None = to the end, MOST_BYTES at most.
        """
        try:
            content = self._bytes(name, start, MOST_BYTES + 1 if size is None else size)
        except FileNotFoundError as error:
            raise StoreError(f"{self.address} has no {name}") from error
        if size is not None and len(content) != size:
            raise StoreError(f"{self.address}/{name}: it ends before byte {start + size}; write it again")
        return self._bounded(name, content, MOST_BYTES if size is None else size)

    def read_to_end(self, name: str, most: int) -> bytes:
        """A whole file. Raises FileNotFoundError; StoreError. name: of the file. most: the largest size in bytes."""
        return self._bounded(name, self._bytes(name, 0, most + 1), most)

    def _bounded(self, name: str, content: bytes, most: int) -> bytes:
        if len(content) > most:
            raise StoreError(f"{self.address}/{name}: it has more than {most} bytes, and is not read")
        return content

    def _bytes(self, name: str, start: int, size: int) -> bytes:
        """Some bytes of a file, fewer where it ends before. Raises FileNotFoundError of remote storage; StoreError."""
        if self._remote is not None:
            return self._remote.read(name, start, size)
        try:
            with open_regular(require_inside(self._folder, self._folder / name)) as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise StoreError(f"{self._folder / name} cannot be read ({error.strerror or error})") from error

    def write(self, name: str, content: bytes | Path) -> None:
        """Write a file, all of it or nothing. Raises StoreError.

        name: of the file, in the folder. content: its bytes, or a file that has them.
        """
        if self._remote is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._folder / name, content if isinstance(content, bytes) else read_regular(content))
        else:
            self._remote.write(name, content)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file open for writing that takes the place of `name` when the block ends without an error.

        name: of the file, in the folder or in one below it, which is made. Raises OSError, StoreError.
        """
        if self._remote is None:
            (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._folder / name) as file:
                yield file
            return
        with TemporaryDirectory() as scratch:
            content = Path(scratch) / "content"
            with create(content) as file:
                yield file
            self._remote.write(name, content)


class _RemoteFile(io.RawIOBase):
    """A file of remote storage that is read by ranges."""

    def __init__(self, remote: Remote, name: str) -> None:
        self._remote, self._file, self._at, self._size = remote, name, 0, remote.size(name)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), max(0, self._size - self._at))
        content = self._remote.read(self._file, self._at, size) if size else b""  # no range is empty
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
