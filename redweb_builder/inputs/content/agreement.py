"""How far two pictures show the same scene: blocks of each are searched for in the other."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.types import FloatMap, Picture

# Above these two pictures are views of one scene, and one picture is an anaglyph; see the functions for the evidence.
AGREEMENT = 0.3
COLOUR_SHIFT = 0.2

BLOCK = 24
MIN_CONTRAST = 3.0
MIN_CORRELATION = 0.5
MIN_BLOCKS = 6
WAY_BACK = 2


@dataclass(frozen=True)
class BlockMatches:
    """Where textured blocks of one picture lie in another.

    textured: how many blocks have enough contrast to be searched for.
    dx, dy: the shift of every block whose match leads back to where it came from, px.
    gain: its correlation less the correlation of the unmoved block.
    """

    textured: int
    dx: NDArray[np.float32]
    dy: NDArray[np.float32]
    gain: NDArray[np.float32]


def agreement(first: Picture, second: Picture) -> float:
    """Share of the textured blocks of each that the other shows too, at shifts that belong together: 0 to 1.

    first, second: HxWx3 uint8 RGB; compared at the size of `first`, reduced to 20 000 px. The mean of both ways.
    Two views of a scene reach 0.33 to 1 (the project's test data), the halves of single photographs stay below 0.3;
    only rows of equal objects and flat label maps come higher. 0 when there is too little texture to tell.
    """
    left = _fine_structure(_grey(first), 20_000)
    right = _fine_structure(_grey(cv2.resize(second, first.shape[1::-1], interpolation=cv2.INTER_AREA)), 20_000)
    return (_shown_in(left, right) + _shown_in(right, left)) / 2


def _shown_in(first: FloatMap, second: FloatMap) -> float:
    matches = match_blocks(first, second, reach_x=0.2, reach_y=0.06)
    if matches.textured < MIN_BLOCKS or len(matches.dx) < MIN_BLOCKS // 2:
        return 0.0
    same_x = np.abs(matches.dx - np.median(matches.dx)) <= 0.08 * first.shape[1] + 1
    same_y = np.abs(matches.dy - np.median(matches.dy)) <= 4
    return float(np.count_nonzero(same_x & same_y)) / matches.textured


def colour_shift(picture: Picture) -> float:
    """Share of the matched blocks whose red lies sideways of their green and blue, as in an anaglyph: 0 to 1.

    picture: HxWx3 uint8 RGB; compared at 120 000 px. Photographs stay below 0.11, anaglyphs reach 0.27 to 1 (the
    project's test data). 0 where fewer than a tenth of the textured blocks are shifted: by chance 8 % may be.
    """
    red = _fine_structure(np.ascontiguousarray(picture[:, :, 0]), 120_000)
    cyan = _fine_structure(cv2.addWeighted(picture[:, :, 1], 0.5, picture[:, :, 2], 0.5, 0.0), 120_000)
    matches = match_blocks(red, cyan, reach_x=0.1, reach_y=0.01)
    shifted = int(np.count_nonzero((np.abs(matches.dx) >= 2) & (matches.gain >= 0.1)))
    return shifted / len(matches.dx) if shifted >= max(MIN_BLOCKS, 0.1 * matches.textured) else 0.0


def match_blocks(first: FloatMap, second: FloatMap, reach_x: float, reach_y: float) -> BlockMatches:
    """Match every textured BLOCK x BLOCK block of `first` in `second`, and the match back in `first`.

    first, second: HxW float32, equal in size.
    reach_x, reach_y: the largest shift tried, as a share of the width and of the height.
    Normalised cross-correlation (Lewis 1995, cv2.matchTemplate) with the left-right check of stereo matching.
    Raises ValueError when the sizes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"pictures to compare must be equal in size, got {first.shape} and {second.shape}")
    height, width = first.shape
    reach = max(1, round(reach_x * width)), max(1, round(reach_y * height))
    textured = 0
    matches: list[tuple[float, float, float]] = []
    for top in range(0, height - BLOCK + 1, BLOCK):
        for left in range(0, width - BLOCK + 1, BLOCK):
            if float(first[top : top + BLOCK, left : left + BLOCK].std()) < MIN_CONTRAST:
                continue
            textured += 1
            x, y, score, unmoved = _find(first, second, left, top, reach)
            if score < MIN_CORRELATION:
                continue
            back_x, back_y, _, _ = _find(second, first, x, y, reach)
            if max(abs(back_x - left), abs(back_y - top)) <= WAY_BACK:
                matches.append((x - left, y - top, score - unmoved))
    table = np.array(matches, np.float32).reshape(-1, 3)
    return BlockMatches(textured, table[:, 0], table[:, 1], table[:, 2])


def _find(
    source: FloatMap, target: FloatMap, left: int, top: int, reach: tuple[int, int]
) -> tuple[int, int, float, float]:
    """(x, y) of the best place in `target` for a block of `source`, its correlation, that of the same place."""
    block = source[top : top + BLOCK, left : left + BLOCK]
    x0, y0 = max(0, left - reach[0]), max(0, top - reach[1])
    window = target[y0 : top + BLOCK + reach[1], x0 : left + BLOCK + reach[0]]
    scores = np.nan_to_num(cv2.matchTemplate(window, block, cv2.TM_CCOEFF_NORMED), posinf=0.0, neginf=0.0)
    y, x = divmod(int(scores.argmax()), scores.shape[1])
    return x + x0, y + y0, float(scores[y, x]), float(scores[top - y0, left - x0])


def _grey(picture: Picture) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def _fine_structure(grey: NDArray[np.uint8], area: int) -> FloatMap:
    """The picture reduced to about `area` px, less its local mean: brightness and slow shading do not count."""
    scale = min(1.0, sqrt(area / grey.size))
    size = (max(2 * BLOCK, round(grey.shape[1] * scale)), max(2 * BLOCK, round(grey.shape[0] * scale)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray(small - cv2.GaussianBlur(small, (0, 0), BLOCK / 2), np.float32)
