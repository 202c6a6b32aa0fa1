"""Pictures of a sample for the review page, made when they are asked for."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from redweb_builder.colour import colour_scale, disparity_picture, mask_picture
from redweb_builder.dataset.manifest import source_of
from redweb_builder.dataset.paths import read_build, read_label, require_inside, sample_root
from redweb_builder.errors import InputError, StoreError
from redweb_builder.files import parse_json
from redweb_builder.inputs.formats.calibration import calibration_digest
from redweb_builder.inputs.read import read_pair
from redweb_builder.types import FloatMap, Label, Mask, Picture

KINDS = ("depth", "mask", "parallax", "right")


def render(folder: Path, kind: str, row: Mapping[str, Any], source: Path | None) -> bytes:
    """A picture of a sample as the bytes of a JPEG or PNG.

    folder: the data set. kind: one of KINDS. row: the sample's row of the manifest. source: the folder of the stereo
    photographs, for the right view, which is not in the data set; None where there is none.
    Raises StoreError where the sample or its source cannot be read.
    """
    if kind == "right":
        return _jpeg(right_view(folder, row, source))
    label = label_of(folder, row["key"])
    if kind == "mask":
        return _png(mask_picture(label.mask))
    low, high = colour_scale(label.disparity, label.mask)
    if kind == "depth":
        return _jpeg(disparity_picture(label.disparity, low, high))
    return _png(_nearness(label, low, high))


def label_of(folder: Path, key: str) -> Label:
    """The label of a sample. folder: of the data set. key: of the sample. Raises StoreError."""
    return read_label(folder, key)


def preview_of(folder: Path, key: str) -> Path:
    """The file of a sample's preview, which the build wrote. Raises StoreError.

    folder: of the data set. key: of the sample.
    """
    sample_root(folder, key)
    return require_inside(folder, folder / "previews" / f"{key}.jpg")


def right_view(folder: Path, row: Mapping[str, Any], source: Path | None) -> Picture:
    """The right view of which the label was made: read from the source again, eyes in order, aligned.

    folder, row, source: as of `render`. Returns HxWx3 uint8 RGB. Raises StoreError where the source is missing, has
    changed, or cannot be read.
    """
    if source is None:
        raise StoreError(
            "the right view is not in the data set, and its source folder is not there: name it by --source"
        )
    try:
        origin = source_of(row, source)
        pair = read_pair(origin, _max_side(folder))
    except (InputError, OSError, ValueError) as error:
        raise StoreError(f"the right view cannot be read again: {error}") from error
    if pair.digest != row["source_sha256"]:
        raise StoreError("the source files have changed since the data set was built")
    if row.get("rectified"):
        from redweb_builder.rectification.calibrated import calibrate  # here: it loads PyTorch, as below

        if calibration_digest(origin.calibration) != row.get("calibration_sha256"):
            raise StoreError("the calibration has changed since the data set was built")
        pair = calibrate(origin, pair)[0]
    left, right = (pair.right, pair.left) if row["eyes_exchanged"] else (pair.left, pair.right)
    if not row["aligned"]:
        return right
    from redweb_builder.rectification.alignment import (  # here: it loads PyTorch, by way of the flow
        Alignment,
        apply_alignment,
        estimate_alignment,
    )

    if row.get("homography"):
        alignment = Alignment(np.array(parse_json(row["homography"]), np.float64).reshape(3, 3))
    else:  # of a set from before the column
        from redweb_builder.matching.quick_flow import preview_flow

        alignment = estimate_alignment(preview_flow(left, right), left.shape)
    return apply_alignment(right, alignment)[0]


def _max_side(folder: Path) -> int:
    """The longer side of the stored pictures, px. Raises StoreError where build.json names none."""
    identity = read_build(folder).get("identity")
    side = identity.get("max_side") if isinstance(identity, dict) else None
    if not isinstance(side, int) or side < 1:
        raise StoreError(f"{folder / 'build.json'} names no longer side of the pictures")
    return side


def _nearness(label: Label, low: float, high: float) -> Picture:
    """HxW uint8, 255 = nearest: what the parallax view moves by. Unknown pixels stay with the far."""
    near: FloatMap = np.nan_to_num((label.disparity - low) / (high - low), nan=0.0)
    near[label.mask == Mask.SKY] = 0
    return np.rint(255 * np.clip(near, 0, 1)).astype(np.uint8)


def _jpeg(picture: Picture) -> bytes:
    return _saved(picture, "JPEG", quality=90, subsampling=0)


def _png(picture: Picture) -> bytes:
    return _saved(picture, "PNG", compress_level=1)


def _saved(picture: Picture, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form, **options)
    return buffer.getvalue()
