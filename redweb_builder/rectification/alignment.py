"""Vertical misalignment of the right view: estimated from a quick flow, undone before the real one.

Stereo as people take it is not rectified: the right camera sits a little higher, is rolled, zoomed, or toed in. What is
vertical in the flow tells all of these without calibration (Mallon and Whelan, "Projective rectification from the
fundamental matrix", 2005, use the same restricted homographies). The horizontal part is the depth and says nothing of
the cameras; it follows from the vertical one, as for a camera that is turned, see `rectifying_homography`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.matching.consistency import PREVIEW_PX, forward_backward_error
from redweb_builder.rectification.quick_flow import Preview
from redweb_builder.types import BoolMap, FloatMap, Picture

MIN_GAIN_PX = 0.3  # of shift, roll and zoom; calibrated pairs keep such errors, and warping them would harm the depth
MIN_KEYSTONE_GAIN = 2.5e-4  # of the longer side: a rig's own distortion has the form of a keystone, and grows like one
MIN_POINTS, MAX_POINTS = 400, 10_000
NORMAL_LENS = 1.0  # focal length over the picture's diagonal, where a turned camera is assumed; photographs do not tell
LIMITS = np.array([0.1, 0.1, 0.25, 0.08, 0.08])  # roll, zoom, shift, keystone x, keystone y; larger is not stereo
ROUNDS = 12
SIMILARITY, WITH_KEYSTONE = 3, 5


@dataclass(frozen=True)
class Alignment:
    """How the right view was brought into line with the left.

    homography: 3x3 float64, right pixel -> aligned right pixel. shift_px: vertical, at the picture's centre, + is down.
    roll_deg, zoom_percent, keystone: the other parts. before_px, after_px: median |vertical flow| of confirmed points
    without and with the correction. Identity (all zero) where there was nothing to correct or nothing to go by.
    """

    homography: NDArray[np.float64]
    shift_px: float = 0.0
    roll_deg: float = 0.0
    zoom_percent: float = 0.0
    keystone: float = 0.0
    before_px: float = 0.0
    after_px: float = 0.0

    @property
    def is_identity(self) -> bool:
        """True where the right view is used as it came."""
        return bool(np.array_equal(self.homography, np.eye(3)))

    def measurements(self) -> dict[str, float]:
        """The manifest's columns."""
        return {
            "align_shift_px": self.shift_px,
            "align_roll_deg": self.roll_deg,
            "align_zoom_percent": self.zoom_percent,
            "align_keystone": self.keystone,
            "align_before_px": self.before_px,
            "align_after_px": self.after_px,
        }


def estimate_alignment(look: Preview, shape: tuple[int, ...]) -> Alignment:
    """Find the homography of the right view that removes vertical disparity.

    shape: of the full-size views. Points are pixels that the quick flow confirms in both directions; the model
    y_left = (b u + (1 + c) v + t) / (p u + q v + 1) in centred, normalised right-view coordinates (u, v) is fitted
    by iteratively reweighted least squares (Tukey), so that a wrong tenth of the flow does not move it. Shift, roll
    and zoom are undone where they make the median error smaller by MIN_GAIN_PX, keystone where it does so by
    MIN_KEYSTONE_GAIN beyond these.
    """
    points, vertical, scale = consistent_points(look)
    if len(points) < MIN_POINTS:
        return Alignment(np.eye(3))
    before = float(np.median(np.abs(vertical)))
    best, after, left_over = np.zeros(5), before, before
    # Keystone bends the horizontal axis too, so it must earn its place beyond shift, roll and zoom.
    for free, least in ((SIMILARITY, MIN_GAIN_PX), (WITH_KEYSTONE, MIN_KEYSTONE_GAIN * max(shape[:2]))):
        parameters = fit_vertical(points, points[:, 1] + vertical, free)
        residual = float(np.median(np.abs(vertical - _model(parameters, points) + points[:, 1])))
        if (left_over - residual) * scale >= least and np.all(np.abs(parameters) <= LIMITS):
            best, after = parameters, residual
        left_over = min(left_over, residual)
    if not best.any():
        return Alignment(np.eye(3), before_px=before * scale, after_px=before * scale)
    b, c, t, p, q = (float(value) for value in best)
    return Alignment(
        homography=_in_pixels(rectifying_homography(best, shape), shape),
        shift_px=t * scale,
        roll_deg=float(np.degrees(b)),
        zoom_percent=100 * c,
        keystone=float(np.hypot(p, q)),
        before_px=before * scale,
        after_px=after * scale,
    )


