"""Reading the picture files of a set: photographs, masks and labels; and matching them by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.errors import InputError
from redweb_builder.inputs.isolation import decoded
from redweb_builder.inputs.picture import EXTENSIONS, PHOTOGRAPHS, open_picture, read_picture, read_values
from redweb_builder.types import Picture
from trainer.types import DataError

INSTANCES = "instances"  # folder beside that of the photographs
SAME_SHAPE = 0.01  # relative difference of two aspect ratios up to which a map is one of the same view


def read_rgb(file: Path, min_side: int = 1) -> Picture:
    """A photograph as HxWx3 uint8 RGB, upright as its EXIF says (`read_picture` has the details). Raises DataError.

    file: of any form that `read_picture` takes; HEIC is decoded in a process of its own. min_side: a picture with a
    side below it is refused, px.
    """
    try:
        return decoded(read_picture, (file,), file, min_side)
    except InputError as error:
        raise DataError(str(error)) from error


def read_grey(file: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """A mask or label as HxW uint8 or uint16, as stored.

    Of a colour file the first channel, of a palette its indices; EXIF is ignored. Raises DataError.
    """
    values = read_stored(file)
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 65535:
        raise DataError(f"{file}: depth maps have 8 or 16 bits, this has values from {values.min()} to {values.max()}")
    return values.astype(np.uint16)


def read_stored(file: Path) -> NDArray[np.generic]:
    """The numbers of a picture file as stored, HxW of the file's own type; of several channels the first.

    Raises DataError.
    """
    try:
        values = read_values(file, PHOTOGRAPHS)
    except InputError as error:
        raise DataError(str(error)) from error
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    return values if values.ndim == 2 else values[..., 0]


def read_instances(folder: Path, name: str, image: Picture) -> NDArray[np.integer[Any]] | None:
    """Which thing each pixel of a photograph is of: HxW integers, 0 = of none; None where nobody has said.

    folder: the one that holds the folder of the photographs. name: of the sample, without ending; instances/NAME.png is
    read, a grey or palette picture. image: HxWx3, for the size. Raises DataError for another size.
    """
    file = folder / INSTANCES / f"{name}.png"
    if not file.is_file():
        return None
    values = read_grey(file)
    same_size(image, values, file)
    return values


def text_of(file: Path) -> dict[str, str]:
    """The text that a PNG says about itself, such as its polarity; nothing of other files. Raises DataError.

    file: a picture of any form.
    """
    try:
        with open_picture(file, min_side=1) as image:
            return {str(name): value for name, value in image.info.items() if isinstance(value, str)}
    except InputError as error:
        raise DataError(str(error)) from error


def is_file(file: Path) -> bool:
    """Whether a file is there, also for a name out of a list that no file can have: too long, or with a NUL.

    file: its path.
    """
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False


def by_stem(folder: Path, endings: frozenset[str] = EXTENSIONS) -> dict[str, Path]:
    """The files of a folder by name without ending, in order of name.

    endings: of the files wanted, in small letters. Raises DataError where two files differ in their ending only.
    """
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in endings or file.name.startswith("."):
            continue
        if file.stem in files:
            raise DataError(f"{folder}: {files[file.stem].name} and {file.name} have one name; remove one of them")
        files[file.stem] = file
    return files


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
    """Raise DataError where a picture and a map of it (depth, a mask) differ in size.

    image: HxWx3. depth: HxW. file: the map's, for the message.
    """
    if image.shape[:2] != depth.shape:
        theirs, ours = (f"{shape[1]}x{shape[0]}" for shape in (depth.shape, image.shape))
        raise DataError(f"{file}: is {theirs}, its picture {ours}; they must be of one size")


def at_picture_size(depth: NDArray[np.float32], image: Picture, file: Path) -> NDArray[np.float32]:
    """A depth map at the size of its picture, by nearest neighbour, so that no depth is made up between two others.

    depth: HxW, of the same view as the picture (LiDAR of a phone is smaller). image: HxWx3. file: the depth map's, for
    the message. Raises DataError where the proportions differ by more than SAME_SHAPE.
    """
    height, width = image.shape[:2]
    if depth.shape == (height, width):
        return depth
    if not depth.size or abs(depth.shape[1] * height / (depth.shape[0] * width) - 1) > SAME_SHAPE:
        same_size(image, depth, file)
    return np.asarray(cv2.resize(depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.float32)
