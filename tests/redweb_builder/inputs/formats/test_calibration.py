"""Calibration files of every form, written by hand for one known rig; and what is wrong with bad ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path, PurePath
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.formats import calibration
from redweb_builder.inputs.formats.calibration import CalibrationFiles, read_rig
from redweb_builder.inputs.formats.rig import NotUsable, Rig
from redweb_builder.types import PairSource

Matrix = NDArray[np.float64]
SIZE = (160, 120)
K1 = np.array([[150.0, 0, 81], [0, 151, 58], [0, 0, 1]])
K2 = np.array([[152.0, 0, 78], [0, 153, 61], [0, 0, 1]])
D1, D2 = (-0.2, 0.05, 0.001, -0.002), (-0.21, 0.06, -0.001, 0.002)
TURN: Matrix = np.asarray(cv2.Rodrigues(np.radians([0.4, -1.2, 0.8]))[0], np.float64)
PLACE = np.array([-0.11, 0.002, -0.001])


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE).save(path)
    return path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def words(*values: object) -> str:
    return " ".join(str(float(value)) for part in values for value in np.ravel(part))  # type: ignore[call-overload]


def commas(*values: object) -> str:
    return "[" + words(*values).replace(" ", ", ") + "]"


def pose(turn: Matrix, place: Matrix) -> Matrix:
    return np.vstack([np.hstack([turn, place.reshape(3, 1)]), [0, 0, 0, 1]])


def middlebury(root: Path) -> None:
    picture(root / "room" / "im0.png"), picture(root / "room" / "im1.png")
    k2 = K1.copy()
    k2[0, 2] += 9.5
    rows = ["; ".join(words(row) for row in matrix) for matrix in (K1, k2)]
    sides = f"width={SIZE[0]}\nheight={SIZE[1]}\nndisp=64\nisint=0\n"
    write(root / "room" / "calib.txt", f"cam0=[{rows[0]}]\ncam1=[{rows[1]}]\ndoffs=9.5\nbaseline=110\n{sides}")


def kitti_odometry(root: Path) -> None:
    picture(root / "image_2" / "000000.png"), picture(root / "image_3" / "000000.png")
    write(root / "calib.txt", projections("P{}: "))


def kitti_stereo(root: Path) -> None:
    picture(root / "training" / "image_2" / "000007_10.png"), picture(root / "training" / "image_3" / "000007_10.png")
    write(root / "training" / "calib_cam_to_cam" / "000006.txt", "P_rect_02: nonsense\n")
    write(root / "training" / "calib_cam_to_cam" / "000007.txt", raw_kitti(SIZE) + projections("P_rect_{:02d}: "))


def kitti_2012(root: Path) -> None:
    picture(root / "colored_0" / "000007_10.png"), picture(root / "colored_1" / "000007_10.png")
    write(root / "calib" / "000007.txt", projections("P{}: "))


def projections(name: str) -> str:
    """Cameras 2 and 3, 0.06 m and -0.05 m from camera 0."""
    lines = []
    for number, x in ((0, 0.0), (1, -0.2), (2, 0.06), (3, -0.05)):
        place = np.array([[x], [0], [0]])
        lines.append(name.format(number) + words(K1 @ np.hstack([np.eye(3), place])))
    return "\n".join(lines) + "\nTr: 1 0 0 0 0 1 0 0 0 0 1 0\n"


def raw_kitti(rectified: tuple[int, int]) -> str:
    text = "calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.950000e-02\n"
    for name, matrix, distortion, turn, place in (
        ("02", K1, D1, np.eye(3), np.zeros(3)),
        ("03", K2, D2, TURN, PLACE),
    ):
        text += f"S_{name}: {words(SIZE)}\nK_{name}: {words(matrix)}\nD_{name}: {words(distortion, 0)}\n"
        text += f"R_{name}: {words(turn)}\nT_{name}: {words(place)}\nS_rect_{name}: {words(rectified)}\n"
    return text


def kitti_raw(root: Path) -> None:
    """Unrectified pictures, recognised by their size."""
    for camera in ("02", "03"):
        picture(root / "2011_09_26" / "2011_09_26_drive_0001_extract" / f"image_{camera}" / "data" / "0000000000.png")
    text = raw_kitti((150, 50)) + projections("P_rect_{:02d}: ")
    write(root / "2011_09_26" / "calib_cam_to_cam.txt", text)


def euroc(root: Path) -> None:
    body = pose(np.asarray(cv2.Rodrigues(np.array([0.1, 0.2, -1.5]))[0]), np.array([0.02, -0.07, 0.01]))
    for camera, matrix, distortion, where in (
        (0, K1, D1, body),
        (1, K2, D2, body @ np.linalg.inv(pose(TURN, PLACE))),
    ):
        folder = root / "mav0" / f"cam{camera}"
        picture(folder / "data" / "1403636579763555584.png")
        numbers = commas(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
        write(
            folder / "sensor.yaml",
            "# General sensor definitions.\nsensor_type: camera\ncomment: VI-Sensor\nT_BS:\n  cols: 4\n  rows: 4\n"
            f"  data: {commas(where)}\nrate_hz: 20\nresolution: {list(SIZE)}\ncamera_model: pinhole\n"
            f"intrinsics: {numbers}\ndistortion_model: radial-tangential\n"
            f"distortion_coefficients: {commas(distortion)}\n",
        )
    write(root / "mav0" / "imu0" / "sensor.yaml", "sensor_type: imu\n")


def kalibr(root: Path) -> None:
    picture(root / "cam0" / "1.png"), picture(root / "cam1" / "1.png")
    text = ""
    for camera, matrix, distortion in ((0, K1, D1), (1, K2, D2)):
        text += f"cam{camera}:\n  camera_model: pinhole\n  distortion_coeffs: {commas(distortion)}\n"
        text += f"  distortion_model: radtan\n  resolution: {list(SIZE)}\n"
        text += f"  intrinsics: {commas(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])}\n"
    rows = "".join(f"  - {commas(row)}\n" for row in pose(TURN, PLACE))
    write(root / "camchain.yaml", f"{text}  T_cn_cnm1:\n{rows}  rostopic: /cam1/image_raw\n")


def ros(root: Path, messages: bool = False) -> None:
    """camera_calibration's files; the rectified frames and projections are OpenCV's."""
    picture(root / "left" / "1.png"), picture(root / "right" / "1.png")
    r1, r2, p1, p2 = cv2.stereoRectify(K1, np.array(D1), K2, np.array(D2), SIZE, TURN, PLACE.reshape(3, 1))[:4]
    for eye, matrix, distortion, turn, projection in (("left", K1, D1, r1, p1), ("right", K2, D2, r2, p2)):
        if messages:
            text = f"header:\n  seq: 1\nheight: {SIZE[1]}\nwidth: {SIZE[0]}\ndistortion_model: plumb_bob\n"
            text += f"D: {commas(distortion, 0)}\nK: {commas(matrix)}\nR: {commas(turn)}\nP: {commas(projection)}\n"
            write(root / eye / "camera_info.yaml", text)
            continue
        text = f"image_width: {SIZE[0]}\nimage_height: {SIZE[1]}\ncamera_name: {eye}\n"
        for name, (rows, columns), values in (
            ("camera_matrix", (3, 3), matrix),
            ("distortion_coefficients", (1, 5), (*distortion, 0)),
            ("rectification_matrix", (3, 3), turn),
            ("projection_matrix", (3, 4), projection),
        ):
            text += f"{name}:\n  rows: {rows}\n  cols: {columns}\n  data: {commas(values)}\n"
        write(root / f"{eye}.yaml", text + "distortion_model: plumb_bob\n")


def ros_messages(root: Path) -> None:
    ros(root, messages=True)


def opencv_written(root: Path, ending: str, scale: float) -> None:
    """The two files of OpenCV's sample stereo_calib, as its FileStorage writes them."""
    picture(root / "left01.png"), picture(root / "right01.png")
    for name, values in (
        ("intrinsics", {"M1": K1, "D1": np.array([D1]), "M2": K2, "D2": np.array([D2])}),
        ("extrinsics", {"R": TURN, "T": scale * PLACE.reshape(3, 1), "R1": np.eye(3), "P1": np.eye(3, 4)}),
    ):
        storage = cv2.FileStorage(str(root / f"{name}.{ending}"), cv2.FILE_STORAGE_WRITE)
        for key, value in values.items():
            storage.write(key, value)
        storage.release()


