"""The layouts of rectified stereo that stereo networks are trained on: KITTI 2015, Middlebury, FlyingThings3D.

Each has, besides its own files, the mask and the confidence of the data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.dataset.codec import image_bytes
from redweb_builder.dataset.depth_png import IN_PIXELS_X_256, depth_png
from redweb_builder.dataset.float_files import pfm_bytes
from redweb_builder.types import FloatMap, Mask, Picture

KITTI_STEPS = 256  # a px, of KITTI's 16-bit files
KITTI_LARGEST_PX = 65535 / KITTI_STEPS


@dataclass(frozen=True)
class RectifiedPair:
    """A pair as stereo networks want it.

    left, right: HxWx3 uint8 RGB, rows aligned. disparity: HxW float32 px of the left view, > 0, NaN = unknown. mask:
    HxW uint8 of Mask values, confidence: HxW uint8; both as in the data set. shift: px, what was added to the data
    set's disparity. fx_px, baseline_m, doffs_px: Z = fx_px * baseline_m / (disparity + doffs_px); None = not known.
    """

    left: Picture
    right: Picture
    disparity: FloatMap
    mask: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    shift: int
    fx_px: float | None
    baseline_m: float | None
    doffs_px: float | None


def kitti_files(name: str, pair: RectifiedPair) -> dict[str, bytes]:
    """The files of KITTI 2015 (Menze and Geiger 2015), by path: 16-bit PNG, px x 256, 0 = unknown.

    disp_occ_0 has all of the disparity, disp_noc_0 what both views confirmed. name: of the pair. pair: its content.
    Disparities of more than 255.99 px have no place in them, and are unknown.
    """
    files = _kitti_pictures(name, pair)
    for place, disparity in (("disp_occ_0", pair.disparity), ("disp_noc_0", _confirmed(pair))):
        files[f"training/{place}/{name}_10.png"] = depth_png(kitti_values(disparity), IN_PIXELS_X_256)
    return files


def _kitti_pictures(name: str, pair: RectifiedPair) -> dict[str, bytes]:
    pictures = {"image_2": pair.left, "image_3": pair.right, "mask": pair.mask, "confidence_map": pair.confidence}
    return {f"training/{place}/{name}_10.png": _png(picture) for place, picture in pictures.items()}


def kitti_values(disparity: FloatMap) -> NDArray[np.uint16]:
    """Disparity as KITTI's files have it. disparity: HxW float32 px, > 0, NaN = unknown."""
    stored = np.isfinite(disparity) & (disparity <= KITTI_LARGEST_PX)
    return np.where(stored, np.rint(np.nan_to_num(disparity) * KITTI_STEPS).clip(1, 65535), 0).astype(np.uint16)


def middlebury_files(name: str, pair: RectifiedPair) -> dict[str, bytes]:
    """The files of a scene of Middlebury's evaluation, version 3 (Scharstein et al. 2014), by path.

    disp0GT.pfm is infinite where nothing is known. mask0nocc.png: 255 confirmed by both views, 128 filled in, 0
    unknown. name: of the pair. pair: its content.
    """
    occlusion = np.select([pair.mask == Mask.MEASURED, pair.mask == Mask.FILLED], [255, 128], 0).astype(np.uint8)
    contents = {
        "im0.png": _png(pair.left),
        "im1.png": _png(pair.right),
        "disp0GT.pfm": pfm_bytes(_infinite(pair.disparity)),
        "mask0nocc.png": _png(occlusion),
        "calib.txt": calibration_text(pair).encode(),
        "mask.png": _png(pair.mask),
        "confidence_map.png": _png(pair.confidence),
    }
    return {f"trainingF/{name}/{file}": content for file, content in contents.items()}


def calibration_text(pair: RectifiedPair) -> str:
    """calib.txt of Middlebury; without cameras where focal length and baseline are not known.

    pair: whose principal point is taken for the middle of its picture, since the data set does not have it.
    """
    height, width = pair.mask.shape
    values: dict[str, Any] = {}
    if pair.fx_px is not None and pair.baseline_m is not None and pair.doffs_px is not None:
        focal, x, y = pair.fx_px, (width + pair.shift - 1) / 2, (height - 1) / 2
        for camera, centre in (("cam0", x), ("cam1", x + pair.doffs_px)):
            values[camera] = f"[{focal:.9g} 0 {centre:.9g}; 0 {focal:.9g} {y:.9g}; 0 0 1]"
        values |= {"doffs": f"{pair.doffs_px:.9g}", "baseline": f"{1000 * pair.baseline_m:.9g}"}
    low, high = float(np.nanmin(pair.disparity)), float(np.nanmax(pair.disparity))
    values |= {"width": width, "height": height, "ndisp": ceil(high) + 1, "isint": 0}
    values |= {"vmin": int(low), "vmax": ceil(high)}
    return "".join(f"{name}={value}\n" for name, value in values.items())


def sceneflow_files(name: str, pair: RectifiedPair) -> dict[str, bytes]:
    """The files of a scene of FlyingThings3D (Mayer et al. 2016), by path; disparity is infinite where unknown.

    name: of the pair. pair: its content.
    """
    scene = f"TRAIN/A/{name}"
    return {
        f"frames_cleanpass/{scene}/left/0000.png": _png(pair.left),
        f"frames_cleanpass/{scene}/right/0000.png": _png(pair.right),
        f"disparity/{scene}/left/0000.pfm": pfm_bytes(_infinite(pair.disparity)),
        f"mask/{scene}/left/0000.png": _png(pair.mask),
        f"confidence_map/{scene}/left/0000.png": _png(pair.confidence),
    }


# layout -> files(name, pair) by their paths. Names are numbers: loaders replace words such as "left" in whole paths.
LAYOUTS: dict[str, Callable[[str, RectifiedPair], dict[str, bytes]]] = {
    "middlebury": middlebury_files,
    "kitti": kitti_files,
    "sceneflow": sceneflow_files,
}


def _confirmed(pair: RectifiedPair) -> FloatMap:
    return np.where(pair.mask == Mask.MEASURED, pair.disparity, np.float32(np.nan))


def _infinite(disparity: FloatMap) -> FloatMap:
    return np.where(np.isfinite(disparity), disparity, np.float32(np.inf))


def _png(values: NDArray[Any]) -> bytes:
    return image_bytes(Image.fromarray(np.ascontiguousarray(values)), "PNG", compress_level=3)
