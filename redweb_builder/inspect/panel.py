"""The picture of one pair in the grid: photograph, depth and confidence large, the steps to the label small."""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.colour import colour_scale, confidence_picture, disparity_picture
from redweb_builder.inspect.strip import BACKGROUND, CELL_HEIGHT, CELL_WIDTH, COLUMNS, GAP, STRIP_WIDTH
from redweb_builder.types import Label, Picture

LARGE = ("left view", "refined depth", "confidence")
STEPS = ("optical flow", "raw disparity", "regions", "mask")  # tiles of the strip, two by two
PANEL_WIDTH = STRIP_WIDTH
TILE_WIDTH = (PANEL_WIDTH - len(LARGE) * GAP) // (len(LARGE) + 1)
TILE_HEIGHT = round(TILE_WIDTH * CELL_HEIGHT / CELL_WIDTH / 2) * 2  # two steps and a gap between them
STEP_WIDTH, STEP_HEIGHT = (TILE_WIDTH - GAP) // 2, (TILE_HEIGHT - GAP) // 2


def panel(image: Picture, label: Label, strip: Picture) -> Picture:
    """Draw one pair.

    image: HxWx3 uint8 RGB, the left view. label: of it. strip: as `strip` drew it. Returns
    TILE_HEIGHT x PANEL_WIDTH x 3 uint8 RGB.
    """
    canvas = np.full((TILE_HEIGHT, PANEL_WIDTH, 3), BACKGROUND, np.uint8)
    low, high = colour_scale(label.disparity, label.mask)
    pictures = (image, disparity_picture(label.disparity, low, high), confidence_picture(label.confidence))
    for column, picture in enumerate(pictures):
        _paste(canvas, column * (TILE_WIDTH + GAP), 0, picture, (TILE_WIDTH, TILE_HEIGHT))
    left = len(LARGE) * (TILE_WIDTH + GAP)
    for number, name in enumerate(STEPS):
        start = COLUMNS.index(name) * (CELL_WIDTH + GAP)
        x, y = left + number % 2 * (STEP_WIDTH + GAP), number // 2 * (STEP_HEIGHT + GAP)
        _paste(canvas, x, y, strip[:, start : start + CELL_WIDTH], (STEP_WIDTH, STEP_HEIGHT))
    return canvas


def _paste(canvas: Picture, x: int, y: int, picture: Picture, cell: tuple[int, int]) -> None:
    """A picture fitted into the middle of a cell of (width, height) px whose corner is (x, y)."""
    height, width = picture.shape[:2]
    scale = min(cell[0] / width, cell[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = x + (cell[0] - size[0]) // 2, y + (cell[1] - size[1]) // 2
    canvas[top : top + size[1], left : left + size[0]] = fitted
