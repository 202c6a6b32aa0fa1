"""The labels and pictures of a data set, read from its files, each of which may be damaged or lie."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redweb_builder.dataset.codec import decode
from redweb_builder.dataset.paths import Stored, stored_file
from redweb_builder.errors import InputError, StoreError
from redweb_builder.inputs.picture import STORED, open_picture, read_picture, values_of
from redweb_builder.types import Label, Mask, Picture
from redweb_builder.version import FORMAT


def read_stored(file: Path | bytes, name: str = "") -> Picture:
    """A stored picture or preview, HxWx3 uint8 RGB. Raises StoreError where it is damaged.

    file: its path, from stored_file, or its bytes. name: of these, for messages.
    """
    try:
        return read_picture(file, min_side=1, orientation=1, formats=STORED)
    except InputError as error:
        raise StoreError(str(error) if isinstance(file, Path) else f"{name}: {error}") from error


def read_label(out: Path, key: str) -> Label:
    """The label of a pair.

    out: folder of the data set. key: of the pair. Raises StoreError, with the file, where one is missing, damaged, of
    another format or size, or a link that leads out of the data set.
    """
    files = [stored_file(out, folder, key) for folder in ("RDs", "masks", "confidence")]
    return label_from(*((str(file), file) for file in files))


def label_from(rd: Stored, mask: Stored, confidence: Stored) -> Label:
    """The label that three files hold.

    rd, mask, confidence: of each its name for messages, and its path or its bytes. Raises StoreError as read_label.
    """
    name = rd[0]
    values, text = read_map(rd[1], name)
    if text.get("format") != FORMAT:
        raise StoreError(f"{name}: its format is {text.get('format')!r}, this version reads {FORMAT!r}")
    if values.dtype != np.uint16:
        raise StoreError(f"{name}: it is no grey PNG of 16 bits")
    scale, offset = _number(name, text, "scale"), _number(name, text, "offset")
    if not scale < 0:
        raise StoreError(f"{name}: its scale is {scale}, and must be negative")
    basis, certainty = (_read_beside(stored, values.shape) for stored in (mask, confidence))
    if basis.max(initial=0) > max(Mask):
        raise StoreError(f"{mask[0]}: a pixel has the value {basis.max()}, and {max(Mask)} is most")
    return Label(decode(values, basis, scale, offset), basis, certainty)


def read_map(file: Path | bytes, name: str = "") -> tuple[NDArray[Any], dict[str, str]]:
    """The values of a grey PNG, HxW uint8 or uint16, and its text. Raises StoreError where it is none, or damaged.

    file: its path, from stored_file, or its bytes. name: of the file, for messages; by default its path.
    """
    name = name or str(file)
    try:
        with open_picture(file, min_side=1, formats=("PNG",)) as image:
            if image.mode not in ("L", "I;16", "I"):
                raise StoreError(f"{name}: it is no grey PNG")
            values = values_of(image)
            text = dict(image.text)  # type: ignore[attr-defined]
    except InputError as error:
        raise StoreError(str(error) if isinstance(file, Path) else f"{name}: {error}") from error
    return values.astype(np.uint16) if values.dtype == np.int32 else values, text


def _read_beside(stored: Stored, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A map of 8 bits beside a label of a shape. Raises StoreError."""
    name, file = stored
    values, _ = read_map(file, name)
    if values.dtype != np.uint8 or values.shape != shape:
        raise StoreError(f"{name}: it is no grey PNG of 8 bits of the label's size, {shape[1]} x {shape[0]} px")
    return values


def _number(file: str, text: dict[str, str], name: str) -> float:
    try:
        number = float(text[name])
    except (KeyError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise StoreError(f"{file}: its text has no {name}")
    return number
