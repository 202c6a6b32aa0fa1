"""Maps to pictures: pure functions, in colours that differ without colour vision too.

Every function of the name *_picture returns an HxWx3 uint8 RGB picture of the map's own size; resize the map first,
colour it then.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from redweb_builder.types import BoolMap, FloatMap, Mask, Picture

Colour = tuple[int, int, int]

# Hues of Okabe & Ito, "Color Universal Design" (2008), for everything that is a class rather than a quantity; the
# mask's four are also even steps of lightness (CIE L* near 29, 49, 70, 89), so that they part in grey too.
SKY_BLUE: Colour = (86, 180, 233)
ORANGE: Colour = (230, 159, 0)
MASK_COLOURS: dict[Mask, Colour] = {
    Mask.UNKNOWN: (60, 70, 82),
    Mask.MEASURED: (0, 134, 98),
    Mask.SKY: SKY_BLUE,
    Mask.FILLED: (240, 228, 66),
}
# Unknown disparity: a fine checker, because a pattern cannot be taken for a value.
UNKNOWN_DARK: Colour = (88, 104, 120)
UNKNOWN_LIGHT: Colour = (120, 138, 156)
UNKNOWN_CELL = 4

HUES = (  # of the wheel of Baker et al.: the full channel, the changing one, steps, and whether it rises
    (0, 1, 15, True), (1, 0, 6, False), (1, 2, 4, True), (2, 1, 11, False), (2, 0, 13, True), (0, 2, 6, False),
)  # fmt: skip
LONGEST = 1.001  # of a vector, as a little more than 1: rounding must push no channel below 0, which wraps to 255
WHEEL_RADIUS = 255
REGION_TINT = 0.72
GREY_LEVELS = (28.0, 160.0)
LEAST_SPAN = 1.0  # px from the darkest to the brightest colour of a label


@cache
def disparity_colours() -> Picture:
    """The disparity colour map, 256x3 uint8 RGB, far first: INFERNO, whose CIE lightness rises all the way to near."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    table: Picture = cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)[:, 0, ::-1].copy()
    return table


def disparity_picture(disparity: FloatMap, low: float, high: float) -> Picture:
    """Colour a disparity map: dark = far, bright = near, grey-blue checker = unknown.

    disparity: HxW float32, larger = nearer, NaN = unknown. low, high: the values of the darkest and the brightest
    colour, same unit; values beyond are clipped.
    Raises ValueError if low < high does not hold.
    """
    if not low < high:
        raise ValueError(f"the colour scale needs low < high, got low={low} and high={high}")
    unknown = np.isnan(disparity)
    position = (np.where(unknown, np.float32(low), disparity) - np.float32(low)) * np.float32(255.0 / (high - low))
    picture: Picture = np.take(disparity_colours(), np.rint(np.clip(position, 0.0, 255.0)).astype(np.intp), axis=0)
    if unknown.any():
        picture[unknown] = unknown_picture(*disparity.shape)[unknown]
    return picture


def colour_scale(disparity: FloatMap, mask: Picture) -> tuple[float, float]:
    """Robust (low, high) of a label: the percentiles 1 and 99 of its measured disparity, at least 1 px apart.

    disparity: HxW float32, px, NaN = unknown; mask: HxW uint8 of Mask values. A label without a measured pixel
    is scaled by all its known values, one without any by (0, 1). The least span keeps a flat scene looking flat.
    """
    known = ~np.isnan(disparity)
    measured = known & (mask == Mask.MEASURED)
    values = disparity[measured if measured.any() else known]
    if values.size == 0:
        return 0.0, LEAST_SPAN
    low, high = (float(value) for value in np.percentile(values, (1, 99)))
    missing = max(0.0, LEAST_SPAN - (high - low))
    return low - missing / 2, high + missing / 2


def unknown_picture(height: int, width: int) -> Picture:
    """The grey-blue checker that stands for unknown disparity, height x width x 3 uint8."""
    y, x = np.arange(height)[:, None] // UNKNOWN_CELL, np.arange(width) // UNKNOWN_CELL
    checker: Picture = np.array([UNKNOWN_LIGHT, UNKNOWN_DARK], dtype=np.uint8)[(x + y) % 2]
    return checker


def fade_invalid(picture: Picture, valid: FloatMap | BoolMap, strength: float = 0.8) -> Picture:
    """Fade a coloured disparity towards the unknown checker where it is not valid.

    Dimming to black would read as "far" in this map. picture: HxWx3 uint8; valid: HxW bool, or float32 in [0, 1]
    for a soft edge; strength: how much of the checker an invalid pixel shows.
    """
    weight = strength * (1.0 - valid.astype(np.float32))[..., None]
    faded = picture + weight * (unknown_picture(*valid.shape).astype(np.float32) - picture)
    return np.rint(faded).astype(np.uint8)


