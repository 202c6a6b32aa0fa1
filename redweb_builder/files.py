"""The one door to the disk for what is written: whole files, appended lines, locks.

A data set may come from anywhere, and a link in it may name any file of the user. Nothing is written, appended or
locked through a link here; tests/redweb_builder/test_files.py keeps the rest of the program from writing elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO, StringIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from filelock import FileLock

from redweb_builder.errors import SettingsError, UnsafePath

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MOST_BYTES = 1 << 31  # of a file that is read whole; 200 megapixels of three 16-bit values have less
MOST_TEXT_BYTES = 1 << 28  # of a list, whose lines become objects
DEVICES = Path("/dev")
_TEMPORARY = re.compile(r"\.redweb-[0-9a-f]{16}\.part")
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, what an account may have of it, what a file may have
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # to open a FIFO would wait for its other end


def sha256_of(*files: Path) -> str:
    """Hexadecimal SHA-256 of the bytes of files, one after the other, read in blocks. Raises OSError.

    files: regular ones.
    """
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def create(file: Path) -> BinaryIO:
    """A new empty file, open for writing bytes. Raises FileExistsError where anything is there, a link included."""
    return os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666), "w+b")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file open for writing bytes that takes the place of `path` when the block ends without an error.

    It has a random name beside `path` until then, is flushed to the disk and renamed. A link at `path` is replaced;
    what it names stays as it is. After an error or an interrupt `path` is what it was. Raises OSError; UnsafePath where
    `path` is a device, such as /dev/full, or lies among them as the link /dev/stdout does: an administrator's command
    could take its place.
    """
    with suppress(FileNotFoundError):
        is_device = stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFCHR, stat.S_IFBLK)
        if is_device or path.parent.resolve() == DEVICES:
            raise UnsafePath(f"{path} is a device: nothing is written in its place")
    for is_last in (False, False, True):
        part = _temporary(path)
        try:
            with create(part) as file:
                _hold(file.fileno(), waits=True)
                if not (is_last or part.exists()):  # it was taken for one that was left, and removed: another one
                    continue
                yield file
                file.flush()
                os.fsync(file.fileno())
                if fcntl is not None:  # while it is held: no other process takes it for one that was left
                    part.replace(path)
            if fcntl is None:  # Windows renames no file that is open
                part.replace(path)
            return
        except (Exception, KeyboardInterrupt) as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            _name_file(error, path, part)
            raise


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes the place of `path` when the block ends without an error.

    It has a random name beside `path` until then; its files are flushed to the disk, and it is renamed. path: nothing,
    or an empty folder, is there. After an error or an interrupt `path` is what it was. Raises OSError.
    """
    with _new_folder(path) as part:
        try:
            yield part
            _flush_to_disk(part)
            with suppress(FileNotFoundError):
                path.rmdir()
            part.replace(path)
        except (Exception, KeyboardInterrupt):
            shutil.rmtree(part, ignore_errors=True)
            raise


@contextmanager
def scratch_folder(place: Path, mode: int = 0o777) -> Iterator[Path]:
    """A new folder in a folder, removed with all that is in it when the block ends. Raises OSError.

    place: where it is made, under a random name; what a killed process left there, remove_temporaries removes. mode:
    who may use it, as of Path.mkdir.
    """
    with _new_folder(place / "scratch", mode) as part:
        try:
            yield part
        except (Exception, KeyboardInterrupt, GeneratorExit):
            shutil.rmtree(part, ignore_errors=True)
            raise
        shutil.rmtree(part)


@contextmanager
def _new_folder(path: Path, mode: int = 0o777) -> Iterator[Path]:
    """A new folder of a random name beside `path`, held in the block. Raises OSError.

    mode: as of scratch_folder. Between its making and its holding another process may take it for one that was left,
    and remove it: then another one is made, but the third is used in any case, as some file systems have no locks.
    """
    for is_last in (False, False, True):
        part = _temporary(path)
        part.mkdir(mode)
        with _held_folder(part) as is_held:
            if (is_held and part.is_dir()) or is_last:
                yield part
                return
        with suppress(OSError):
            part.rmdir()


def unnamed_file(folder: Path) -> BinaryIO:
    """A new file without a name, gone once it is closed and no longer mapped, also where its process is killed.

    folder: where its bytes lie. Raises OSError.
    """
    return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


def write_atomic(path: Path, content: bytes) -> None:
    """All of the file or none of it, also after a crash; links are not followed. Raises OSError.

    path: of the file, replaced where it is there. content: all of its bytes.
    """
    with replacing(path) as file:
        file.write(content)


def append(path: Path, lines: bytes) -> None:
    """Append whole lines to a file, made where there is none: all of them and on the disk, or none and an OSError.

    They begin on a line of their own, also after a line that a crash has torn. Raises UnsafePath where `path` is a
    link, has a second name, or is no regular file.
    """
    with open_to_append(path) as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        try:
            view = memoryview(lines)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(end)
            _name_file(error, path)
            raise


def _name_file(error: BaseException, path: Path, part: Path | None = None) -> None:
    """Say of what file it was that the disk took no more: errors of an open file do not, those of `part` name it."""
    if not isinstance(error, OSError):
        return
    if (error.errno in FULL and error.filename is None) or (part is not None and str(error.filename) == str(part)):
        error.filename = str(path)


def open_to_append(path: Path) -> FileIO:
    """A file open for bytes without a buffer, made where there is none; every write goes to its end.

    Raises OSError; UnsafePath where `path` is a link, has a second name, or is no regular file.
    """
    require_plain(path)
    file = FileIO(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | _NO_LINK | _NO_WAIT, 0o666), "r+")
    try:
        _check_plain(path, os.fstat(file.fileno()))
    except UnsafePath:
        file.close()
        raise
    return file


def lock(path: Path) -> FileLock:
    """The lock of a lock file, not yet acquired; it is let go when its process ends.

    Raises UnsafePath where `path` is a link, has a second name, or is no regular file; OSError where its folder is not
    there.
    """
    path.parent.stat()  # FileLock would make the folder of a data set that is gone
    require_plain(path)
    return FileLock(path)


def move(file: Path, to: Path) -> None:
    """Rename a file or folder on its disk; a link is renamed itself. Raises OSError.

    to: the new path, on the same disk; a file there is replaced.
    """
    file.replace(to)


def link_or_copy(file: Path, to: Path) -> None:
    """A second name for a file where the disk allows it, else a copy: all of it or nothing. Raises OSError.

    file: a regular file that is on the disk. to: the new path; a file there is replaced.
    """
    part = _temporary(to)
    try:
        os.link(file, part, follow_symlinks=False)
        part.replace(to)
        part.unlink(missing_ok=True)  # rename(2) leaves it where `to` is a name of the same file already
    except OSError:  # another disk, or one without links
        with suppress(OSError):
            part.unlink(missing_ok=True)
        write_atomic(to, read_regular(file))


def _flush_to_disk(folder: Path) -> None:
    """Flush the files below a folder to the disk, so that a power cut cannot empty them. Raises OSError."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as opened:  # Windows flushes only what may be written
                os.fsync(opened.fileno())


