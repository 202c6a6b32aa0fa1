"""The process that isolation.py starts: it calls functions of redweb_builder.inputs and sends what they return.

    python -m redweb_builder.inputs.worker DESCRIPTOR

DESCRIPTOR: the open end of the line.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

import cv2

from redweb_builder.errors import InputError
from redweb_builder.inputs.isolation import MEMORY, READY
from redweb_builder.inputs.messages import receive, send

_FUNCTIONS = "redweb_builder.inputs."


def main() -> None:
    """Answer until the line is closed."""
    (descriptor,) = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks; it closes the line
    _limit()
    with Connection(int(descriptor)) as line:
        send(line, READY)
        while True:
            try:
                request = receive(line)
                send(line, answer(request))
            except (EOFError, OSError):  # nobody asks any more
                return


def answer(request: dict[str, Any]) -> dict[str, object]:
    """What became of a request {"function": "module:name", "args": [...], "kwargs": {...}, "folder": Path}.

    folder: which relative paths count from.
    """
    module, _, name = request["function"].partition(":")
    if not module.startswith(_FUNCTIONS):
        raise ValueError(f"{module} is not for this process")
    try:
        os.chdir(request["folder"])
        return {"result": getattr(import_module(module), name)(*request["args"], **request["kwargs"])}
    except InputError as error:
        return {"reason": error.reason, "detail": str(error)}
    except MemoryError:
        return {"memory": True}
    except OSError as error:
        return {"errno": error.errno or 0, "strerror": error.strerror or str(error)}
    except Exception:  # a fault of ours: the process that asks shows it as one
        return {"trace": traceback.format_exc()}


def _limit() -> None:
    """No more than MEMORY, no file written, no core left."""
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (most, most))
    cv2.setNumThreads(1)


if __name__ == "__main__":
    main()
