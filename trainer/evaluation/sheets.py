"""Pictures to look at: photograph, label and predictions side by side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from redweb_builder.colour import disparity_picture
from redweb_builder.types import FloatMap, Picture
from trainer.types import DepthSample

SHEET_ROWS = 8
SHEET_HEIGHT = 180
CAPTION_HEIGHT = 18
GROUND = 30  # grey


def strip(sample: DepthSample, maps: Sequence[FloatMap]) -> Picture:
    """Photograph, label, predictions side by side, of one height; each map in colours of its own range.

    sample: photograph and label. maps: the predictions, HxW float32 each. Returns SHEET_HEIGHT rows of uint8 RGB.
    """
    parts = [sample.image, *(_coloured(values) for values in (sample.disparity, *maps))]
    width = max(1, round(SHEET_HEIGHT * sample.image.shape[1] / sample.image.shape[0]))
    return np.hstack([cv2.resize(part, (width, SHEET_HEIGHT), interpolation=cv2.INTER_AREA) for part in parts])


def sheet(strips: Sequence[Picture], captions: Sequence[str] = ()) -> Picture:
    """Strips below one another, on dark ground, under a line of captions; an empty picture of nothing.

    strips: HxWx3 uint8 RGB each, of any widths. captions: of the parts of a strip, from the left; the first strip says
    where they stand.
    """
    if not strips:
        return np.zeros((1, 1, 3), np.uint8)
    rows = [_captioned(strips[0].shape[1], captions), *strips] if captions else list(strips)
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)), constant_values=GROUND) for row in rows]
    return np.vstack(padded)


def _captioned(width: int, captions: Sequence[str]) -> Picture:
    """A line of text as wide as a strip; of a long caption the end, which tells runs apart."""
    line = Image.new("RGB", (width, CAPTION_HEIGHT), (GROUND,) * 3)
    draw, font, part = ImageDraw.Draw(line), ImageFont.load_default(CAPTION_HEIGHT - 6), width // len(captions)
    for at, text in enumerate(captions):
        shown = text
        while shown and draw.textlength(shown, font) > part - 6:
            shown = f"…{shown.lstrip('…')[1:]}" if len(shown) > 2 else ""
        draw.text((at * part + 3, 1), shown, (230, 230, 230), font)
    return np.asarray(line)


def metric_strip(sample: DepthSample, maps: Sequence[FloatMap]) -> Picture:
    """Input, predictions, truth side by side as in the paper's figure 4; one colour scale, log depth, bright = near.

    The scale is that of the truth; of the predictions where nothing of the truth is known.
    sample: photograph and inverse depth in 1/m. maps: the predictions, HxW float32 metres each.
    """
    truth, *predicted = (np.log(sample.disparity), *(-np.log(metres) for metres in maps))
    low, high = _ends(truth if np.isfinite(truth).any() else np.stack(predicted), 1e-3)
    coloured = [disparity_picture(values, low, high) for values in (*predicted, truth)]
    width = round(SHEET_HEIGHT * sample.image.shape[1] / sample.image.shape[0])
    parts = (sample.image, *coloured)
    return np.hstack([cv2.resize(part, (width, SHEET_HEIGHT), interpolation=cv2.INTER_AREA) for part in parts])


def _coloured(values: FloatMap) -> Picture:
    return disparity_picture(values, *_ends(values, 1e-6))


def _ends(values: FloatMap, least: float) -> tuple[float, float]:
    """The values of the darkest and the brightest colour of maps, at least `least` apart; NaN = unknown."""
    known = values[np.isfinite(values)]
    low, high = np.percentile(known, (1, 99)) if known.size else (0.0, 1.0)
    return float(low), max(float(high), float(low) + least)
