"""The sky of a left view: segmented in the picture, dropped where the two views contradict it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from redweb_builder.matching.texture import TEXTURED_PX, textured
from redweb_builder.types import PRESENT, BoolMap, FloatMap, Picture, Regions

MIN_SKY_SHARE = 5e-4  # share of the picture; smaller components are windows and lamps
SKY_RIM = 0.02  # share of the longer side, side of the square of dilations; matches at the rim may be of what is beside

# A match contradicts the sky where it is nearer than most of the ground.
NEAR = 60  # percentile of the ground's disparity; what is nearer is a ceiling, a wall or a tree
SURE = 0.75  # mean probability of sky of a component from which the segmenter is sure of it
MAX_NEAR_SHARE = 1 / 3  # share of a component; where more of it is contradicted, all of it is dropped

# A painted sky, as on a poster, is well matched, one surface, and not among the farthest.
WELL_MATCHED = 0.15  # share of a component's interior with valid textured matches
FARTHEST = 20  # percentile of the ground's disparity
FARTHEST_MARGINS = 0.03, 0.1  # shares of the ground's range, added to that (at least 0.5 px): segmenter unsure, sure
ONE_SURFACE = 0.1  # share of the ground's range that the middle half of a poster's disparities spans; a sky's is wider

# A sky by the depth of a monocular network.
FAR_PERCENTILES = 20, 40  # of the depth of everything else; the latter where the segmenter is sure
ENCLOSED_PERCENTILE = 12  # likewise, of an unsure component that does not reach the top of the picture
JUDGED_SHARE = 5e-3  # share of the picture; smaller components, between branches, are too small for the network
BORDER_PX = 9  # side of the square of dilation that finds what surrounds such a component

# Foreground before the sky that the segmenter and the network both see, neither clearly: a tower, a mast, a treetop.
FOREGROUND_WIDTH = 0.1  # share of the longer side, side of the square that is wider than it
SKY_DIP = 0.15  # by which its probability of sky is lower than around it
DEPTH_BUMP = 0.06  # share of the range of the depth, 1st to 99th percentile, by which it is nearer than around it

# Comparison with the colour of the sky around, CIELAB in OpenCV's 8 bits.
WINDOW = 0.15  # share of the longer side, side of the window
MIN_WINDOW_SKY = 0.02  # share of the window that must be sky
DEVIATION = (5.0, 20.0)  # bounds of the sky's standard deviation: of a clear sky (noise, JPEG) and of a cloudy one
SKY_COLOURED = 2.0  # standard deviations from the mean colour of the sky
STANDING_OUT = 60.0  # CIELAB distance from that mean; what is darker and farther is a branch, a wire or a pole
NIGHT = 64.0  # mean lightness, of 255, below which a sky is one at night: what stands out is brighter, a lamp or a sign
CERTAIN_SKY = 0.9  # probability of sky from which what is dark is a cloud


def sky_area(
    left: Picture, raw_disparity: FloatMap, valid: BoolMap, regions: Regions, depth: FloatMap | None = None
) -> BoolMap:
    """HxW bool: the segmented sky without what the two views contradict.

    left: HxWx3 uint8 RGB. raw_disparity: HxW float32 px, of the fused match. valid: HxW bool, matches that can
    contradict. regions: probabilities of sky and far field; sky is segmented where its probability is above PRESENT.
    depth: float32 of the left view by a network, of any size and scale, larger = nearer; None = none is used.

    1. Only textured matches in the interior count, which is the sky without its rim: the flow of plain sky is borrowed
       from the branches and roofs around it. A match contradicts its surroundings too, as wide as the rim.
    2. A component is dropped where it is small, where more than MAX_NEAR_SHARE of it is contradicted, where it is a
       painted sky, or where a monocular network puts it nearer than much of the picture: lit signs and pale stone have
       neither texture nor matches. Where the segmenter is sure, both have to be nearer for that: clouds, mist and grain
       of old cards are matched too. Where it is unsure and the component does not reach the top of the picture, less
       is enough: white walls, water, what is out of focus. But what shows between near things is a gap.
    3. Of the other components the contradicted pixels are dropped, but not those of the colour of the sky around: they
       are sky between branches.
    4. What is much darker than the sky around is a branch, a wire or a pole, and is dropped, matched or not. Its
       matches contradict its surroundings (3.), not the component (2.). At night it is what is much brighter: a lamp,
       a lit sign or tree.
    5. What is less likely sky than all around it, and nearer by the network, is foreground, unless it has the colour of
       the sky.

    Without valid ground there is no sky: a picture that is sky from border to border is for the filters to judge.
    """
    sky: BoolMap = regions.sky > PRESENT
    ground = valid & ~sky
    if not sky.any():
        return sky
    if not ground.any():
        return np.zeros_like(sky)
    least, farthest, near, most = np.percentile(raw_disparity[ground], (1, FARTHEST, NEAR, 99))
    ground_range = most - least
    sky_limits = [farthest + max(0.5, margin * ground_range) for margin in FARTHEST_MARGINS]
    rim = max(3, round(SKY_RIM * max(sky.shape)))
    interior = ~_dilated(~sky, rim)
    matched = interior & valid & textured(left)
    contradicted = _dilated(matched & (raw_disparity > near), rim)
    by_network = cv2.resize(np.zeros((1, 1), np.float32) if depth is None else depth, sky.shape[::-1])
    foreground = _narrow_foreground(regions.sky, by_network)
    sky_coloured, dark, bright = compare_with_sky(left, sky & ~contradicted & ~foreground)
    matched_sky = matched & ~_dilated(dark | bright, TEXTURED_PX + 2)  # the edge of such an object blends both
    sky_contradicted = _dilated(matched_sky & (raw_disparity > near), rim)
    *far_limits, enclosed_limit = np.percentile(by_network[~sky], (*FAR_PERCENTILES, ENCLOSED_PERCENTILE))
    kept = sky.copy()
    for window, component in connected_components(sky):
        sure = int(regions.sky[window][component].mean() >= SURE)
        disparities = raw_disparity[window][component & matched_sky[window]]
        well_matched = len(disparities) > WELL_MATCHED * (component & interior[window]).sum()
        painted = well_matched and _is_one_near_surface(disparities, sky_limits[sure], ground_range)
        near_object = (component & sky_contradicted[window]).sum() > MAX_NEAR_SHARE * component.sum()
        small = component.sum() < MIN_SKY_SHARE * sky.size
        judged = component.sum() >= JUDGED_SHARE * sky.size
        nearness = np.median(by_network[window][component]) if judged else -np.inf
        too_near = nearness > far_limits[sure]
        enclosed = window[0].start > 0
        if enclosed and not sure and nearness > enclosed_limit:
            surroundings = raw_disparity[ground & _border(window, component, sky.shape)]
            too_near |= surroundings.size > 0 and np.median(surroundings) <= near
        part = component & contradicted[window] & ~sky_coloured[window]
        kept[window] &= ~(component if small or near_object or painted or too_near else part)
    return kept & ~(bright | (dark & (regions.sky < CERTAIN_SKY)) | (foreground & ~sky_coloured))


def _narrow_foreground(sky: FloatMap, depth: FloatMap) -> BoolMap:
    """HxW bool: less likely sky than around it, and nearer: the black hat of one map and the top hat of the other.

    sky: HxW probability. depth: HxW, larger = nearer.
    """
    side = max(3, round(FOREGROUND_WIDTH * max(sky.shape)))
    low, high = np.percentile(depth, (1, 99))
    maps = 255 * sky, 255 * (depth - low) / max(high - low, 1e-9)  # 8 bits: a quarter of the time
    kinds = cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT
    dip, bump = (
        cv2.morphologyEx(np.clip(np.round(values), 0, 255).astype(np.uint8), kind, np.ones((side, side), np.uint8))
        for values, kind in zip(maps, kinds, strict=True)
    )
    return np.asarray((dip > 255 * SKY_DIP) & (bump > 255 * DEPTH_BUMP))


def compare_with_sky(left: Picture, sky: BoolMap) -> tuple[BoolMap, BoolMap, BoolMap]:
    """HxW bool each: pixels of the colour of the sky around them, much darker than it, and much brighter at night.

    left: HxWx3 uint8 RGB. sky: HxW bool, the sky to compare with. Colours are compared in standard deviations of the
    sky in the window, so that more passes among clouds than in a clear sky. All are False where the window has less
    sky than MIN_WINDOW_SKY.
    """
    side = max(3, round(WINDOW * max(sky.shape)))
    weight = sky.astype(np.float32)
    share = cv2.blur(weight, (side, side))
    divisor = np.maximum(share, MIN_WINDOW_SKY)
    distance, deviations = np.zeros((2, *sky.shape), np.float32)  # both squared
    channels, means = [part.astype(np.float32) for part in cv2.split(cv2.cvtColor(left, cv2.COLOR_RGB2LAB))], []
    for channel in channels:
        mean = cv2.blur(channel * weight, (side, side)) / divisor
        variance = cv2.blur(channel**2 * weight, (side, side)) / divisor - mean**2
        square = (channel - mean) ** 2
        distance += square
        deviations += square / np.clip(variance, *np.square(DEVIATION))
        means.append(mean)
    comparable = share >= MIN_WINDOW_SKY
    standing_out = comparable & (distance > STANDING_OUT**2)
    lightness, of_sky = channels[0], means[0]
    dark, bright = standing_out & (lightness < of_sky), standing_out & (lightness > of_sky) & (of_sky < NIGHT)
    return comparable & (deviations <= SKY_COLOURED**2), dark, bright


def _dilated(mask: BoolMap, side: int) -> BoolMap:
    """HxW bool: the mask dilated by a square of `side` px."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def _border(window: tuple[slice, slice], component: BoolMap, shape: tuple[int, ...]) -> BoolMap:
    """HxW bool: a component of `connected_components` and what lies around it."""
    whole = np.zeros(shape, bool)
    whole[window] = component
    return _dilated(whole, BORDER_PX)


def _is_one_near_surface(disparities: FloatMap, sky_limit: float, ground_range: float) -> bool:
    """Whether the median of disparities, px, is above `sky_limit` and their middle half within ONE_SURFACE."""
    low, middle, high = np.percentile(disparities, (25, 50, 75))
    return bool(middle > sky_limit and high - low <= ONE_SURFACE * ground_range)


def connected_components(mask: BoolMap) -> Iterator[tuple[tuple[slice, slice], BoolMap]]:
    """The 8-connected components of a HxW bool mask: the window around each, and hxw bool, the component in its window.

    The window keeps the cost of a component to its own size: foliage has thousands.
    """
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for number in range(1, count):
        x, y, width, height = (int(value) for value in stats[number, :4])
        window = (slice(y, y + height), slice(x, x + width))
        yield window, numbers[window] == number
