"""Rectification without calibration: the vertical misalignment of the right view, estimated and undone.

Stereo as people take it is not rectified: the right camera sits a little higher, is rolled, zoomed, or toed in. The
vertical part of the preview's flow shows all of these (Mallon and Whelan, "Projective rectification from the
fundamental matrix", 2005, use the same restricted homographies). The horizontal part of the flow is depth, so it cannot
show the cameras. Its correction follows from the vertical one, as for a turned camera (`rectifying_homography`).

Coordinates: (u, v) are centred on the picture and divided by half of its longer side, so they lie in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.matching.consistency import PREVIEW_PX, WHOLLY_VALID
from redweb_builder.matching.quick_flow import Preview
from redweb_builder.matching.texture import TEXTURED_PX, contrast
from redweb_builder.types import BoolMap, FloatMap, Picture

MIN_GAIN_PX = 0.3  # px of the full view; a smaller gain of shift, roll and zoom is left, as calibrated rigs have it
MIN_KEYSTONE_GAIN = 2.5e-4  # share of the longer side; a smaller gain of keystone may be a lens distortion of the rig
MIN_POINTS, MAX_POINTS = 400, 10_000  # consistent points; with fewer, nothing is fitted; of more, every n-th is taken
MIN_CONTRAST = 8  # grey levels in a window of 5 px; points with less are not used
NORMAL_LENS = 1.0  # assumed focal length over the picture's diagonal, for the widening by a turned camera
LIMITS = np.array([0.1, 0.1, 0.25, 0.08, 0.08])  # of |b|, |c|, |t|, |p|, |q|; larger values are not stereo
ROUNDS = 12  # of reweighting
BLOCK = 1 << 16  # points of one product: BLAS shares more out among its threads, and the sum shows how many there are
SIMILARITY, WITH_KEYSTONE = 3, 5  # numbers of free parameters


@dataclass(frozen=True)
class Alignment:
    """The correction that aligns the right view with the left.

    homography: 3x3 float64, right pixel -> aligned right pixel, px of the full view. shift_px: vertical shift at the
    picture's centre, positive = down. roll_deg: b in degrees. zoom_percent: 100 c. keystone: length of (p, q).
    before_px, after_px: median |vertical flow| of the consistent points without and with the correction, px of the full
    view. Identity where the correction gains too little (before_px = after_px), and where too few points are consistent
    (all zero).
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
        """True where the right view is used without a warp."""
        return bool(np.array_equal(self.homography, np.eye(3)))

    def numbers(self) -> tuple[float, ...]:
        """All of it as plain numbers, row by row of the homography first; see alignment_of."""
        return (*map(float, self.homography.ravel()), *self.measurements().values())

    def measurements(self) -> dict[str, float]:
        """The columns of the manifest by name; their units are in the names."""
        return {
            "align_shift_px": self.shift_px,
            "align_roll_deg": self.roll_deg,
            "align_zoom_percent": self.zoom_percent,
            "align_keystone": self.keystone,
            "align_before_px": self.before_px,
            "align_after_px": self.after_px,
        }


def alignment_of(numbers: Sequence[float]) -> Alignment:
    """The inverse of Alignment.numbers. numbers: 15 of them."""
    return Alignment(np.array(numbers[:9]).reshape(3, 3), *numbers[9:])


def estimate_alignment(preview: Preview, shape: tuple[int, ...]) -> Alignment:
    """estimate_common_alignment of one pair. preview: of it. shape: (height, width, ...) of the full views."""
    return estimate_common_alignment([preview], shape)


