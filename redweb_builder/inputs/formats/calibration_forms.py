"""The grammar of calibration files: their text or tree -> a Rig, not yet checked.

Every function raises NotUsable where it does not find what it needs; ValueError, KeyError, IndexError or TypeError
where a number or a table is not what it should be. YAML is read by a loader that makes plain data only and refuses
aliases, which can unfold without end; XML is searched, never parsed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from redweb_builder.inputs.formats.rig import Camera, Matrix, NotUsable, Rig, Size

Tree = Mapping[str, Any]
MOST_NUMBERS = 64  # of one value
MOST_LETTERS = 64  # of a plain value in XML
# OpenCV's files state no unit of length: a baseline in this range is taken for metres or millimetres.
METRES, MILLIMETRES = (0.01, 1.5), (30.0, 1500.0)

BLANKS = r"[^\S\n]*"  # in one line: from line to line a pattern would look at all blank lines that follow, each time
_FISHEYE = ("equidistant", "fisheye", "kannala", "kannala_brandt", "kb4")
_PINHOLE = ("", "none", "plumb_bob", "radtan", "radial-tangential", "rational_polynomial", "pinhole", "opencv")


# ---------------------------------------------------------------- text


def middlebury(text: str) -> Rig:
    """calib.txt of Middlebury 2014 and 2021 and of ETH3D: cam0, cam1, doffs (px), baseline (mm), width, height.

    text: of the file.
    """
    values = {name: value.strip() for name, value in re.findall(rf"(?m)^{BLANKS}(\w+){BLANKS}=(.*)$", text)}
    left, right = (
        np.array([[float(number) for number in row.split()] for row in values[name].strip("[]").split(";")])
        for name in ("cam0", "cam1")
    )
    if left.shape != (3, 3) or right.shape != (3, 3):
        raise NotUsable("its cameras are no 3 x 3 matrices")
    size = int(values["width"]), int(values["height"])
    offset = float(values.get("doffs", right[0, 2] - left[0, 2]))
    if abs(right[0, 2] - left[0, 2] - offset) > 1 or np.abs(left - right)[[0, 1, 1], [0, 1, 2]].max() > 1:
        raise NotUsable("its two cameras and its doffs contradict each other")
    place = np.array([-float(values["baseline"]) / 1000, 0.0, 0.0])
    return Rig(Camera(left, size=size), Camera(right, size=size), np.eye(3), place, rectified=True)


def kitti(text: str, left: Path, right: Path, size: Size) -> Rig:
    """calib.txt (P0 to P3) and calib_cam_to_cam.txt of KITTI; the folders of the pictures tell which cameras they are.

    text: of the file. left, right: the paths of the two pictures. size: of the pictures, (width, height): that of the
    rectified ones, or that of the raw ones. Metres. Geiger et al. 2013, "Vision meets robotics": a rectified point is
    projected by P_rect; camera i's frame is R_i x + T_i.
    """
    values = {
        name: np.array([float(number) for number in numbers.split()])
        for name, numbers in re.findall(
            rf"(?m)^{BLANKS}(\w+):((?:[ \t]+[-+.\deE]+|[ \t]+nan|[ \t]+inf)+){BLANKS}$", text
        )
    }
    if not values:
        raise NotUsable("no calibration of these cameras in it")
    numbers = [_kitti_camera(picture) for picture in (left, right)]
    if None in numbers:
        raise NotUsable("the folders do not tell which of its cameras took the pictures")
    if f"P{numbers[0]}" in values:
        return _projections(values[f"P{numbers[0]}"], values[f"P{numbers[1]}"], None)
    names = [f"{number:02d}" for number in numbers]
    if f"P_rect_{names[0]}" not in values:
        raise NotUsable("no calibration of these cameras in it")
    stated = [tuple(int(side) for side in values[f"S_rect_{name}"]) for name in names]
    if stated[0] == size or f"K_{names[0]}" not in values:
        return _projections(values[f"P_rect_{names[0]}"], values[f"P_rect_{names[1]}"], (stated[0][0], stated[0][1]))
    turns = [values[f"R_{name}"].reshape(3, 3) for name in names]
    places = [values[f"T_{name}"] for name in names]
    cameras = []
    for name in names:
        width, height = values[f"S_{name}"]
        matrix = values[f"K_{name}"].reshape(3, 3)
        cameras.append(Camera(matrix, tuple(values[f"D_{name}"]), size=(int(width), int(height))))
    turn = turns[1] @ turns[0].T
    return Rig(cameras[0], cameras[1], turn, places[1] - turn @ places[0])


def colmap(cameras: str, images: str, left: Path, right: Path) -> Rig:
    """cameras.txt and images.txt of COLMAP and ETH3D, the pictures found by their names; taken for metres, as ETH3D's.

    cameras, images: the texts of the two files. left, right: the paths of the two pictures.
    https://colmap.github.io/format.html: an image's line has its quaternion (w first) and translation, world to camera.
    """
    known = {}
    for line in _lines(cameras):
        camera, model, width, height, *parameters = line.split()
        known[camera] = _colmap_camera(model, [float(number) for number in parameters], (int(width), int(height)))
    placed = {}
    for line in _lines(images):
        fields = line.split(maxsplit=9)
        if len(fields) == 10 and fields[8] in known:
            name = Path(fields[9])
            for eye in (left, right):
                if eye.parts[-len(name.parts) :] == name.parts:
                    placed[eye] = known[fields[8]], _quaternion(fields[1:5]), np.array(fields[5:8], np.float64)
    if not {left, right} <= set(placed):
        raise NotUsable("the pictures are not named in it")
    (left_camera, turn, place), (right_camera, other_turn, other_place) = placed[left], placed[right]
    between = other_turn @ turn.T
    return Rig(
        left_camera, right_camera, between, other_place - between @ place, unit_note="taken for metres, as ETH3D's are"
    )


def _projections(left: Matrix, right: Matrix, size: Size | None) -> Rig:
    """Two 3x4 matrices of rectified cameras, 12 numbers each, in metres."""
    left, right = left.reshape(3, 4), right.reshape(3, 4)
    places = [np.linalg.solve(camera[:, :3], camera[:, 3]) for camera in (left, right)]
    if np.abs(left[:, :3] - right[:, :3])[[0, 1, 1], [0, 1, 2]].max() > 1:
        raise NotUsable("its two projections are not of one rectified pair")
    cameras = [Camera(camera[:, :3], size=size) for camera in (left, right)]
    return Rig(cameras[0], cameras[1], np.eye(3), places[1] - places[0], rectified=True)


def _kitti_camera(picture: Path) -> int | None:
    """The number of the camera by the picture's folder: image_2, image_02/data; colored_0 is camera 2 (KITTI 2012)."""
    for folder in picture.parent.parts[::-1]:
        match = re.fullmatch(r"(?i)(?:.*[-_])?(image|colored)_0?([0-3])", folder)
        if match:
            return int(match[2]) + (2 if match[1].lower() == "colored" else 0)
    return None


