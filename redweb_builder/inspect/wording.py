"""What people read about a measurement: its name, its unit, one sentence. Used by the report and the review page."""

from __future__ import annotations

from dataclasses import dataclass

from redweb_builder.filters.checks import Check


@dataclass(frozen=True)
class Wording:
    """unit: "share" (shown in percent), "px", "stops", "degrees", "percent", or "" for a plain number."""

    title: str
    unit: str
    sentence: str


WORDING = {
    "quality": Wording("quality", "", "measured share times agreement: one figure to sort by"),
    "margin": Wording("margin", "", "distance to the nearest limit, relative to it: small is borderline"),
    "texture": Wording("texture", "share", "pixels with enough structure around them to be matched"),
    "agreement": Wording("agreement", "share", "pixels that lead to the other view and back, within 2 px"),
    "vertical": Wording("vertical error", "share", "confirmed pixels still over 2 px off, up or down"),
    "range_px": Wording("disparity range", "px", "95th minus 5th percentile of the confirmed disparity"),
    "median_px": Wording("median disparity", "px", "of the confirmed pixels; both signs occur"),
    "photometric": Wording("photometric error", "", "typical difference of the grey of matched pixels, 0 to 1"),
    "exposure": Wording("exposure difference", "stops", "how much brighter one eye is than the other"),
    "sharpness": Wording("sharpness ratio", "", "fine detail of the softer eye over that of the sharper"),
    "sky_share": Wording("sky", "share", "of the picture"),
    "far_share": Wording("far field", "share", "of the picture"),
    "sky_order": Wording("sky order", "", "where the sky ranks in disparity: 0 is behind everything, 1 before it"),
    "far_order": Wording("far-field order", "", "where the far field ranks: 0 is behind everything else, 1 before it"),
    "coverage": Wording("measured", "share", "label pixels that both views confirm"),
    "labelled": Wording("labelled", "share", "label pixels that are not unknown"),
    "eye_order": Wording("eye order", "", "evidence that left is left: positive agrees, negative speaks against it"),
    "align_shift_px": Wording("vertical shift", "px", "of the right view, undone by alignment; + is down"),
    "align_roll_deg": Wording("roll", "degrees", "of the right view, undone by alignment"),
    "align_zoom_percent": Wording("zoom", "percent", "of the right view, undone by alignment"),
    "align_keystone": Wording("keystone", "", "of the right view, undone by alignment"),
    "align_before_px": Wording("misaligned before", "px", "typical vertical error as the pair came"),
    "align_after_px": Wording("misaligned after", "px", "typical vertical error after alignment"),
}


def wording(name: str) -> Wording:
    """The words of a column of numbers; one that has none yet goes by its name."""
    return WORDING.get(name, Wording(name, "", ""))


def told_value(name: str, value: float) -> str:
    """A measurement with its unit: "87 %", "12.4 px"."""
    unit = wording(name).unit
    if unit == "share":
        return f"{100 * value:.3g} %"
    sign = {"degrees": "°", "percent": " %", "px": " px", "stops": " stop" if value == 1 else " stops"}.get(unit, "")
    return f"{value:.3g}{sign}"


def told_limit(check: Check) -> str:
    """A limit in words: "at least 60 %"."""
    return f"at {'least' if check.at_least else 'most'} {told_value(check.measurement, check.limit)}"


REASONS = {
    "textureless": "almost no pixel has structure that can be matched",
    "blurred-eye": "one eye is much softer than the other",
    "not-stereo": "too few pixels lead to the other view and back: two different pictures, or the scene moved",
    "no-parallax": "hardly any difference between the eyes: the same picture twice, or all of it far away",
    "vertical": "too much is still off up or down after alignment",
    "exposure": "one eye is much brighter than the other",
    "photometric": "matched pixels do not look alike: reflections, motion, wrong matches",
    "eyes-swapped": "right lies where left should be: near is far",
    "sky-order": "the sky comes out nearer than the ground",
    "far-order": "the far field comes out nearer than the rest",
    "nothing-measured": "no pixel is confirmed by both views",
    "duplicate": "looks like a better pair that was kept",
}
# What a person may say of a label that the filters let through; the first nine have a key each on the review page.
PEOPLE_SAY = (
    "wrong-depth",
    "wrong-edges",
    "wrong-sky",
    "things-moved",
    "reflections",
    "not-stereo",
    "poor-picture",
    "duplicate",
    "unsuitable",
)
