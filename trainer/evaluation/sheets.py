"""Pictures to look at: photograph, label and predictions side by side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from redweb_builder.inspect.colour import disparity_picture
from redweb_builder.types import FloatMap, Picture
from trainer.types import DepthSample

SHEET_ROWS = 8
SHEET_HEIGHT = 180


def strip(sample: DepthSample, maps: Sequence[FloatMap]) -> Picture:
    """Photograph, label, predictions side by side, of one height; each map in colours of its own range.

    sample: photograph and label. maps: the predictions, HxW float32 each. Returns SHEET_HEIGHT rows of uint8 RGB.
    """
    parts = [sample.image, *(_coloured(values) for values in (sample.disparity, *maps))]
    width = max(1, round(SHEET_HEIGHT * sample.image.shape[1] / sample.image.shape[0]))
    return np.hstack([cv2.resize(part, (width, SHEET_HEIGHT), interpolation=cv2.INTER_AREA) for part in parts])


def sheet(strips: Sequence[Picture]) -> Picture:
    """Strips below one another, on dark ground; an empty picture of nothing.

    strips: HxWx3 uint8 RGB each, of any widths.
    """
    if not strips:
        return np.zeros((1, 1, 3), np.uint8)
    width = max(row.shape[1] for row in strips)
    padded = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)), constant_values=30) for row in strips]
    return np.vstack(padded)


def metric_strip(sample: DepthSample, maps: Sequence[FloatMap]) -> Picture:
    """Input, predictions, truth side by side as in the paper's figure 4; one colour scale, log depth, bright = near.

    sample: photograph and inverse depth in 1/m. maps: the predictions, HxW float32 metres each.
    """
    logs = [np.log(sample.disparity), *(-np.log(metres) for metres in maps)]
    low, high = np.nanpercentile(logs[0], (1, 99))
    top = max(float(high), float(low) + 1e-3)
    coloured = [disparity_picture(values, float(low), top) for values in (*logs[1:], logs[0])]
    width = round(SHEET_HEIGHT * sample.image.shape[1] / sample.image.shape[0])
    parts = (sample.image, *coloured)
    return np.hstack([cv2.resize(part, (width, SHEET_HEIGHT), interpolation=cv2.INTER_AREA) for part in parts])


def _coloured(values: FloatMap) -> Picture:
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, (1, 99)) if known.size else (0.0, 1.0)
    return disparity_picture(values, float(low), max(float(high), float(low) + 1e-6))
