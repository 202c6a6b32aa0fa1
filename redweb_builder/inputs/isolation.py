"""Decoding of files from elsewhere in a process of its own, with limits on time and memory.

Decoders of films and HEIC are large C libraries; a file that crashes one, fills the memory or never ends must cost
itself only. Worker processes are kept and used again. They answer in JSON and plain arrays: nothing is pickled.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from math import ceil
from multiprocessing import Pipe
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import ParamSpec, TypeVar

from redweb_builder.errors import InputError
from redweb_builder.inputs.formats import films, heic
from redweb_builder.inputs.messages import receive, send

P = ParamSpec("P")
T = TypeVar("T")

SECONDS = 120.0  # for a file of no size; a call that takes longer is ended
SECONDS_A_MEGABYTE = 2.0  # more; half the speed at which a slow machine goes through a film
START_SECONDS = 120.0
SLICE_SECONDS = 1.0  # of waiting; of a longer one it is not known whether the worker ran
READY = "ready"
MOST = 8  # workers at once, about 150 MB each
MEMORY = 6 << 30  # bytes of address space of a worker
TRIES = 2  # a worker that dies may have been ended by somebody else
ISOLATED = films.EXTENSIONS | set(heic.EXTENSIONS)
_ROOT = Path(__file__).resolve().parents[2]  # of the package
_AVAILABLE = os.name == "posix"  # elsewhere decoding stays in this process: there are no such limits

_isolate_all = False


def isolate_all() -> None:
    """Decode pictures of every form apart, too, for the life of this process (`--safe`)."""
    global _isolate_all
    _isolate_all = True


def all_isolated() -> bool:
    """Whether isolate_all was called."""
    return _isolate_all


def decoded(function: Callable[P, T], files: Sequence[Path], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function of redweb_builder.inputs returns; called in a worker where one of the files asks for it.

    function: of a module, by its name; its args, kwargs and result as messages.py says. files: those that it decodes.
    Raises what it raises: InputError, OSError; InputError "decoder-failed" where its worker died, or ran out of time or
    memory; RuntimeError with the traceback for every other error.
    """
    if not _AVAILABLE or not any(_is_isolated(file) for file in files):
        return function(*args, **kwargs)
    limit = SECONDS + SECONDS_A_MEGABYTE * sum(_size(file) for file in files) / 1e6
    names = ", ".join(str(file) for file in dict.fromkeys(files))
    with _PLACES:
        answer = _call(f"{function.__module__}:{function.__qualname__}", args, kwargs, names, limit)
    return _result(answer, names)


def _call(function: str, args: Sequence[object], kwargs: dict[str, object], names: str, limit: float) -> object:
    """The answer of a worker; of another one where the first dies. Raises InputError "decoder-failed"."""
    # A worker may have been started in another folder than the one that relative paths count from now.
    request = {"function": function, "args": [*args], "kwargs": kwargs, "folder": Path.cwd()}
    for _ in range(TRIES):
        worker = _WORKERS.take()
        try:
            answer = worker.call(request, limit)
        except TimeoutError as error:
            worker.end()
            raise InputError("decoder-failed", f"{names}: its decoder was ended after {limit:.0f} s") from error
        except (OSError, EOFError, ValueError):
            worker.end()
            continue
        except BaseException:
            worker.end()
            raise
        _WORKERS.give_back(worker)
        return answer
    raise InputError("decoder-failed", f"{names}: its decoder crashes on it; convert or repair the file")


def _result(answer: object, names: str) -> T:  # type: ignore[type-var]
    match answer:
        case {"result": result}:
            return result  # type: ignore[no-any-return]
        case {"reason": str(reason), "detail": str(detail)}:
            raise InputError(reason, detail)
        case {"memory": _}:
            raise InputError("decoder-failed", f"{names}: needs more than {MEMORY >> 30} GiB of memory to be decoded")
        case {"errno": int(number), "strerror": str(text)}:
            raise OSError(number, text)
        case {"trace": str(trace)}:
            raise RuntimeError(f"in the decoder's process:\n{trace}")
    raise RuntimeError(f"the decoder's process answered {type(answer).__name__}")


class _Worker:
    """A process that decodes, and the line to it."""

    def __init__(self) -> None:
        self._line, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "redweb_builder.inputs.worker", str(theirs.fileno())],
                cwd=_ROOT,  # not where the user's files lie: Python looks for modules there
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            if self._answers(START_SECONDS) and receive(self._line) == READY:
                return
        except (OSError, EOFError, ValueError):
            pass
        self.end()
        raise RuntimeError(f"the decoder's process could not be started (status {self._process.returncode})")

    def call(self, request: dict[str, object], limit: float) -> object:
        """The answer of the process. Raises TimeoutError after `limit` s; EOFError, OSError, ValueError if it died."""
        send(self._line, request)
        if not self._answers(limit):
            raise TimeoutError
        return receive(self._line)

    def _answers(self, limit: float) -> bool:
        """Wait for an answer; False after `limit` s.

        While both processes are stopped (Ctrl-Z, a container that is paused, a scheduler) the clock goes on, but the
        worker does not: of such a time one slice counts, however long it was.
        """
        return any(self._line.poll(min(SLICE_SECONDS, limit)) for _ in range(ceil(limit / SLICE_SECONDS)))

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._line.close()
        self._process.kill()
        self._process.wait()


class _Workers:
    """The workers that nobody is using; one more is started whenever there is none."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._lock = Lock()

    def take(self) -> _Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive():
                    return worker
                worker.end()
        return _Worker()

    def give_back(self, worker: _Worker) -> None:
        with self._lock:
            self._idle.append(worker)

    def forget(self) -> None:
        """Leave the workers to the process that was forked: two must not talk on one line."""
        self._idle, self._lock = [], Lock()

    def end(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().end()


_WORKERS = _Workers()
_PLACES = BoundedSemaphore(MOST)
atexit.register(_WORKERS.end)
if _AVAILABLE:
    os.register_at_fork(after_in_child=_WORKERS.forget)


def _is_isolated(file: Path) -> bool:
    return _isolate_all or file.suffix.lower() in ISOLATED


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