def estimate_common_alignment(previews: Sequence[Preview], shape: tuple[int, ...]) -> Alignment:
    """Estimate the homography of the right view that removes vertical disparity.

    previews: of one pair, or of pairs of one rig, at least one; equal in size, their eyes in order. Points of all of
    them are fitted together. shape: (height, width, ...) of the full views. The model of the left row is
    y_left = (b u + (1 + c) v + t) / (p u + q v + 1), with (u, v) of the right view. The fit to consistent points is
    iteratively reweighted least squares (Tukey's biweight), so that a wrong tenth of the flow does not move it. Shift,
    roll and zoom are undone where they lower the median error by MIN_GAIN_PX. Keystone is undone where it lowers the
    error by MIN_KEYSTONE_GAIN more.
    """
    per_pair = [consistent_points(preview) for preview in previews]
    points, vertical = (np.concatenate([part[at] for part in per_pair]) for at in (0, 1))
    scale = per_pair[0][2]
    if len(points) < MIN_POINTS:
        return Alignment(np.eye(3))
    before = float(np.median(np.abs(vertical)))
    best, after, smallest = np.zeros(5), before, before
    # Keystone bends the horizontal axis too, so its gain is counted beyond that of shift, roll and zoom.
    for free, min_gain_px in ((SIMILARITY, MIN_GAIN_PX), (WITH_KEYSTONE, MIN_KEYSTONE_GAIN * max(shape[:2]))):
        parameters = fit_vertical(points, points[:, 1] + vertical, free)
        residual = float(np.median(np.abs(vertical - _model(parameters, points) + points[:, 1])))
        if (smallest - residual) * scale >= min_gain_px and np.all(np.abs(parameters) <= LIMITS):
            best, after = parameters, residual
        smallest = min(smallest, residual)
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
    """Warp the right view; return it and HxW bool, False where it shows pixels from beyond the border.

    right: HxWx3 uint8 RGB. alignment: of this view. Both results lie in the aligned right frame.
    """
    height, width = right.shape[:2]
    if alignment.is_identity:
        return right, np.ones((height, width), bool)
    size = (width, height)
    warped = cv2.warpPerspective(
        right, alignment.homography, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    inside = cv2.warpPerspective(np.ones((height, width), np.float32), alignment.homography, size)
    return warped, inside > WHOLLY_VALID


def consistent_points(preview: Preview) -> tuple[FloatMap, FloatMap, float]:
    """Textured points of the right view that are consistent, and the vertical moves that would align them.

    preview: of the pair. Returns (u, v) of N points, Nx2 float32; N moves, float32, in the same unit, positive = down;
    and px of the full view per unit.
    """
    height, width = preview.left.shape[:2]
    textured = contrast(preview.left, TEXTURED_PX) > MIN_CONTRAST
    y, x = np.nonzero((preview.error < PREVIEW_PX) & textured)
    every = max(1, len(x) // MAX_POINTS)
    y, x = y[::every], x[::every]
    fx, fy = preview.flow.forward[y, x].T
    half = max(height, width) / 2
    points = np.stack([x + fx - (width - 1) / 2, y + fy - (height - 1) / 2], 1) / half
    return points.astype(np.float32), (-fy / half).astype(np.float32), half / preview.scale


def _model(parameters: NDArray[np.float64], points: FloatMap) -> NDArray[np.float64]:
    b, c, t, p, q = parameters
    u, v = points.T.astype(np.float64)
    y_left: NDArray[np.float64] = (b * u + (1 + c) * v + t) / (p * u + q * v + 1)
    return y_left


def fit_vertical(points: FloatMap, y_left: FloatMap, free: int) -> NDArray[np.float64]:
    """Fit the model of estimate_alignment: parameters (b, c, t, p, q), 5 float64.

    points: Nx2 (u, v) of the right view. y_left: N, where the same points lie in the left view. free: number of
    parameters fitted, SIMILARITY or WITH_KEYSTONE; the others are zero. All but t are lightly damped towards zero.
    """
    u, v = points.T.astype(np.float64)
    design = np.stack([u, v, np.ones_like(u), -u * y_left, -v * y_left], 1)[:, :free]
    target = y_left - v
    damping = len(u) * np.diag([1e-5, 1e-5, 0, 1e-4, 1e-4])[:free, :free]
    parameters = np.zeros(5)
    parameters[2] = np.median(target)
    blocks = [slice(start, start + BLOCK) for start in range(0, len(u), BLOCK)]
    for _ in range(ROUNDS):
        residual = target - design @ parameters[:free]
        spread = 4.685 * max(1.4826 * float(np.median(np.abs(residual))), 1e-4)
        weight = np.clip(1 - (residual / spread) ** 2, 0, None) ** 2
        weighted = (design * weight[:, None]).T
        squares = sum(weighted[:, rows] @ design[rows] for rows in blocks)
        parameters[:free] = np.linalg.solve(squares + damping, sum(weighted[:, rows] @ target[rows] for rows in blocks))
    return parameters


def rectifying_homography(parameters: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The homography of (u, v) for parameters (b, c, t, p, q), 3x3 float64.

    shape: (height, width, ...) of the view. A camera turned by an angle a has a keystone of p = tan(a) / f, with f the
    focal length in the unit of (u, v). The turn also widens the picture: by (p f)^2 along x and half as much along y;
    for q it is the other way round. The vertical part is in the fitted c. The remaining half is added here along x,
    since without it every disparity would slant.
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