def flow_picture(flow: FloatMap, limit: float | None = None) -> Picture:
    """Colour a flow by the wheel of Baker et al. (IJCV 2011): hue = direction, saturation = length, white = still.

    flow: HxWx2 float32, px, (x, y), finite. limit: the length in px shown fully saturated, longer is clipped;
    by default the 98th percentile of the lengths but at least 1 px, so that no noise is blown up into colours.
    """
    length = cv2.magnitude(*cv2.split(flow))
    if limit is None:
        limit = max(float(np.percentile(length, 98)), 1.0)
    steps = np.rint(flow * (WHEEL_RADIUS / np.maximum(length, limit))[..., None]).astype(np.intp) + WHEEL_RADIUS
    wheel = flow_wheel()
    picture: Picture = np.take(wheel.reshape(-1, 3), steps[..., 1] * wheel.shape[1] + steps[..., 0], axis=0)
    return picture


@cache
def flow_wheel() -> Picture:
    """The colours of all vectors of the unit disc: SxSx3 uint8, S = 2 * WHEEL_RADIUS + 1, (0, 0) in the middle.

    torchvision's flow_to_image in NumPy, to a level of 255: torch alone takes seconds to load. Called once, since a
    look-up in its result is several times faster than a call for a pair.
    """
    axis = np.linspace(-1.0, 1.0, 2 * WHEEL_RADIUS + 1, dtype=np.float32)
    vectors = np.stack(np.meshgrid(axis, axis))
    vectors /= np.float32(LONGEST) * np.maximum(np.hypot(*vectors), 1.0)
    colours = np.concatenate([_hues(*ramp) for ramp in HUES])
    turn = (np.arctan2(-vectors[1], -vectors[0]) / np.float32(np.pi) + 1) / 2 * (len(colours) - 1)
    before = np.floor(turn).astype(np.intp)
    share = (turn - before.astype(np.float32))[..., None]
    colour = (1 - share) * colours[before] + share * colours[(before + 1) % len(colours)]
    saturated = 1 - np.hypot(*vectors)[..., None] * (1 - colour)
    picture: Picture = np.floor(255 * saturated).astype(np.uint8)
    return picture


def _hues(full: int, changing: int, steps: int, rises: bool) -> FloatMap:
    """Hues between two colours, steps x 3 float32 in [0, 1]. full: the channel at 1. changing: the one that rises, or
    falls. steps: how many.
    """
    ramp = np.floor(255 * np.arange(steps, dtype=np.float32) / steps)
    hues = np.zeros((steps, 3), np.float32)
    hues[:, full] = 1
    hues[:, changing] = (ramp if rises else 255 - ramp) / 255
    return hues


def regions_picture(left: Picture, sky: FloatMap, far: FloatMap) -> Picture:
    """The photograph in dim grey, tinted blue by the sky's and orange by the far field's probability.

    left: HxWx3 uint8 RGB; sky, far: HxW float32 in [0, 1].
    """
    dark, light = GREY_LEVELS
    luminance = cv2.cvtColor(left, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255.0
    grey = dark + (light - dark) * luminance
    total = np.maximum(sky + far, 1.0)
    sky_weight, far_weight = (REGION_TINT * (part / total)[..., None] for part in (sky, far))
    tint = sky_weight * np.array(SKY_BLUE, np.float32) + far_weight * np.array(ORANGE, np.float32)
    picture: Picture = np.rint(grey * (1.0 - sky_weight - far_weight) + tint).astype(np.uint8)
    return picture


@cache
def confidence_colours() -> Picture:
    """The confidence colour map, 256x3 uint8 RGB, unsure first: CIVIDIS, whose CIE lightness rises all the way."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    table: Picture = cv2.applyColorMap(ramp, cv2.COLORMAP_CIVIDIS)[:, 0, ::-1].copy()
    return table


def confidence_picture(confidence: Picture) -> Picture:
    """Colour a confidence map: blue = unsure, yellow = sure, grey-blue checker = unknown.

    confidence: HxW uint8, 255 = sure, 0 = unknown.
    """
    picture: Picture = np.take(confidence_colours(), confidence, axis=0)
    unknown = confidence == 0
    picture[unknown] = unknown_picture(*confidence.shape)[unknown]
    return picture


def mask_picture(mask: Picture) -> Picture:
    """Flat colours (MASK_COLOURS) of what each label pixel rests on; mask: HxW uint8 of Mask values.

    Raises ValueError on a value that is no Mask.
    """
    if mask.size and int(mask.max()) > max(Mask):
        raise ValueError(f"mask values lie in 0..{int(max(Mask))}, got {int(mask.max())}")
    return np.take(np.array([MASK_COLOURS[value] for value in sorted(Mask)], dtype=np.uint8), mask, axis=0)