def _colmap_camera(model: str, parameters: list[float], size: Size) -> Camera:
    if model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"):
        focal, x, y, *rest = parameters
        return Camera(_intrinsics(focal, focal, x, y), (*rest, 0.0, 0.0, 0.0, 0.0)[:4], size=size)
    if model in ("PINHOLE", "OPENCV", "OPENCV_FISHEYE"):
        return Camera(_intrinsics(*parameters[:4]), tuple(parameters[4:]), model == "OPENCV_FISHEYE", size)
    raise NotUsable(f"camera model {model[:40]} is not read")


def _quaternion(words: Sequence[str]) -> Matrix:
    w, x, y, z = np.array(words, np.float64) / np.linalg.norm(np.array(words, np.float64))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + 2 * w * cross + 2 * cross @ cross)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


# ---------------------------------------------------------------- trees


def rig_of_trees(trees: Sequence[Tree]) -> Rig:
    """A rig from one tree with both cameras, or from two trees: a camera each, or the halves of one description."""
    if len(trees) == 2 and all("T_BS" in tree for tree in trees):
        return _euroc(*trees)
    if len(trees) == 2 and all(_ros_names(tree) for tree in trees):
        return _ros(*trees)
    merged = {name: value for tree in trees for name, value in tree.items()}
    if isinstance(merged.get("cam1"), Mapping) and "T_cn_cnm1" in merged["cam1"]:
        return _kalibr(merged["cam0"], merged["cam1"])
    return _opencv(merged)


