"""Decoded pixels of any of Pillow's modes -> HxWx3 uint8 RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image

from redweb_builder.errors import InputError
from redweb_builder.types import Picture

TRANSPARENT = (128, 128, 128)  # what shows through


def to_rgb(image: Image.Image, name: str) -> Picture:
    """HxWx3 uint8 RGB of a decoded picture; see read_picture for what becomes of other modes.

    name: of the file, for people. Raises InputError "unsupported" for floating-point and 32-bit values.
    """
    if image.mode == "F" or (image.mode == "I" and not _fits_16_bit(image)):
        raise InputError(
            "unsupported", f"{name}: holds floating-point or 32-bit values, like a depth map; give 8 or 16 bits"
        )
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.uint32)
        return np.repeat(((deep + 128) // 257).astype(np.uint8)[:, :, None], 3, axis=2)
    try:
        if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
            layered = image.convert("RGBA")
            flat = Image.new("RGB", image.size, TRANSPARENT)
            flat.paste(layered, mask=layered.getchannel("A"))
            return np.array(flat)
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as error:
        raise InputError("unsupported", f"{name}: colour mode {image.mode} cannot be converted to RGB") from error


def _fits_16_bit(image: Image.Image) -> bool:
    """Pillow before 11 opens 16-bit grey PNG files as 32-bit integers."""
    values = np.asarray(image)
    return image.format == "PNG" or (int(values.min()) >= 0 and 255 < int(values.max()) <= 65535)
