"""Pictures of a sample for the review page, made when they are asked for."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from redweb_builder.colour import colour_scale, confidence_picture, disparity_picture, mask_picture
from redweb_builder.dataset.label_reader import label_from
from redweb_builder.dataset.sample_files import MAPS, SampleFiles
from redweb_builder.dataset.source_views import aligned_views
from redweb_builder.types import FloatMap, Label, Mask, Picture

KINDS = ("depth", "mask", "confidence", "confidence-values", "parallax", "right")


def render(folder: Path, files: SampleFiles, kind: str, row: Mapping[str, Any], source: Path | None) -> bytes:
    """A picture of a sample as the bytes of a JPEG or PNG.

    folder: the data set. files: its files. kind: one of KINDS. row: the sample's row of the manifest. source: the
    folder of the stereo photographs, for the right view, which is not in the data set; None where there is none.
    Raises StoreError where the sample or its source cannot be read.
    """
    if kind == "right":
        return _jpeg(aligned_views(folder, row, source).right)
    label = label_of(files, row["key"])
    if kind == "mask":
        return _png(mask_picture(label.mask))
    if kind == "confidence":
        return _png(confidence_picture(label.confidence))
    if kind == "confidence-values":
        return _png(label.confidence)  # for the slider of the page
    low, high = colour_scale(label.disparity, label.mask)
    if kind == "depth":
        return _jpeg(disparity_picture(label.disparity, low, high))
    return _png(_nearness(label, low, high))


def label_of(files: SampleFiles, key: str) -> Label:
    """The label of a sample. files: of the data set. key: of the sample. Raises StoreError."""
    return label_from(*files.stored(key, *MAPS))


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
