"""Where shards lie: a folder of this machine, or an address that fsspec reads (s3://, gs://, hf://, https://, memory://).

What fails for a moment is tried again; what fails for good is one sentence. Nothing else opens remote storage.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from redweb_builder.dataset.paths import require_inside
from redweb_builder.errors import SettingsError, StoreError, UserError
from redweb_builder.files import open_regular, read_regular, write_atomic

ATTEMPTS = 6
FIRST_PAUSE_S = 0.5  # before the second attempt; each later pause is twice as long, 15.5 s in all
MOST_BYTES = 1 << 28  # of a file that is read whole: an index of 500 samples has far less
CONNECT_S, READ_S = 10.0, 60.0  # without an answer, and without a byte; S3 and what speaks like it
# A path has one slash where an address has two; a drive of Windows has one letter.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_PASSWORD = re.compile(r"[^/@]*:[^/@]*@")
_ON_THIS_MACHINE = ("file", "local")
_FOR_GOOD = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ImportError, ValueError)
MOUNT = "photographs are read from one; mount the storage, or copy them from it (docs/scale.md)"  # for `advice`
T = TypeVar("T")


def address_of(place: str | os.PathLike[str]) -> str | None:
    """The address of remote storage; None for a folder of this machine. place: as typed, or a path made of it.

    Raises SettingsError where a password is in it, which would go to run.json, logs and messages.
    """
    match = _ADDRESS.fullmatch(os.fspath(place))
    if match is None:
        return None
    if _PASSWORD.match(match[2]):
        raise SettingsError(f"{match[1]}://...: no password in an address; give it by the environment (docs/scale.md)")
    root = "/" if match[1] in _ON_THIS_MACHINE else ""  # a path made of file:///a is file:/a
    return f"{match[1]}://{root}{match[2]}".rstrip("/")


def require_folder(place: str | os.PathLike[str], advice: str) -> None:
    """Raise StoreError where what must be a folder of this machine is an address.

    place: as typed, or a path made of it. advice: what to do.
    """
    if address := address_of(place):
        raise StoreError(f"{address} is no folder of this machine: {advice}")


class Storage:
    """A folder of shards. It can be sent to worker processes, each of which opens its own connections.

    address: as people see it.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        """Open nothing yet. place: a folder of this machine, or an address."""
        self._remote = address_of(place)
        self._folder = Path(place)
        self.address = self._remote or str(place)
        self._opened: tuple[int, Any, str] | None = None  # process, file system of fsspec, path in it

    def __getstate__(self) -> dict[str, Any]:
        """Without the connections."""
        return vars(self) | {"_opened": None}

    def names(self) -> list[str]:
        """The names of the files in the folder, sorted. Raises StoreError."""
        if self._remote is None:
            return sorted(entry.name for entry in self._folder.iterdir()) if self._folder.is_dir() else []
        try:
            listed: Sequence[str] = self._attempt(
                lambda files, path: files.ls(path, detail=False, refresh=True), "list"
            )
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(name).name for name in listed)

    def read(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """Some bytes of a file. Raises StoreError where it is missing, cannot be read, is shorter, or longer than read.

        name: of the file, in the folder. start: the first byte. size: how many; None = to the end, MOST_BYTES at most.
        """
        if self._remote is None:
            content = self._read_here(name, start, size)
        else:
            end = start + (MOST_BYTES + 1 if size is None else size)
            try:
                content = self._attempt(
                    lambda files, path: files.cat_file(f"{path}/{name}", start=start, end=end), f"read {name}"
                )
            except FileNotFoundError as error:
                raise StoreError(f"{self.address} has no {name}") from error
        if size is None and len(content) > MOST_BYTES:
            raise StoreError(f"{self.address}/{name}: it has more than {MOST_BYTES} bytes, and is not read")
        if size is not None and len(content) != size:
            raise StoreError(f"{self.address}/{name}: it ends before byte {start + size}; write it again")
        return content

    def _read_here(self, name: str, start: int, size: int | None) -> bytes:
        try:
            with open_regular(require_inside(self._folder, self._folder / name)) as file:
                file.seek(start)
                return file.read(MOST_BYTES + 1 if size is None else size)
        except OSError as error:
            raise StoreError(f"{self._folder / name} cannot be read ({error.strerror or error})") from error

    def write(self, name: str, content: bytes | Path) -> None:
        """Write a file, all of it or nothing. Raises StoreError.

        name: of the file, in the folder. content: its bytes, or a file that has them.
        """
        if self._remote is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self._folder / name, content if isinstance(content, bytes) else read_regular(content))
        elif isinstance(content, bytes):
            self._attempt(lambda files, path: files.pipe_file(f"{path}/{name}", content), f"write {name}")
        else:
            self._attempt(lambda files, path: files.put_file(str(content), f"{path}/{name}"), f"write {name}")

    def _attempt(self, act: Callable[[Any, str], T], what: str) -> T:
        """Do something with the file system and the path in it, again where it fails for a moment.

        Raises FileNotFoundError; StoreError.
        """
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
            try:
                return act(*self._open())
            except (FileNotFoundError, UserError):
                raise
            except _FOR_GOOD as error:
                raise StoreError(f"{self.address}: cannot {what} ({_words(error)})") from error
            except Exception as error:  # botocore, aiohttp and others have errors of their own for a lost connection
                failure = error
        raise StoreError(
            f"{self.address}: cannot {what}, tried {ATTEMPTS} times ({_words(failure)}); "
            "the same command goes on once the storage answers"
        ) from failure

    def _open(self) -> tuple[Any, str]:
        """The file system of this process, and the path in it. Connections do not survive a fork."""
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                import fsspec
            except ModuleNotFoundError as error:
                raise UserError("remote storage needs fsspec: pip install 'redweb-builder[remote]'") from error
            assert self._remote is not None
            is_s3 = self._remote.startswith(("s3://", "s3a://"))
            waits = {"connect_timeout": CONNECT_S, "read_timeout": READ_S, "retries": {"max_attempts": 0}}
            options = {"config_kwargs": waits} if is_s3 else {}
            files, path = fsspec.core.url_to_fs(self._remote, skip_instance_cache=is_s3, **options)
            self._opened = os.getpid(), files, path
        return self._opened[1], self._opened[2]


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
