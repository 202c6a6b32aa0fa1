"""Calibration files of one rig in every form, and what becomes of them, for `benchmarks.robustness.fuzz`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from redweb_builder.rectification.calibrated import calibrate
from redweb_builder.types import PairSource, StereoPair
from samples.scenes import render

SIZE = (96, 72)
CAMERA = "90.0 0.0 47.5 0.0 90.0 35.5 0.0 0.0 1.0"
OTHER_EYE = {"left.yaml": "right.yaml", "right.yaml": "left.yaml"}  # files that only mean something together
OTHER_EYE |= {"cameras.txt": "images.txt", "images.txt": "cameras.txt"}


def calibrations() -> dict[str, bytes]:
    """A file of every form, by name: Middlebury, KITTI, Kalibr, ROS (two files), OpenCV, COLMAP (two files)."""
    kalibr = "".join(
        f"cam{number}:\n  camera_model: pinhole\n  distortion_coeffs: [-0.002, 0.0, 0.0, 0.0]\n"
        "  distortion_model: radtan\n  resolution: [96, 72]\n  intrinsics: [90.0, 90.0, 47.5, 35.5]\n"
        for number in (0, 1)
    )
    pose = "".join(f"  - [{row}]\n" for row in ("1, 0, 0, -0.1", "0, 1, 0.0002, 0", "0, -0.0002, 1, 0", "0, 0, 0, 1"))
    return {
        "calib.txt": b"cam0=[90 0 47.5; 0 90 35.5; 0 0 1]\ncam1=[90 0 47.5; 0 90 35.5; 0 0 1]\ndoffs=0\nbaseline=110\n"
        b"width=96\nheight=72\nndisp=64\n",
        "kitti-calib.txt": _kitti(),
        "camchain.yaml": f"{kalibr}  T_cn_cnm1:\n{pose}".encode(),
        "left.yaml": _ros("0.0"),
        "right.yaml": _ros("-9.0"),
        "stereo.xml": _opencv(),
        "cameras.txt": b"0 OPENCV 96 72 90 90 47.5 35.5 -0.002 0 0 0\n1 PINHOLE 96 72 90 90 47.5 35.5\n",
        "images.txt": b"1 1 0 0 0 0 0 0 0 x_L.png\n\n2 1 0.0001 0 0 -0.1 0 0 1 x_R.png\n\n",
    }


def try_calibration(file: Path) -> str:
    """What becomes of a pair that has a calibration: "rectified", "left alone", or "not used"."""
    other = OTHER_EYE.get(file.name)
    files = tuple(sorted([file, *([file.with_name(other)] if other else [])]))
    folder = file.parent
    eyes = ("image_2/000000.png", "image_3/000000.png") if "kitti" in file.name else ("x_L.png", "x_R.png")
    source = PairSource("x", folder / eyes[0], folder / eyes[1], "files", "names", calibration=files)
    _, calibrated = calibrate(source, _pair())
    if calibrated.note.startswith("calibration not used"):
        return "not used"
    return "rectified" if calibrated.rectified else "left alone"


@cache
def _pair() -> StereoPair:
    scene = render(0, *SIZE, max_disparity=8.0)
    return StereoPair("x", scene.left, scene.right, True, SIZE, "", windows=((0, 0, *SIZE), (0, 0, *SIZE)))


def _kitti() -> bytes:
    lines = (f"P{number}: 90.0 0.0 47.5 {-45 * x:.2f} 0 90.0 35.5 0 0 0 1 0" for number, x in enumerate((0, 1, 2, 3)))
    return "\n".join(lines).encode()


def _ros(shift: str) -> bytes:
    camera = CAMERA.replace(" ", ", ")
    return (
        "image_width: 96\nimage_height: 72\n"
        f"camera_matrix:\n  rows: 3\n  cols: 3\n  data: [{camera}]\n"
        "distortion_coefficients:\n  rows: 1\n  cols: 5\n  data: [-0.002, 0.0, 0.0, 0.0, 0.0]\n"
        "rectification_matrix:\n  rows: 3\n  cols: 3\n  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]\n"
        f"projection_matrix:\n  rows: 3\n  cols: 4\n  data: [90, 0, 47.5, {shift}, 0, 90, 35.5, 0, 0, 0, 1, 0]\n"
        "distortion_model: plumb_bob\n"
    ).encode()


def _opencv() -> bytes:
    storage = cv2.FileStorage(".xml", cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    camera = np.array(CAMERA.split(), np.float64).reshape(3, 3)
    for name, value in {
        **{"M1": camera, "D1": np.array([[-0.002, 0.0, 0.0, 0.0]]), "M2": camera, "D2": np.zeros((1, 4))},
        **{"R": np.eye(3), "T": np.array([[-0.1], [0.0], [0.0]])},
    }.items():
        storage.write(name, value)
    return storage.releaseAndGetString().encode()
