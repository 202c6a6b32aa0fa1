"""unknown/<key>.png: what people marked as wrong in a label. It is unknown for readers; the label stays as it is.

8-bit grey, 255 = wrong, 0 = as the label says: what the last of several people left. marks.jsonl has what each of them
left, a line a stroke; it only grows. No build touches either: what was marked in a label of another size is resized.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from itertools import accumulate
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from redweb_builder.dataset.codec import image_bytes
from redweb_builder.dataset.decisions import LOCK
from redweb_builder.dataset.label_reader import read_map
from redweb_builder.dataset.rows import is_key
from redweb_builder.dataset.storage import read_whole, require_inside
from redweb_builder.errors import StoreError
from redweb_builder.files import MOST_TEXT_BYTES, append, lock, make_folder, parse_json, read_regular, write_atomic
from redweb_builder.types import BoolMap

FOLDER = "unknown"
MARKS = "marks.jsonl"
MOST_RUNS = 20_000  # of one picture


def read_unknown(out: Path, key: str, shape: tuple[int, int]) -> BoolMap | None:
    """Where people marked a label as wrong, HxW bool; None where they did not.

    out: folder of the data set. key: of the pair. shape: height and width of the label; marks in one of another size,
    as of a build before, are resized. Raises StoreError where the file is damaged, of other proportions, or a link that
    leads out of the data set.
    """
    file = out / FOLDER / f"{key}.png"
    if not is_key(key) or not file.exists():
        return None
    values, _ = read_map(require_inside(out, file))
    if values.dtype != np.uint8:
        raise StoreError(f"{file}: it is no grey PNG of 8 bits; remove it")
    height, width = shape
    if abs(values.shape[1] / values.shape[0] * height - width) > 1 + height / values.shape[0]:  # each side is rounded
        raise StoreError(f"{file}: it has not the proportions of the label; remove it")
    if values.shape != shape:
        values = cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    wrong: BoolMap = values > 0
    return wrong


def write_unknown(out: Path, key: str, wrong: BoolMap, reviewer: str) -> None:
    """Keep what a person marked, and who it was; nothing marked removes the file.

    out: folder of the data set. key: of the pair. wrong: HxW bool, of the label's size. reviewer: a name. Raises
    OSError, UnsafePath, StoreError.
    """
    if not is_key(key):
        raise StoreError(f"{key!r} is no key of a pair")
    make_folder(out / FOLDER, out)
    file = out / FOLDER / f"{key}.png"
    time = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    mark = {"key": key, "reviewer": reviewer, "time": time, "runs": runs_of(wrong)}
    with lock(out / LOCK):
        append(out / MARKS, (json.dumps(mark, ensure_ascii=False) + "\n").encode())
        if wrong.any():
            write_atomic(file, image_bytes(Image.fromarray(np.where(wrong, np.uint8(255), np.uint8(0))), "PNG"))
        else:
            file.unlink(missing_ok=True)


def merge_marks(out: Path, part: Path) -> None:
    """Take over what people marked in labels of a part, but for labels in which they marked something in the whole.

    out: folder of the whole. part: folder of another data set, which stays as it is. Raises OSError, UnsafePath;
    StoreError where a picture of marks is a link that leads out of its data set.
    """
    known = {key for key, _ in _lines_by_key(out)}
    files = {file.stem: file for file in sorted((part / FOLDER).glob("*.png")) if file.stem not in known}
    new = {key: file for key, file in files.items() if is_key(key) and not (out / FOLDER / file.name).exists()}
    if not new:
        return
    make_folder(out / FOLDER, out)
    lines = [line + b"\n" for key, line in _lines_by_key(part) if key in new]
    with lock(out / LOCK):
        for file in new.values():
            write_atomic(out / FOLDER / file.name, read_regular(require_inside(part, file)))
        append(out / MARKS, b"".join(lines))


def _lines_by_key(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of MARKS with the key that each is about; without those that are damaged."""
    try:
        content = read_whole(folder, MARKS, MOST_TEXT_BYTES)
    except FileNotFoundError:
        return
    for line in content.split(b"\n"):
        with suppress(ValueError, TypeError, KeyError):
            if is_key(key := parse_json(line)["key"]):
                yield key, line


def runs_of(wrong: BoolMap) -> list[int]:
    """The lengths of runs row by row, unmarked and marked in turn, unmarked first. wrong: HxW bool."""
    flat = np.concatenate([[False], wrong.ravel()])
    starts = np.flatnonzero(flat[1:] != flat[:-1])
    lengths: list[int] = np.diff(np.concatenate([[0], starts, [wrong.size]])).tolist()
    return lengths


def from_runs(runs: object, height: int, width: int) -> BoolMap:
    """The inverse of runs_of. Raises ValueError for what is no such list.

    runs: of a picture of height x width px, from anywhere.
    """
    if not isinstance(runs, list) or len(runs) > MOST_RUNS or not all(type(run) is int and run >= 0 for run in runs):
        raise ValueError(f"runs are at most {MOST_RUNS} lengths")
    if sum(runs) != height * width:
        raise ValueError(f"the runs do not fill {width} x {height} px")
    wrong = np.zeros(height * width, bool)
    for start, length in _marked(runs):
        wrong[start : start + length] = True
    return wrong.reshape(height, width)


def _marked(runs: Sequence[int]) -> list[tuple[int, int]]:
    """(start, length) of every second run."""
    ends = list(accumulate(runs))
    return [(end - run, run) for end, run in zip(ends[1::2], runs[1::2], strict=True)]
