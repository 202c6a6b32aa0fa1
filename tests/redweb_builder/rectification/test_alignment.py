"""Planted misalignments of the right view are estimated and undone; a rectified pair is left alone."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from redweb_builder.matching.consistency import disparity_of, forward_backward_error, target_visible
from redweb_builder.matching.dis import Dis
from redweb_builder.matching.quick_flow import Preview, preview_flow
from redweb_builder.rectification.alignment import Alignment, apply_alignment, estimate_alignment, rectifying_homography
from redweb_builder.types import Flow, Picture, StereoPair
from samples.scenes import Kind, Scene

Render = Callable[..., Scene]
Matrix = NDArray[np.float64]
SCENES: list[tuple[int, Kind]] = [(0, "outdoor"), (3, "indoor")]


def correction(
    height: int,
    width: int,
    shift: float = 0.0,
    roll: float = 0.0,
    zoom: float = 0.0,
    keystone: tuple[float, float] = (0.0, 0.0),
) -> Matrix:
    """What undoes a misalignment: px, degrees, percent, and perspective over half the longer side; about the centre."""
    half = max(height, width) / 2
    b, c = np.radians(roll), zoom / 100
    normalised = np.array([[1 + c, -b, 0], [b, 1 + c, shift / half], [*keystone, 1]])
    centre = np.array([[half, 0, (width - 1) / 2], [0, half, (height - 1) / 2], [0, 0, 1]])
    matrix: Matrix = centre @ normalised @ np.linalg.inv(centre)
    return matrix


def misaligned(right: Picture, matrix: Matrix) -> Picture:
    """The right view as a camera would have taken it that `matrix` brings into line."""
    size = (right.shape[1], right.shape[0])
    warped = cv2.warpPerspective(
        right, np.linalg.inv(matrix), size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(warped, np.uint8)


def aligned(left: Picture, right: Picture) -> Alignment:
    return estimate_alignment(preview_flow(left, right), left.shape)


def vertical_residual(left: Picture, right: Picture, alignment: Alignment) -> float:
    """Median |vertical flow| of consistent pixels after the correction."""
    straight, valid = apply_alignment(right, alignment)
    flow = Dis()([StereoPair("a", left, straight, True, (left.shape[1], left.shape[0]), "0")])[0]
    consistent = (forward_backward_error(flow) <= 2) & target_visible(flow, valid)
    assert consistent.mean() > 0.5
    return float(np.median(np.abs(flow.forward[..., 1][consistent])))


@pytest.mark.parametrize(("seed", "kind"), SCENES)
@pytest.mark.parametrize(
    ("shift", "roll", "zoom", "keystone"),
    [
        (5.0, 0.0, 0.0, (0.0, 0.0)),
        (-9.0, 0.0, 0.0, (0.0, 0.0)),
        (0.0, 2.0, 0.0, (0.0, 0.0)),
        (0.0, -1.5, 0.0, (0.0, 0.0)),
        (0.0, 0.0, 3.0, (0.0, 0.0)),
        (0.0, 0.0, -3.0, (0.0, 0.0)),
        (0.0, 0.0, 0.0, (0.05, 0.0)),
        (4.0, 1.0, 0.0, (-0.03, 0.0)),
        (-3.0, -1.0, 2.0, (0.0, 0.04)),
    ],
)
def test_planted_misalignment_is_found_and_undone(
    rendered: Render,
    seed: int,
    kind: Kind,
    shift: float,
    roll: float,
    zoom: float,
    keystone: tuple[float, float],
) -> None:
    scene = rendered(seed, kind)
    height, width = scene.left.shape[:2]
    planted = correction(height, width, shift, roll, zoom, keystone)
    right = misaligned(scene.right, planted)
    estimated = aligned(scene.left, right)
    assert not estimated.is_identity
    assert estimated.shift_px == pytest.approx(shift, abs=0.3)
    assert estimated.roll_deg == pytest.approx(roll, abs=0.1)
    assert estimated.zoom_percent == pytest.approx(zoom, abs=0.3)
    assert estimated.keystone == pytest.approx(np.hypot(*keystone), abs=0.006)
    assert estimated.after_px < 0.2 < estimated.before_px
    corners = np.array([[[20.0, 20.0], [width - 20, 20], [20, height - 20], [width - 20, height - 20]]])
    moved = cv2.perspectiveTransform(corners, estimated.homography @ np.linalg.inv(planted))
    assert np.abs(moved - corners)[..., 1].max() < 0.3
    assert vertical_residual(scene.left, right, estimated) < 0.3


@pytest.mark.parametrize("axis", [(0.0, 1.0), (1.0, 0.0)], ids=["pan", "tilt"])
def test_of_a_turned_camera_the_horizontal_part_follows_from_the_vertical_one(axis: tuple[float, float]) -> None:
    height, width = 300, 400
    focal = 500 / 200  # a normal lens, the diagonal, over half the width
    camera = np.diag([focal, focal, 1.0])
    turn, _ = cv2.Rodrigues(np.radians(2.5) * np.array([*axis, 0.0]))
    undone = camera @ turn @ np.linalg.inv(camera)
    undone /= undone[2, 2]
    seen_by_fit = np.array([-undone[1, 0], undone[1, 1] - 1, undone[1, 2], undone[2, 0], undone[2, 1]])
    seen_by_fit[1] -= seen_by_fit[2] * seen_by_fit[4]  # a vertical shift is free: that of the fit keeps the centre
    seen_by_fit[2] = 0.0
    corners = np.array([[[-1.0, -0.75], [1, -0.75], [-1, 0.75], [1, 0.75], [0, 0]]])
    across = [
        cv2.perspectiveTransform(corners, h)[0, :, 0]
        for h in (undone, rectifying_homography(seen_by_fit, (height, width)))
    ]
    assert np.ptp(across[0] - across[1]) < 2e-4  # but for one shift of all
    assert np.ptp(across[0] - corners[0, :, 0]) > 2e-3


@pytest.mark.parametrize("convergence", [0.0, 8.0])
@pytest.mark.parametrize(("seed", "kind"), [*SCENES, (4, "outdoor"), (2, "outdoor")])
def test_a_rectified_pair_is_left_untouched(rendered: Render, seed: int, kind: Kind, convergence: float) -> None:
    scene = rendered(seed, kind, convergence=convergence)
    estimated = aligned(scene.left, scene.right)
    assert estimated.is_identity
    assert np.array_equal(estimated.homography, np.eye(3))
    right, valid = apply_alignment(scene.right, estimated)
    assert right is scene.right
    assert valid.all()


def preview_of(shift: float, saddle: float, block: float = 0.0) -> Preview:
    """A preview of views 448 px wide whose vertical error, px, is even, of the form x y (at corners), and a block's."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (300, 448, 3), dtype=np.uint8)
    x, y = np.meshgrid(np.linspace(-1, 1, 448), np.linspace(-1, 1, 300))
    there = shift + saddle * x * y + (generator.normal(0, 0.05, x.shape) if block else 0)
    back = shift + saddle * x * (y - there / 150)
    for way in (there, back):
        way[50:250, 70:380] += block
    forward, backward = (np.stack([0 * x, way], -1).astype(np.float32) for way in (there, -back))
    return Preview(noise, noise, Flow(forward, backward), 1.0)