def open_regular(path: Path) -> FileIO:
    """A regular file, open for reading bytes without a buffer.

    path: of the file. Raises OSError; UnsafePath where `path` is something else, such as a FIFO.
    """
    file = FileIO(path, "r", opener=lambda name, flags: os.open(name, flags | _NO_WAIT))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UnsafePath(f"{path} is not a regular file")
    return file


def read_regular(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file. most: the largest size in bytes that is read: a sparse file may have terabytes.

    Raises OSError; UnsafePath where `path` is something else, such as a FIFO, or is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise UnsafePath(f"{path} has {size} bytes; at most {most} are read")
        return file.read()


def read_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """The content of a regular file of at most MOST_TEXT_BYTES, line ends as they are. path: of the file.

    encoding: UTF-8 by default, with a byte order mark or without. Raises OSError, UnsafePath; UnicodeDecodeError.
    """
    return read_regular(path, MOST_TEXT_BYTES).decode(encoding)


def open_text(path: Path) -> StringIO:
    """The same in UTF-8 as a file in memory, as the csv module wants it. path, raises: of read_text."""
    return StringIO(read_text(path), newline="")


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError on everything that is none, also where it is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None


def is_temporary(name: str) -> bool:
    """Whether a name is one that `replacing` or `replacing_folder` makes."""
    return _TEMPORARY.fullmatch(name) is not None


def _temporary(path: Path) -> Path:
    return path.with_name(f".redweb-{secrets.token_hex(8)}.part")


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed `replacing` or `replacing_folder` left in a folder, and nothing that is being written.

    Raises OSError.
    """
    with os.scandir(folder) as entries:
        there = [Path(entry.path) for entry in entries if is_temporary(entry.name) and not entry.is_symlink()]
    for part in there:
        with suppress(FileNotFoundError, PermissionError):  # it was renamed just now; Windows: it is open elsewhere
            if part.is_dir():
                _remove_left_folder(part)
            elif part.is_file() and _is_left(part):
                part.unlink()


def _is_left(part: Path) -> bool:
    """Whether no process holds a temporary file any more."""
    with os.fdopen(os.open(part, os.O_RDONLY | _NO_LINK | _NO_WAIT), "rb") as file:
        return _hold(file.fileno())


def _remove_left_folder(part: Path) -> None:
    with _held_folder(part) as is_held:
        if is_held:
            shutil.rmtree(part)


@contextmanager
def _held_folder(folder: Path) -> Iterator[bool]:
    """Hold a folder in the block; False where it is gone, another process holds it, or the system has no such locks."""
    if fcntl is None:  # Windows
        yield False
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | _NO_LINK)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _hold(descriptor)
    finally:
        os.close(descriptor)


def _hold(descriptor: int, waits: bool = False) -> bool:
    """Hold an open file or folder until it is closed; False where another holds it, or the file system has no locks.

    waits: until another no longer holds it.
    """
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def make_folder(folder: Path, root: Path) -> None:
    """Make a folder in `root`, or in a folder of it that is there already.

    Raises UnsafePath where something else is in its place, or a link on the way leads out of `root`.
    """
    inside = folder.parent.resolve().is_relative_to(root.resolve())
    if inside and not os.path.lexists(folder):
        folder.mkdir(exist_ok=True)
    if not inside or not folder.is_dir() or not folder.resolve().is_relative_to(root.resolve()):
        raise UnsafePath(
            f"{folder} is no folder of {root}, or a link that leads out of it: nothing is written there. "
            "Remove it, then give the same command again"
        )


def real_path(path: Path) -> Path:
    """Where a path leads, absolute. Of a loop of links it is the path; Path.resolve raises RuntimeError before 3.13."""
    return Path(os.path.realpath(path))


def require_other_folder(out: Path, source: Path) -> None:
    """Raise SettingsError where `out` is the folder that is read: what is written could take the place of a photograph.

    out: the folder that is written. source: a folder, or a file in one.
    """
    if out.resolve() == (source if source.is_dir() else source.parent).resolve():
        raise SettingsError(f"--out {out} is the folder of what is read, and files there could be lost: choose another")


def require_plain(path: Path) -> None:
    """Raise UnsafePath where something else than a regular file with one name is at `path`."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    _check_plain(path, status)


def _check_plain(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return
    kind = "is a link" if stat.S_ISLNK(status.st_mode) else "is not a regular file"
    if stat.S_ISREG(status.st_mode):
        kind = "has a second name (a hard link)"
    raise UnsafePath(f"{path} {kind}: nothing is written through it. Put a copy in its place, or remove it")
