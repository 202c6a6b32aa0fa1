"""Two calibrated cameras: what a calibration states, and whether a pair of cameras can be like that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Size = tuple[int, int]

MAX_TURN_DEG = 45.0  # between the eyes; more is not stereo
MAX_OFF_CENTRE = 0.3  # of a side: how far a principal point may lie from the middle
FOCAL_SIDES = (0.1, 50.0)  # focal length over the longer side
BASELINES_M = (1e-3, 1e3)
COEFFICIENTS = (0, 4, 5, 8, 12, 14)  # as many as OpenCV's model may have; the fisheye model has 4


class NotUsable(Exception):
    """A calibration that is left aside; str() says why, for people."""


@dataclass(frozen=True, eq=False)
class Camera:
    """One eye of a rig.

    matrix: 3x3 float64, px of the source picture, whole numbers at the centres of pixels. distortion: coefficients in
    OpenCV's order; of the fisheye (equidistant) model where `fisheye`. size: (width, height) px; None = not stated.
    """

    matrix: Matrix
    distortion: tuple[float, ...] = ()
    fisheye: bool = False
    size: Size | None = None


@dataclass(frozen=True, eq=False)
class Rig:
    """Two cameras. A point p of the left camera's frame (x right, y down, z ahead) is rotation @ p + translation in the
    right camera's.

    rotation: 3x3. translation: 3, metres where `metric`, else of no known unit. rectified: the file is of pictures that
    are rectified. unit_note: what was assumed of the unit; empty where the form fixes it.
    """

    left: Camera
    right: Camera
    rotation: Matrix
    translation: Matrix
    rectified: bool = False
    metric: bool = True
    unit_note: str = ""


def check_rig(rig: Rig, size: Size) -> None:
    """Raise NotUsable for what no pair of cameras with pictures of `size` (width, height) can be.

    rig: what a calibration states.
    """
    for eye, camera in (("left", rig.left), ("right", rig.right)):
        _check_camera(eye, camera, size)
    turn = rig.rotation
    if not (np.isfinite(turn).all() and np.isfinite(rig.translation).all()):
        raise NotUsable("the place of the right camera is not a number")
    if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-2 or np.linalg.det(turn) < 0:
        raise NotUsable("the turn between the cameras is no rotation")
    if np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) > MAX_TURN_DEG:
        raise NotUsable(f"the cameras are turned by more than {MAX_TURN_DEG:.0f} degrees against each other")
    x, y, z = rig.translation
    length = float(np.linalg.norm(rig.translation))
    if not length or (rig.metric and not BASELINES_M[0] <= length <= BASELINES_M[1]):
        raise NotUsable(f"a baseline of {length:g} m")
    if max(abs(y), abs(z)) > abs(x):
        raise NotUsable("the cameras do not stand side by side")
    if x > 0:
        raise NotUsable("its left camera stands on the right: the eyes are the other way round")


def _check_camera(eye: str, camera: Camera, size: Size) -> None:
    if not np.isfinite([*camera.matrix.ravel(), *camera.distortion]).all():
        raise NotUsable(f"the {eye} camera's matrix or distortion is not a number")
    if len(camera.distortion) not in ((4,) if camera.fisheye else COEFFICIENTS):
        raise NotUsable(f"{len(camera.distortion)} coefficients of distortion")
    if camera.size is not None and camera.size != size:
        raise NotUsable(f"for pictures of {camera.size[0]} x {camera.size[1]} px, but these have {size[0]} x {size[1]}")
    focal, centre = camera.matrix.diagonal()[:2], camera.matrix[:2, 2]
    low, high = (share * max(size) for share in FOCAL_SIDES)
    if not (low <= focal.min() and focal.max() <= high):
        raise NotUsable(f"a focal length of {focal[0]:g} px for pictures of {size[0]} x {size[1]} px")
    if np.any(np.abs(centre / np.array(size) - 0.5) > MAX_OFF_CENTRE):
        raise NotUsable(
            f"a principal point at {centre[0]:.0f}, {centre[1]:.0f} in pictures of {size[0]} x {size[1]} px"
        )
