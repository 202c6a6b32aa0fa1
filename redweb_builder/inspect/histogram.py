"""How a measurement is spread over a data set, with its limit: numbers for a small drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redweb_builder.filters.checks import Check
from redweb_builder.filters.wording import limit_text, value_text, wording

BINS = 32
WIDTH, HEIGHT = 320, 96  # units of the drawing


@dataclass(frozen=True)
class Histogram:
    """A drawing of WIDTH x HEIGHT units.

    name: of the measurement. title, sentence: its words. kept, rejected: SVG paths of the bars, rejected on top of
    kept. low, high: the values at the left and right side; values beyond count in the outermost bins. limit_x: where
    the limit lies, units. low_text, high_text, limit_text: these values with their units.
    missing: number of pairs without a value.
    """

    name: str
    title: str
    sentence: str
    low: float
    high: float
    low_text: str
    high_text: str
    kept: str
    rejected: str
    limit_x: float | None
    limit_text: str
    missing: int


def histogram(name: str, kept: Sequence[float], rejected: Sequence[float], check: Check | None) -> Histogram | None:
    """The histogram of a measurement, None where no pair has it.

    name: its column. kept, rejected: its values, NaN = missing. check: the check that judges it, if any.
    """
    values = [np.array(group, np.float64) for group in (kept, rejected)]
    known = [group[~np.isnan(group)] for group in values]
    every = np.concatenate(known)
    if not every.size:
        return None
    low, high = (float(value) for value in np.percentile(every, (0.5, 99.5)))
    if check is not None:
        low, high = min(low, check.limit), max(high, check.limit)
    pad = 0.03 * (high - low) or max(abs(low), 1.0) * 0.05
    low = low - pad if low < 0 else max(0.0, low - pad)
    high = min(1.0, high + pad) if wording(name).unit == "share" else high + pad
    counts = [np.histogram(np.clip(group, low, high), BINS, (low, high))[0] for group in known]
    unit = HEIGHT / max(int((counts[0] + counts[1]).max()), 1)
    return Histogram(
        name=name,
        title=wording(name).title,
        sentence=wording(name).sentence,
        low=low,
        high=high,
        low_text=value_text(name, low),
        high_text=value_text(name, high),
        kept=_bars(np.zeros(BINS), counts[0] * unit),
        rejected=_bars(counts[0] * unit, counts[1] * unit),
        limit_x=None if check is None else round(WIDTH * (check.limit - low) / (high - low), 2),
        limit_text="" if check is None else limit_text(check),
        missing=sum(map(len, values)) - len(every),
    )


def _bars(bottoms: np.ndarray, heights: np.ndarray) -> str:
    """One path of upright bars, a hair apart."""
    step = WIDTH / BINS
    return "".join(
        f"M{number * step + 0.75:.2f} {HEIGHT - bottom:.2f}v{-height:.2f}h{step - 1.5:.2f}v{height:.2f}z"
        for number, (bottom, height) in enumerate(zip(bottoms, heights, strict=True))
        if height > 0
    )