def yaml_tree(content: bytes) -> Tree:
    """YAML as plain data; OpenCV's header and matrices are understood. content: of the file."""
    text = re.sub(rb"\A\s*%YAML:\d+\.\d+", b"", content)
    try:
        tree = yaml.load(text, _PlainLoader)
    except Exception as error:  # a parser given hostile bytes fails in many ways, RecursionError among them
        raise NotUsable("no YAML that is understood") from error
    if not isinstance(tree, dict):
        raise NotUsable("no table of values")
    return {str(name): value for name, value in tree.items()}


def xml_tree(content: bytes) -> Tree:
    """The matrices and plain values of OpenCV's XML, whatever element they lie in.

    content: of the file, taken for UTF-8.
    """
    text = content.decode("utf-8", "replace")
    tree: dict[str, Any] = {}
    for name, body in re.findall(r"<(\w+)\s+type_id=\"opencv-matrix\">([^\x00]{0,8192}?)</\1>", text):
        data = re.search(r"<data>([^<]*)</data>", body)
        if data:
            tree[name] = [float(number) for number in data[1].split()]
    for name, value in re.findall(r"<(\w+)>([^<>]*)</\1>", text):
        if 1 <= len(value.strip()) <= MOST_LETTERS:
            tree.setdefault(name, value.strip())
    if not tree:
        raise NotUsable("no values that are understood")
    return tree


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc, unused-ignore]
    """yaml.SafeLoader without aliases: merged over and over, they unfold without end."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As of SafeLoader."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


_PlainLoader.add_constructor(
    "tag:yaml.org,2002:opencv-matrix", lambda loader, node: loader.construct_mapping(node, deep=True)
)


def _camera(tree: Tree, coefficients: str) -> Camera:
    """A camera as EuRoC and Kalibr write it. coefficients: their name for those of the distortion."""
    return Camera(
        _intrinsics(*_numbers(tree["intrinsics"], 4)),
        tuple(_numbers(tree[coefficients])),
        _is_fisheye(tree["distortion_model"]),
        _size(tree["resolution"]),
    )


def _euroc(left: Tree, right: Tree) -> Rig:
    """sensor.yaml an eye: T_BS takes a point of the camera to the body's frame, metres."""
    cameras = [_camera(tree, "distortion_coefficients") for tree in (left, right)]
    poses = [np.array(_numbers(tree["T_BS"], 16)).reshape(4, 4) for tree in (left, right)]
    return _rig_of(cameras, np.linalg.inv(poses[1]) @ poses[0])


def _kalibr(left: Tree, right: Tree) -> Rig:
    """camchain.yaml of Kalibr: T_cn_cnm1 takes a point of the camera before to this one, metres."""
    cameras = [_camera(tree, "distortion_coeffs") for tree in (left, right)]
    return _rig_of(cameras, np.array(_numbers(right["T_cn_cnm1"], 16)).reshape(4, 4))


def _ros_names(tree: Tree) -> tuple[str, str, str, str] | None:
    """What camera, distortion, turn and projection are called: in files of camera_calibration, or in messages."""
    for names in (
        ("camera_matrix", "distortion_coefficients", "rectification_matrix", "projection_matrix"),
        ("K", "D", "R", "P"),
        ("k", "d", "r", "p"),
    ):
        if all(name in tree for name in names):
            return names
    return None


def _ros(left: Tree, right: Tree) -> Rig:
    """camera_info an eye (sensor_msgs/CameraInfo, REP 103, metres): x_rectified = R x, and P[0, 3] = -fx * baseline."""
    cameras, turns, projections = [], [], []
    for tree in (left, right):
        matrix, distortion, turn, projection = _ros_names(tree) or ("", "", "", "")
        size = tree.get("image_width", tree.get("width")), tree.get("image_height", tree.get("height"))
        fisheye = _is_fisheye(tree.get("distortion_model", ""))
        values = _matrix(tree[matrix]), tuple(_numbers(tree[distortion]))
        cameras.append(Camera(*values, fisheye, _size(size)))
        turns.append(_matrix(tree[turn]))
        projections.append(np.array(_numbers(tree[projection], 12)).reshape(3, 4))
    baselines = [np.array([matrix[0, 3] / matrix[0, 0], 0.0, 0.0]) for matrix in projections]
    back = turns[1].T
    return Rig(cameras[0], cameras[1], back @ turns[0], back @ (baselines[1] - baselines[0]))


