"""The columns of manifest.parquet: a row a pair, and a row for every picture file that is in no pair.

The same columns in the same order in every data set; a value that does not apply is null. `status` is "kept",
"rejected" or "left-out"; of the latter two, `stage`, `reason`, `value`, `threshold` and `detail` say why. Paths are
relative to the input folder. What each measurement is, measure.py says; limits on them stand in config.Thresholds.
"""

from __future__ import annotations

import pyarrow as pa

_TEXT = ("key", "left", "right", "layout", "rule", "status", "stage", "reason", "detail", "flow", "segmenter", "crop")
_SOURCE_TEXT = ("source_sha256", "perceptual_hash")
_FLAGS = ("right_first", "guessed", "eyes_exchanged", "aligned")
_SIZES = ("width", "height", "source_width", "source_height")
_VERDICT = ("value", "threshold", "quality", "margin", "film_time_s")
MEASUREMENTS = (
    "texture",
    "agreement",
    "vertical",
    "range_px",
    "median_px",
    "photometric",
    "exposure",
    "sharpness",
    "sky_share",
    "far_share",
    "sky_order",
    "far_order",
    "coverage",
    "labelled",
    "eye_order",
    "align_shift_px",
    "align_roll_deg",
    "align_zoom_percent",
    "align_keystone",
    "align_before_px",
    "align_after_px",
)

SCHEMA = pa.schema(
    [(name, pa.string()) for name in (*_TEXT, *_SOURCE_TEXT)]
    + [(name, pa.bool_()) for name in _FLAGS]
    + [(name, pa.int32()) for name in _SIZES]
    + [(name, pa.float64()) for name in (*_VERDICT, *MEASUREMENTS)]
)