def opencv_yaml(root: Path) -> None:
    opencv_written(root, "yml", 1000)


def opencv_xml(root: Path) -> None:
    opencv_written(root, "xml", 1)


def eth3d_cameras(root: Path) -> None:
    """COLMAP's text: OPENCV cameras, poses as quaternions."""
    picture(root / "hall" / "im0.png"), picture(root / "hall" / "im1.png")
    lines = "# Camera list\n"
    for number, matrix, distortion in ((0, K1, D1), (1, K2, D2)):
        numbers = words(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], distortion)
        lines += f"{number} OPENCV {SIZE[0]} {SIZE[1]} {numbers}\n"
    write(root / "hall" / "cameras.txt", lines)
    world, place = np.asarray(cv2.Rodrigues(np.array([0.3, -0.2, 0.1]))[0]), np.array([0.5, 0.4, 3.0])
    text = "# Image list\n"
    for number, turn, where in ((0, world, place), (1, TURN @ world, TURN @ place + PLACE)):
        axis = cv2.Rodrigues(turn)[0].ravel()
        angle = float(np.linalg.norm(axis))
        quaternion = np.cos(angle / 2), *(np.sin(angle / 2) * axis / angle)
        text += f"{number + 1} {words(quaternion, where)} {number} im{number}.png\n1.0 2.0 -1\n"
    write(root / "hall" / "images.txt", text)


