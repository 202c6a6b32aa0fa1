"""Maps of floats as the bytes of a file."""

from __future__ import annotations

import io

import numpy as np

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
