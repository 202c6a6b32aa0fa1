"""Where published evaluations of a set look, and up to which depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from redweb_builder.types import BoolMap
from trainer.types import DataError

FULL = (480, 640)  # height, width of a frame of NYU Depth v2
EIGEN_CROP = np.s_[45:471, 41:601]  # Eigen et al. 2014, on 480x640
GARG_CROP = (0.40810811, 0.99189189, 0.03594771, 0.96405229)  # Garg et al. 2016: top, bottom, left, right of a frame


def everywhere(shape: tuple[int, int]) -> BoolMap:
    """All pixels of a frame. shape: (height, width)."""
    return np.ones(shape, bool)


def eigen_crop(shape: tuple[int, int]) -> BoolMap:
    """Eigen's crop of NYU Depth v2, subsampled as the frames are ([1::2, 1::2]). Raises DataError for another size.

    shape: (height, width), 480x640 or a whole part of it.
    """
    return subsampled(EIGEN_CROP, shape)


def garg_crop(shape: tuple[int, int]) -> BoolMap:
    """Garg's crop of KITTI, for frames of any size. shape: (height, width)."""
    rows, columns = shape
    top, bottom, left, right = GARG_CROP
    mask = np.zeros(shape, bool)
    mask[int(top * rows) : int(bottom * rows), int(left * columns) : int(right * columns)] = True
    return mask


@dataclass(frozen=True)
class Protocol:
    """How frames are evaluated.

    mask: (H, W) -> the pixels that count, HxW bool. farthest: m, where depth is cut; None = nowhere. known_scale:
    whether the layout itself says what its numbers are. eight_bits: 8-bit depth is DenseDepth's.
    """

    mask: Callable[[tuple[int, int]], BoolMap] = everywhere
    farthest: float | None = None
    known_scale: bool = False
    eight_bits: bool = False


PLAIN = Protocol()
NYU = Protocol(eigen_crop, 10.0, known_scale=True, eight_bits=True)
KITTI_EIGEN = Protocol(garg_crop, 80.0)
# Ranftl et al. 2022; research/cv/midas/midas_eval.py of github.com/mindspore-ai/models has these figures
ETH3D = SINTEL = Protocol(farthest=72.0)
TUM = Protocol(farthest=10.0)
# src/dataset/ of github.com/prs-eth/Marigold
VIRTUAL_KITTI = Protocol(farthest=80.0)  # as of KITTI; the files go to 655 m
DIODE = Protocol(farthest=350.0)  # the range of its scanner
PROTOCOLS = {"": PLAIN, "nyu": NYU}  # that depth.json may name


def subsampled(window: tuple[slice, slice], shape: tuple[int, int]) -> BoolMap:
    """A window of NYU's full frame as a mask of a smaller frame, HxW bool.

    window: rows and columns of the frame of 480x640. shape: (H, W) of the frame: the full one, or every second pixel
    from 1. Raises DataError for another size.
    """
    full = np.zeros(FULL, bool)
    full[window] = True
    every = max(1, FULL[0] // max(1, shape[0]))
    if shape != (FULL[0] // every, FULL[1] // every):
        raise DataError(f"NYU frames are 640x480 or 320x240, not {shape[1]}x{shape[0]}")
    return full[every - 1 :: every, every - 1 :: every]
