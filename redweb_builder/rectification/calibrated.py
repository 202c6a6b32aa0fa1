"""Rectification by the calibration that lies beside the pictures, and what turns a label into metres.

A rig that is not rectified is turned into the common frame of Bouguet's method (cv2.stereoRectify) and freed of its
distortion, both eyes into one pinhole view: no void in it, at most as fine as the source. A warp is kept only where the
matches lie no less level after it than before it; a calibration that fails is left aside with a note.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import radians, tan
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.errors import InputError
from redweb_builder.inputs.copies import copied
from redweb_builder.inputs.formats.calibration import read_rig
from redweb_builder.inputs.formats.heic import spatial_rig
from redweb_builder.inputs.formats.rig import Camera, Matrix, NotUsable, Rig, check_rig
from redweb_builder.inputs.isolation import decoded
from redweb_builder.inputs.picture import MIN_SIDE
from redweb_builder.inputs.remote import address_of
from redweb_builder.matching.quick_flow import preview_flow
from redweb_builder.rectification.alignment import MIN_POINTS, Alignment, consistent_points
from redweb_builder.types import PairSource, Picture, StereoPair, Window

LEVEL_PX = 0.3  # vertical error, at the stored size, below which a rig counts as rectified
LEVEL_SHARE = 3e-3  # of the baseline: how far one camera of a rectified rig may stand above or before the other
SLACK_PX = 0.1  # px of the preview: by so much the vertical error of rectified pairs varies
WORST_PX = 1.0  # px of the preview: the largest vertical error after rectification by a calibration that is right
WIDEST_DEG = 100.0  # of the view that is cut from wider lenses; farther out, a flat picture is mostly stretching
BORDER_POINTS = 100
MOVED_PX = 0.5  # sideways; an alignment that moves the right view farther leaves no known relation to depth


@dataclass(frozen=True)
class Geometry:
    """What turns disparity into depth: Z = fx_px * baseline_m / (disparity + doffs_px), metres.

    In pixels of the stored picture. baseline_m: None where no unit, or no baseline, is stated.
    """

    fx_px: float
    baseline_m: float | None
    doffs_px: float


@dataclass(frozen=True)
class Calibrated:
    """What a calibration did to a pair.

    rectified: both views were warped. geometry: None where no calibration holds. note: why one was left aside, or what
    was assumed about it; empty where there is nothing to say.
    """

    rectified: bool = False
    geometry: Geometry | None = None
    note: str = ""


def calibrate(source: PairSource, pair: StereoPair) -> tuple[StereoPair, Calibrated]:
    """The pair, rectified where its source has a calibration and needs it. A bad one is a note, never raised."""
    if source.layout.startswith("vr180"):
        focal = pair.left.shape[1] / (2 * tan(radians(source.fov) / 2))
        return pair, Calibrated(geometry=Geometry(focal, None, 0.0))
    try:
        rig = _stated_rig(source, pair)
        return (pair, Calibrated()) if rig is None else _by_rig(pair, _at_stored_size(rig, pair))
    except (NotUsable, InputError) as error:
        return pair, Calibrated(note=f"calibration not used: {error}")
    except cv2.error as error:
        return pair, Calibrated(note=f"calibration not used: OpenCV refuses it ({error.err})")


def after_alignment(
    calibrated: Calibrated, alignment: Alignment, shape: tuple[int, ...], eyes_swapped: bool
) -> Calibrated:
    """Without its geometry where the eye order contradicts it, or where alignment moved the right view sideways.

    calibrated: the pair after its rig was used. alignment: what was done to the right view after it. shape: of the
    views, (height, width, ...). eyes_swapped: whether the content showed the eyes exchanged. shape: of the views.
    """
    if calibrated.geometry is None:
        return calibrated
    if eyes_swapped:
        return replace(calibrated, geometry=None, note="calibration not used: the picture shows the eyes exchanged")
    height, width = shape[:2]
    corners = np.array([[[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]], np.float64)
    moved = cv2.perspectiveTransform(corners, alignment.homography) - corners
    if np.abs(moved[..., 0]).max() > MOVED_PX:
        note = "no metric depth: the pictures needed more alignment than their calibration says"
        return replace(calibrated, geometry=None, note=note)
    return calibrated


def _stated_rig(source: PairSource, pair: StereoPair) -> Rig | None:
    """The rig that files beside the pictures state, or a spatial photograph itself."""
    if source.calibration:
        return read_rig(source, pair.source_size)
    rig = _spatial_rig(source.left) if source.layout == "spatial" else None
    if rig is not None:
        check_rig(rig, pair.source_size)
    return rig


def _spatial_rig(file: Path) -> Rig | None:
    """The rig that a spatial photograph states. file: its path; of one in remote storage a copy is read."""
    if address_of(file) is None:
        return decoded(spatial_rig, (file,), file)
    with copied((file,)) as copies:
        copy = copies.here(file)
        return decoded(spatial_rig, (copy,), copy)


def _at_stored_size(rig: Rig, pair: StereoPair) -> Rig:
    """The rig with its camera matrices in pixels of the pair's pictures."""
    if pair.windows is None:
        raise NotUsable("the eyes differ in size, so that its pixels are not theirs")
    height, width = pair.left.shape[:2]
    left, right = (
        _moved(camera, window, (width, height))
        for camera, window in zip((rig.left, rig.right), pair.windows, strict=True)
    )
    return replace(rig, left=left, right=right)


