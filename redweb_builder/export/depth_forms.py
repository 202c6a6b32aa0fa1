"""The depth of one picture in the forms that people use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.colour import disparity_picture
from redweb_builder.config import FRAME_FORMS
from redweb_builder.dataset.codec import image_bytes
from redweb_builder.dataset.depth_png import depth_png, range_text, stretched, write_depth
from redweb_builder.dataset.float_files import npy_bytes, pfm_bytes
from redweb_builder.export.points import ply, points_of
from redweb_builder.files import write_atomic
from redweb_builder.types import FloatMap, Picture

Ends = tuple[float, float]  # px, the disparities of the farthest and the nearest; the first is smaller
STEADY_SHARE = 0.5  # of the frame before, in a steady film
STEADY_RANGE = 0.03  # of the film's range; what changes by more has moved, and is not mixed


def frame_picture(form: str, image: Picture, disparity: FloatMap, ends: Ends) -> Picture:
    """The depth as a picture.

    form: "colour", "grey" (white = near), or "side" (the photograph, then the colours). image: HxWx3 uint8 RGB.
    disparity: HxW float32 px, larger = nearer, NaN = unknown. ends: of the colours.
    """
    if form == "grey":
        return np.repeat((stretched(disparity, ends) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    colour = disparity_picture(disparity, *ends)
    return np.hstack([image, colour]) if form == "side" else colour


def write_frame(
    form: str, stem: Path, image: Picture, disparity: FloatMap, mask: NDArray[np.uint8], ends: Ends
) -> Path:
    """Write one form of FRAME_FORMS and return its file.

    form: "png" = 16 bits, `ends` are 0 and 65535; "npy", "pfm" = px, NaN = unknown; "ply" = coloured points; or as
    frame_picture has them. stem: of the file, without an ending; its folder exists. image: HxWx3 uint8 RGB. disparity:
    HxW float32 px, larger = nearer, NaN = unknown. mask: HxW uint8 of Mask values. ends: of numbers and colours. "grey"
    is a PNG of one channel of 8 bits. Raises as write_depth.
    """
    assert form in FRAME_FORMS
    if form == "png":
        content, ending = depth_png(stretched(disparity, ends), range_text(ends) | {"unknown": "0"}), ".png"
    elif form in ("npy", "pfm"):
        content, ending = (npy_bytes if form == "npy" else pfm_bytes)(disparity), f".{form}"
    elif form == "ply":
        content, ending = ply(points_of(image, disparity, mask)), ".ply"
    else:
        picture = Image.fromarray(frame_picture(form, image, disparity, ends))
        content, ending = image_bytes(picture.convert("L") if form == "grey" else picture, "PNG"), f"_{form}.png"
    file = stem.with_name(f"{stem.name}{ending}")
    (write_depth if form == "png" else write_atomic)(file, content)
    return file


def steady(before: FloatMap | None, now: FloatMap, ends: Ends) -> FloatMap:
    """A frame mixed with the steady frame before it, where nothing has moved.

    before: HxW float32 px, the result for the frame before; None at the start and after a cut. now: HxW float32 px,
    NaN = unknown. ends: px, of the film. A clip has one alignment, and so one scale of disparity.
    """
    if before is None or before.shape != now.shape:
        return now
    same = np.abs(before - now) <= STEADY_RANGE * (ends[1] - ends[0])  # False where either is unknown
    return np.where(same, STEADY_SHARE * before + (1 - STEADY_SHARE) * now, now).astype(np.float32)
