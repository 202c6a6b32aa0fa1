"""RDs/<key>.png: relative depth in 16 bits, and back; Imgs/<key>.*. Nothing else knows how disparity is stored."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from redweb_builder.inputs.picture import open_picture, values_of
from redweb_builder.types import FloatMap, Label, Mask, Picture
from redweb_builder.version import FORMAT

POLARITY = "0 = nearest, 65535 = sky"
SKY_VALUE = 65535
FARTHEST = 65534  # the farthest value that is not sky
# Run lengths alone: on label maps half the time of zlib's search for repeats, and no larger files.
MAP_COMPRESSION = {"compress_level": 1, "compress_type": zlib.Z_RLE}


def encode(label: Label) -> tuple[NDArray[np.uint16], float, float]:
    """Label -> (HxW uint16 values, scale, offset) with disparity_px = offset + scale * value.

    label: its disparity (HxW float32 px) and mask are stored. The nearest labelled pixel is 0 and the farthest that is
    not sky 65534; sky and unknown pixels are 65535, which the mask distinguishes. scale is negative. The rounding error
    is at most half of -scale.
    """
    finite = label.disparity[(label.mask == Mask.MEASURED) | (label.mask == Mask.FILLED)].astype(np.float64)
    nearest, farthest = (float(finite.max()), float(finite.min())) if finite.size else (0.0, 0.0)
    scale = min((farthest - nearest) / FARTHEST, -1e-9)
    values = np.round((label.disparity.astype(np.float64) - nearest) / scale)
    values = np.where(np.isfinite(values), np.clip(values, 0, FARTHEST), SKY_VALUE)
    values[(label.mask == Mask.SKY) | (label.mask == Mask.UNKNOWN)] = SKY_VALUE
    return values.astype(np.uint16), scale, nearest


def decode(values: NDArray[np.uint16], mask: NDArray[np.uint8], scale: float, offset: float) -> FloatMap:
    """The inverse of encode: HxW float32 px, NaN where the mask is UNKNOWN; sky is one step beyond the farthest.

    values: HxW uint16 of the file. mask: HxW uint8, values of Mask. scale, offset: px, of the file's text.
    """
    disparity = (offset + scale * values.astype(np.float64)).astype(np.float32)
    disparity[mask == Mask.UNKNOWN] = np.nan
    return disparity


def preview_bytes(strip: Picture) -> bytes:
    """previews/<key>.jpg: a JPEG with colours at full resolution. strip: HxWx3 uint8 RGB."""
    return image_bytes(Image.fromarray(strip), "JPEG", quality=90, subsampling=0)


def png_of_label(label: Label) -> bytes:
    """RDs/<key>.png: 16-bit grey PNG with format, polarity, scale and offset as text. label: as of encode."""
    values, scale, offset = encode(label)
    text = PngInfo()
    text.add_text("format", FORMAT)
    text.add_text("polarity", POLARITY)
    text.add_text("scale", repr(scale))
    text.add_text("offset", repr(offset))
    return image_bytes(Image.fromarray(values), "PNG", pnginfo=text, **MAP_COMPRESSION)


def pngs_of_label(label: Label) -> tuple[bytes, bytes, bytes]:
    """The files of a label: RDs/<key>.png, and 8-bit grey masks/<key>.png and confidence/<key>.png.

    label: as of encode.
    """
    mask, confidence = (
        image_bytes(Image.fromarray(values), "PNG", **MAP_COMPRESSION) for values in (label.mask, label.confidence)
    )
    return png_of_label(label), mask, confidence


def label_text(png: bytes) -> tuple[float, float]:
    """(scale, offset) that stand in the bytes of RDs/<key>.png; disparity_px = offset + scale x value."""
    with open_picture(png, min_side=1, formats=("PNG",)) as image:
        values_of(image)  # text may lie behind the pixels
        return float(image.text["scale"]), float(image.text["offset"])  # type: ignore[attr-defined]


def image_bytes(image: Image.Image, form: str, **options: Any) -> bytes:
    """image: a picture -> the bytes of a file. form: Pillow's name of the format. options: those of Image.save."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture_name(key: str, lossless: bool) -> str:
    """The file of a left view, below the data set. key: of the pair. lossless: whether it is a PNG, else a JPEG."""
    return f"Imgs/{key}.{'png' if lossless else 'jpg'}"


def picture_bytes(picture: Picture, lossless: bool) -> bytes:
    """The content of that file. picture: HxWx3 uint8 RGB. lossless: as of picture_name."""
    image = Image.fromarray(picture)
    if lossless:
        return image_bytes(image, "PNG", compress_level=3)
    return image_bytes(image, "JPEG", quality=95, subsampling=0)
