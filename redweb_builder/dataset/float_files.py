"""Maps of floats as the bytes of a file."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np

from redweb_builder.errors import SettingsError
from redweb_builder.types import FloatMap


def npy_bytes(values: FloatMap) -> bytes:
    """NumPy's own format. values: HxW float32; NaN stays NaN."""
    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(values), allow_pickle=False)
    return content.getvalue()


def pfm_bytes(values: FloatMap) -> bytes:
    """Portable float map, grey, as Middlebury and SceneFlow write it: little-endian, the last row first.

    values: HxW float32; NaN and infinity stay what they are (Middlebury marks unknown disparity with infinity).
    """
    height, width = values.shape
    return f"Pf\n{width} {height}\n-1.0\n".encode() + values[::-1].astype("<f4").tobytes()


def exr_bytes(values: FloatMap, channel: str = "Y") -> bytes:
    """OpenEXR with one channel of float32, compressed without loss. Raises SettingsError without the package OpenEXR.

    values: HxW float32; NaN stays NaN. channel: its name; compositing programs take Z for distance, Y for brightness.
    """
    try:
        import OpenEXR
    except ImportError as error:
        raise SettingsError("writing EXR needs OpenEXR: pip install 'redweb-builder[exr]'") from error
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with tempfile.TemporaryDirectory() as folder:  # the library writes files alone
        file = Path(folder) / "map.exr"
        OpenEXR.File(header, {channel: np.ascontiguousarray(values, np.float32)}).write(str(file))
        return file.read_bytes()
