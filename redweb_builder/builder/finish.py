"""The end of a pair: its files are written, and what the journal will say of it is put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagehash
from PIL import Image

from redweb_builder.config import Thresholds
from redweb_builder.dataset.label_writer import LabelWriter
from redweb_builder.dataset.manifest import columns_of, nine_digits, verdict_columns
from redweb_builder.filters.checks import margin, quality
from redweb_builder.inputs.formats.calibration import calibration_digest
from redweb_builder.inputs.portable import in_utf_8, path_below, portable_text
from redweb_builder.inputs.remote import input_id
from redweb_builder.inputs.walk import state_of
from redweb_builder.inspect.strip import strip
from redweb_builder.pipeline import Outcome
from redweb_builder.rectification.calibrated import Calibrated
from redweb_builder.types import Label, Mask


def finish(
    outcome: Outcome,
    seconds: float,
    *,
    writer: LabelWriter,
    thresholds: Thresholds,
    networks: dict[str, str],
    stereo_dir: Path,
) -> dict[str, Any]:
    """Write a pair's files and return its journal record, in the manifest's columns.

    outcome: of the pair. seconds: that it took. writer: of the data set's folder. thresholds: from which the margin
    counts. networks: the columns "flow" and "segmenter". stereo_dir: the input folder, to which paths in the record are
    relative. Raises OSError; StoreError where remote storage does not answer.
    """
    source, prepared, evidence, rejection = outcome.source, outcome.prepared, outcome.evidence, outcome.rejection
    kept = rejection is None
    record: dict[str, Any] = {
        **columns_of(source),
        "rule": in_utf_8(source.rule),
        "left": path_below(source.left, stereo_dir),
        "right": path_below(source.right, stereo_dir),
        "calibration_sha256": calibration_digest(source.calibration),
        "calibration": json.dumps([path_below(file, stereo_dir) for file in source.calibration])
        if source.calibration
        else None,
        **verdict_columns(rejection),
        **networks,
        "input": input_id(stereo_dir),
    }
    if rejection is not None:
        record["detail"] = portable_text(rejection.detail, stereo_dir)
        if rejection.stage == "read":
            record["file_states"] = state_of((source.left, source.right))
    if evidence is not None and prepared is not None:
        height, width = evidence.pair.left.shape[:2]
        record |= {
            "width": width,
            "height": height,
            "source_width": evidence.pair.source_size[0],
            "source_height": evidence.pair.source_size[1],
            "crop": evidence.pair.crop,
            "source_sha256": evidence.pair.digest,
            "perceptual_hash": str(imagehash.phash(Image.fromarray(evidence.pair.left))),
            "eyes_exchanged": prepared.eyes_swapped,
            "aligned": not prepared.alignment.is_identity,
            "homography": None
            if prepared.alignment.is_identity
            else json.dumps([float(value) for value in prepared.alignment.homography.ravel()]),
            **_calibration_columns(prepared.calibrated, stereo_dir),
            **_range_columns(evidence.label),
            "quality": nine_digits(quality(evidence.measurements)),
            "margin": nine_digits(margin(evidence.measurements, thresholds)),
        }
        record |= {name: nine_digits(value) for name, value in evidence.measurements.items()}
        record["files"] = writer.write_label(
            source.key, evidence.pair.left, evidence.pair.lossless, evidence.label, strip(evidence), kept
        )
    return record | {"seconds": round(seconds, 2)}


def _calibration_columns(calibrated: Calibrated, stereo_dir: Path) -> dict[str, Any]:
    geometry = calibrated.geometry
    return {
        "rectified": calibrated.rectified,
        "calibration_note": portable_text(calibrated.note, stereo_dir) or None,
        "fx_px": nine_digits(geometry.fx_px) if geometry else None,
        "baseline_m": nine_digits(geometry.baseline_m) if geometry else None,
        "doffs_px": nine_digits(geometry.doffs_px) if geometry else None,
    }


def _range_columns(label: Label) -> dict[str, float | None]:
    """The range of a label's disparity, sky left out."""
    known = label.disparity[(label.mask == Mask.MEASURED) | (label.mask == Mask.FILLED)]
    low, high = (float(known.min()), float(known.max())) if known.size else (None, None)
    return {"min_px": nine_digits(low), "max_px": nine_digits(high)}
