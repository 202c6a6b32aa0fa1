"""Rigs of known cameras around rendered scenes: rectified by their calibration, and metres from the stored labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from redweb_builder import BuildConfig, build
from redweb_builder.config import PRESETS
from redweb_builder.dataset.source_views import aligned_views
from redweb_builder.errors import StoreError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.formats.calibration import read_rig
from redweb_builder.inputs.read import read_pair
from redweb_builder.rectification.calibrated import calibrate, rectify
from samples.scenes import NEAREST, Scene
from tests.conftest import Built

Matrix = NDArray[np.float64]
Render = Callable[..., Scene]
Save = Callable[..., Path]
QUICK = BuildConfig(flow="dis", segmenter="builtin", device="cpu")
WIDTH, HEIGHT = 240, 176
MAX_DISPARITY = 36.0
FOCAL = 0.95 * WIDTH  # of the rendered eyes, see samples/scenes.py
BASELINE = MAX_DISPARITY * NEAREST / FOCAL


def intrinsics(focal: float, x: float, y: float) -> Matrix:
    return np.array([[focal, 0, x], [0, focal, y], [0, 0, 1.0]])


IDEAL = intrinsics(FOCAL, (WIDTH - 1) / 2, 0.53 * HEIGHT)


@dataclass(frozen=True)
class Raw:
    """What the rig's cameras see of a scene, unrectified, and their calibration.

    turns: from the frame of the rendered left eye to each camera. rotation, translation: from the left to the right.
    """

    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    matrix: Matrix
    distortion: tuple[float, ...]
    turns: tuple[Matrix, Matrix]

    @property
    def rotation(self) -> Matrix:
        return np.asarray(self.turns[1] @ self.turns[0].T)

    @property
    def translation(self) -> Matrix:
        return np.asarray(self.turns[1] @ [-BASELINE, 0, 0])


def rotated(x: float, y: float, z: float) -> Matrix:
    """Degrees about the three axes."""
    return np.asarray(cv2.Rodrigues(np.radians([x, y, z]))[0])


def raw(scene: Scene, distortion: tuple[float, ...] = (-0.2, 0.05, 0.001, -0.001), fisheye: bool = False) -> Raw:
    """The scene seen by cameras with longer lenses, distorted and turned against each other."""
    matrix = intrinsics(1.25 * FOCAL, 0.51 * WIDTH, 0.48 * HEIGHT)
    turns = rotated(0.8, 0.5, 1.0), rotated(-0.4, -0.7, -0.6)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    undistort = cv2.fisheye.undistortPoints if fisheye else cv2.undistortPoints
    views = []
    for view, turn in zip((scene.left, scene.right), turns, strict=True):
        points = np.stack([x, y], -1).reshape(-1, 1, 2)
        seen = undistort(points, matrix, np.array(distortion), R=turn.T, P=IDEAL)
        places = seen.reshape(HEIGHT, WIDTH, 2).astype(np.float32)
        views.append(cv2.remap(view, places[..., 0], places[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))
    return Raw(views[0], views[1], matrix, distortion, turns)


def depth_of(built: Built, row: dict[str, Any]) -> NDArray[np.float64]:
    """Metres from a stored label, as docs/data-set.md has it; NaN where nothing was measured for certain."""
    label: Any = Image.open(built.out / "RDs" / f"{row['key']}.png")
    disparity = float(label.text["offset"]) + float(label.text["scale"]) * np.asarray(label, np.float64)
    depth: NDArray[np.float64] = row["fx_px"] * row["baseline_m"] / (disparity + row["doffs_px"])
    sure = np.asarray(Image.open(built.out / "confidence" / f"{row['key']}.png")) > 128
    measured = np.asarray(Image.open(built.out / "masks" / f"{row['key']}.png")) == 1
    depth[~(sure & measured)] = np.nan
    return depth


def middlebury(focal: float, x0: float, x1: float, y: float, size: tuple[int, int], baseline_mm: float) -> str:
    return (
        f"cam0=[{focal} 0 {x0}; 0 {focal} {y}; 0 0 1]\ncam1=[{focal} 0 {x1}; 0 {focal} {y}; 0 0 1]\n"
        f"doffs={x1 - x0}\nbaseline={baseline_mm}\nwidth={size[0]}\nheight={size[1]}\nndisp=64\n"
    )


def test_metres_from_a_label(tmp_path: Path, rendered: Render, save: Save) -> None:
    """Middlebury's calib.txt, converged cameras, the picture stored at 3/4 of its size: the scene's own depth."""
    scene = rendered(3, "indoor", convergence=10, max_disparity=MAX_DISPARITY)
    save(scene.left, tmp_path / "in" / "room" / "im0.png")
    save(scene.right, tmp_path / "in" / "room" / "im1.png")
    text = middlebury(FOCAL, IDEAL[0, 2], IDEAL[0, 2] + 10, IDEAL[1, 2], (WIDTH, HEIGHT), 1000 * BASELINE)
    (tmp_path / "in" / "room" / "calib.txt").write_text(text)
    config = BuildConfig(flow="dis", segmenter="builtin", device="cpu", max_side=180)
    built = Built.of(tmp_path / "in", build(tmp_path / "in", tmp_path / "out", config))
    (row,) = built.rows.values()
    assert json.loads(row["calibration"]) == ["room/calib.txt"]
    assert (row["rectified"], row["calibration_note"]) == (False, None)
    assert (row["fx_px"], row["baseline_m"]) == pytest.approx((0.75 * FOCAL, BASELINE))
    assert row["doffs_px"] == pytest.approx(7.5)
    truth = cv2.resize(FOCAL * BASELINE / (scene.disparity + 10), (180, 132), interpolation=cv2.INTER_NEAREST)
    depth = depth_of(built, row)
    assert np.isfinite(depth).mean() > 0.3
    assert np.nanmedian(np.abs(depth / truth - 1)) < 0.02


OPENCV = """%YAML:1.0
---
imageSize: [ {width}, {height} ]
M1: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: {matrix}
D1: !!opencv-matrix
   rows: 1
   cols: {count}
   dt: d
   data: {distortion}
