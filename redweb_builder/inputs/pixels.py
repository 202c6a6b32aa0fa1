"""Decoded pixels of any of Pillow's modes -> HxWx3 uint8 RGB.

Files of 16 bits may hold values of 10, 12 or 14 bits, as cameras and benchmarks write them: the range in use decides.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from redweb_builder.errors import InputError
from redweb_builder.types import Picture

TRANSPARENT = (128, 128, 128)  # what shows through
DEPTHS = (10, 12, 14, 16)  # bits that the values of a 16-bit file may have
# TIFF 6.0
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE, _PLANAR_CONFIGURATION, _SAMPLE_FORMAT = 258, 262, 281, 284, 339
_WHITE_IS_ZERO, _IN_PLANES = 0, 2
_FULL_HIGH_BYTE = 1 << (14 - 8)  # a high byte from here on: more than 14 bits are in use


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether an opened picture, not decoded yet, stores unsigned integers of 16 bits. image: from open_picture."""
    if image.format == "PNG":
        return bool(image.tile) and ";16" in str(image.tile[0].args)
    if image.format == "TIFF":
        tags = _tags(image)
        bits, kind = tags.get(_BITS_PER_SAMPLE, (1,)), tags.get(_SAMPLE_FORMAT, (1,))
        return set(bits) == {16} and set(kind) == {1}
    return False


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """The tags of a TIFF file; none of others."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    return tags


def deep_values(image: ImageFile.ImageFile, file: IO[bytes] | None) -> NDArray[np.uint16] | None:
    """The 16-bit values of a decoded picture, HxW or HxWxC in RGB order; None where eight bits say enough of them.

    image: decoded. file: the picture's, open; None behind the first of several pages. Pillow keeps the high byte of a
    colour value only; that is enough where more than 14 bits are in use. Raises InputError "unsupported".
    """
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if file is None or image.tell() or int(np.asarray(image.convert("RGB")).max()) >= _FULL_HIGH_BYTE:
        return None
    if _tags(image).get(_PLANAR_CONFIGURATION) == _IN_PLANES:  # OpenCV mixes them up
        why = "10 to 14 bits a value, each colour in a plane of its own; save it with interleaved colours"
        raise InputError("unsupported", f"{getattr(image, 'filename', '')}: {why}")
    file.seek(0)
    values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != (image.height, image.width):
        return None
    if values.ndim == 3:
        values = cv2.cvtColor(values, cv2.COLOR_BGRA2RGBA if values.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return np.asarray(values, np.uint16)


def bits_in_use(values: NDArray[np.uint16] | None, stated: int) -> int:
    """How many of the 16 bits the values use: the fewest of DEPTHS that hold them, and no fewer than stated.

    values: as of deep_values. Values that were scaled to 16 bits, as the PNG specification wants it, use all of them.
    """
    if values is None:
        return 16
    highest = int(values[..., :3].max()) if values.ndim == 3 else int(values.max())
    return next(bits for bits in DEPTHS if highest < 1 << bits and bits >= min(stated, 16))


def stated_bits(image: ImageFile.ImageFile, file: IO[bytes] | None) -> int:
    """The significant bits that a 16-bit file states: PNG's chunk sBIT, TIFF's MaxSampleValue; 0 for none.

    image: from open_picture. file: the picture's, open; None for one of several pages, which states none.
    """
    if image.format == "TIFF":
        highest = _tags(image).get(_MAX_SAMPLE_VALUE, 0)
        value = max(highest, default=0) if isinstance(highest, tuple) else highest
        return int(value).bit_length() if isinstance(value, int) and 0 < value < 65535 else 0
    if file is None:
        return 0
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT" or length > 1 << 24:
            break
        content = file.read(length)
        file.read(4)
        if kind == b"sBIT":
            return max(content[:4], default=0)
    return 0


def in_8_bits(image: Image.Image, values: NDArray[np.uint16] | None, bits: int) -> Image.Image:
    """A picture of 16 bits a value as one of eight, its mode L, RGB or RGBA.

    image: decoded. values: its own, as of deep_values. bits: how many of the 16 count as full range, see bits_in_use.
    """
    if values is None:
        return image
    full = (1 << bits) - 1
    scaled = (
        (values.astype(np.uint32) * 255 + full // 2) // full if bits < 16 else (values.astype(np.uint32) + 128) // 257
    )
    shown = Image.fromarray(np.minimum(scaled, 255).astype(np.uint8))
    return ImageOps.invert(shown) if _tags(image).get(_PHOTOMETRIC) == _WHITE_IS_ZERO else shown


def to_rgb(image: Image.Image, name: str) -> Picture:
    """HxWx3 uint8 RGB of a decoded picture; see read_picture for what becomes of other modes.

    image: decoded. name: of the file, for people. Raises InputError "unsupported" for floating-point and 32-bit values.
    """
    if image.mode == "F" or (image.mode == "I" and not _fits_16_bit(image)):
        raise InputError(
            "unsupported", f"{name}: holds floating-point or 32-bit values, like a depth map; give 8 or 16 bits"
        )
    if image.mode.startswith("I"):
        image = in_8_bits(image, np.asarray(image).astype(np.uint16), 16)
    try:
        if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
            layered = image.convert("RGBA")
            if not layered.getchannel("A").getbbox():
                return np.array(layered.convert("RGB"))  # all transparent: screenshots of games are, and show something
            flat = Image.new("RGB", image.size, TRANSPARENT)
            flat.paste(layered, mask=layered.getchannel("A"))
            return np.array(flat)
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as error:
        raise InputError("unsupported", f"{name}: colour mode {image.mode} cannot be converted to RGB") from error


def _fits_16_bit(image: Image.Image) -> bool:
    values = np.asarray(image)
    return int(values.min()) >= 0 and 255 < int(values.max()) <= 65535
