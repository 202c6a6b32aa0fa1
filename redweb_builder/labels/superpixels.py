"""Superpixels of a photograph: compact regions that follow its edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import FloatMap, Picture

STEP_PX = 12  # px between the seeds of superpixels

Array = NDArray[np.float64]
Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Superpixels:
    """The superpixels of a picture.

    labels: HxW intp, the superpixel of each pixel, 0 to count - 1. colour: count x 3, mean CIELAB in OpenCV's 8 bits.
    centre: count x 2, mean (x, y), px. area: count, px, at least 1. depth: count, mean depth by a network in [0, 1],
    larger = nearer; 0 without one. neighbours: i and j of all pairs i < j that share a border.
    """

    labels: Labels
    count: int
    colour: Array
    centre: Array
    area: Array
    depth: Array
    neighbours: tuple[NDArray[np.intp], NDArray[np.intp]]


def segment_superpixels(left: Picture, depth: FloatMap | None = None) -> Superpixels:
    """Superpixels by watershed from a grid of seeds STEP_PX apart on the smoothed picture (OpenCV).

    left: HxWx3 uint8 RGB. depth: float32 of the left view by a network, of any size and scale, larger = nearer; None =
    none is used. Seeded watershed: Meyer, "Color image segmentation", 1992.
    """
    height, width = left.shape[:2]
    rows, columns = (np.arange(STEP_PX // 2, side, STEP_PX) for side in (height, width))
    count = len(rows) * len(columns)
    markers = np.zeros((height, width), np.int32)
    markers[np.ix_(rows, columns)] = np.arange(1, count + 1).reshape(len(rows), len(columns))
    cv2.watershed(cv2.GaussianBlur(left, (0, 0), 1.0), markers)
    labels = _fill_watershed_lines(markers) - 1
    flat = labels.ravel()
    area = np.maximum(np.bincount(flat, minlength=count), 1).astype(np.float64)
    lab = cv2.cvtColor(left, cv2.COLOR_RGB2LAB)
    y, x = np.indices(labels.shape, np.float32)
    z = np.zeros_like(x) if depth is None else cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR)
    z = (z - z.min()) / max(float(np.ptp(z)), 1e-9)
    means = [np.bincount(flat, channel.ravel(), count) / area for channel in (*cv2.split(lab), x, y, z)]
    colour, centre = np.stack(means[:3], 1), np.stack(means[3:5], 1)
    return Superpixels(labels, count, colour, centre, area, means[5], _neighbours(labels, count))


def _fill_watershed_lines(markers: NDArray[np.int32]) -> Labels:
    """The markers, 1 to count, with the pixels of watershed lines (-1) given to a superpixel beside them."""
    labels = np.maximum(markers, 0).astype(np.float32)  # OpenCV dilates no 32-bit integers
    for _ in range(3):
        on_line = labels == 0
        if not on_line.any():
            break
        np.copyto(labels, cv2.dilate(labels, np.ones((3, 3), np.uint8)), where=on_line)
    return np.maximum(labels, 1).astype(np.intp)


def _neighbours(labels: Labels, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """i and j of all pairs i < j of labels that meet along a row or a column."""
    meeting = ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:]))
    first, second = (np.concatenate(part) for part in zip(*(_where_unequal(*pair) for pair in meeting), strict=True))
    border = np.unique(np.minimum(first, second) * count + np.maximum(first, second))
    return border // count, border % count


def _where_unequal(first: Labels, second: Labels) -> tuple[Labels, Labels]:
    """N labels of each where the two differ."""
    unequal = first != second
    return first[unequal], second[unequal]
