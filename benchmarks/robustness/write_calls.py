"""Every call of this process that changes a folder, counted, and one of them made to fail or to be the last.

Python's own calls are replaced: os.open, os.write, os.fsync, os.replace, ... and the raw layer below `open()`. What
changes a file from C (a Parquet writer that is given a path, say) passes them by; `unseen` lists the files that did.
Linux only: the path of a descriptor is read from /proc.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import tarfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from redweb_builder import files

if TYPE_CHECKING:
    from typing_extensions import Buffer

Fault = Literal["no-space", "io-error", "interrupt", "kill-before", "kill-after", "torn"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
NEEDS_SPACE = ("open", "write", "fsync", "truncate", "rename", "mkdir", "link")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
TWO_PATHS = ("replace", "rename", "link", "symlink")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """One call.

    name: one of NEEDS_SPACE, or "remove". path: what it changes, below the folder. size: of a write, bytes. source: of
    a rename, below the folder.
    """

    name: str
    path: str
    size: int = 0
    source: str = ""


def is_possible(fault: Fault, call: Call) -> bool:
    """Whether a fault can meet a call: only a write can be torn, and a full disk hinders nobody from removing files."""
    return (fault != "torn" or call.size > 1) and (fault != "no-space" or call.name in NEEDS_SPACE)


class WriteCalls:
    """Counts the calls below a folder from `start()` on; the call of number `at` meets `fault`.

    no-space: that call and every later one that needs space fails with ENOSPC, since a full disk stays full.
    io-error: that call fails with EIO. interrupt: SIGINT arrives before it. kill-before, kill-after: SIGKILL does.
    torn: the first half of a write is done, then SIGKILL. Nothing is flushed to the disk for good: fsync is only
    counted, as a killed process loses nothing that the system has.
    """

    def __init__(self, folder: Path, at: int | None = None, fault: Fault | None = None) -> None:
        """folder: absolute, without links. at: the number of the call that meets `fault`, from 0; None = no fault."""
        self.calls: list[Call] = []
        self._folder, self._at, self._fault = str(folder), at, fault
        self._lock = threading.Lock()
        self._open, self._write, self._ftruncate = os.open, os.write, os.ftruncate
        self._plain_open = io.open

    def start(self) -> None:
        """Replace the calls, until the process ends."""
        os.open = self._os_open
        os.write = self._os_write
        os.fsync = os.fdatasync = self._os_fsync  # type: ignore[assignment]
        os.ftruncate = self._os_ftruncate
        for name in ("unlink", "remove", "rmdir"):
            self._replace_path_call(name, "remove")
        self._replace_path_call("mkdir", "mkdir")
        self._replace_path_call("truncate", "truncate")
        for name in TWO_PATHS:
            self._replace_two_path_call(name, "link" if name.endswith("link") else "rename")
        io.open = builtins.open = self._file_open
        vars(files).update(FileIO=partial(_CountedFile, self))  # of lines that are appended
        tarfile.bltn_open = self._file_open  # type: ignore[attr-defined]

    def made(
        self,
        name: str,
        path: str,
        do: Callable[[], Result],
        size: int = 0,
        half: Callable[[], Any] = int,
        source: str = "",
    ) -> Result:
        """Do a call, or let it meet its fault. half: does the first half of a write; the others are those of Call."""
        if not path.startswith(self._folder + os.sep):
            return do()
        with self._lock:
            number = len(self.calls)
            call = Call(name, self._below(path), size, self._below(source))
            self.calls.append(call)
        if self._at is None or number < self._at:
            return do()
        if self._fault == "no-space" and is_possible("no-space", call):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if number > self._at:
            return do()
        if self._fault == "io-error":
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        if self._fault == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if self._fault == "torn":
            half()
        if self._fault in ("torn", "kill-before"):
            os.kill(os.getpid(), signal.SIGKILL)
        result = do()
        if self._fault == "kill-after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def _below(self, path: str) -> str:
        return path[len(self._folder) + 1 :]

    def _os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        def do() -> int:
            return self._open(path, flags, mode, dir_fd=dir_fd)

        return self.made("open", _path(path, dir_fd), do) if flags & WRITING else do()

    def _os_write(self, descriptor: int, data: Buffer) -> int:
        content = memoryview(data).cast("B")

        def write(part: Buffer) -> int:
            return self._write(descriptor, part)

        half = content[: len(content) // 2]
        return self.made("write", _path(descriptor), lambda: write(content), len(content), lambda: write(half))

    def _os_fsync(self, descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        self.made("fsync", _path(number), lambda: None)

    def _os_ftruncate(self, descriptor: int, length: int) -> None:
        self.made("truncate", _path(descriptor), lambda: self._ftruncate(descriptor, length))

    def _replace_path_call(self, name: str, counted_as: str) -> None:
        plain = getattr(os, name)

        def call(path: Any, *more: Any, dir_fd: int | None = None, **named: Any) -> Any:
            if dir_fd is not None:
                named["dir_fd"] = dir_fd
            return self.made(counted_as, _path(path, dir_fd), lambda: plain(path, *more, **named))

        setattr(os, name, call)

    def _replace_two_path_call(self, name: str, counted_as: str) -> None:
        plain = getattr(os, name)

        def call(source: Any, target: Any, **named: Any) -> Any:
            place = _path(target, named.get("dst_dir_fd", named.get("dir_fd")))
            origin = _path(source, named.get("src_dir_fd")) if counted_as == "rename" else ""
            return self.made(counted_as, place, lambda: plain(source, target, **named), source=origin)

        setattr(os, name, call)

    def _file_open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        """`open()`, whose files below the folder write through `_CountedFile`."""
        if not set(mode) & set("wax+"):
            return self._plain_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw_mode = mode.replace("b", "").replace("t", "")

        def do() -> _CountedFile:
            return _CountedFile(self, file, raw_mode, closefd, opener)

        opens_by_os_open = isinstance(file, int) or opener is not None
        raw = do() if opens_by_os_open else self.made("open", _path(file), do)
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
        text.mode = mode  # type: ignore[misc]
        return text


class _CountedFile(io.FileIO):
    """The raw file below `open()`, whose writes and truncations are counted."""

    def __init__(self, calls: WriteCalls, file: Any, mode: str = "r", closefd: bool = True, opener: Any = None) -> None:
        super().__init__(file, mode, closefd, opener)
        self._calls = calls

    def write(self, data: Buffer, /) -> int:
        content = memoryview(data).cast("B")
        write, half = super().write, content[: len(content) // 2]
        place = _path(self.fileno())
        return self._calls.made("write", place, lambda: write(content), len(content), lambda: write(half))

    def truncate(self, size: int | None = None, /) -> int:
        truncate = super().truncate
        return self._calls.made("truncate", _path(self.fileno()), lambda: truncate(size))


def unseen(written: Iterable[str], before: Iterable[str], calls: Iterable[Call]) -> list[str]:
    """The files, of those that a command has written, that no counted call opened for writing or moved there.

    written, before: paths below the folder; before: what was there, which may have been moved.
    """
    seen, there = set(), set(before)
    for call in calls:
        if call.name in ("open", "link"):
            seen.add(call.path)
        elif call.name == "rename":
            moved = {name for name in seen | there if f"{name}/".startswith(f"{call.source}/")}
            seen |= {call.path + name.removeprefix(call.source) for name in moved}
    return sorted(set(written) - seen)


def _path(file: Any, dir_fd: int | None = None) -> str:
    """The absolute path of a name or an open descriptor."""
    if isinstance(file, int):
        return str(Path(f"/proc/self/fd/{file}").readlink())
    base = Path.cwd() if dir_fd is None else Path(f"/proc/self/fd/{dir_fd}").readlink()
    return os.path.normpath(base / os.fsdecode(file))
