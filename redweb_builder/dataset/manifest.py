"""The columns of manifest.parquet: a row a pair, and a row for every picture file that is in no pair.

The same columns in the same order in every data set; a value that does not apply is null. `status` is "kept",
"rejected" or "left-out"; of the latter two, `stage`, `reason`, `value`, `threshold` and `detail` say why. Paths are
relative to the input folder. What each measurement is, criteria.py says; limits on them stand in config.Thresholds.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder import criteria
from redweb_builder.files import parse_json, real_path
from redweb_builder.types import PairSource, Rejection

_TEXT = ("key", "left", "right", "layout", "rule", "status", "stage", "reason", "detail", "flow", "segmenter")
_SOURCE_TEXT = ("source_sha256", "perceptual_hash", "crop", "film_crops", "clip", "homography")
_CALIBRATION_TEXT = ("calibration", "calibration_sha256", "calibration_note")
_FLAGS = ("right_first", "guessed", "eyes_exchanged", "rectified", "aligned")
_SIZES = ("width", "height", "source_width", "source_height", "clip_frame")
_VERDICT = ("value", "threshold", "quality", "margin", "film_time_s", "film_offset_s", "vr_fov", "eye_order_prior")
_RANGE = ("min_px", "max_px", "clip_min_px", "clip_max_px", "flicker_px")
_CALIBRATION = ("fx_px", "baseline_m", "doffs_px")
DICTIONARY = pa.dictionary(pa.int32(), pa.string())  # texts of few kinds, each stored once
_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")  # none of it could be "/" or "."
BLOCK_ROWS = 1 << 16  # of rows: taken at a time, and a group of a large file
LEFT_OUT = "left-out"  # the status of a file that is in no pair
DUPLICATE = "duplicate"  # the stage, and the reason, of a pair that looks like a better one
JUDGED = (None, "filter", DUPLICATE)  # the stages that thresholds decide; what could not be read or labelled stays
MEASUREMENTS = tuple(measurement.name for measurement in criteria.MEASUREMENTS)

SCHEMA = pa.schema(
    [(name, pa.string()) for name in (*_TEXT, *_SOURCE_TEXT, *_CALIBRATION_TEXT)]
    + [(name, pa.bool_()) for name in _FLAGS]
    + [(name, pa.int32()) for name in _SIZES]
    + [(name, pa.float64()) for name in (*_VERDICT, *_RANGE, *_CALIBRATION, *MEASUREMENTS, "seconds")]
)


def columns_of(source: PairSource) -> dict[str, Any]:
    """The columns of a pair's source but for its paths; `source_of` makes the source from them again."""
    return {
        "key": source.key,
        "layout": source.layout,
        "rule": source.rule,
        "right_first": source.right_first,
        "guessed": source.guessed,
        "eye_order_prior": nine_digits(source.order_prior),
        "film_time_s": source.time,
        "film_offset_s": source.offset if source.time is not None else None,
        "film_crops": json.dumps(source.crops) if source.crops else None,
        "clip": source.clip,
        "clip_frame": source.clip_frame,
        "vr_fov": source.fov if source.layout.startswith("vr180") else None,
    }


def verdict_columns(rejection: Rejection | None) -> dict[str, Any]:
    """The columns of a verdict that the program gave. rejection: None = kept."""
    if rejection is None:
        return status_columns("kept")
    value, threshold = nine_digits(rejection.value), nine_digits(rejection.threshold)
    return status_columns("rejected", rejection.stage, rejection.reason, rejection.detail, value, threshold)


def left_out_row(left: str, reason: str, detail: str) -> dict[str, Any]:
    """The row of a picture file that is in no pair.

    left: its path below the input folder. reason: the code. detail: why, in words.
    """
    return {"key": None, "left": left, **status_columns(LEFT_OUT, "discover", reason, detail)}


def status_columns(
    status: str,
    stage: str | None = None,
    reason: str | None = None,
    detail: str | None = None,
    value: float | None = None,
    threshold: float | None = None,
) -> dict[str, Any]:
    """The columns that say what became of a row, in the manifest's order.

    status: "kept", "rejected" or LEFT_OUT. stage, reason: where and why. detail: a sentence. value, threshold: the
    measurement that decided and its limit.
    """
    return {
        "status": status,
        "stage": stage,
        "reason": reason,
        "value": value,
        "threshold": threshold,
        "detail": detail,
    }


