"""How much later one of two films of a rig was started: cameras without genlock are started by hand.

Both films see the same motion: the change from frame to frame, as a signal in time, is alike in both. Their
cross-correlation has its peak at the offset.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redweb_builder.inputs.formats.film_file import frames_from, moment, open_film

SPAN_S = 20.0  # of both films that is compared, from their beginnings
MOST_S = 3.0  # the largest offset that is looked for
MIN_FRAMES = 20  # of the shorter film; below, chance correlates
MIN_CORRELATION = 0.7  # at the offset
MIN_GAIN = 0.2  # of correlation over no offset, and over every offset that is not beside the best
SMALL = (64, 36)

Signal = NDArray[np.float64]


def time_offset(left: Path, right: Path) -> float:
    """How much later, in s, the right film shows what the left one shows; 0 where no other offset is certain.

    Raises InputError as open_film.
    """
    (times, motion), (other_times, other_motion) = _motion(left), _motion(right)
    if min(len(times), len(other_times)) < MIN_FRAMES:
        return 0.0
    step = float(np.median(np.diff(times)))
    length = min(times[-1], other_times[-1])
    if step <= 0 or length < MIN_FRAMES * step:
        return 0.0
    grid = np.arange(0.0, length, step)
    first, second = np.interp(grid, times, motion), np.interp(grid, other_times, other_motion)
    most = min(round(MOST_S / step), len(grid) // 3)
    lags = np.arange(-most, most + 1)
    correlation = np.array([_correlation(first, second, int(lag)) for lag in lags])
    best = int(np.argmax(correlation))
    elsewhere = np.abs(lags - lags[best]) > 1
    rival = max(float(correlation[elsewhere].max(initial=-1.0)), float(correlation[most]))
    if lags[best] == 0 or correlation[best] < MIN_CORRELATION or correlation[best] < rival + MIN_GAIN:
        return 0.0
    return round(float(lags[best]) * step, 3)


def _motion(file: Path) -> tuple[Signal, Signal]:
    """When the frames of a film's beginning are shown, s, and the log of their mean change from the frame before."""
    times: list[float] = []
    changes: list[float] = []
    before: NDArray[np.float32] | None = None
    with open_film(file) as film:
        for frame in frames_from(film, 0.0):
            time = moment(film, frame)
            if time > SPAN_S:
                break
            grey = frame.reformat(width=SMALL[0], height=SMALL[1], format="gray").to_ndarray().astype(np.float32)
            if before is not None and (not times or time > times[-1]):
                times.append(time)
                changes.append(float(np.log1p(np.abs(grey - before).mean())))
            before = grey
    return np.array(times), np.array(changes)


def _correlation(first: Signal, second: Signal, lag: int) -> float:
    """Correlation of one signal with the other, `lag` samples later."""
    count = len(first) - abs(lag)
    first_part, second_part = first[max(0, -lag) :][:count], second[max(0, lag) :][:count]
    if first_part.std() < 1e-6 or second_part.std() < 1e-6:
        return -1.0
    return float(np.corrcoef(first_part, second_part)[0, 1])
