"""Remote storage, by fsspec: s3://, gs://, hf://, https://, memory://. Nothing else opens it.

What fails for a moment is tried again; what fails for good is one sentence.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from errno import EDQUOT, EINVAL, ENOSPC
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any, TypeVar

from redweb_builder.errors import SettingsError, StoreError, UnsafePath, UserError

ATTEMPTS = 6
FIRST_PAUSE_S = 0.5  # before the second attempt; each later pause is twice as long, 15.5 s in all
CONNECT_S, READ_S = 10.0, 60.0  # without an answer, and without a byte; S3 and what speaks like it
# A path has one slash where an address has two; a drive of Windows has one letter.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_PASSWORD = re.compile(r"[^/@]*:[^/@]*@")
_ON_THIS_MACHINE = ("file", "local")
_FOR_GOOD = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, ImportError, ValueError)
# What tells two contents of one name apart, as file systems of fsspec name it.
_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "mtime", "updated", "created")
_OPENING = Lock()
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


def shown(place: Path) -> str:
    """A folder or file as people write it: its address where it is one. place: a path, or one made of an address."""
    return address_of(place) or str(place)


@lru_cache(maxsize=8)  # resolving links asks the disk, and every pair has the same input
def input_id(place: Path) -> str:
    """A hash of the place of an input, which does not tell it: pairs of one set may come from several.

    place: the input folder or file, or a path made of an address.
    """
    whole = address_of(place) or os.path.realpath(place)
    return blake2b(os.fsencode(whole), digest_size=8).hexdigest()


def require_folder(place: str | os.PathLike[str], advice: str) -> None:
    """Raise StoreError where what must be a folder of this machine is an address.

    place: as typed, or a path made of it. advice: what to do.
    """
    if address := address_of(place):
        raise StoreError(f"{address} is no folder of this machine: {advice}")


class Remote:
    """A place in remote storage. It can be sent to other processes, each of which opens its own connections.

    address: of the place. Names of files are relative to it.
    """

    def __init__(self, address: str) -> None:
        """Open nothing yet. address: as address_of returns it."""
        self.address = address
        self._opened: tuple[int, Any, str] | None = None  # process, file system of fsspec, path in it

    def __getstate__(self) -> dict[str, Any]:
        """Without the connections."""
        return vars(self) | {"_opened": None}

    def sizes(self, folder: str = "") -> dict[str, int]:
        """The names of the files in a folder itself, sorted, and their bytes; none where it is not there.

        folder: its name; "" = the place itself. Raises StoreError.
        """
        try:
            listed: Sequence[dict[str, Any]] = self.attempt(
                lambda files, path: files.ls(f"{path}/{folder}" if folder else path, detail=True, refresh=True), "list"
            )
        except FileNotFoundError:
            return {}
        names = {PurePosixPath(entry["name"]).name: entry for entry in listed if entry["type"] == "file"}
        return {name: int(names[name].get("size") or 0) for name in sorted(names)}

    def read(self, name: str, start: int, size: int) -> bytes:
        """Some bytes of a file, fewer where it ends before. Raises FileNotFoundError; StoreError.

        name: of the file. start: the first byte. size: how many at most.
        """

        def ask(files: Any, path: str) -> bytes:
            try:
                content: bytes = files.cat_file(f"{path}/{name}", start=start, end=start + size)
            except OSError as error:
                if error.errno != EINVAL or start < files.info(f"{path}/{name}")["size"]:
                    raise
                return b""  # S3 refuses a range behind the end, as every range of an empty file is
            return content

        return self.attempt(ask, f"read {name}")

    def write(self, name: str, content: bytes | Path) -> None:
        """Write a file, all of it or nothing. Raises StoreError. name: of the file. content: its bytes, or a file."""
        try:
            if isinstance(content, bytes):
                self.attempt(lambda files, path: files.pipe_file(f"{path}/{name}", content), f"write {name}")
            else:
                self.attempt(lambda files, path: files.put_file(str(content), f"{path}/{name}"), f"write {name}")
        except FileNotFoundError as error:  # of S3: there is no such bucket
            raise StoreError(f"{self.address}: cannot write {name} ({_words(error)})") from error

    def copy(self, name: str, to: Path) -> None:
        """Copy a whole file to this machine, through little memory. Raises FileNotFoundError; StoreError.

        name: of the file. to: a path in a folder of our own, where nothing is.
        """
        self.attempt(lambda files, path: files.get_file(f"{path}/{name}", str(to)), f"read {name}")

    def size(self, name: str) -> int:
        """The bytes of a file. name: of the file. Raises FileNotFoundError; StoreError."""
        return int(self._info(name).get("size") or 0)

    def state(self, name: str) -> list[int]:
        """Two numbers that change with a file's content: its bytes, and a digest of its ETag or time.

        name: of the file. Raises FileNotFoundError; StoreError.
        """
        info = self._info(name)
        mark = next((str(info[name]) for name in _MARKS if info.get(name)), "")
        return [int(info.get("size") or 0), int.from_bytes(blake2b(mark.encode(), digest_size=6).digest(), "big")]

    def answers(self) -> bool:
        """Whether the storage answers at all, so that what failed is the fault of a file."""
        try:
            self._info(".redweb-probe")
        except FileNotFoundError:
            return True
        except StoreError as error:
            return isinstance(error.__cause__, _FOR_GOOD)
        return True

    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        """The name and the bytes of every file below a folder, as the storage lists them; a page or folder at a time.

        folder: its name; "" = the place itself. What is no folder gives nothing. Raises StoreError.
        """
        try:
            yield from self._by_page(folder) if self._is_s3() else self._by_folder(folder)
        except FileNotFoundError:
            return

    def _by_page(self, folder: str) -> Iterator[tuple[str, int]]:
        """Of S3: a thousand files a request, however many folders they lie in."""
        page: dict[str, Any] = {}
        while not page or page.get("IsTruncated"):
            after = {"ContinuationToken": page["NextContinuationToken"]} if page else {}

            def ask(files: Any, path: str, after: dict[str, str] = after) -> tuple[dict[str, Any], int]:
                bucket, place, _ = files.split_path(path)
                place = f"{place}/" if place else ""
                prefix = f"{place}{folder}/" if folder else place
                return files.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **after), len(place)

            page, inside = self.attempt(ask, f"list {folder}")
            yield from ((entry["Key"][inside:], entry["Size"]) for entry in page.get("Contents", ()))

    def _by_folder(self, folder: str) -> Iterator[tuple[str, int]]:
        folders = [folder]
        while folders:
            here = folders.pop()

            def ask(files: Any, path: str, here: str = here) -> tuple[Sequence[dict[str, Any]], str]:
                return files.ls(f"{path}/{here}" if here else path, detail=True, refresh=True), f"{path.rstrip('/')}/"

            listed, place = self.attempt(ask, f"list {here}")
            for entry in listed:
                name = entry["name"].removeprefix(place)
                if entry["name"].startswith(f"{place}{here}/" if here else place) and name.rstrip("/") != here:
                    if entry["type"] == "directory":
                        folders.append(name.rstrip("/"))
                    else:
                        yield name, entry["size"] if entry.get("size") is not None else self.size(name)

    def _info(self, name: str) -> dict[str, Any]:
        info: dict[str, Any] = self.attempt(lambda files, path: files.info(f"{path}/{name}"), f"ask for {name}")
        return info

    def attempt(self, act: Callable[[Any, str], T], what: str) -> T:
        """Do something with the file system and the path in it, again where it fails for a moment.

        act: gets both. what: the storage is asked to do, for messages. Raises FileNotFoundError; StoreError; OSError
        where a disk of this machine is full.
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
                if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
                    raise  # of a disk of this machine
                failure = error
        raise StoreError(
            f"{self.address}: cannot {what}, tried {ATTEMPTS} times ({_words(failure)}); "
            "the same command goes on once the storage answers"
        ) from failure

    def _is_s3(self) -> bool:
        return self.address.startswith(("s3://", "s3a://"))

    def _open(self) -> tuple[Any, str]:
        """The file system of this process, and the path in it. Connections do not survive a fork."""
        with _OPENING:
            if self._opened is None or self._opened[0] != os.getpid():
                try:
                    import fsspec
                except ModuleNotFoundError as error:
                    raise UserError("remote storage needs fsspec: pip install 'redweb-builder[remote]'") from error
                waits = {"connect_timeout": CONNECT_S, "read_timeout": READ_S, "retries": {"max_attempts": 0}}
                options = {"config_kwargs": waits} if self._is_s3() else {}
                files, path = fsspec.core.url_to_fs(self.address, skip_instance_cache=self._is_s3(), **options)
                self._opened = os.getpid(), files, path
            return self._opened[1], self._opened[2]


def remote_file(file: Path) -> tuple[Remote, str] | None:
    """The storage of a file and its name there; None for a file of this machine. file: made of an address."""
    address = address_of(file)
    if address is None:
        return None
    scheme, _, path = address.partition("://")
    root, _, name = path.lstrip("/").partition("/")
    return _opened_once(f"{scheme}://{'/' if path.startswith('/') else ''}{root}"), name


@lru_cache(64)
def read_once(file: Path, most: int) -> bytes:
    """A small file of remote storage, which many pairs share. Raises FileNotFoundError; StoreError.

    file: made of an address. most: bytes; UnsafePath is raised for a larger one.
    """
    found = remote_file(file)
    assert found is not None
    content = found[0].read(found[1], 0, most + 1)
    if len(content) > most:
        raise UnsafePath(f"{file} has more than {most} bytes, and is not read")
    return content


@cache
def _opened_once(address: str) -> Remote:
    return Remote(address)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
