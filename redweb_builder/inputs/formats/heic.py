"""HEIC, and Apple's spatial photographs: two pictures of one file in an entity group of type "ster".

Stereo pair group: ISO/IEC 23008-12:2022/Amd 1, as written by iPhone and Vision Pro; its first picture is the left one.
pillow-heif decodes the format (`pip install 'redweb-builder[heic]'`).
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from redweb_builder.errors import InputError
from redweb_builder.inputs.layout import Layout
from redweb_builder.inputs.picture import as_rgb, open_picture, to_frame
from redweb_builder.types import Picture

EXTENSIONS = (".heic", ".heif", ".hif")


def spatial_layout(image: Image.Image) -> Layout | None:
    """Whether an opened picture is a spatial photograph; None when it is not."""
    return Layout("spatial", "HEIC, stereo pair group") if _eyes(image) else None


def read_spatial(path: Path) -> tuple[Picture, Picture]:
    """The left and the right eye of a spatial photograph, each HxWx3 uint8 RGB.

    Raises InputError as read_picture, and "not-a-pair" when the file holds no stereo pair group.
    """
    with open_picture(path) as image:
        places = _eyes(image)
        if places is None:
            raise InputError("not-a-pair", f"{path}: holds no stereo pair group")
        first, second = places
        if not to_frame(image, first):
            raise InputError("corrupt", f"{path}: has no picture {first + 1}, where its left eye should be")
        left = as_rgb(image)
        if not to_frame(image, second):
            raise InputError("corrupt", f"{path}: has no picture {second + 1}, where its right eye should be")
        return left, as_rgb(image)


def _eyes(image: Image.Image) -> tuple[int, int] | None:
    """The numbers of the left and the right picture."""
    for group in image.info.get("entity_groups", ()):
        pictures = group.get("images") or []
        if group.get("type") == "ster" and len(pictures) == 2 and None not in pictures:
            return pictures[0], pictures[1]
    return None
