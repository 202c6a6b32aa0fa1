"""Python processes that are forked from one which has loaded the libraries: their start costs a tenth.

`Forks` is that one, in a process of its own. `start` runs a module there. `python` is a program that stands in for the
interpreter where Ray starts its workers: those are forked, all else is given to the interpreter. A forked process dies
with the one that asked for it. Linux only.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

RAY_WORKER = "default_worker.py"
ASK = '''#!{python} -IS
"""Ask the process that has loaded the libraries for a worker of Ray; anything else is for the interpreter."""
import json, os, socket, sys
if not any(argument.endswith("{worker}") for argument in sys.argv):
    os.execv("{python}", ["{python}", *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect("{address}")
    socket.send_fds(asked, [json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n"], [0, 1, 2])
    with asked.makefile() as answers:
        sys.exit(int(answers.readlines()[-1]) & 255)
'''


class Forked:
    """A process that was forked. pid: its number."""

    def __init__(self, address: Path, arguments: Sequence[str], log: Path, changes: dict[str, str]) -> None:
        """Start `python ARGUMENTS`. address: of Forks. log: gets what it prints. changes: of the environment."""
        self._asked = socket.socket(socket.AF_UNIX)
        self._asked.connect(str(address))
        with Path(os.devnull).open() as nothing, log.open("w") as output:
            request = json.dumps([arguments, str(Path.cwd()), {**os.environ, **changes}]).encode() + b"\n"
            descriptors = [nothing.fileno(), output.fileno(), output.fileno()]
            socket.send_fds(self._asked, [request], descriptors)
        self._answers = self._asked.makefile()
        self.pid = int(self._answers.readline())
        self._status: int | None = None

    def wait(self, seconds: float) -> int | None:
        """Its exit status, minus a signal's number where that ended it; None where it still runs after some seconds."""
        if self._status is None and select.select([self._asked], [], [], max(0.0, seconds))[0]:
            self._status = int(self._answers.readline() or -signal.SIGKILL)
            self._asked.close()
        return self._status

    def kill(self) -> None:
        """End it (kill -9)."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Forks:
    """The process that has loaded the libraries. pid: its number. python: the program that stands in for Python."""

    def __init__(self, folder: Path, load: Callable[[], Any]) -> None:
        """Fork it from this process, which must have no threads. folder: for its socket. load: loads the libraries."""
        self._address, self.python = folder / "forks", folder / "python"
        self.python.write_text(ASK.format(python=sys.executable, worker=RAY_WORKER, address=self._address))
        self.python.chmod(0o755)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._address))
        listener.listen(64)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                load()
                _serve(listener, self.python)
            except BaseException:  # nothing of the parent may run in the child
                traceback.print_exc()
            finally:
                os._exit(1)
        listener.close()

    def start(self, arguments: Sequence[str], log: Path, **changes: str) -> Forked:
        """Start `python ARGUMENTS`, which begin with -m. log: gets what it prints. changes: of the environment."""
        return Forked(self._address, arguments, log, changes)

    def close(self) -> None:
        """End it, and with it what was forked."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _serve(listener: socket.socket, python: Path) -> None:
    """Fork for everybody who asks; tell the number of the process, and its status when it has ended."""
    children: dict[int, socket.socket] = {}
    while True:
        for ready in select.select([listener, *children.values()], [], [], 0.02)[0]:
            if ready is listener:
                asked, _ = listener.accept()
                arguments, folder, environment, descriptors = _request(asked)
                child = os.fork()
                if child == 0:
                    for inherited in (asked, listener, *children.values()):
                        os.close(inherited.detach())
                    _become(arguments, folder, environment, descriptors, python)
                for descriptor in descriptors:
                    os.close(descriptor)
                children[child] = asked
                _say(asked, child)
            else:  # who asked is gone
                for child, asked in children.items():
                    if asked is ready:
                        os.kill(child, signal.SIGKILL)
        while children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                break
            asked = children.pop(child)
            _say(asked, os.waitstatus_to_exitcode(status))
            asked.close()


def _say(asked: socket.socket, number: int) -> None:
    with suppress(OSError):
        asked.sendall(f"{number}\n".encode())


def _request(asked: socket.socket) -> tuple[list[str], str, dict[str, str], list[int]]:
    """Arguments, folder and environment of a process that is asked for; its input and outputs."""
    message, descriptors, _, _ = socket.recv_fds(asked, 1 << 20, 3)
    while not message.endswith(b"\n"):
        message += asked.recv(1 << 20)
    return (*json.loads(message), descriptors)


def _become(
    arguments: list[str], folder: str, environment: dict[str, str], descriptors: list[int], python: Path
) -> None:
    """Run what was asked for in this process, as the interpreter would, and end with its status."""
    status: object = 1
    try:
        for at, descriptor in enumerate(descriptors):
            os.dup2(descriptor, at)
            os.close(descriptor)
        os.setsid()  # a worker must not be in the group of what it was forked from
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        sys.executable = str(python)
        status = _run(arguments)
    except SystemExit as end:
        status = end.code or 0
    except BaseException:  # shown as the interpreter would show it
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


def _run(arguments: list[str]) -> int:
    """What `python ARGUMENTS` does, with -m or for a worker of Ray."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        at = next(at for at, argument in enumerate(arguments) if argument.endswith(RAY_WORKER))
        sys.argv = arguments[at:]
        runpy.run_path(arguments[at], run_name="__main__")
    return 0
