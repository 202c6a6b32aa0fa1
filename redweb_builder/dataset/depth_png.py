"""16-bit PNGs for others, which say in their text what their numbers mean: "polarity" and "unit".

What `depth`, `predict`, `convert-nyu` and the export for KITTI write. A data set's own labels: codec.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from redweb_builder.dataset.codec import POLARITY, image_bytes
from redweb_builder.errors import InputError, SettingsError
from redweb_builder.files import write_atomic
from redweb_builder.inputs.picture import open_picture
from redweb_builder.types import FloatMap

NEAREST_HIGHEST = "65535 = nearest"  # "polarity" of relative depth
RELATIVE = (NEAREST_HIGHEST, POLARITY)  # what says that a PNG holds no length
IN_MILLIMETRES = {"polarity": "larger = farther", "unit": "millimetres", "unknown": "0"}
PLACE = "source"  # entry of the text of a PNG: a hash of where its photograph lies
IN_PIXELS_X_256 = {"polarity": "larger = nearer", "unit": "px / 256", "unknown": "0"}  # disparity, as KITTI has it


def stretched(depth: FloatMap, ends: tuple[float, float] | None = None) -> NDArray[np.uint16]:
    """Relative depth as 16 bits: the farthest 0, the nearest 65535; a flat map is 0, and so is NaN.

    depth: HxW float32, larger = nearer. ends: what becomes 0 and 65535; default the map's own ends.
    """
    low, high = ends or (float(depth.min()), float(depth.max()))
    values = (depth.astype(np.float64) - low) * (65535 / max(high - low, 1e-12))
    return np.rint(np.nan_to_num(values)).clip(0, 65535).astype(np.uint16)


def range_text(ends: tuple[float, float]) -> dict[str, str]:
    """The text of a PNG whose values are `stretched`. ends: the numbers that are 0 and 65535."""
    return {"polarity": NEAREST_HIGHEST, "farthest": repr(ends[0]), "nearest": repr(ends[1])}


def depth_png(values: NDArray[np.uint16], text: Mapping[str, str]) -> bytes:
    """A 16-bit PNG that says in its text what its numbers mean, so that a reader need not guess.

    values: HxW. text: entries of the PNG's text.
    """
    chunks = PngInfo()
    for name, value in text.items():
        chunks.add_text(name, value)
    return image_bytes(Image.fromarray(values), "PNG", pnginfo=chunks)


def is_depth(file: Path) -> bool:
    """Whether a file is a 16-bit PNG that says what its numbers mean, as those of this program. file: of any form."""
    with suppress(InputError), open_picture(file, min_side=1, formats=("PNG",)) as picture:
        return picture.mode.startswith("I") and "polarity" in picture.info
    return False


def write_depth(file: Path, content: bytes, place: str | None = None) -> None:
    """Write a 16-bit PNG, also over an earlier one.

    file: where. content: of depth_png. place: PLACE in its text. Raises SettingsError where another picture is there,
    or the depth of another photograph: it would be lost; OSError, UnsafePath.
    """
    with suppress(InputError), open_picture(file, min_side=1, formats=("PNG",)) as there:
        if not there.mode.startswith("I"):
            raise SettingsError(f"{file} is a picture and no depth of 16 bits, and would be lost: choose another --out")
        if place is not None and there.info.get(PLACE, place) != place:
            raise SettingsError(f"{file} is the depth of another file, and would be lost: choose another --out")
    write_atomic(file, content)