def table_of(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of SCHEMA, so that millions fit in memory; what is no column is left out.

    rows: values by column.
    """
    rows = iter(rows)
    blocks = iter(lambda: list(islice(rows, BLOCK_ROWS)), [])
    return pa.concat_tables([SCHEMA.empty_table(), *(pa.Table.from_pylist(block, SCHEMA) for block in blocks)])


def in_blocks(table: pa.Table) -> list[pa.Table]:
    """A table cut into blocks of BLOCK_ROWS, at least one; nothing is copied."""
    return [table.slice(start, BLOCK_ROWS) for start in range(0, max(len(table), 1), BLOCK_ROWS)]


def floats_of(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """The numbers of a column, NaN where there is none. column: of numbers."""
    return np.asarray(one_chunk(pc.cast(column, pa.float64())).to_numpy(zero_copy_only=False))


def pairs_of(table: pa.Table) -> pa.Table:
    """The rows without files that are in no pair. table: of a manifest, with key."""
    return table.filter(pc.is_valid(table["key"])) if table["key"].null_count else table


def count_values(column: pa.ChunkedArray) -> Counter[Any]:
    """How often each value of a column is there, null among them. column: of any type."""
    return Counter({entry["values"]: entry["counts"] for entry in column.value_counts().to_pylist()})


def index_in(texts: pa.ChunkedArray, values: Sequence[str | None]) -> NDArray[np.int32]:
    """Of each text of a column its place among some values, -1 = another text.

    texts: of pa.string() or DICTIONARY. values: None = null.
    """
    column, wanted = one_chunk(texts), pa.array(values, pa.string())
    if not isinstance(column, pa.DictionaryArray):
        return np.asarray(pc.index_in(column, wanted).fill_null(-1))
    places = np.asarray(pc.index_in(column.dictionary, wanted).fill_null(-1))
    of_codes = np.append(places, np.int32(values.index(None) if None in values else -1))
    found: NDArray[np.int32] = of_codes[codes_of(column)]
    return found


def codes_of(column: pa.DictionaryArray) -> NDArray[np.int32]:
    """Of each value its place in the dictionary, -1 = null. column: of DICTIONARY."""
    return np.asarray(column.indices.fill_null(-1))


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, copied only where it is in several. column: of any type."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def bytes_of(texts: pa.ChunkedArray) -> tuple[bytes, NDArray[np.int32]]:
    """The UTF-8 bytes of a column of texts, one after the other, and where each text starts, with the end.

    texts: of pa.string().
    """
    column = one_chunk(texts)
    if not len(column):
        return b"", np.zeros(1, np.int32)
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return data.slice(starts[0], starts[-1] - starts[0]).to_pybytes() if data else b"", starts - starts[0]


def key_ranks(keys: pa.ChunkedArray) -> NDArray[np.int64]:
    """The rank of each key in their order. keys: mostly in this order already, as a manifest has them; null = none."""
    known, before = [chunk.drop_null() for chunk in keys.chunks], ""
    for chunk in known:
        if not are_growing(chunk, before):
            ranks = np.empty(len(keys), np.int64)
            ranks[np.asarray(pc.sort_indices(keys))] = np.arange(len(keys))
            return ranks
        before = chunk[-1].as_py() if len(chunk) else before
    return np.arange(len(keys))


def are_growing(keys: pa.Array, before: str) -> bool:
    """Whether each key comes after the one before it. keys: without null. before: the key before the first."""
    return not len(keys) or (before < keys[0].as_py() and bool(pc.all(pc.less(keys[:-1], keys[1:]), min_count=0)))


def with_values(table: pa.Table, places: NDArray[np.integer[Any]], columns: Mapping[str, Any]) -> pa.Table:
    """A table with other values in some of its rows.

    table: of columns of SCHEMA. places: of the rows, none twice. columns: name -> the values in the order of places, a
    list or a pa.Array; a column that the table does not have is left out.
    """
    if not len(places):
        return table
    mask = np.zeros(len(table), bool)
    mask[places] = True
    order = np.argsort(places)
    for name in filter(table.schema.names.__contains__, columns):
        field = table.schema.field(name)
        values = pa.array(columns[name], field.type).take(pa.array(order))
        column = pc.replace_with_mask(table[name].combine_chunks(), pa.array(mask), values)
        table = table.set_column(table.schema.get_field_index(name), field, column)
    return table


def nine_digits(value: float | None) -> float | None:
    """A number as rows hold it: nine significant digits; None for NaN and infinity, since JSON holds neither.

    value: any number, or None.
    """
    return None if value is None or not math.isfinite(value) else float(f"{value:.9g}")


def source_of(row: Mapping[str, Any], folder: Path) -> PairSource:
    """The source that a row was made from. Nothing is opened.

    row: values by column, checked by rows.fault_of. folder: the input folder. Raises ValueError where the row names no
    source, or its paths lead out of the folder by a link.
    """
    if row["left"] is None or row["right"] is None:
        raise ValueError(f"the manifest names no source of {row['key']}")
    left, right = source_file(folder, row["left"]), source_file(folder, row["right"])
    calibration = tuple(source_file(folder, name) for name in calibration_names(row))
    if not all(real_path(file).is_relative_to(real_path(folder)) for file in (left, right, *calibration)):
        raise ValueError(f"the source of {row['key']} lies outside of {folder}")
    crops = json.loads(row.get("film_crops") or "null")
    return PairSource(
        key=row["key"],
        left=left,
        right=right,
        layout=row["layout"],
        rule=row["rule"],
        right_first=row["right_first"],
        guessed=row["guessed"],
        time=row.get("film_time_s"),
        crops=(tuple(crops[0]), tuple(crops[1])) if crops else None,
        fov=row.get("vr_fov") or PairSource.fov,
        offset=row.get("film_offset_s") or 0.0,
        clip=row.get("clip"),
        clip_frame=row.get("clip_frame"),
        calibration=calibration,
    )


def source_file(folder: Path, name: str) -> Path:
    """A file of the input.

    folder: of the input. name: as rows have it, where bytes that are no UTF-8 stand escaped, such as "\\xff".
    """
    file = folder / name
    if not _ESCAPED.search(name.encode()) or os.path.lexists(file):
        return file
    return folder / os.fsdecode(_ESCAPED.sub(lambda escaped: bytes.fromhex(escaped[1].decode()), name.encode()))


def calibration_names(row: Mapping[str, Any]) -> list[str]:
    """The calibration files of a row, by their paths below the input folder. Raises ValueError where it is no list.

    row: values by column.
    """
    names = parse_json(row.get("calibration") or "[]")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the calibration of {row['key']} is no list of files")
    return names
