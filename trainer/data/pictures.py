"""Reading picture files, with errors that name them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redweb_builder.errors import InputError
from redweb_builder.inputs.picture import PHOTOGRAPHS, read_picture, read_values
from redweb_builder.types import Picture
from trainer.types import DataError

ENDINGS = (".jpg", ".jpeg", ".png")


def read_rgb(file: Path) -> Picture:
    """HxWx3 uint8 RGB. Raises DataError."""
    try:
        return read_picture(file, min_side=1)
    except InputError as error:
        raise DataError(str(error)) from error


def read_grey(file: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """HxW uint8 or uint16, as stored; of a colour file the first channel. Raises DataError."""
    try:
        values = read_values(file, PHOTOGRAPHS)
    except InputError as error:
        raise DataError(str(error)) from error
    values = values if values.ndim == 2 else values[..., 0]
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 65535:
        raise DataError(f"{file}: depth maps have 8 or 16 bits, this has values from {values.min()} to {values.max()}")
    return values.astype(np.uint16)


def by_stem(folder: Path) -> dict[str, Path]:
    """The picture files of a folder by name without ending, in order of name."""
    return {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS}


def matched(pictures: dict[str, Path], depths: dict[str, Path], folder: Path) -> list[str]:
    """The stems that both have, in the order of the pictures: files are matched by name, never by position.

    pictures, depths: stem -> file. folder: named in the message. Raises DataError where a picture or a depth map has no
    partner.
    """
    alone = sorted(set(pictures) ^ set(depths))
    if alone:
        raise DataError(
            f"{folder}: {len(alone)} files have no partner of the same name (first: {', '.join(alone[:3])}). "
            "Pictures and depth maps are matched by name; remove or rename these."
        )
    if not pictures:
        raise DataError(f"{folder}: there are no pictures in it")
    return list(pictures)


def same_size(image: Picture, depth: NDArray[np.generic], file: Path) -> None:
    """Raise DataError where a picture (HxWx3) and its depth map (HxW) differ in size. file: the depth map's, for the
    message.
    """
    if image.shape[:2] != depth.shape:
        theirs, ours = (f"{shape[1]}x{shape[0]}" for shape in (depth.shape, image.shape))
        raise DataError(f"{file}: the depth map is {theirs}, its picture {ours}; they must be of one size")
