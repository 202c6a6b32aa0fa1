"""The input of encoders that were pretrained on ImageNet: normalisation and size. The trainer uses it too."""

from __future__ import annotations

import math

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of R, G, B in [0, 1], over ImageNet's training pictures
IMAGENET_STD = (0.229, 0.224, 0.225)  # standard deviation, likewise
STRIDE = 32  # px; an encoder halves a picture five times, so sides that are multiples of it are halved exactly
MAX_ASPECT = 4 / 3  # of a depth network's input, lying or standing; its training crops were no longer


def fitting_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width of a depth network's input: about size x size pixels, sides multiples of STRIDE.

    height, width: of the picture, px. size: side of the training crops, px; the same number of pixels keeps things at
    the scale that the network knows. The shape is that of the picture. A longer one is squeezed to MAX_ASPECT: it is
    ordered better so than in its own shape (docs/depth-network.md).
    """
    aspect = min(max(width / height, 1 / MAX_ASPECT), MAX_ASPECT)
    return fit_to_stride(1, aspect, size / math.sqrt(aspect))


def fit_to_stride(height: float, width: float, scale: float) -> tuple[int, int]:
    """Height and width of a scaled picture, each rounded to the nearest multiple of STRIDE, at least STRIDE.

    height, width: of the picture, px. scale: factor of both sides before rounding.
    """
    fitted = (max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (height, width))
    return next(fitted), next(fitted)
