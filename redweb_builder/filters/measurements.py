"""One function a measurement of a pair. It returns a number; checks.py judges it.

Limits can so be changed later without running a network again. A measurement for which a pair gives no basis is NaN and
is not judged.

Arguments of these functions, HxW in the left frame: raw_disparity: float32 px, larger = nearer. error: float32 px,
forward-backward error, infinite where the match leaves the right view. valid: bool, the flow is consistent and its
match visible. ground: bool, valid and not sky. sky: bool.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from redweb_builder.matching.consistency import TOLERANCE_PX, disparity_of, warp
from redweb_builder.matching.fusion import TEXTURE_PX
from redweb_builder.matching.texture import blank, textured
from redweb_builder.monocular.agreement import concordance, part_gap
from redweb_builder.types import PRESENT, BoolMap, FloatMap, Flow, Label, Mask, Picture, Regions, StereoPair

MIN_SHARE = 0.005  # share of the picture; a smaller region is no basis for a measurement


def measure(
    pair: StereoPair,
    flow: Flow,
    error: FloatMap,
    valid: BoolMap,
    regions: Regions,
    label: Label,
    depth: FloatMap | None = None,
) -> dict[str, float]:
    """All measurements of a pair that come of its flow, regions and label, by their names in criteria.MEASUREMENTS.

    pair: aligned. flow: refined. error, valid: of the module. regions, label: of the left view. depth: float32 of
    the left view by a network, of any size, larger = nearer; None = there is none.
    """
    raw_disparity = disparity_of(flow)
    sky, far = regions.sky > PRESENT, regions.far > PRESENT
    ground = valid & ~sky
    matched = matched_grey(pair, flow, ground)
    return {
        "texture": texture(pair.left),
        "agreement": agreement(error, sky | blank(pair.left, TEXTURE_PX)),
        "vertical": vertical(flow, ground),
        "range_px": robust_range(raw_disparity, ground),
        "median_px": median_of(raw_disparity, ground),
        "photometric": photometric(*matched),
        "exposure": exposure(*matched),
        "sharpness": sharpness(pair),
        "sky_share": float(sky.mean()),
        "far_share": float(far.mean()),
        "sky_order": order_of(sky, raw_disparity, valid, ground),
        "far_order": order_of(far & ~sky, raw_disparity, valid, ground & ~far),
        "coverage": float((label.mask == Mask.MEASURED).mean()),
        "labelled": float((label.mask != Mask.UNKNOWN).mean()),
        "mono_agreement": mono_agreement(label, depth),
        "disputed_part": disputed_part(label, depth),
        "outliers": outliers(label),
    }


def texture(picture: Picture) -> float:
    """Share of textured pixels (matching/texture.py). picture: HxWx3 uint8 RGB."""
    return float(textured(picture).mean())


def agreement(error: FloatMap, plain: BoolMap) -> float:
    """Share of consistent pixels among those that are not plain and whose match lies in the right view.

    error: of the module. plain: HxW bool, sky and blank areas. Consistent: a forward-backward error of at most
    TOLERANCE_PX. 0 where such pixels are too few.
    """
    in_view = np.isfinite(error) & ~plain
    if in_view.mean() < MIN_SHARE:
        return 0.0
    return float((error[in_view] <= TOLERANCE_PX).mean())


def vertical(flow: Flow, ground: BoolMap) -> float:
    """Share of the ground with more than TOLERANCE_PX of vertical flow after alignment (MiDaS 3D Movies)."""
    return _share(np.abs(flow.forward[..., 1]) > TOLERANCE_PX, ground)


def robust_range(raw_disparity: FloatMap, ground: BoolMap) -> float:
    """95th minus 5th percentile of the ground's disparity, px; 0 without ground.

    raw_disparity, ground: as the head of this file says. Papers use maximum minus minimum, which follows outliers.
    """
    if not ground.any():
        return 0.0
    low, high = np.percentile(raw_disparity[ground], (5, 95))
    return float(high - low)


def median_of(raw_disparity: FloatMap, ground: BoolMap) -> float:
    """Median disparity of the ground, px; NaN without ground. raw_disparity, ground: as the head of this file says."""
    return float(np.median(raw_disparity[ground])) if ground.any() else float("nan")


def photometric(left: FloatMap, right: FloatMap) -> float:
    """Median difference, in [0, 1], of the grey levels of matched pixels, mean and contrast equalised.

    left, right: N grey levels each, of matched_grey. NaN without pixels.
    """
    if not left.size:
        return float("nan")
    gain = max(float(left.std()), 1.0) / max(float(right.std()), 1.0)
    return float(np.median(np.abs((left - left.mean()) - gain * (right - right.mean())))) / 255


def exposure(left: FloatMap, right: FloatMap) -> float:
    """Difference in brightness of matched pixels, stops: |log2| of the ratio of their mean grey levels.

    left, right: N grey levels each, of matched_grey. NaN without pixels.
    """
    if not left.size:
        return float("nan")
    return abs(float(np.log2((left.mean() + 1) / (right.mean() + 1))))


def sharpness(pair: StereoPair) -> float:
    """Fine detail of the softer view over that of the sharper one, in (0, 1].

    pair: both views, HxWx3 uint8 RGB, aligned. Fine detail is relative to coarse detail, so that exposure does not
    count.
    """
    values = [_detail(view) for view in (pair.left, pair.right)]
    return (min(values) + 1e-6) / (max(values) + 1e-6)


def order_of(region: BoolMap, raw_disparity: FloatMap, valid: BoolMap, ground: BoolMap) -> float:
    """Mean rank of the region's disparity in the ground's: 0 = all farther, 1 = all nearer.

    raw_disparity, valid, ground: as the head of this file says. region: HxW bool, sky or far field; its valid pixels
    count. NaN where region or ground is small. Both must rank low; a high rank means exchanged eyes or a wrong region.
    """
    inside = region & valid
    if inside.mean() < MIN_SHARE or ground.mean() < MIN_SHARE:
        return float("nan")
    others = np.sort(raw_disparity[ground])
    return float(
        np.searchsorted(others, np.sort(raw_disparity[inside])).mean() / len(others)
    )  # sorted: ten times faster


def mono_agreement(label: Label, depth: FloatMap | None) -> float:
    """Share of the pairs of measured points that a monocular depth network orders as the label does.

    Points are drawn as often as they are certain. depth: float32 of any size, larger = nearer; None gives NaN, as does
    a label without enough measured points. Half is chance; exchanged eyes give less.
    """
    return (1 + _compared(concordance, label, depth)) / 2


def disputed_part(label: Label, depth: FloatMap | None) -> float:
    """How much smaller that share is between the worst part of a picture and the rest than within the rest.

    label, depth: as of `mono_agreement`, and NaN as there. Of a right label it is 0.15 in the median.
    """
    return _compared(part_gap, label, depth) / 2


def outliers(label: Label) -> float:
    """Share of the label's scale outside the 5th to 95th percentile of its measured disparity.

    label: refined. NaN where too little is measured, or where all of it has one disparity.
    """
    measured = label.mask == Mask.MEASURED
    if measured.mean() < MIN_SHARE:
        return float("nan")
    known = label.disparity[measured | (label.mask == Mask.FILLED)]
    scale = float(known.max() - known.min())
    return 1 - robust_range(label.disparity, measured) / scale if scale > 0 else float("nan")


def matched_grey(pair: StereoPair, flow: Flow, ground: BoolMap) -> tuple[FloatMap, FloatMap]:
    """Grey levels, N float32 each, of the ground in the left view and of its matches in the right view.

    pair: aligned. flow: its forward part is used.
    """
    left = cv2.cvtColor(pair.left, cv2.COLOR_RGB2GRAY).astype(np.float32)
    right = warp(cv2.cvtColor(pair.right, cv2.COLOR_RGB2GRAY), flow.forward).astype(np.float32)
    return left[ground], right[ground]


def _detail(view: Picture) -> float:
    """Mean |difference of Gaussians| at fine scale (sigma 0 and 1 px) over that at coarse scale (2 and 6 px)."""
    grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).astype(np.float32)
    coarse = cv2.GaussianBlur(grey, (0, 0), 2)
    spread = float(np.abs(coarse - cv2.GaussianBlur(grey, (0, 0), 6)).mean())
    return float(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1)).mean()) / max(spread, 0.25)


def _compared(measure: Callable[[FloatMap, FloatMap, FloatMap], float], label: Label, depth: FloatMap | None) -> float:
    """A measure of monocular/agreement.py on the measured points of a label, as often as they are certain."""
    if depth is None:
        return float("nan")
    depth = np.asarray(cv2.resize(depth, label.disparity.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    return measure(label.disparity, depth, label.confidence * (label.mask == Mask.MEASURED))


def _share(mask: BoolMap, where: BoolMap) -> float:
    return float(mask[where].mean()) if where.any() else float("nan")
