"""A right eye's view made from one photograph and its depth, and the forms that people look at such pairs in."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import FloatMap, Picture

STRENGTH = 0.025  # disparity between nearest and farthest, as a share of the width: easy on the eyes on a monitor
ENDS = (1.0, 99.0)  # percentiles of the depth that are the nearest and the farthest
SAME_SURFACE_PX = 1.5  # disparities that differ by less may lie on one surface
MIXED_PX = 2
INPAINT_PX = 4  # radius
PHASES = 12  # pictures of a parallax animation


def disparity_for_eyes(
    depth: FloatMap, ends: tuple[float, float] | None = None, strength: float = STRENGTH
) -> FloatMap:
    """Disparity that a pair of views is to have: HxW float32, px, larger = nearer, the middle of the range at 0.

    depth: HxW float32, larger = nearer, of any scale. ends: the depths of the farthest and the nearest; default
    percentiles of the picture. strength: the disparity between these, as a share of the width.
    """
    low, high = ends or np.percentile(depth, ENDS).tolist()
    share = np.clip((depth - low) / max(high - low, 1e-12), 0, 1) - 0.5
    disparity: FloatMap = (share * strength * depth.shape[1]).astype(np.float32)
    return disparity


def shifted_view(image: Picture, disparity: FloatMap) -> Picture:
    """What an eye further to the right sees: the left pixel (x, y) lies at (x - disparity, y) there.

    image: HxWx3 uint8 RGB. disparity: HxW float32, px, finite, larger = nearer. What no pixel of the photograph comes
    to shows the farther of the two surfaces beside it, mirrored at the edge.
    """
    height, width = disparity.shape
    moved = _moved(disparity)
    source = np.arange(width, dtype=np.float32) + moved  # x in the photograph, NaN in holes
    x = np.where(np.isfinite(source), source, _mirrored(source, *_beside_holes(moved)))
    y = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    view = cv2.remap(image, np.nan_to_num(x), y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    left_over = np.isnan(x).astype(np.uint8)
    return np.asarray(cv2.inpaint(view, left_over, INPAINT_PX, cv2.INPAINT_TELEA), np.uint8)


def _moved(disparity: FloatMap) -> FloatMap:
    """The disparity of the left view as the other eye sees it: of several surfaces the nearest; NaN = none."""
    height, width = disparity.shape
    moved = np.full((height, width + 2), -np.inf, np.float32)  # a column at either end for what leaves the picture
    x = np.arange(width) - disparity
    rows = np.repeat(np.arange(height)[:, None], width, axis=1)
    for place in (np.floor(x), np.ceil(x)):  # both, or surfaces that turn away would be full of holes
        np.maximum.at(moved, (rows, (place.astype(np.int64) + 1).clip(0, width + 1)), disparity)
    inner = moved[:, 1:-1]
    return np.where(np.isfinite(inner), inner, np.float32(np.nan))


def _beside_holes(disparity: FloatMap) -> tuple[NDArray[np.intp], FloatMap]:
    """For every pixel, the column of the farther of the two known ones beside it in its row, and its disparity.

    disparity: HxW float32, NaN = hole. Where a row has no known pixel, the column is the pixel's own, the disparity 0.
    """
    width = disparity.shape[1]
    known, column = np.isfinite(disparity), np.arange(width)
    before = np.maximum.accumulate(np.where(known, column, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, column, width)[:, ::-1], axis=1)[:, ::-1]
    padded = np.pad(np.where(known, disparity, np.inf), ((0, 0), (1, 1)), constant_values=np.inf)
    left, right = (np.take_along_axis(padded, side + 1, 1) for side in (before, after))
    least = np.minimum(left, right)
    has_any = np.isfinite(least)
    nearest = np.where(has_any, np.where(left <= right, before, after), column)
    return nearest, np.where(has_any, least, 0).astype(np.float32)


def _mirrored(source: FloatMap, edge: NDArray[np.intp], behind: FloatMap) -> FloatMap:
    """Where holes take their colour from: HxW float32, x in the photograph; NaN where a mirror shows another surface.

    source: HxW, of each pixel, NaN in holes. edge, behind: the known pixel beside each hole, and its disparity. The
    colours at the very edge are mixed with those of what is in front, so the mirror stands MIXED_PX behind it.
    """
    column = np.arange(source.shape[1])
    mirror = edge + np.sign(edge - column) * MIXED_PX
    reflected = (2 * mirror - column).clip(0, source.shape[1] - 1)
    there = np.take_along_axis(source, reflected, 1)
    same = np.abs(there - reflected - behind) < SAME_SURFACE_PX  # False for NaN
    return np.where(same, there, np.nan).astype(np.float32)


def side_by_side(left: Picture, right: Picture) -> Picture:
    """Both views in one picture, the left one left: HxWx3 twice -> Hx2Wx3. left, right: of one size."""
    return np.hstack([left, right])


def anaglyph(left: Picture, right: Picture) -> Picture:
    """For red and cyan glasses ("half colour"): red is the left view's grey, green and blue are the right view's.

    left, right: HxWx3 uint8 RGB. Returns HxWx3.
    """
    mixed = right.copy()
    mixed[..., 0] = cv2.cvtColor(left, cv2.COLOR_RGB2GRAY)
    return mixed


def parallax_views(image: Picture, disparity: FloatMap) -> list[Picture]:
    """The views of an eye that goes from side to side and back: PHASES pictures of a loop.

    image: HxWx3 uint8 RGB. disparity: of `disparity_for_eyes`, the whole way from one end to the other.
    """
    places = (np.sin(2 * np.pi * phase / PHASES) / 2 for phase in range(PHASES))
    return [_view_from(image, disparity, float(place)) for place in places]


def _view_from(image: Picture, disparity: FloatMap, place: float) -> Picture:
    """The view from `place` times the distance of the eyes, to the right; a view to the left is one in the mirror."""
    if place >= 0:
        return shifted_view(image, (disparity * np.float32(place)).astype(np.float32))
    mirrored = shifted_view(image[:, ::-1], (disparity[:, ::-1] * np.float32(-place)).astype(np.float32))
    return mirrored[:, ::-1]
