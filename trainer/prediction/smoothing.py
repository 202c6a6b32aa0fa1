"""Depth of a film that does not flicker: every frame is brought to the scale of the frames before, and mixed with them.

A network of relative depth gives every frame a scale and a shift of its own. Frame n is brought to those of the
smoothed frame before it, on the pixels that fit best, and then

    S_n = share * S_(n-1) + (1 - share) * (a D_n + b)

Where something comes into a still picture, those pixels are the ones of which the picture has not changed. Where the
two frames have little in common, the film was cut, and starts anew there.
"""

from __future__ import annotations

import numpy as np

from redweb_builder.types import BoolMap, FloatMap, Picture

ALIKE = 0.7  # correlation below which two frames are of two shots
KEPT = 0.8  # share of the pixels, those with the smallest residual, that the second fit uses
SAMPLED = 10_000  # pixels
STILL = 8  # of 255, mean over the colours: what the noise and the coding of a film may change
LEAST_STILL = 0.5  # share of the pixels; with fewer the camera moves, or the film was cut


class Smoothed:
    """Frames of one film in order -> the same, steady."""

    def __init__(self, share: float, affine: bool = True) -> None:
        """share: of the smoothed frame before, 0 to below 1. affine: every frame has a scale of its own; False = metric
        depth, whose frames are mixed as they are.
        """
        self._share, self._affine = share, affine
        self._before: tuple[FloatMap, Picture] | None = None

    def __call__(self, depth: FloatMap, image: Picture) -> FloatMap:
        """The next frame. depth: HxW float32, of any scale. image: HxWx3 uint8 RGB, the frame itself.

        Returns HxW float32 in the scale of the first of a shot.
        """
        smooth = depth
        if self._before is not None and self._before[0].shape == depth.shape:
            before, picture = self._before
            fit = scale_and_shift(depth, before)
            if fit is None:
                still = still_pixels(picture, image)
                fit = scale_and_shift(depth[still], before[still]) if still.mean() >= LEAST_STILL else None
            if fit is not None:
                scale, shift = fit if self._affine else (1.0, 0.0)
                smooth = (self._share * before + (1 - self._share) * (scale * depth + shift)).astype(np.float32)
        self._before = smooth, image
        return smooth


def still_pixels(before: Picture, image: Picture) -> BoolMap:
    """Where two frames of a film show the same, HxW bool. before, image: HxWx3 uint8 RGB."""
    apart = np.abs(before.astype(np.int16) - image).mean(axis=2)
    return np.asarray(apart <= STILL)


def scale_and_shift(depth: FloatMap, target: FloatMap) -> tuple[float, float] | None:
    """a > 0 and b that give a depth + b the mean and the spread of the target; None where they have little in common.

    Least squares would make a too small wherever `depth` has noise, and a film would fade from frame to frame.
    depth, target: of one shape, float32, finite.
    """
    every = max(1, depth.size // SAMPLED)
    x, y = depth.ravel()[::every].astype(np.float64), target.ravel()[::every].astype(np.float64)
    for _ in range(2):  # the second time without what moved
        if not (x.std() > 0 and y.std() > 0 and np.corrcoef(x, y)[0, 1] >= ALIKE):
            return None
        a = y.std() / x.std()
        b = y.mean() - a * x.mean()
        residual = np.abs(a * x + b - y)
        kept = residual <= np.quantile(residual, KEPT)
        x, y = x[kept], y[kept]
    return float(a), float(b)