def test_no_correction_makes_a_pair_worse() -> None:
    estimated = estimate_alignment(preview_of(0.0, 0.0, 0.6), (300, 448))
    assert estimated.after_px <= estimated.before_px


def test_what_calibrated_rigs_keep_is_left_alone() -> None:
    """Less than 0.3 px, and of a keystone what gains less than 2.5e-4 of the picture (0.11 px) beyond the rest."""
    assert estimate_alignment(preview_of(0.25, 0.0), (300, 448)).is_identity
    assert np.isclose(estimate_alignment(preview_of(0.35, 0.0), (300, 448)).shift_px, -0.35, atol=0.01)
    assert estimate_alignment(preview_of(0.0, 0.5), (300, 448)).is_identity
    assert not estimate_alignment(preview_of(0.0, 0.7), (300, 448)).is_identity  # 0.13 px
    own, turned = (estimate_alignment(preview_of(2.0, saddle), (300, 448)) for saddle in (0.5, 2.0))
    assert np.isclose(own.shift_px, -2, atol=0.05)
    assert own.keystone == 0
    assert np.isclose(turned.keystone, 2 / 150, rtol=0.1)


def test_depth_is_the_same_after_a_misalignment_was_undone(rendered: Render) -> None:
    """Straightening must not eat or add horizontal parallax (beyond the roll's own, which is even)."""
    scene = rendered(0)
    right = misaligned(scene.right, correction(176, 240, 6.0, 1.0))
    straight, valid = apply_alignment(right, aligned(scene.left, right))
    flow = Dis()([StereoPair("a", scene.left, straight, True, (240, 176), "0")])[0]
    consistent = (forward_backward_error(flow) <= 2) & target_visible(flow, valid) & ~scene.sky & ~scene.occluded
    assert np.median(np.abs(disparity_of(flow) - scene.disparity)[consistent]) < 0.3


def test_the_void_beyond_the_border_is_marked() -> None:
    right = np.full((100, 120, 3), 90, np.uint8)
    shift = Alignment(np.array([[1.0, 0, 0], [0, 1, 10], [0, 0, 1]]), shift_px=10.0)
    moved, valid = apply_alignment(right, shift)
    assert moved.shape == right.shape
    assert not valid[:10].any()
    assert valid[10:].all()


def test_nothing_is_corrected_where_there_is_nothing_to_go_by() -> None:
    """Blank views, and a view too small for the fit, have no points."""
    blank = np.full((120, 160, 3), 127, np.uint8)
    assert aligned(blank, blank).is_identity
    noise = np.random.default_rng(0).integers(0, 256, (19, 19, 3), dtype=np.uint8)
    assert aligned(noise, np.roll(noise, 2, axis=0)).is_identity