def _moved(camera: Camera, window: Window, size: tuple[int, int]) -> Camera:
    left, top, width, height = window
    across, down = size[0] / width, size[1] / height
    to_stored = np.array(
        [
            [across, 0, (0.5 - left) * across - 0.5],
            [0, down, (0.5 - top) * down - 0.5],
            [0, 0, 1],
        ]
    )
    return replace(camera, matrix=to_stored @ camera.matrix, size=size)


def _by_rig(pair: StereoPair, rig: Rig) -> tuple[StereoPair, Calibrated]:
    baseline = float(np.linalg.norm(rig.translation)) if rig.metric else None
    if rig.rectified or _is_level(rig):
        offset = float(rig.right.matrix[0, 2] - rig.left.matrix[0, 2])
        return pair, Calibrated(False, Geometry(float(rig.left.matrix[0, 0]), baseline, offset), rig.unit_note)
    rectified, matrix = rectify(pair, rig)
    focal = float(matrix[0, 0])
    _check_level(pair, rectified, float(rig.left.matrix[0, 0]) / focal)
    return rectified, Calibrated(True, Geometry(focal, baseline, 0.0), rig.unit_note)


def _is_level(rig: Rig) -> bool:
    """Whether the rig is rectified already."""
    left, right = rig.left.matrix, rig.right.matrix
    focal, rise = left[0, 0], np.abs(rig.translation[1:]).max() / np.abs(rig.translation[0])
    return not (
        any(rig.left.distortion)
        or any(rig.right.distortion)
        or rig.left.fisheye
        or rig.right.fisheye
        or np.abs(rig.rotation - np.eye(3)).max() * focal > LEVEL_PX
        or np.abs((left - right)[[0, 1, 1], [0, 1, 2]]).max() > LEVEL_PX
        or rise > LEVEL_SHARE
    )


def rectify(pair: StereoPair, rig: Rig) -> tuple[StereoPair, Matrix]:
    """Both views as one pinhole camera sees them from the two places, and the 3x3 matrix of that camera.

    rig: in pixels of the pair. The principal point is the same in both, so that infinity has disparity 0. The result is
    at most as large as the pair. Raises NotUsable where too little is left, or the distortion cannot be undone.
    """
    height, width = pair.left.shape[:2]
    turns = cv2.stereoRectify(
        rig.left.matrix, None, rig.right.matrix, None, (width, height), rig.rotation, rig.translation.reshape(3, 1)
    )[:2]
    eyes = (rig.left, turns[0]), (rig.right, turns[1])
    left, top, right, bottom = _common_view([_field_of_view(camera, turn, (width, height)) for camera, turn in eyes])
    if right <= left or bottom <= top:
        raise NotUsable("its two cameras see nothing in common")
    focal = min(
        float(np.mean([camera.matrix.diagonal()[:2] for camera, _ in eyes])),
        width / (right - left),
        height / (bottom - top),
    )
    size = int((right - left) * focal + 1e-6), int((bottom - top) * focal + 1e-6)
    if min(size) < MIN_SIDE:
        raise NotUsable(f"{size[0]} x {size[1]} px would be left of the pictures")
    matrix = np.array([[focal, 0, -left * focal - 0.5], [0, focal, -top * focal - 0.5], [0, 0, 1]])
    views = [
        _warped(view, camera, turn, matrix, size)
        for view, (camera, turn) in zip((pair.left, pair.right), eyes, strict=True)
    ]
    return replace(pair, left=views[0], right=views[1], windows=None), matrix


