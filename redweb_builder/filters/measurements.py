"""One function per measurement of a pair: numbers only, judged in checks.py.

Measured first, judged later: limits can be changed afterwards without running a network again. A measurement that a
pair gives no ground for is NaN and is not judged.
"""

from __future__ import annotations

import cv2
import numpy as np

from redweb_builder.matching.consistency import TOLERANCE_PX, disparity_of, warp
from redweb_builder.matching.texture import textured
from redweb_builder.types import PRESENT, BoolMap, FloatMap, Flow, Label, Mask, Picture, Regions, StereoPair

MIN_SHARE = 0.005  # a region smaller than this share of the picture is no ground for a measurement


def measure(
    pair: StereoPair,
    flow: Flow,
    error: FloatMap,
    valid: BoolMap,
    regions: Regions,
    label: Label,
) -> dict[str, float]:
    """Every measurement of a pair by name.

    error: HxW round-trip error px, infinite where the match leaves the view. valid: HxW, confirmed by both directions.
    """
    raw = disparity_of(flow)
    sky, far = regions.sky > PRESENT, regions.far > PRESENT
    ground = valid & ~sky
    matched = matched_grey(pair, flow, ground)
    return {
        "texture": texture(pair.left),
        "agreement": agreement(error, sky),
        "vertical": vertical(flow, ground),
        "range_px": robust_range(raw, ground),
        "median_px": median_of(raw, ground),
        "photometric": photometric(*matched),
        "exposure": exposure(*matched),
        "sharpness": sharpness(pair),
        "sky_share": float(sky.mean()),
        "far_share": float(far.mean()),
        "sky_order": order_of(sky, raw, valid, ground),
        "far_order": order_of(far & ~sky, raw, valid, ground & ~far),
        "coverage": float((label.mask == Mask.MEASURED).mean()),
        "labelled": float((label.mask != Mask.UNKNOWN).mean()),
    }


def texture(picture: Picture) -> float:
    """Share of pixels that give matching something to go by."""
    return float(textured(picture).mean())


def agreement(error: FloatMap, sky: BoolMap) -> float:
    """Share of pixels that return to within 2 px, of those that are not sky and whose match lies in the right view."""
    asked = np.isfinite(error) & ~sky
    if asked.mean() < MIN_SHARE:
        return 0.0
    return float((error[asked] <= TOLERANCE_PX).mean())


def vertical(flow: Flow, ground: BoolMap) -> float:
    """Share of confirmed pixels with more than 2 px of vertical flow left after alignment (MiDaS 3D Movies)."""
    return _mean(np.abs(flow.forward[..., 1]) > TOLERANCE_PX, ground)


def robust_range(raw: FloatMap, ground: BoolMap) -> float:
    """95th minus 5th percentile of the confirmed disparity, px. Max minus min, as published, follows outliers."""
    if not ground.any():
        return 0.0
    low, high = np.percentile(raw[ground], (5, 95))
    return float(high - low)


def median_of(raw: FloatMap, ground: BoolMap) -> float:
    """Median confirmed disparity, px."""
    return float(np.median(raw[ground])) if ground.any() else float("nan")


def photometric(left: FloatMap, right: FloatMap) -> float:
    """Median difference, in [0, 1], of the grey levels of matched pixels, exposure evened out."""
    if not left.size:
        return float("nan")
    gain = max(float(left.std()), 1.0) / max(float(right.std()), 1.0)
    return float(np.median(np.abs((left - left.mean()) - gain * (right - right.mean())))) / 255


def exposure(left: FloatMap, right: FloatMap) -> float:
    """Difference in brightness of matched pixels in stops (|log2| of the ratio of mean grey)."""
    if not left.size:
        return float("nan")
    return abs(float(np.log2((left.mean() + 1) / (right.mean() + 1))))


def sharpness(pair: StereoPair) -> float:
    """Ratio of the eyes' fine detail, in (0, 1]: the smaller mean Laplacian magnitude over the larger, relative to
    coarse detail, so that exposure does not count."""
    values = [_detail(view) for view in (pair.left, pair.right)]
    return (min(values) + 1e-6) / (max(values) + 1e-6)


def order_of(region: BoolMap, raw: FloatMap, valid: BoolMap, ground: BoolMap) -> float:
    """Where the region's confirmed disparities rank among the ground's: 0 = all farther, 1 = all nearer.

    Sky and far field must rank low; a high rank means swapped eyes or a wrong region.
    """
    inside = region & valid
    if inside.mean() < MIN_SHARE or ground.mean() < MIN_SHARE:
        return float("nan")
    others = np.sort(raw[ground])
    return float(np.searchsorted(others, raw[inside]).mean() / len(others))


def matched_grey(pair: StereoPair, flow: Flow, ground: BoolMap) -> tuple[FloatMap, FloatMap]:
    """N grey levels of the left view's confirmed pixels, and those of their matches in the right view."""
    left = cv2.cvtColor(pair.left, cv2.COLOR_RGB2GRAY).astype(np.float32)
    right = warp(cv2.cvtColor(pair.right, cv2.COLOR_RGB2GRAY), flow.forward).astype(np.float32)
    return left[ground], right[ground]


def _detail(view: Picture) -> float:
    grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).astype(np.float32)
    coarse = cv2.GaussianBlur(grey, (0, 0), 2)
    spread = float(np.abs(coarse - cv2.GaussianBlur(grey, (0, 0), 6)).mean())
    return float(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1)).mean()) / max(spread, 0.25)


def _mean(map_: BoolMap, where: BoolMap) -> float:
    return float(map_[where].mean()) if where.any() else float("nan")
