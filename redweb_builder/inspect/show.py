"""grid.png of a data set, from its manifest and the previews that the build left."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redweb_builder.dataset.decisions import FILE, as_decided, read_decisions
from redweb_builder.dataset.paths import read_stored, require_inside
from redweb_builder.dataset.reader import read_manifest
from redweb_builder.errors import StoreError
from redweb_builder.files import remove_temporaries, write_atomic
from redweb_builder.inspect.drawn import Drawn
from redweb_builder.inspect.grid import Row, choose, grid
from redweb_builder.inspect.strip import CELL_HEIGHT, STRIP_WIDTH
from redweb_builder.types import Picture

GRID_ROWS = 40  # pairs shown where nothing else is asked for


def write_grid(dataset: Path, rows: int = GRID_ROWS, keys: Sequence[str] = (), to: Path | None = None) -> Drawn:
    """Draw the chosen keys, or the most telling `rows` pairs, of a finished data set.

    to: the picture's file; by default grid.png in the data set. A pair whose preview is damaged or missing is drawn
    without it. Raises StoreError where `dataset` is none or a key is not in it.
    """
    manifest = as_decided(read_manifest(dataset).rows, read_decisions(dataset / FILE)[0])
    records = [row for row in manifest if row["status"] in ("kept", "rejected")]
    if keys:
        by_key = {row["key"]: row for row in records}
        if missing := [key for key in keys if key not in by_key]:
            raise StoreError(f"{dataset} has no {', '.join(missing)}")
        chosen = [by_key[key] for key in keys]
    else:
        chosen = choose(records, rows)
    damaged: list[str] = []
    drawn = [Row(_strip(dataset, row, damaged), row["key"], row["status"], _caption(row)) for row in chosen]
    kept = sum(row["status"] == "kept" for row in records)
    picture = grid(drawn, f"{dataset.resolve().name}: {kept} kept, {len(records) - kept} rejected")
    path = to or dataset / "grid.png"
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=2)
    remove_temporaries(path.parent)
    write_atomic(path, buffer.getvalue())
    return Drawn(path, damaged)


def _strip(dataset: Path, row: dict[str, Any], damaged: list[str]) -> Picture | None:
    """The preview of a pair, None where it has no label, or where its file is damaged, which is added to `damaged`."""
    if not row["width"]:
        return None
    file = dataset / "previews" / f"{row['key']}.jpg"
    try:
        preview = read_stored(require_inside(dataset, file))
    except StoreError as error:
        damaged.append(str(error))
        return None
    if preview.shape != (CELL_HEIGHT, STRIP_WIDTH, 3):
        damaged.append(
            f"{file}: a preview has {STRIP_WIDTH} x {CELL_HEIGHT} px, this one {preview.shape[1]} x {preview.shape[0]}"
        )
        return None
    return preview


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
    if record.get("rectified"):
        parts.append("rectified by its calibration")
    before, after = record["align_before_px"], record["align_after_px"]
    if record["aligned"] and before is not None and after is not None:
        parts.append(f"aligned: vertical {before:.1f} -> {after:.1f} px")
    if record["eyes_exchanged"]:
        parts.append("eyes exchanged")
    return " · ".join(parts)
