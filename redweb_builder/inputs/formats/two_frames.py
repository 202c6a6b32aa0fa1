"""Two frames of one file for the two eyes: "wiggle" GIF and WebP animations, and TIFF files of two pages."""

from __future__ import annotations

from pathlib import Path

from PIL import ImageFile

from redweb_builder.errors import InputError
from redweb_builder.inputs.content.agreement import AGREEMENT, agreement
from redweb_builder.inputs.content.refuse import is_drawing
from redweb_builder.inputs.layout import Layout, NotPair
from redweb_builder.inputs.picture import as_rgb, is_animated, open_picture, to_frame
from redweb_builder.types import Picture

_FORMATS = ("GIF", "WEBP", "TIFF", "PNG")


def two_frames_layout(image: ImageFile.ImageFile) -> Layout | NotPair | None:
    """Whether an opened picture holds two frames that agree (guessed); None for all others.

    image: from open_picture. The picture is left at its first frame, not decoded. Raises InputError as read_picture.
    """
    if not has_two_frames(image):
        return None
    kind = image.format
    size = image.size
    first = as_rgb(image)
    to_frame(image, 1)
    second = as_rgb(image) if image.size == size else None
    to_frame(image, 0)
    if second is None or is_drawing(first):
        return None
    score = agreement(first, second)
    if score < AGREEMENT:
        return None
    return Layout("two-frames", f"two frames of a {kind} file that agree ({score:.2f})", guessed=True)


def has_more_frames(image: ImageFile.ImageFile) -> bool:
    """Whether an opened picture is an animation or a document of several pages; raises InputError "corrupt".

    image: from open_picture.
    """
    return image.format in _FORMATS and is_animated(image)


def has_two_frames(image: ImageFile.ImageFile) -> bool:
    """Whether an opened picture is an animation or a document of exactly two frames; it is left at the first.

    image: from open_picture.
    """
    if not has_more_frames(image):
        return False
    two = to_frame(image, 1) and not to_frame(image, 2)
    to_frame(image, 0)
    return two


def read_two_frames(path: Path) -> tuple[Picture, Picture]:
    """The first and the second frame, each HxWx3 uint8 RGB.

    path: of the file. Raises InputError as read_picture, "not-a-pair" where there are not two, "size-mismatch" where
    they differ in size.
    """
    with open_picture(path) as image:
        if not has_two_frames(image):
            raise InputError("not-a-pair", f"{path}: does not hold two frames")
        first = as_rgb(image)
        to_frame(image, 1)
        second = as_rgb(image)
    if first.shape != second.shape:
        raise InputError("size-mismatch", f"{path}: frames of {first.shape} and {second.shape}")
    return first, second