RECTIFIED = (middlebury, kitti_odometry, kitti_stereo, kitti_2012)
RAW = (kitti_raw, euroc, kalibr, ros, ros_messages, opencv_yaml, opencv_xml, eth3d_cameras)
Form = Callable[[Path], None]


def the_source(root: Path) -> PairSource:
    (source,) = discover(root).sources
    return source


@pytest.mark.parametrize("form", RECTIFIED)
def test_rectified_forms(tmp_path: Path, form: Form) -> None:
    form(tmp_path)
    rig = read_rig(the_source(tmp_path), SIZE)
    assert rig.rectified
    assert rig.metric
    np.testing.assert_allclose(rig.left.matrix[0], K1[0])
    np.testing.assert_allclose(rig.translation, [-0.11, 0, 0], atol=1e-9)
    offset = 9.5 if form is middlebury else 0.0
    assert rig.right.matrix[0, 2] - rig.left.matrix[0, 2] == pytest.approx(offset)


@pytest.mark.parametrize("form", RAW)
def test_unrectified_forms(tmp_path: Path, form: Form) -> None:
    form(tmp_path)
    rig = read_rig(the_source(tmp_path), SIZE)
    assert not rig.rectified
    np.testing.assert_allclose(rig.left.matrix, K1)
    np.testing.assert_allclose(rig.right.matrix, K2)
    np.testing.assert_allclose(rig.left.distortion[:4], D1)
    np.testing.assert_allclose(rig.right.distortion[:4], D2)
    np.testing.assert_allclose(rig.rotation, TURN, atol=1e-6)
    np.testing.assert_allclose(rig.translation, PLACE, atol=1e-6)
    assert ("millimetres" in rig.unit_note) == (form is opencv_yaml)


def test_no_unit_is_guessed_where_several_fit(tmp_path: Path) -> None:
    opencv_written(tmp_path, "yml", 100)  # 11 cm: neither metres nor millimetres
    rig = read_rig(the_source(tmp_path), SIZE)
    assert not rig.metric
    assert "neither" in rig.unit_note


