"""The strip of one pair: what was seen on the way to its label, in one row of six tiles.

It is drawn while the maps are in memory and kept as previews/<key>.jpg, so that the grid needs no network later.
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.colour import (
    colour_scale,
    disparity_picture,
    fade_invalid,
    flow_picture,
    mask_picture,
    regions_picture,
)
from redweb_builder.types import BoolMap, Evidence, FloatMap, Label, Picture

CELL_WIDTH, CELL_HEIGHT, GAP = 240, 160, 4
COLUMNS = ("left view", "optical flow", "raw disparity", "regions", "refined depth", "mask")
STRIP_WIDTH = len(COLUMNS) * CELL_WIDTH + (len(COLUMNS) - 1) * GAP
BACKGROUND = 35

Map = TypeVar("Map", Picture, FloatMap)
AnyMap = TypeVar("AnyMap", FloatMap, BoolMap)


def strip(evidence: Evidence) -> Picture:
    """Draw one pair: left view, flow, raw disparity, regions, refined depth, mask.

    evidence: all maps of the pair, in the left frame. Returns CELL_HEIGHT x STRIP_WIDTH x 3 uint8 RGB: six cells of one
    size, so that the columns of many pairs align, with the maps fitted inside on the background colour. Raw and refined
    depth share one colour scale.
    """
    size = tile_size(*evidence.pair.left.shape[:2])
    left = _resize(evidence.pair.left, size)
    maps = (evidence.flow.forward, evidence.raw_disparity, evidence.regions.sky, evidence.regions.far)
    flow, raw, sky, far = (_resize(_thin(image, size), size) for image in maps)
    valid = _resize(_thin(evidence.valid, size).astype(np.float32), size)
    refined, mask = _reduced(evidence.label, size)
    low, high = colour_scale(refined, mask)
    return _join(
        [
            left,
            flow_picture(flow),
            fade_invalid(disparity_picture(raw, low, high), valid),
            regions_picture(left, sky, far),
            disparity_picture(refined, low, high),
            mask_picture(mask),
        ]
    )


def strip_of_label(picture: Picture, label: Label) -> Picture:
    """The strip of a pair of which only picture and label are there: the tiles of what led to the label are empty.

    picture: HxWx3 uint8 RGB, the left view. label: of it. Returns the shape of `strip`.
    """
    size = tile_size(*picture.shape[:2])
    refined, mask = _reduced(label, size)
    empty = np.full((size[1], size[0], 3), BACKGROUND, np.uint8)
    depth = disparity_picture(refined, *colour_scale(refined, mask))
    return _join([_resize(picture, size), empty, empty, empty, depth, mask_picture(mask)])


def tile_size(height: int, width: int) -> tuple[int, int]:
    """The largest (width, height) in px of the picture's aspect that fits a cell."""
    scale = min(CELL_WIDTH / width, CELL_HEIGHT / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _reduced(label: Label, size: tuple[int, int]) -> tuple[FloatMap, NDArray[np.uint8]]:
    """Disparity and mask of a label at the (width, height) of a tile."""
    mask = cv2.resize(label.mask, size, interpolation=cv2.INTER_NEAREST)
    return _resize_known(_thin(label.disparity, size), size), np.asarray(mask, np.uint8)


def _resize(image: Map, size: tuple[int, int]) -> Map:
    """Resize a picture or a map without holes to (width, height): area mean when shrinking, linear when enlarging."""
    shrinks = size[0] < image.shape[1]
    resized: Map = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized


def _thin(image: AnyMap, size: tuple[int, int]) -> AnyMap:
    """Every n-th pixel of a map, at least two a side left for each pixel of `size`: a mean of those looks the same."""
    step = max(1, image.shape[1] // (2 * size[0]))
    return image[::step, ::step]


def _resize_known(disparity: FloatMap, size: tuple[int, int]) -> FloatMap:
    """Resize a map with holes: the mean of the known values, NaN where they cover less than half of a pixel."""
    known = ~np.isnan(disparity)
    cover = _resize(known.astype(np.float32), size)
    total = _resize(np.where(known, disparity, np.float32(0)), size)
    return np.where(cover >= 0.5, total / np.maximum(cover, 0.5), np.float32(np.nan))


def _join(tiles: list[Picture]) -> Picture:
    """Centre each tile in a cell of its own, side by side on the background."""
    canvas = np.full((CELL_HEIGHT, STRIP_WIDTH, 3), BACKGROUND, dtype=np.uint8)
    for column, tile in enumerate(tiles):
        height, width = tile.shape[:2]
        y = (CELL_HEIGHT - height) // 2
        x = column * (CELL_WIDTH + GAP) + (CELL_WIDTH - width) // 2
        canvas[y : y + height, x : x + width] = tile
    return canvas