M2: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: {matrix}
D2: !!opencv-matrix
   rows: 1
   cols: {count}
   dt: d
   data: {distortion}
R: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: {rotation}
T: !!opencv-matrix
   rows: 3
   cols: 1
   dt: d
   data: {translation}
model: {model}
"""


def opencv(rig: Raw, model: str = "pinhole") -> str:
    return OPENCV.format(
        width=WIDTH,
        height=HEIGHT,
        matrix=rig.matrix.ravel().tolist(),
        distortion=list(rig.distortion),
        count=len(rig.distortion),
        rotation=rig.rotation.ravel().tolist(),
        translation=rig.translation.tolist(),
        model=model,
    )


def write_opencv(folder: Path, rig: Raw, save: Save, model: str = "pinhole") -> None:
    save(rig.left, folder / "left" / "1.png")
    save(rig.right, folder / "right" / "1.png")
    (folder / "stereo.yml").write_text(opencv(rig, model))


@pytest.mark.parametrize(
    ("distortion", "model"), [((-0.2, 0.05, 0.001, -0.001), "pinhole"), ((0.05, -0.02, 0.01, 0.0), "fisheye")]
)
def test_an_unrectified_rig(
    tmp_path: Path, rendered: Render, save: Save, distortion: tuple[float, ...], model: str
) -> None:
    """Distorted, turned eyes: straightened, level, and with the scene's own depth in metres."""
    scene = rendered(3, "indoor", max_disparity=MAX_DISPARITY)
    rig = raw(scene, distortion, model == "fisheye")
    write_opencv(tmp_path / "in", rig, save, model)
    built = Built.of(tmp_path / "in", build(tmp_path / "in", tmp_path / "out", QUICK))
    (row,) = built.rows.values()
    assert (row["status"], row["rectified"], row["aligned"]) == ("kept", True, False)
    assert row["calibration_note"] == "no unit stated, taken for metres"
    assert (row["baseline_m"], row["doffs_px"]) == pytest.approx((BASELINE, 0))
    assert row["align_before_px"] < 0.1
    (source,) = discover(tmp_path / "in").sources
    pair = read_pair(source, QUICK.max_side)
    straight, matrix = rectify(pair, read_rig(source, pair.source_size))
    np.testing.assert_array_equal(np.asarray(Image.open(built.out / "Imgs" / f"{row['key']}.png")), straight.left)
    assert row["fx_px"] == pytest.approx(matrix[0, 0])
    truth, seen = true_depth(scene, rig, matrix, straight.left.shape[:2])
    assert np.abs(seen - straight.left.astype(int)).mean() < 6
    depth = depth_of(built, row)
    assert np.isfinite(depth).mean() > 0.3
    assert np.nanmedian(np.abs(depth / truth - 1)) < 0.02