def apply_alignment(right: Picture, alignment: Alignment) -> tuple[Picture, BoolMap]:
    """The aligned right view, and HxW bool: where it shows picture and not the void beyond the border."""
    height, width = right.shape[:2]
    if alignment.is_identity:
        return right, np.ones((height, width), bool)
    size = (width, height)
    warped = cv2.warpPerspective(
        right, alignment.homography, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    seen = cv2.warpPerspective(np.ones((height, width), np.float32), alignment.homography, size) > 0.99
    return warped, seen


def consistent_points(look: Preview) -> tuple[FloatMap, FloatMap, float]:
    """Nx2 right-view points and N vertical corrections, both centred and normalised; and px per normalised unit."""
    height, width = look.left.shape[:2]
    grey = cv2.cvtColor(look.left, cv2.COLOR_RGB2GRAY)
    textured = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 8
    y, x = np.nonzero((forward_backward_error(look.flow) < PREVIEW_PX) & textured)
    every = max(1, len(x) // MAX_POINTS)
    y, x = y[::every], x[::every]
    fx, fy = look.flow.forward[y, x].T
    half = max(height, width) / 2
    points = np.stack([x + fx - (width - 1) / 2, y + fy - (height - 1) / 2], 1) / half
    return points.astype(np.float32), (-fy / half).astype(np.float32), half / look.shrink


def _model(parameters: NDArray[np.float64], points: FloatMap) -> NDArray[np.float64]:
    b, c, t, p, q = parameters
    u, v = points.T.astype(np.float64)
    y_left: NDArray[np.float64] = (b * u + (1 + c) * v + t) / (p * u + q * v + 1)
    return y_left


def fit_vertical(points: FloatMap, y_left: FloatMap, free: int) -> NDArray[np.float64]:
    """The first `free` of the parameters (b, c, t, p, q), the others zero; lightly damped towards zero."""
    u, v = points.T.astype(np.float64)
    design = np.stack([u, v, np.ones_like(u), -u * y_left, -v * y_left], 1)[:, :free]
    target = y_left - v
    damping = len(u) * np.diag([1e-5, 1e-5, 0, 1e-4, 1e-4])[:free, :free]
    parameters = np.zeros(5)
    parameters[2] = np.median(target)
    for _ in range(ROUNDS):
        residual = target - design @ parameters[:free]
        spread = 4.685 * max(1.4826 * float(np.median(np.abs(residual))), 1e-4)
        weight = np.clip(1 - (residual / spread) ** 2, 0, None) ** 2
        weighted = design * weight[:, None]
        parameters[:free] = np.linalg.solve(weighted.T @ design + damping, weighted.T @ target)
    return parameters


def rectifying_homography(parameters: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The parameters (b, c, t, p, q) as a homography of centred, normalised coordinates, 3x3.

    Keystone p comes of a camera turned by some angle a, p = tan(a) / f. That also widens the picture: by (p f)^2 across
    and half as much upwards, for q the other way round. The fit saw the upward part, which is in c; the rest, left out,
    would slant every disparity.
    """
    b, c, t, p, q = parameters
    height, width = shape[:2]
    focal = NORMAL_LENS * 2 * float(np.hypot(height, width)) / max(height, width)
    return np.array([[1 + c + (p**2 - q**2) * focal**2 / 2, -b, 0.0], [b, 1 + c, t], [p, q, 1.0]])


def _in_pixels(normalised: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    height, width = shape[:2]
    half = max(height, width) / 2
    to_pixels = np.array([[half, 0, (width - 1) / 2], [0, half, (height - 1) / 2], [0, 0, 1]])
    matrix = to_pixels @ normalised @ np.linalg.inv(to_pixels)
    return np.asarray(matrix / matrix[2, 2])
