"""A sample as a cloud of coloured points (.ply), for 3D viewers.

The depth is plausible, not measured, since baseline and focal length are unknown. The nearest label pixel is put at
distance 1 and the farthest at FARTHEST; one over the distance is affine in disparity between them. The horizontal field
of view is taken to be VIEW_DEGREES.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import radians, tan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redweb_builder.dataset.reader import Dataset
from redweb_builder.export.names import file_namer
from redweb_builder.files import create
from redweb_builder.types import FloatMap, Mask, Picture

FARTHEST = 4.0
VIEW_DEGREES = 55.0
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")])
SURE_POINT = np.dtype([*((name, POINT[name]) for name in POINT.names or ()), ("confidence", "u1")])
_PLY_TYPES = {"<f4": "float", "|u1": "uchar"}


def points_of(
    image: Picture, disparity: FloatMap, mask: NDArray[np.uint8], confidence: NDArray[np.uint8] | None = None
) -> NDArray[np.void]:
    """The measured and filled pixels of a sample as points; sky and unknown pixels are left out.

    image: HxWx3 uint8 RGB. disparity: HxW float32, px, larger = nearer. mask: HxW uint8 of Mask values.
    confidence: HxW uint8, 255 = sure; None leaves it out. Returns N points of type SURE_POINT, or POINT without
    confidence, the nearest at distance 1. x points to the right, y up, z towards the viewer; the camera is at the
    origin and faces -z, as in OpenGL and glTF.
    """
    rows, columns = np.nonzero((mask == Mask.MEASURED) | (mask == Mask.FILLED))
    points = np.zeros(len(rows), POINT if confidence is None else SURE_POINT)
    if not len(rows):
        return points
    depth = plausible_distances(disparity[rows, columns])
    height, width = mask.shape
    focal = plausible_focal(width)
    points["x"] = (columns - (width - 1) / 2) / focal * depth
    points["y"] = ((height - 1) / 2 - rows) / focal * depth
    points["z"] = -depth
    for channel, name in enumerate(("red", "green", "blue")):
        points[name] = image[rows, columns, channel]
    if confidence is not None:
        points["confidence"] = confidence[rows, columns]
    return points


def plausible_distances(disparity: FloatMap) -> NDArray[np.float64]:
    """Distances from 1, the nearest, to FARTHEST. disparity: N float32, px, larger = nearer, N > 0 and all known."""
    known = disparity.astype(np.float64)
    share = (known - known.min()) / max(float(np.ptp(known)), 1e-9)  # 1 = nearest
    return np.asarray(1 / (1 / FARTHEST + (1 - 1 / FARTHEST) * share))


def plausible_focal(width: int) -> float:
    """The focal length in px of a picture that is `width` px wide and VIEW_DEGREES across."""
    return width / 2 / tan(radians(VIEW_DEGREES / 2))


def ply(points: NDArray[np.void]) -> bytes:
    """Points as a binary PLY file (Turk, "The PLY Polygon File Format", 1994). points: N, of points_of."""
    kinds = points.dtype
    properties = "".join(f"property {_PLY_TYPES[kinds[name].str]} {name}\n" for name in kinds.names or ())
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{properties}end_header\n"
    return header.encode("ascii") + points.tobytes()


def write_points(dataset: Dataset, keys: Sequence[str], folder: Path) -> Iterator[str]:
    """Write a PLY file for each sample; yields each key when it is done.

    dataset, keys: what is exported. folder: an empty folder. Raises StoreError, OSError.
    """
    name_of = file_namer(keys)
    for key in keys:
        name = name_of(key)
        sample = dataset[key]
        with create(folder / f"{name}.ply") as file:
            file.write(ply(points_of(sample.image, sample.disparity, sample.mask, sample.confidence)))
        yield key