def change(old: str, new: str) -> Callable[[str], str]:
    return lambda text: re.sub(old, new, text)


@pytest.mark.parametrize(
    ("form", "harm", "why"),
    [
        (middlebury, change("width=.*", "width=320"), "for pictures of 320 x 120 px"),
        (middlebury, change("baseline=.*", "baseline=0"), "a baseline of 0 m"),
        (middlebury, change("baseline=.*", "baseline=-110"), "other way round"),
        (middlebury, change("baseline=.*", "baseline=nan"), "not a number"),
        (middlebury, change("doffs=.*", "doffs=40"), "contradict"),
        (middlebury, change(r"cam0=\[150.0", "cam0=[0"), "contradict"),
        (middlebury, lambda text: text[: len(text) // 3], "not understood"),
        (middlebury, change(r"cam\d=.*\n", ""), "no calibration of these cameras"),  # as `export` writes it
        (middlebury, lambda text: "\0\x80\xff" * 50, "no calibration|do not tell"),
        (middlebury, lambda text: text + "#" * (2 << 20), "at most 1048576 are read"),
        (kitti_odometry, lambda text: text.replace("P2", "Q2"), "no calibration of these cameras"),
        (kitti_odometry, lambda text: "\n" * (1 << 20), "no calibration of these cameras"),
        (middlebury, lambda text: f"cam0=1{' ' * (1 << 19)}2\n", "not understood"),
        (kitti_odometry, change("P3: .*", "P3: 1 2 3"), "not understood"),
        (kitti_odometry, change("P3: .*", "P3: " + "0 " * 12), "not understood"),
        (kitti_raw, change("S_0(.): .*", r"S_0\1: 1392 512"), "for pictures of 1392 x 512"),
        (kitti_raw, change("K_03: .*", "K_03: " + "0 " * 9), "focal length"),
        (kitti_raw, change("R_03: .*", "R_03: " + "2 " * 9), "no rotation"),
        (euroc, change("intrinsics: .*", "intrinsics: [.nan, 1, 2, 3]"), "not a number"),
        (euroc, change("distortion_model: .*", "distortion_model: magic"), "magic is not read"),
        (euroc, lambda text: "[" * 60000, "no YAML"),
        (euroc, lambda text: "a: &a {b: 1}\nc: {<<: [*a, *a]}\n", "no YAML"),
        (euroc, lambda text: "!!python/object/apply:os.system ['touch hacked']", "no YAML"),
        (euroc, lambda text: "- 1\n- 2\n", "no table"),
        (opencv_xml, lambda text: '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "no .*understood"),
        (opencv_xml, lambda text: f"<a>{' ' * 65_000}", "no values"),
        (opencv_xml, change("<cols>", "<cols>1000000000"), None),
        (eth3d_cameras, lambda text: text.replace("OPENCV", "FOV"), "camera model FOV"),
        (eth3d_cameras, lambda text: text.replace("im1.png", "other.png"), "not named"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, form: Form, harm: Callable[[str], str], why: str | None) -> None:
    """Damaged, lying, hostile: a sentence, never another exception, and in no time."""
    form(tmp_path)
    for file in tmp_path.rglob("*.*"):
        if file.suffix in (".txt", ".yaml", ".yml", ".xml"):
            file.write_text(harm(file.read_text()))
    source = the_source(tmp_path)
    assert source.calibration
    if why is None:
        assert isinstance(read_rig(source, SIZE), Rig)
        return
    with pytest.raises(NotUsable, match=why):
        read_rig(source, SIZE)
    assert not Path("hacked").exists()


def test_pictures_of_another_size(tmp_path: Path) -> None:
    """KITTI's P states no size: its principal point lies elsewhere in a half-size picture."""
    kitti_odometry(tmp_path)
    with pytest.raises(NotUsable, match="principal point"):
        read_rig(the_source(tmp_path), (SIZE[0] // 2, SIZE[1] // 2))


def test_the_nearest_calibration_counts(tmp_path: Path) -> None:
    middlebury(tmp_path)
    write(tmp_path / "calib.txt", "of something else")
    assert the_source(tmp_path).calibration == (tmp_path / "room" / "calib.txt",)


def test_a_calibration_a_frame_is_found_by_its_name(tmp_path: Path) -> None:
    sources = [PairSource(f"{n}", tmp_path / f"L/{n}.png", tmp_path / f"R/{n}.png", "files", "") for n in range(50)]
    files = CalibrationFiles(tmp_path / f"calib/{number}.txt" for number in range(40))
    found = [files.beside(source).calibration for source in sources]
    assert found == [*((tmp_path / f"calib/{number}.txt",) for number in range(40)), *[()] * 10]


def test_a_folder_of_calibrations_is_looked_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beside each picture, none of which calibrates both: each pair went through all of them."""
    looked = Mock(side_effect=calibration._by_eye_mark)
    monkeypatch.setattr(calibration, "_by_eye_mark", looked)
    files = CalibrationFiles(tmp_path / f"cam_{number}.yaml" for number in range(30))
    source = PairSource("1", tmp_path / "1_L.png", tmp_path / "1_R.png", "files", "")
    assert {files.beside(source).calibration for _ in range(30)} == {(tmp_path / "cam_0.yaml",)}
    looked.assert_called_once()


def test_halves_of_a_calibration_are_looked_for_among_few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of a folder's files was compared with each: 10,000 took minutes."""
    compared = Mock(side_effect=calibration._complete_each_other)
    monkeypatch.setattr(calibration, "_complete_each_other", compared)
    folder = Path("/photos")
    source = PairSource("1", folder / "1_L.png", folder / "1_R.png", "files", "")
    many = [folder / f"extrinsic_{number}.yml" for number in range(300)]
    assert CalibrationFiles(many).beside(source).calibration == (many[0],)
    files = CalibrationFiles([*many, folder / "intrinsic_7.yml", folder / "intrinsic_8.yml"])
    assert files.beside(source).calibration == (many[0], folder / "intrinsic_7.yml")
    assert compared.call_count < 30


@pytest.mark.parametrize("seed", range(40))
def test_the_first_two_halves_that_complete_each_other_are_taken(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    kinds = ("intrinsic", "extrinsic", "trinsic", "intrinsic_extrinsic")
    files = sorted(Path(f"/p/{number}_{kinds[kind]}.yml") for number, kind in enumerate(drawn.integers(0, 4, seed % 9)))
    complete = [two for two in combinations(files, 2) if calibration._complete_each_other(*two)]
    source = PairSource("1", Path("/p/1_L.png"), Path("/p/1_R.png"), "files", "")
    assert CalibrationFiles(files).beside(source).calibration == (*complete, *((file,) for file in files), ())[0]


def test_folders_above_a_deep_picture_are_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folder of one eye was compared with each of the other: a pair 200 folders deep took 0.08 s."""
    top = Path("/photos")
    deep = top.joinpath(*["d"] * 200)
    source = PairSource("1", deep / "left" / "1.png", deep / "right" / "1.png", "files", "")
    files, compared = CalibrationFiles([top / "calib.txt"]), Mock(side_effect=Path.__eq__)
    monkeypatch.setattr(PurePath, "__eq__", lambda mine, other: compared(mine, other))
    found = files.beside(source)
    monkeypatch.undo()
    assert found.calibration == (top / "calib.txt",)
    assert compared.call_count < 2000


def test_other_text_is_no_calibration(tmp_path: Path) -> None:
    picture(tmp_path / "a_L.png"), picture(tmp_path / "a_R.png")
    for name in ("readme.txt", "a_L.txt", "a.xml", "config.yaml", "times.txt"):
        write(tmp_path / name, "cam0=[1 0 0; 0 1 0; 0 0 1]")
    assert the_source(tmp_path).calibration == ()
