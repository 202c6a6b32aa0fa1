"""The measurements of a pair and the criteria of the filters: for checks, manifest, pages and documents alike.

A new criterion is an entry in each of the two tables (words, unit, reason), its limit in config.Thresholds, and a
function in filters/measurements.py. Plain data: nothing here opens a picture.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """A column of numbers in the manifest.

    name: of the column. title, sentence: what people read. unit: "share" (shown in percent), "px", "stops", "degrees",
    "percent", or "" for a plain number.
    """

    name: str
    title: str
    unit: str
    sentence: str


@dataclass(frozen=True)
class Criterion:
    """A measurement with a limit.

    reason: the code of the rejection, which others count. measurement: its column. threshold: the field of
    config.Thresholds with the limit. at_least: the limit is a lower one. meaning: of a rejection, for people. advice:
    what to do about it.
    """

    reason: str
    measurement: str
    threshold: str
    at_least: bool
    meaning: str
    advice: str


@dataclass(frozen=True)
class OtherReason:
    """A rejection that no single measurement decides. stage: as in the manifest. The rest as of Criterion.

    reason, meaning, advice.
    """

    stage: str
    reason: str
    meaning: str
    advice: str


# In the order of the manifest's columns.
MEASUREMENTS = (
    Measurement("texture", "texture", "share", "pixels with enough structure around them to be matched"),
    Measurement(
        "agreement", "agreement", "share", "pixels with structure that lead to the other view and back, within 2 px"
    ),
    Measurement("vertical", "vertical error", "share", "confirmed pixels still over 2 px off, up or down"),
    Measurement("range_px", "disparity range", "px", "95th minus 5th percentile of the confirmed disparity"),
    Measurement("median_px", "median disparity", "px", "of the confirmed pixels; both signs occur"),
    Measurement("photometric", "photometric error", "", "typical difference of the grey of matched pixels, 0 to 1"),
    Measurement("exposure", "exposure difference", "stops", "how much brighter one eye is than the other"),
    Measurement("sharpness", "sharpness ratio", "", "fine detail of the softer eye over that of the sharper"),
    Measurement("sky_share", "sky", "share", "of the picture, as the segmenter sees it"),
    Measurement("far_share", "far field", "share", "of the picture, as the segmenter sees it"),
    Measurement("sky_order", "sky order", "", "where the sky ranks in disparity: 0 is behind everything, 1 before it"),
    Measurement(
        "far_order", "far-field order", "", "where the far field ranks: 0 is behind everything else, 1 before it"
    ),
    Measurement("coverage", "measured", "share", "label pixels that both views confirm"),
    Measurement("labelled", "labelled", "share", "label pixels that are not unknown"),
    Measurement("outliers", "outliers", "share", "of the label's scale, outside what 90 % of its measured pixels span"),
    Measurement(
        "mono_agreement",
        "network agrees",
        "share",
        "point pairs that a monocular depth network orders as the label does; half is chance",
    ),
    Measurement(
        "disputed_part",
        "disputed part",
        "share",
        "how much worse the network agrees between the worst part of the picture and the rest than within the rest",
    ),
    Measurement(
        "eye_order", "eye order", "", "evidence that left is left: positive agrees, negative speaks against it"
    ),
    Measurement("align_shift_px", "vertical shift", "px", "of the right view, undone by alignment; + is down"),
    Measurement("align_roll_deg", "roll", "degrees", "of the right view, undone by alignment"),
    Measurement("align_zoom_percent", "zoom", "percent", "of the right view, undone by alignment"),
    Measurement("align_keystone", "keystone", "", "of the right view, undone by alignment"),
    Measurement("align_before_px", "misaligned before", "px", "typical vertical error as the pair came"),
    Measurement("align_after_px", "misaligned after", "px", "typical vertical error after alignment"),
)
FLICKER = "flicker_px"  # of frames of films (dataset/flicker.py)
CROSS_AGREEMENT = "cross_agreement"  # of dataset/curation.py, no column of the manifest
# Sorted by in the report, and derived from the others or measured later.
DERIVED = (
    Measurement("quality", "quality", "", "measured share times agreement: one figure to sort by"),
    Measurement(
        "margin", "margin", "", "distance to the nearest limit, relative to the larger of both: small is borderline"
    ),
    Measurement(FLICKER, "flicker", "px", "median change of the label from the frame of the film before it"),
    Measurement(
        CROSS_AGREEMENT,
        "unseen network agrees",
        "share",
        "point pairs that a network trained on the other labels of the set orders as this label does (`curate`)",
    ),
)

# Causes before their consequences: the first that fails names the reason.
CRITERIA = (
    Criterion(
        "textureless",
        "texture",
        "min_texture",
        True,
        "almost no pixel has structure that can be matched",
        "nothing can be matched",
    ),
    Criterion(
        "blurred-eye", "sharpness", "min_sharpness", True, "one eye is much softer than the other", "use a sharper copy"
    ),
    Criterion(
        "not-stereo",
        "agreement",
        "min_agreement",
        True,
        "too few pixels lead to the other view and back: two different pictures, or the scene moved",
        "check that the files belong together",
    ),
    Criterion(
        "no-parallax",
        "range_px",
        "min_range_px",
        True,
        "hardly any difference between the eyes: the same picture twice, or all of it far away",
        "a larger `--max-side` keeps more of a small range",
    ),
    Criterion(
        "vertical",
        "vertical",
        "max_vertical",
        False,
        "too much is still off up or down after alignment",
        "rectify the pair; look for motion, or a torn scan",
    ),
    Criterion(
        "exposure", "exposure", "max_exposure", False, "one eye is much brighter than the other", "even them out"
    ),
    Criterion(
        "photometric",
        "photometric",
        "max_photometric",
        False,
        "matched pixels do not look alike: reflections, motion, wrong matches",
        "look at the grid",
    ),
    Criterion(
        "eyes-swapped",
        "eye_order",
        "min_eye_order",
        True,
        "right lies where left should be: near is far",
        "look at it; `--eyes auto`, or exchange the eyes",
    ),
    Criterion(
        "disputed",
        "mono_agreement",
        "min_mono_agreement",
        True,
        "a monocular depth network orders most points the other way round",
        "look at it: near and far exchanged, a poster or a mirror, or the network is wrong",
    ),
    Criterion(
        "sky-order",
        "sky_order",
        "max_sky_order",
        False,
        "the sky comes out nearer than the ground",
        "look at the regions in the grid; `--segmenter none`",
    ),
    Criterion(
        "far-order",
        "far_order",
        "max_far_order",
        False,
        "the far field comes out nearer than the rest",
        "look at the regions in the grid; `--segmenter none`",
    ),
    Criterion(
        "squashed",
        "outliers",
        "max_outliers",
        False,
        "a few wrong matches stretch the label: what is in the picture has little of its scale left",
        "look at the label in the grid",
    ),
)
OTHER_REASONS = (
    OtherReason(
        "refine", "nothing-measured", "no pixel is confirmed by both views", "check that the files belong together"
    ),
    OtherReason(
        "read", "replaced", "its photographs were replaced by others: their pair has a row of its own", "nothing"
    ),
    OtherReason("duplicate", "duplicate", "looks like a better pair that was kept", "nothing"),
)
