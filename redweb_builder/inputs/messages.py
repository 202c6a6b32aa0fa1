"""Values between processes: JSON, plain arrays, and the dataclasses of this package. Nothing else is loaded."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

PACKAGE = "redweb_builder."
LARGEST = 1 << 32  # bytes of one array
_DTYPES = ("|u1", "<f4", "<f8", "|b1")


def send(line: Connection, value: object) -> None:
    """Send a value to the process at the other end of a line.

    line: a pipe's end. value: None, bool, int, float, str, Path, list, tuple, dict with str keys, array, dataclass of
    ours. Raises TypeError for what is none of these; OSError where the other side is gone.
    """
    arrays: list[NDArray[Any]] = []
    line.send_bytes(json.dumps(_plain(value, arrays)).encode())
    for array in arrays:
        line.send_bytes(array.tobytes())


def receive(line: Connection) -> Any:
    """The next value. Raises EOFError or OSError where the other side is gone, ValueError for what is no such value.

    line: a pipe's end.
    """
    try:
        content = json.loads(line.recv_bytes())
        return _built(content, line)
    except (RecursionError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise ValueError(f"no message: {error}") from error


def _plain(value: object, arrays: list[NDArray[Any]]) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, PurePath):
        return {"": "path" if isinstance(value, Path) else "pure path", "of": str(value)}
    if isinstance(value, (list, tuple)):
        return {"": type(value).__name__, "of": [_plain(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"": "dict", "of": [[str(name), _plain(item, arrays)] for name, item in value.items()]}
    if isinstance(value, np.ndarray) and value.dtype.str in _DTYPES:
        arrays.append(value)
        return {"": "array", "of": [value.dtype.str, *value.shape]}
    if isinstance(value, np.generic):
        return value.item()
    if is_dataclass(value) and type(value).__module__.startswith(PACKAGE):
        content = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return {"": f"{type(value).__module__}:{type(value).__qualname__}", "of": _plain(content, arrays)}
    raise TypeError(f"{type(value).__name__} is no value of a message")


def _built(content: Any, line: Connection) -> Any:
    if not isinstance(content, dict):
        return content
    kind, of = content[""], content["of"]
    if kind in ("path", "pure path"):
        return Path(of) if kind == "path" else PurePath(of)
    if kind in ("list", "tuple"):
        items = [_built(item, line) for item in of]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {name: _built(item, line) for name, item in of}
    if kind == "array":
        return _array(of, line)
    module, _, name = kind.partition(":")
    if not module.startswith(PACKAGE):
        raise ValueError(f"{kind} is none of ours")
    made = getattr(import_module(module), name)
    if not (isinstance(made, type) and is_dataclass(made)):
        raise ValueError(f"{kind} is no dataclass")
    return made(**_built(of, line))


def _array(of: list[Any], line: Connection) -> NDArray[Any]:
    dtype, *shape = of
    if dtype not in _DTYPES or not all(isinstance(side, int) and 0 <= side <= LARGEST for side in shape):
        raise ValueError(f"no array: {of}")
    size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=object))
    if size > LARGEST:
        raise ValueError(f"an array of {size} bytes")
    array = np.empty(shape, dtype)
    room = array.reshape(-1).view(np.uint8).data if size else memoryview(bytearray(1))
    if line.recv_bytes_into(room) != size:
        raise ValueError("an array of another size")
    return array
