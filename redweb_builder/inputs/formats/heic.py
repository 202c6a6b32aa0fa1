"""HEIC, and Apple's spatial photographs: two pictures of one file in an entity group of type "ster".

Stereo pair group: ISO/IEC 23008-12:2022/Amd 1, as written by iPhone and Vision Pro; its first picture is the left one.
pillow-heif decodes the format (`pip install 'redweb-builder[heic]'`).
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from redweb_builder.errors import InputError
from redweb_builder.inputs.formats.rig import Camera, Rig
from redweb_builder.inputs.layout import Layout
from redweb_builder.inputs.picture import as_rgb, open_file, open_picture, to_frame
from redweb_builder.types import Picture

_EXTRINSICS = re.compile(rb"cmex((?s:.{8}))")
_HEAD = 1 << 20  # bytes; the boxes of a photograph come before its pixels
_NOT_TURNED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

EXTENSIONS = (".heic", ".heif", ".hif")


def spatial_layout(image: Image.Image) -> Layout | None:
    """Whether an opened picture is a spatial photograph; None when it is not. image: from open_picture."""
    return Layout("spatial", "HEIC, stereo pair group") if _eyes(image) else None


def read_spatial(path: Path) -> tuple[Picture, Picture]:
    """The left and the right eye of a spatial photograph, each HxWx3 uint8 RGB.

    path: of the file. Raises InputError as read_picture, and "not-a-pair" when the file holds no stereo pair group.
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


def spatial_rig(path: Path) -> Rig | None:
    """The two cameras that a spatial photograph states; None where it states none, or turned ones.

    path: of the file. Camera intrinsic and extrinsic matrix properties, ISO/IEC 23008-12:2022, 6.5.38 and 6.5.39. The
    eyes of a spatial photograph are rectified. Without two stated positions the rig is not metric. Raises InputError as
    read_picture.
    """
    cameras, turns = [], []
    with open_picture(path) as image:
        for place in _eyes(image) or ():
            image.seek(place)
            stated = image.info.get("heif", {})
            lens = stated.get("camera_intrinsic_matrix")
            if lens is None:
                return None
            focal = lens["focal_length_x"], lens["focal_length_y"]
            centre = lens["principal_point_x"], lens["principal_point_y"]
            matrix = np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1.0]])
            cameras.append(Camera(matrix, size=image.size))
            turns.append(stated.get("camera_extrinsic_matrix_rot", _NOT_TURNED))
    if len(cameras) != 2 or turns != [_NOT_TURNED, _NOT_TURNED]:
        return None
    with open_file(path) as file:
        positions = [_position_m(match[1]) for match in _EXTRINSICS.finditer(file.read(_HEAD))]
    baseline = abs(positions[1] - positions[0]) if len(positions) == 2 else 0.0
    translation = np.array([-(baseline or 1.0), 0.0, 0.0])
    return Rig(cameras[0], cameras[1], np.eye(3), translation, rectified=True, metric=baseline > 0)


def _position_m(box: bytes) -> float:
    """The x of a camera from its extrinsic matrix property, in micrometres there; 0 where it is left out."""
    flags, x = struct.unpack(">Ii", box)
    return x / 1e6 if flags & 1 else 0.0


def _eyes(image: Image.Image) -> tuple[int, int] | None:
    """The numbers of the left and the right picture."""
    for group in image.info.get("entity_groups", ()):
        pictures = group.get("images") or []
        if group.get("type") == "ster" and len(pictures) == 2 and None not in pictures:
            return pictures[0], pictures[1]
    return None
