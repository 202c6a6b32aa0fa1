"""Sizes of Eigen, Puhrsch & Fergus 2014: the frame, the crop that a network sees, the cells of its map."""

from __future__ import annotations

import numpy as np

FRAME = (240, 320)  # height, width of a picture as the data come
CROP = (228, 304)  # of what a network sees of it
MAP = (55, 74)  # of Eigen et al.'s depth
CELL = 4  # px of the crop a cell of the map
LOST = 4  # px of the crop at each side for which no cell is left: (228 - 4 * 55) / 2 = (304 - 4 * 74) / 2
TARGET = np.s_[..., LOST + 1 : -LOST : CELL, LOST + 1 : -LOST : CELL]  # [1::4, 1::4] of what cells cover