def _field_of_view(camera: Camera, turn: Matrix, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest upright rectangle that a turned camera sees all of: left, top, right, bottom at distance 1."""
    width, height = size
    x, y = np.linspace(-0.5, width - 0.5, BORDER_POINTS), np.linspace(-0.5, height - 0.5, BORDER_POINTS)
    edges = [
        (np.full_like(y, -0.5), y),
        (x, np.full_like(x, -0.5)),
        (np.full_like(y, width - 0.5), y),
        (x, np.full_like(x, height - 0.5)),
    ]
    farthest = tan(radians(WIDEST_DEG) / 2)
    bounds = []
    for side, (columns, rows) in enumerate(edges):
        points = np.stack([columns, rows], 1)[:, None]
        undistort = cv2.fisheye.undistortPoints if camera.fisheye else cv2.undistortPoints
        straight = undistort(points, camera.matrix, np.array(camera.distortion), R=turn).reshape(-1, 2)
        values = np.nan_to_num(straight[:, side % 2], nan=0.0)
        bounds.append(float(np.clip(values.max() if side < 2 else values.min(), -farthest, farthest)))
    return bounds[0], bounds[1], bounds[2], bounds[3]


def _common_view(views: list[tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) = views
    return max(left, other_left), max(top, other_top), min(right, other_right), min(bottom, other_bottom)


def _warped(view: Picture, camera: Camera, turn: Matrix, matrix: Matrix, size: tuple[int, int]) -> Picture:
    distortion = np.array(camera.distortion)
    maps = cv2.fisheye.initUndistortRectifyMap if camera.fisheye else cv2.initUndistortRectifyMap
    x, y = maps(camera.matrix, distortion, turn, matrix, size, cv2.CV_32FC1)
    if not _lies_in(x, view.shape[1]) or not _lies_in(y, view.shape[0]):
        raise NotUsable("its distortion cannot be undone")
    return np.asarray(cv2.remap(view, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _lies_in(places: NDArray[np.float32], length: int) -> bool:
    return bool(np.isfinite(places).all() and places.min() > -1.5 and places.max() < length + 0.5)


def _check_level(before: StereoPair, after: StereoPair, shrink: float) -> None:
    """Raise NotUsable where matches lie less level after rectification than before it, or cannot be compared.

    shrink: px of the pair a px of the rectified one.
    """
    (was, points_before, unit), (now, points_after, _) = map(_vertical_error, (before, after))
    now *= shrink
    if points_after < max(MIN_POINTS, points_before / 2):
        raise NotUsable("after rectification by it, the two views hardly match")
    if now > was + SLACK_PX * unit or now > WORST_PX * unit:
        raise NotUsable(
            f"the matches are {was:.2f} px off level without it and {now:.2f} px with it: "
            "it is of another rig, or the pictures are rectified already"
        )


def _vertical_error(pair: StereoPair) -> tuple[float, int, float]:
    """Median |vertical flow| of confirmed points, px; how many there are; and px of the pair a px of the preview."""
    preview = preview_flow(pair.left, pair.right)
    points, vertical, scale = consistent_points(preview)
    error = float(np.median(np.abs(vertical))) * scale if len(points) else 0.0
    return error, len(points), 1 / preview.scale