def true_depth(
    scene: Scene, rig: Raw, matrix: Matrix, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Depth along the axis of a rectified left camera, m, and its picture, from the rendered left view."""
    place = rig.translation.reshape(3, 1)
    turn = cv2.stereoRectify(rig.matrix, None, rig.matrix, None, (WIDTH, HEIGHT), rig.rotation, place)[0]
    y, x = np.mgrid[: shape[0], : shape[1]]
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(matrix).T  # of the rectified camera
    rendered = rays @ (turn @ rig.turns[0])  # in the frame of the rendered eye
    places = (rendered / rendered[..., 2:]) @ IDEAL.T
    x32, y32 = places[..., 0].astype(np.float32), places[..., 1].astype(np.float32)
    disparity = cv2.remap(scene.disparity, x32, y32, cv2.INTER_NEAREST)
    seen = cv2.remap(scene.left, x32, y32, cv2.INTER_CUBIC)
    return FOCAL * BASELINE / disparity / rendered[..., 2], seen


def test_bad_calibrations_cost_nothing(tmp_path: Path, rendered: Render, save: Save) -> None:
    """Another rig's, another size's, of rectified pictures, eyes exchanged: the pair as it is, and a note."""
    scene, pairs = rendered(3, "indoor", max_disparity=MAX_DISPARITY), tmp_path / "in"
    rig = raw(scene)
    other = replace(rig, turns=(rig.turns[0], rig.turns[1] @ rotated(1, 0, 0)))
    write_opencv(pairs / "rectified-already", replace(rig, left=scene.left, right=scene.right), save)
    write_opencv(pairs / "of-another-rig", replace(other, left=scene.left, right=scene.right), save)
    texts = {
        "other-size": middlebury(FOCAL, 120, 120, 93, (320, 240), 100),
        "exchanged": middlebury(FOCAL, 120, 120, 93, (WIDTH, HEIGHT), -100),
        "cut-off": middlebury(FOCAL, 120, 120, 93, (WIDTH, HEIGHT), 100)[:50],
    }
    for name, text in texts.items():
        save(scene.left, pairs / name / "im0.png")
        save(scene.right, pairs / name / "im1.png")
        (pairs / name / "calib.txt").write_text(text)
    sources = discover(pairs).sources
    assert len(sources) == 5
    for source in sources:
        pair = read_pair(source, QUICK.max_side)
        same, calibrated = calibrate(source, pair)
        assert same is pair, source.key
        assert calibrated.geometry is None, source.key
        assert calibrated.note.startswith("calibration not used: "), source.key


def test_a_changed_calibration_is_another_build(tmp_path: Path, rendered: Render, save: Save) -> None:
    """The pair beside it is done again, the other is not."""
    scene, pairs = rendered(3, "indoor", max_disparity=MAX_DISPARITY), tmp_path / "in"
    for name in ("changed", "same"):
        save(scene.left, pairs / name / "im0.png")
        save(scene.right, pairs / name / "im1.png")
        text = middlebury(FOCAL, 120, 120, 93, (WIDTH, HEIGHT), 100)
        (pairs / name / "calib.txt").write_text(text)
    config = replace(QUICK, thresholds=PRESETS["none"])
    build(pairs, tmp_path / "out", config)
    (pairs / "changed" / "calib.txt").write_text(middlebury(FOCAL, 120, 120, 93, (WIDTH, HEIGHT), 200))
    built = Built.of(pairs, build(pairs, tmp_path / "out", config))
    assert len((built.out / "journal.jsonl").read_text().splitlines()) == 3
    assert {name: row["baseline_m"] for name, row in built.rows.items()} == {"changed-im": 0.2, "same-im": 0.1}


def test_the_review_page_shows_the_right_view_as_it_was_used(tmp_path: Path, rendered: Render, save: Save) -> None:
    write_opencv(tmp_path / "in", raw(rendered(3, "indoor", max_disparity=MAX_DISPARITY)), save)
    built = Built.of(tmp_path / "in", build(tmp_path / "in", tmp_path / "out", QUICK))
    (row,) = built.rows.values()
    (source,) = discover(tmp_path / "in").sources
    pair, _ = calibrate(source, read_pair(source, QUICK.max_side))
    np.testing.assert_array_equal(aligned_views(built.out, row, tmp_path / "in").right, pair.right)
    (tmp_path / "in" / "stereo.yml").write_text("changed")
    with pytest.raises(StoreError, match="calibration has changed"):
        aligned_views(built.out, row, tmp_path / "in")
