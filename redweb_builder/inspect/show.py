"""grid.png of a data set, from its manifest and the previews that the build left."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from redweb_builder.dataset.decisions import FILE, as_decided, read_decisions
from redweb_builder.dataset.paths import read_stored, require_inside
from redweb_builder.errors import StoreError
from redweb_builder.files import remove_temporaries, write_atomic
from redweb_builder.inspect.grid import Row, choose, grid
from redweb_builder.types import Picture

GRID_ROWS = 40  # pairs shown where nothing else is asked for


def write_grid(dataset: Path, rows: int = GRID_ROWS, keys: Sequence[str] = (), to: Path | None = None) -> Path:
    """Draw the chosen keys, or the most telling `rows` pairs, of a finished data set; return the picture's path.

    Raises StoreError where `dataset` is none or a key is not in it.
    """
    if not (dataset / "manifest.parquet").is_file():
        raise StoreError(f"{dataset} is not a finished data set: it has no manifest.parquet")
    manifest = as_decided(pq.read_table(dataset / "manifest.parquet").to_pylist(), read_decisions(dataset / FILE)[0])
    records = [row for row in manifest if row["status"] in ("kept", "rejected")]
    if keys:
        by_key = {row["key"]: row for row in records}
        if missing := [key for key in keys if key not in by_key]:
            raise StoreError(f"{dataset} has no {', '.join(missing)}")
        chosen = [by_key[key] for key in keys]
    else:
        chosen = choose(records, rows)
    kept = sum(row["status"] == "kept" for row in records)
    title = f"{dataset.resolve().name}: {kept} kept, {len(records) - kept} rejected"
    picture = grid([_row(dataset, record) for record in chosen], title)
    path = to or dataset / "grid.png"
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=2)
    remove_temporaries(path.parent)
    write_atomic(path, buffer.getvalue())
    return path


def _row(dataset: Path, record: dict[str, Any]) -> Row:
    return Row(_preview(dataset, record["key"]), record["key"], record["status"], _caption(record))


def _preview(dataset: Path, key: str) -> Picture | None:
    try:
        file = require_inside(dataset, dataset / "previews" / f"{key}.jpg")
        return read_stored(file)
    except StoreError:
        return None


def _caption(record: dict[str, Any]) -> str:
    parts = []
    if record["status"] == "rejected":
        limit = "" if record["threshold"] is None else f" (limit {record['threshold']:.3g})"
        parts.append(f"{record['reason']}: {record['detail']}{limit}")
    shown = (
        ("agreement", "{:.0%} agree"),
        ("coverage", "{:.0%} measured"),
        ("range_px", "range {:.1f} px"),
        ("vertical", "{:.1%} vertical"),
        ("photometric", "photometric {:.3f}"),
        ("eye_order", "eye order {:.2f}"),
        ("sky_order", "sky order {:.2f}"),
    )
    parts += [text.format(record[name]) for name, text in shown if record[name] is not None]
    if record["aligned"]:
        parts.append("aligned: vertical {align_before_px:.1f} -> {align_after_px:.1f} px".format(**record))
    if record["eyes_exchanged"]:
        parts.append("eyes exchanged")
    return " · ".join(parts)
