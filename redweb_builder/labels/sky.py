"""Sky of a left view: by the segmentation, dropped where the two views contradict it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from redweb_builder.matching.texture import TEXTURED_PX, textured
from redweb_builder.types import PRESENT, BoolMap, FloatMap, Picture, Regions

MIN_SKY_SHARE = 5e-4  # smaller blobs of sky are windows and lamps
SKY_RIM = 0.02  # of the longer side: matches this near the border of the sky may belong to what borders on it
AROUND = 0.15  # of the longer side: window of the sky that a pixel is compared with
MIN_AROUND = 0.02  # of that window, to know its colour
DEVIATION = (5.0, 20.0)  # of a clear sky (noise and JPEG) and of a cloudy one, CIELAB in 8 bits
ALIKE = 2.0  # such deviations from its mean colour
STARK = 60.0  # CIELAB distance from that mean at which what is darker is a branch, a wire or a pole before the sky
SURE = 0.9  # of sky; where the network is surer, what is dark may be a cloud
MOSTLY = 1 / 3  # share of a blob of sky; where more of it is matched as near, the blob is no sky
WELL_MATCHED = 0.15  # share of a blob's interior with consistent textured matches from which it may be a painted sky
FARTHEST = 20  # percentile of the ground's disparity; a real sky is not nearer than this plus AMONG
AMONG = 0.03  # share of the ground's disparity range that is added to FARTHEST; 0.5 px at least
ONE_SURFACE = 0.1  # share of that range within which the middle half of a poster's disparities lies; a sky's scatter


def sky_area(left: Picture, raw: FloatMap, valid: BoolMap, regions: Regions) -> BoolMap:
    """HxW bool: sky by the photograph, dropped where it is tiny or the two views contradict it.

    What is nearer than most of the scene is a ceiling, a wall or a tree; a blob that is so for more than a third is no
    sky at all. Nor is one, like the sky on a poster, that is well matched as one surface, not among the farthest. Only
    texture well inside the blob may say so: flow in blank sky is borrowed from the branches and roofs around it. Of
    less than a third, what has the colour of the sky around stays sky: it is seen between branches. These, starkly
    darker than the sky, speak for themselves alone, not against the blob; and they are none, matched or not.
    """
    sky: BoolMap = regions.sky > PRESENT
    ground = valid & ~sky
    if not sky.any():
        return sky
    if not ground.any():
        return np.zeros_like(sky)  # sky from border to border is a blank picture, which the filters are to judge
    least, farthest, middle, most = np.percentile(raw[ground], (1, FARTHEST, 60, 99))
    among = farthest + max(0.5, AMONG * (most - least))
    rim = max(3, round(SKY_RIM * max(sky.shape)))
    inner = ~_grown(~sky, rim)
    matched = inner & valid & textured(left)
    nearer = _grown(matched & (raw > middle), rim)
    alike, stark = beside_sky(left, sky & ~nearer)
    own = matched & ~_grown(stark, TEXTURED_PX + 2)  # its edge is a blend of both
    against = _grown(own & (raw > middle), rim)
    remaining = sky.copy()
    for window, inside in blobs(sky):
        seen = raw[window][inside & own[window]]
        painted = len(seen) > WELL_MATCHED * (inside & inner[window]).sum() and _one_surface(seen, among, most - least)
        mostly = (inside & against[window]).sum() > MOSTLY * inside.sum()
        none = inside.sum() < MIN_SKY_SHARE * raw.size or mostly or painted
        remaining[window] &= ~(inside if none else inside & nearer[window] & ~alike[window])
    return remaining & ~(stark & (regions.sky < SURE))


def beside_sky(left: Picture, sky: BoolMap) -> tuple[BoolMap, BoolMap]:
    """HxW bool each: what has the colour of the `sky` around it, and what is starkly darker.

    Alike is measured in standard deviations of that sky: more passes among clouds than in a clear one. Where there is
    hardly any sky around, nothing is either.
    """
    side = max(3, round(AROUND * max(sky.shape)))
    lab = cv2.cvtColor(left, cv2.COLOR_RGB2LAB).astype(np.float32)
    share = cv2.blur(sky.astype(np.float32), (side, side))
    known = np.maximum(share, MIN_AROUND)[..., None]
    mean = cv2.blur(lab * sky[..., None], (side, side)) / known
    variance = cv2.blur(lab**2 * sky[..., None], (side, side)) / known - mean**2
    squares = (lab - mean) ** 2
    deviations = (squares / np.clip(variance, *np.square(DEVIATION))).sum(-1)
    there = share >= MIN_AROUND
    darker = lab[..., 0] < mean[..., 0]
    return there & (deviations <= ALIKE**2), there & darker & (squares.sum(-1) > STARK**2)


def _grown(mask: BoolMap, side: int) -> BoolMap:
    """What lies within a square of `side` px around a pixel of the mask."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def _one_surface(seen: FloatMap, among: float, span: float) -> bool:
    """Whether disparities lie together, and nearer than `among`. span: the range of the ground's."""
    low, middle, high = np.percentile(seen, (25, 50, 75))
    return bool(middle > among and high - low <= ONE_SURFACE * span)


def blobs(mask: BoolMap) -> Iterator[tuple[tuple[slice, slice], BoolMap]]:
    """Each connected part of a mask: the window around it, and where it is in that. Foliage has thousands."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for blob in range(1, count):
        x, y, width, height = (int(value) for value in stats[blob, :4])
        window = (slice(y, y + height), slice(x, x + width))
        yield window, numbers[window] == blob
