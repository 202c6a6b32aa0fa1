"""grid.png of a data set, from its manifest, its pictures and labels, and the previews that the build left."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.criteria import CRITERIA
from redweb_builder.dataset.decisions import FILE, STAGE, as_decided, read_decisions, verdicts_of
from redweb_builder.dataset.label_reader import label_from, read_stored
from redweb_builder.dataset.manifest import pairs_of
from redweb_builder.dataset.manifest_file import read_manifest, read_rows, refusal_of
from redweb_builder.dataset.paths import name_of
from redweb_builder.dataset.sample_files import MAPS, PREVIEW, SampleFiles
from redweb_builder.dataset.shards import files_of
from redweb_builder.errors import StoreError
from redweb_builder.files import remove_temporaries, write_atomic
from redweb_builder.filters.wording import REASONS, value_text, wording
from redweb_builder.inputs.remote import require_folder, shown
from redweb_builder.inspect.choose import COLUMNS, choose, some_runs
from redweb_builder.inspect.drawn import Drawn
from redweb_builder.inspect.grid import Row, grid
from redweb_builder.inspect.panel import panel
from redweb_builder.inspect.strip import CELL_HEIGHT, STRIP_WIDTH
from redweb_builder.inspect.table import is_borderline
from redweb_builder.types import Picture

GRID_ROWS = 40  # pairs shown where nothing else is asked for
JUDGED_BY = {criterion.reason: criterion.measurement for criterion in CRITERIA}
SHOWN = ("agreement", "coverage", "range_px", "vertical", "photometric", "eye_order", "sky_order")
DRAWN = (  # the columns of a row of the grid
    *("detail", "value", "threshold", "rectified", "aligned", "align_before_px", "align_after_px", "eyes_exchanged"),
    *SHOWN,
)


def write_grid(dataset: Path, rows: int = GRID_ROWS, keys: Sequence[str] = (), to: Path | None = None) -> Drawn:
    """Draw the chosen keys, or the most telling `rows` pairs, of a finished data set.

    dataset: its folder, or that of its shards, which may lie in remote storage. rows: of a large set, chosen from some
    runs of its pairs. to: the picture's file; by default grid.png in the data set. A pair whose files are damaged or
    missing is drawn without them. Raises StoreError where `dataset` is none or a key is not in it.
    """
    if to is None:
        require_folder(dataset, "say by --to where the grid goes")
    manifest, verdicts = read_manifest(dataset, COLUMNS), verdicts_of(read_decisions(dataset / FILE)[0])
    pairs = pairs_of(as_decided(manifest.table, verdicts))
    if keys:
        places = pc.index_in(pa.array(keys, pa.string()), pairs["key"]).to_pylist()
        if missing := [key for key, place in zip(keys, places, strict=True) if place is None]:
            raise StoreError(f"{shown(dataset)} has no {', '.join(missing)}")
        telling = list(keys)
    else:
        some_pairs = some_runs(pairs)
        telling = some_pairs["key"].take(pa.array(choose(some_pairs, rows), pa.int64())).to_pylist()
    some = read_rows(manifest, pa.array(telling, pa.string()), (*COLUMNS, *DRAWN))
    by_key = {row["key"]: row for row in as_decided(some.table, verdicts).to_pylist()}
    chosen = [by_key[key] for key in telling if key in by_key]
    files, damaged = files_of(dataset), list[str]()
    drawn = [
        Row(_panel(files, row, damaged), row["key"], row["status"], _verdict(row), _caption(row)) for row in chosen
    ]
    kept = pc.sum(pc.equal(pairs["status"], "kept")).as_py() or 0
    picture = grid(drawn, f"{name_of(dataset)}: {kept} kept, {len(pairs) - kept} rejected")
    path = to or dataset / "grid.png"
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=2)
    remove_temporaries(path.parent)
    write_atomic(path, buffer.getvalue())
    return Drawn(path, damaged, refusal_of(some.file, len(manifest.table), some.refused))


def _panel(files: SampleFiles, row: dict[str, Any], damaged: list[str]) -> Picture | None:
    """The picture of a pair, None where it has no label, or where a file is damaged, which is added to `damaged`."""
    if not row["width"]:
        return None
    try:
        (file, picture), *maps, preview = files.stored(row["key"], "image", *MAPS, PREVIEW)
        strip = _strip(*preview)
        image, label = read_stored(picture, file), label_from(*maps)
        if image.shape[:2] != label.mask.shape:
            raise StoreError(f"{file}: its size is not that of its label")
    except StoreError as error:
        damaged.append(str(error))
        return None
    return panel(image, label, strip)


def _strip(file: str, content: Path | bytes) -> Picture:
    preview = read_stored(content, file)
    if preview.shape != (CELL_HEIGHT, STRIP_WIDTH, 3):
        raise StoreError(
            f"{file}: a preview has {STRIP_WIDTH} x {CELL_HEIGHT} px, this one {preview.shape[1]} x {preview.shape[0]}"
        )
    return preview


def _verdict(row: dict[str, Any]) -> str:
    """Kept or rejected, and why, in words."""
    if row["status"] == "kept":
        return "kept, borderline: within a tenth of a limit" if is_borderline(row) else "kept"
    meaning = REASONS.get(row["reason"]) if row["stage"] != STAGE else None
    words = f"rejected as {row['reason']}" + (f": {meaning}" if meaning else "")
    if row["value"] is not None and row["threshold"] is not None:
        value, limit = (value_text(JUDGED_BY.get(row["reason"], ""), row[name]) for name in ("value", "threshold"))
        return f"{words} ({value}, limit {limit})"
    return f"{words} - {row['detail']}" if row["detail"] else words


def _caption(row: dict[str, Any]) -> str:
    """The measurements that say most, with their names, and what was done to the pair."""
    parts = [f"{wording(name).title} {value_text(name, row[name])}" for name in SHOWN if row[name] is not None]
    if row.get("rectified"):
        parts.append("rectified by its calibration")
    before, after = row["align_before_px"], row["align_after_px"]
    if row["aligned"] and before is not None and after is not None:
        parts.append(f"aligned: vertical {before:.1f} -> {after:.1f} px")
    if row["eyes_exchanged"]:
        parts.append("eyes exchanged")
    return " · ".join(parts)
