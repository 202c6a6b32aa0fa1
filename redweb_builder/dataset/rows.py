"""The one check of rows that were read from a disk: of the manifest, the journal and, of keys, the decisions.

A data set may come from anywhere. A key becomes a file name, a path is joined to the input folder, and a number is
compared with limits: what passes here may be used so without another check.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder.dataset.manifest import (
    DICTIONARY,
    JUDGED,
    LEFT_OUT,
    SCHEMA,
    bytes_of,
    floats_of,
    index_in,
    one_chunk,
)
from redweb_builder.files import parse_json

PAIR_STATUSES = ("kept", "rejected")
STATUSES = (*PAIR_STATUSES, LEFT_OUT)
MAX_KEY_BYTES = 250  # with ".png" a file name of at most 255 bytes
MAX_SIDE = 65_535  # px of a stored picture, as JPEG's
MAX_NUMBER = 2**53  # beyond it float64 does not hold every whole number; no measurement comes near
MAX_SOURCE_FILES = 16  # two pictures and their calibration
INT32 = 2**31 - 1
_KEY = re.compile(r"\w[\w.-]*")
_HASH = re.compile(r"[0-9a-f]{16}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIDES = (("width", MAX_SIDE), ("height", MAX_SIDE), ("source_width", INT32), ("source_height", INT32))
# What the program writes, for a test of whole columns. No value passes that the rules below refuse.
_KEY_BYTES = f"{string.ascii_letters}{string.digits}_.-".encode()  # of most keys
_USUAL_KEY = r"^[0-9\p{L}_][0-9\p{L}_.-]*$"
_NUMBER = r"-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?(e-[0-9]{1,3})?"
_USUAL = {"perceptual_hash": "^[0-9a-f]{16}$", "homography": rf"^\[{_NUMBER}(, {_NUMBER}){{8}}\]$"}
_MAY_LEAD_OUT = re.compile(r"^/|\.\.|[\\:]")  # the last two on Windows: C:, and \\server, which would be called
_TYPES: dict[pa.DataType, tuple[type, ...]] = {
    pa.string(): (str,),
    pa.bool_(): (bool,),
    pa.int32(): (int,),
    pa.float64(): (float, int),
}
_COLUMNS = tuple(
    (field.name, _TYPES[field.type], INT32 if field.type == pa.int32() else MAX_NUMBER) for field in SCHEMA
)


def is_key(value: object) -> bool:
    """Whether a value can be the key of a pair: letters, digits, "_", "." and "-", none of the last two first."""
    return isinstance(value, str) and _KEY.fullmatch(value) is not None and len(value.encode()) <= MAX_KEY_BYTES


def fault_of(row: Mapping[str, Any]) -> str | None:
    """What is wrong with a manifest's row, in words; None where it can be used.

    row: values by column; a column that is not there counts as null.
    """
    return _wrong_type(row) or _wrong_pair(row) or _wrong_value(row)


def surely_usable(table: pa.Table) -> NDArray[np.bool_]:
    """Where fault_of finds nothing, told from whole columns: False asks for a closer look.

    table: rows of a manifest, of any of its columns, texts valid UTF-8, of pa.string() or DICTIONARY.
    """
    there = set(table.column_names) - {"key", *_USUAL}  # in these three no pattern below lets a NUL pass
    others = [(name, most) for name, _, most in _COLUMNS if name in there]
    if any(_is_odd(table[name], most) for name, most in others):
        return np.zeros(len(table), bool)
    tests = [_is_pair_or_left_out(table)]
    for name, pattern in _USUAL.items():
        if name in table.column_names and not (name == "perceptual_hash" and _are_hashes(table[name])):
            tests.append(pc.fill_null(pc.match_substring_regex(table[name], pattern), True))
    for name in ("left", "right"):
        if name in table.column_names:
            outside = pc.match_substring_regex(table[name], _MAY_LEAD_OUT.pattern)
            tests.append(pc.invert(pc.fill_null(outside, False)))
    if "film_crops" in table.column_names:
        tests.append(pc.is_null(table["film_crops"]))
    usable = np.ones(len(table), bool)
    for test in tests:
        usable &= np.asarray(test)
    return usable


def _is_odd(column: pa.ChunkedArray, most: int) -> bool:
    """Whether some value of a column may be refused for its type or its size."""
    if column.type == DICTIONARY:
        column = pa.chunked_array([one_chunk(column).dictionary])
    if pa.types.is_string(column.type):
        return b"\0" in bytes_of(column)[0]
    if pa.types.is_boolean(column.type):
        return False
    values = np.asarray(column.drop_null() if column.null_count else one_chunk(column)).astype(np.float64, copy=False)
    return len(values) > 0 and not (values.min() >= -most and values.max() <= most)  # NaN among them


def _is_pair_or_left_out(table: pa.Table) -> NDArray[np.bool_]:
    """Where key, status, stage and sizes are those of a pair, or of a file in none."""
    key = table["key"]
    if _are_ascii_keys(key):
        proper = np.asarray(pc.is_valid(key))
    else:
        usual = pc.and_(pc.match_substring_regex(key, _USUAL_KEY), pc.less_equal(pc.binary_length(key), MAX_KEY_BYTES))
        proper = np.asarray(pc.fill_null(usual, False))
    status = index_in(table["status"], STATUSES)
    sides = [(table[name], most) for name, most in _SIDES if name in table.column_names]
    if all(_are_sides(column, most) for column, most in sides):
        pair = (status == 0) | (status == 1)
    else:
        sized = floats_of(table["width"]) > 0
        pair = (status == 0) & sized | (status == 1) & (sized | (index_in(table["stage"], JUDGED) < 0))
    usable: NDArray[np.bool_] = proper & pair | np.asarray(pc.is_null(key)) & (status == 2)
    for column, most in sides:
        if not _are_sides(column, most):
            side = floats_of(column)
            usable &= ~((side <= 0) | (side > most))
    return usable


def _are_sides(column: pa.ChunkedArray, most: int) -> bool:
    """Whether every value of a column is a side of a picture."""
    if column.null_count or not len(column):
        return False
    values = np.asarray(one_chunk(column))
    return bool(values.min() > 0 and values.max() <= most)


def _are_ascii_keys(column: pa.ChunkedArray) -> bool:
    """Whether all texts of a column are keys of ASCII: told in a third of the time of the pattern."""
    raw, starts = bytes_of(column.drop_null())
    sizes = np.diff(starts)
    if not np.all((sizes > 0) & (sizes <= MAX_KEY_BYTES)) or raw.translate(None, _KEY_BYTES):
        return False
    first = np.frombuffer(raw, np.uint8)[starts[:-1]]
    return not np.any((first == ord(".")) | (first == ord("-")))


def _are_hashes(column: pa.ChunkedArray) -> bool:
    """Whether all texts of a column are perceptual hashes."""
    raw, starts = bytes_of(column.drop_null())
    return bool(np.all(np.diff(starts) == 16)) and not raw.translate(None, b"0123456789abcdef")


def fault_of_record(record: object) -> str | None:
    """What is wrong with a value read from a line of the journal, in words; None where it can be used.

    record: the value of the line.
    """
    if not isinstance(record, dict):
        return "it is no object"
    if record.get("status") == LEFT_OUT:
        return "its status is left-out"
    return fault_of(record) or _wrong_files(record)


def fault_of_sources(record: object) -> str | None:
    """What is wrong with a value read from a line of sources.jsonl, in words; None where it can be used.

    record: the value of the line.
    """
    if not isinstance(record, dict) or not is_key(record.get("key")):
        return "it has no key of a pair"
    key, picture, files = record["key"], record.get("picture"), record.get("files")
    names = (f"Imgs/{key}.png", f"Imgs/{key}.jpg")
    if not isinstance(picture, list) or not picture or picture[0] not in names or not _is_stamp(picture[1:]):
        return f"picture is {_shown(picture)}"
    if not isinstance(files, dict) or not 1 <= len(files) <= MAX_SOURCE_FILES:
        return f"files is {_shown(files)}"
    for path, entry in files.items():
        if not path or "\0" in path or not _is_unicode(path) or not _is_below(path):
            return f"a file of the source leads out of the input folder: {_shown(path)}"
        if not _is_stamp(entry):
            return f"files has {_shown(entry)} for size and SHA-256"
    return None


def files_of(key: str) -> set[str]:
    """The names that a record may have for a pair's files: those of a kept one, the picture as PNG and as JPEG.

    key: of the pair.
    """
    png = {f"{folder}/{key}.png" for folder in ("Imgs", "RDs", "masks", "confidence")}
    return png | {f"Imgs/{key}.jpg", f"previews/{key}.jpg"}


def _wrong_type(row: Mapping[str, Any]) -> str | None:
    for name, types, most in _COLUMNS:
        value: Any = row.get(name)
        if value is None:
            continue
        if type(value) not in types:
            return f"{name} is {_shown(value)}"
        if isinstance(value, str):
            if "\0" in value or not _is_unicode(value):
                return f"{name} is no text: {_shown(value)}"
        elif not abs(value) <= most:  # NaN among them
            return f"{name} is {_shown(value)}"
    return None


def _wrong_pair(row: Mapping[str, Any]) -> str | None:
    """Key, status and stage together."""
    key, status = row.get("key"), row.get("status")
    if status == LEFT_OUT:
        return None if key is None else f"a file in no pair has the key {_shown(key)}"
    if status not in PAIR_STATUSES:
        return f"its status is {_shown(status)}"
    if not is_key(key):
        return f"{_shown(key)} is no key of a pair"
    if not row.get("width") and (status == "kept" or row.get("stage") in JUDGED):
        return f"{key} has a verdict and no label"
    return None


def _wrong_value(row: Mapping[str, Any]) -> str | None:
    for name, most in _SIDES:
        if row.get(name) is not None and not 0 < row[name] <= most:
            return f"{name} is {row[name]}"
    for name in ("left", "right"):
        if row.get(name) is not None and not _is_below(row[name]):
            return f"{name} leads out of the input folder: {_shown(row[name])}"
    if row.get("perceptual_hash") is not None and not _HASH.fullmatch(row["perceptual_hash"]):
        return f"perceptual_hash is {_shown(row['perceptual_hash'])}"
    if row.get("film_crops") is not None and not _is_crops(row["film_crops"]):
        return f"film_crops is {_shown(row['film_crops'])}"
    if row.get("homography") is not None and not _is_homography(row["homography"]):
        return f"homography is {_shown(row['homography'])}"
    return None


def _wrong_files(record: Mapping[str, Any]) -> str | None:
    """The sizes and checksums of a pair's files; builds before 0.1 wrote none."""
    files = record.get("files", {})
    if not isinstance(files, dict) or (files and (len(files) != 5 or not files.keys() <= files_of(record["key"]))):
        return "files does not name the five files of the pair"
    for entry in files.values():
        if not _is_stamp(entry):
            return f"files has {_shown(entry)} for size and SHA-256"
    return None


def _is_stamp(entry: object) -> bool:
    """Whether a value is the size in bytes and the SHA-256 of a file."""
    size, sha256 = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
    return type(size) is int and size > 0 and isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None


def _is_below(path: str) -> bool:
    """Whether a path is relative and has no ".." in it, as this system reads it: Windows knows more of both."""
    if _MAY_LEAD_OUT.search(path) is None:
        return True
    return not path.startswith("/") and not PurePath(path).anchor and ".." not in PurePath(path).parts


def _is_homography(text: str) -> bool:
    """Whether a text is JSON of nine numbers."""
    try:
        numbers = parse_json(text)
    except ValueError:
        return False
    return (
        isinstance(numbers, list)
        and len(numbers) == 9
        and all(type(number) in (int, float) and abs(number) <= MAX_NUMBER for number in numbers)
    )


def _is_crops(text: str) -> bool:
    """Whether a text is JSON of two boxes of four whole numbers."""
    try:
        crops = parse_json(text)
    except ValueError:
        return False
    boxes = crops if isinstance(crops, list) and len(crops) == 2 else [None]
    return all(isinstance(box, list) and len(box) == 4 and all(type(side) is int for side in box) for box in boxes)


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    """A value as a message shows it: escaped and short."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
