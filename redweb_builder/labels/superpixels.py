"""Superpixels of a photograph: compact regions that follow its edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import Picture

STEP_PX = 12  # distance between superpixel seeds
Array = NDArray[np.float64]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Superpixels:
    """labels: HxW, 0..count-1. colour: count x 3 CIELAB. neighbours: pairs (i, j), i < j, that share a border."""

    labels: Labels
    count: int
    colour: Array
    centre: Array
    area: Array
    neighbours: tuple[NDArray[np.intp], NDArray[np.intp]]


def segment_superpixels(left: Picture) -> Superpixels:
    """Compact superpixels: OpenCV's watershed from a grid of seeds STEP_PX apart on the smoothed photograph."""
    height, width = left.shape[:2]
    rows, columns = (np.arange(STEP_PX // 2, side, STEP_PX) for side in (height, width))
    count = len(rows) * len(columns)
    markers = np.zeros((height, width), np.int32)
    markers[np.ix_(rows, columns)] = np.arange(1, count + 1).reshape(len(rows), len(columns))
    cv2.watershed(cv2.GaussianBlur(left, (0, 0), 1.0), markers)
    labels = _without_lines(markers) - 1
    area = np.maximum(np.bincount(labels.ravel(), minlength=count), 1).astype(np.float64)
    lab = cv2.cvtColor(left, cv2.COLOR_RGB2LAB)
    y, x = np.indices(labels.shape, np.float32)
    means = [np.bincount(labels.ravel(), channel.ravel(), count) / area for channel in (*cv2.split(lab), x, y)]
    return Superpixels(labels, count, np.stack(means[:3], 1), np.stack(means[3:], 1), area, _neighbours(labels, count))


def _without_lines(markers: Labels) -> Labels:
    """Give the pixels on watershed lines (-1) to a superpixel beside them."""
    labels = np.maximum(markers, 0)
    for _ in range(3):
        grown = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
        labels = np.where(labels > 0, labels, grown)
    return np.maximum(labels, 1)


def _neighbours(labels: Labels, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    first = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()]).astype(np.int64)
    second = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()]).astype(np.int64)
    low, high = np.minimum(first, second), np.maximum(first, second)
    border = np.zeros(0, np.int64) if count < 2 else np.unique((low * count + high)[low != high])
    return (border // count).astype(np.intp), (border % count).astype(np.intp)
