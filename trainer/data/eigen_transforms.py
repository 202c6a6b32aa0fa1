"""What Eigen, Puhrsch & Fergus do to a frame of 320x240 before a network sees 304x228 of it (NIPS 2014, section 3.4).

Scale, rotation, crop and flip are one warp: the picture is interpolated once, the label never (nearest pixel), and what
comes from outside the frame is unknown. A picture enlarged s times shows a camera that stands s times nearer: its
depths are divided by s, its inverse depths multiplied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision import tv_tensors

from redweb_builder.networks.encoder_input import IMAGENET_MEAN
from redweb_builder.types import FloatMap, Picture
from trainer.eigen_geometry import CROP, FRAME

LARGEST = 1.5
STEEPEST = 5.0  # degrees
COLOUR = 0.2
OUTSIDE = tuple(round(255 * mean) for mean in IMAGENET_MEAN)  # of the frame; about 0 for the network


@dataclass(frozen=True)
class Warp:
    """scale: 1 = as it is. angle: degrees. top, left: of the crop in the scaled frame, px. colour: a factor a channel.

    flip: left and right exchanged. The default is the centre crop of a test.
    """

    scale: float = 1.0
    angle: float = 0.0
    top: int = (FRAME[0] - CROP[0]) // 2
    left: int = (FRAME[1] - CROP[1]) // 2
    flip: bool = False
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)


def as_frame(image: Picture) -> Picture:
    """A photograph (HxWx3 uint8) at 320x240.

    image: the photograph, any size. By direct subsampling where its size is a whole multiple of that, else resized;
    other proportions are squeezed.
    """
    step = _whole_step(image.shape)
    if step:
        return np.ascontiguousarray(image[step - 1 :: step, step - 1 :: step])
    return np.asarray(cv2.resize(image, FRAME[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def label_frame(label: FloatMap) -> FloatMap:
    """A depth label (HxW float32, of the photograph's size) at 320x240, as `as_frame`; depth is never interpolated."""
    step = _whole_step(label.shape)
    if step:
        return np.ascontiguousarray(label[step - 1 :: step, step - 1 :: step])
    return np.asarray(cv2.resize(label, FRAME[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.float32)


def _whole_step(shape: tuple[int, ...]) -> int:
    """n where a frame of this shape is n times 320x240, so that [1::2, 1::2] is taken of 640x480; else 0."""
    step = shape[0] // FRAME[0]
    return step if shape[:2] == (step * FRAME[0], step * FRAME[1]) else 0


def random_warp() -> Warp:
    """A random warp: s in [1, 1.5], +-5 degrees, crop anywhere in the scaled frame, colours x [0.8, 1.2], flip 0.5.

    From torch's global generator.
    """
    u = torch.rand(8, dtype=torch.float64).tolist()
    scale = 1 + (LARGEST - 1) * u[0]
    rows, columns = (round(scale * side) - crop for side, crop in zip(FRAME, CROP, strict=True))
    red, green, blue = (1 + COLOUR * (2 * value - 1) for value in u[5:])
    return Warp(
        scale=scale,
        angle=STEEPEST * (2 * u[1] - 1),
        top=int(u[2] * (rows + 1)),
        left=int(u[3] * (columns + 1)),
        flip=u[4] < 0.5,
        colour=(red, green, blue),
    )


def apply_warp(image: Picture, label: FloatMap, warp: Warp) -> tuple[Picture, FloatMap]:
    """Cut the crop out of a frame.

    image: 240x320x3 uint8. label: 240x320xC float32. warp: what is done. Returns 228x304x3 uint8 and 228x304xC float32,
    NaN where a pixel lies outside the frame. The picture is interpolated, the label never.
    """
    matrix, size, inverse = _to_frame(warp), CROP[::-1], cv2.WARP_INVERSE_MAP
    picture = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR | inverse, borderValue=OUTSIDE)
    if warp.colour != (1.0, 1.0, 1.0):
        steps = np.arange(256)[:, None] * np.asarray(warp.colour)
        picture = cv2.LUT(picture, np.rint(steps).clip(0, 255).astype(np.uint8)[:, None])
    unknown = (math.nan,) * 4
    maps = cv2.warpAffine(label, matrix, size, flags=cv2.INTER_NEAREST | inverse, borderValue=unknown)
    return np.asarray(picture, np.uint8), np.asarray(maps, np.float32).reshape(*CROP, -1)


class Augmentation(nn.Module):
    """A frame and its label as `transforms.transformed` hands them on -> a random crop of them, or the centre one."""

    def __init__(self, random: bool = True) -> None:
        """random: False = always the centre crop."""
        super().__init__()
        self.random = random

    def forward(self, image: tv_tensors.Image, label: tv_tensors.Mask) -> tuple[Tensor, tv_tensors.Mask]:
        """image: 3x240x320 uint8. label: 4x240x320 float32, of `transformed`. Returns 3x228x304 and 4x228x304."""
        warp = random_warp() if self.random else Warp()
        parts = (part.as_subclass(Tensor).numpy().transpose(1, 2, 0) for part in (image, label))
        frame, maps = map(np.ascontiguousarray, parts)
        picture, cropped = apply_warp(frame, maps, warp)
        cropped[..., 0] *= np.float32(warp.scale)
        crop = torch.from_numpy(picture).permute(2, 0, 1)
        return tv_tensors.Image(crop), tv_tensors.Mask(torch.from_numpy(cropped).permute(2, 0, 1))


def _to_frame(warp: Warp) -> NDArray[np.float64]:
    """2x3: pixel (x, y) of the crop -> pixel of the frame. Whole numbers where nothing is scaled or rotated."""
    turn = math.radians(warp.angle)
    cos, sin = math.cos(turn) / warp.scale, math.sin(turn) / warp.scale
    linear = np.array([[cos, -sin], [sin, cos]])
    scaled = np.array([round(warp.scale * side) for side in FRAME[::-1]])
    start = np.array([warp.left, warp.top]) - (scaled - 1) / 2  # from the middle of the scaled frame
    if warp.flip:
        start[0] += CROP[1] - 1  # and leftwards from there
    offset = linear @ start + (np.array(FRAME[::-1]) - 1) / 2
    return np.column_stack([linear @ np.diag([-1.0 if warp.flip else 1.0, 1.0]), offset])
