"""The input of encoders that were pretrained on ImageNet: normalisation and size. The trainer uses it too."""

from __future__ import annotations

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of R, G, B in [0, 1], over ImageNet's training pictures
IMAGENET_STD = (0.229, 0.224, 0.225)  # standard deviation, likewise
STRIDE = 32  # px; an encoder halves a picture five times, so sides that are multiples of it are halved exactly


def fit_to_stride(height: int, width: int, scale: float) -> tuple[int, int]:
    """Height and width of a scaled picture, each rounded to the nearest multiple of STRIDE, at least STRIDE.

    height, width: of the picture, px. scale: factor of both sides before rounding.
    """
    fitted = (max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (height, width))
    return next(fitted), next(fitted)