def _opencv(tree: Tree) -> Rig:
    """OpenCV's FileStorage, names as people write them: M1 D1 M2 D2 R T, cameraMatrixL, dist_coeffs_right, ...

    No unit is stated. A baseline that can only be metres or millimetres is taken for that, and noted.
    """
    values = {re.sub(r"[\W_]", "", name).lower(): value for name, value in tree.items()}
    for sides in (("1", "2"), ("left", "right"), ("l", "r"), ("0", "1")):
        matrices = [
            _named(values, ("m", "k", "cm", "mtx", "cameramatrix", "intrinsicmatrix", "intrinsics"), side, 9)
            for side in sides
        ]
        if None not in matrices:
            break
    else:
        raise NotUsable("no calibration of two cameras that is understood")
    model = str(values.get("model", values.get("distortionmodel", values.get("cameramodel", ""))))
    size = _size(values.get("imagesize", (values.get("imagewidth"), values.get("imageheight"))))
    cameras = [
        Camera(
            np.array(matrix).reshape(3, 3),
            tuple(
                _named(values, ("d", "dist", "distcoeffs", "distcoeff", "distortion", "distortioncoefficients"), side)
                or ()
            ),
            _is_fisheye(model),
            size,
        )
        for matrix, side in zip(matrices, sides, strict=True)
    ]
    turn = _named(values, ("r", "rot", "rotation", "rotationmatrix"), "")
    place = _named(values, ("t", "trans", "translation", "translationvector"), "", 3)
    if turn is None or place is None:
        raise NotUsable("no rotation R and translation T between the cameras")
    rotation = cv2.Rodrigues(np.array(turn))[0] if len(turn) == 3 else np.array(turn).reshape(3, 3)
    translation, length = np.array(place), float(np.linalg.norm(place))
    if METRES[0] <= length <= METRES[1]:
        return Rig(cameras[0], cameras[1], rotation, translation, unit_note="no unit stated, taken for metres")
    if MILLIMETRES[0] <= length <= MILLIMETRES[1]:
        note = "no unit stated, taken for millimetres"
        return Rig(cameras[0], cameras[1], rotation, translation / 1000, unit_note=note)
    note = f"no unit stated, and a baseline of {length:g} is neither metres nor millimetres"
    return Rig(cameras[0], cameras[1], rotation, translation, metric=False, unit_note=note)


def _rig_of(cameras: Sequence[Camera], pose: Matrix) -> Rig:
    return Rig(cameras[0], cameras[1], pose[:3, :3], pose[:3, 3])


def _named(values: Tree, names: Sequence[str], side: str, count: int | None = None) -> list[float] | None:
    """The numbers of the first of `names` that is there with a mark of the side before or behind it."""
    for name in names:
        for spelt in (f"{name}{side}", f"{side}{name}"):
            if spelt in values:
                numbers = _numbers(values[spelt])
                if count is None or len(numbers) == count:
                    return numbers
    return None


def _numbers(value: Any, count: int | None = None) -> list[float]:
    """The numbers of a list, of lists in a list, or of a table with `data`."""
    if isinstance(value, Mapping):
        value = value["data"]
    if isinstance(value, str):
        value = value.split()
    flat = [number for row in value for number in (row if isinstance(row, list) else [row])]
    if len(flat) > MOST_NUMBERS or (count is not None and len(flat) != count):
        raise NotUsable(f"{len(flat)} numbers where there should be {count or 'few'}")
    return [float(number) for number in flat]


def _matrix(value: Any) -> Matrix:
    return np.array(_numbers(value, 9)).reshape(3, 3)


def _intrinsics(fx: float, fy: float, x: float, y: float) -> Matrix:
    return np.array([[fx, 0.0, x], [0.0, fy, y], [0.0, 0.0, 1.0]])


def _size(value: Any) -> Size | None:
    if not value or (isinstance(value, tuple) and None in value):
        return None
    width, height = _numbers(list(value) if isinstance(value, tuple) else value, 2)
    return int(width), int(height)


def _is_fisheye(model: Any) -> bool:
    name = str(model or "").strip().lower()
    if name in _FISHEYE:
        return True
    if name not in _PINHOLE:
        raise NotUsable(f"distortion model {name[:40]} is not read")
    return False
