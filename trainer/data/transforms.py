"""Photograph, label and sky changed together, with torchvision's transforms.

A label takes the value of the nearest pixel, so that no value is made up between near and far, and what a rotation
brings in from outside the picture is NaN, unknown.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from redweb_builder.networks.encoder_input import MAX_ASPECT, fitting_size
from redweb_builder.types import Picture
from trainer.types import DepthSample


class Label(tv_tensors.Mask):  # type: ignore[misc]
    """Maps of a picture, CxHxW. What is resized lies where it lies in the picture.

    torchvision's own Mask is resized by the rule of floor(x * factor): by up to half a pixel of the result it lies too
    far right and below.
    """


def _resized(label: Label, size: list[int], **_: Any) -> Label:
    maps = F.resize_image(label.as_subclass(Tensor), size, v2.InterpolationMode.NEAREST_EXACT, antialias=False)
    resized: Label = maps.as_subclass(Label)
    return resized


def _resized_crop(label: Label, top: int, left: int, height: int, width: int, size: list[int], **_: Any) -> Label:
    return _resized(F.crop_mask(label.as_subclass(Tensor), top, left, height, width).as_subclass(Label), size)


F.register_kernel(F.resize, Label)(_resized)
F.register_kernel(F.resized_crop, Label)(_resized_crop)


def squeeze_long(picture: Tensor) -> Tensor:
    """Squeeze a long picture or label to MAX_ASPECT, the shape in which it is predicted (`fitting_size`).

    Without it RandomResizedCrop finds no crop but the middle in pictures longer than 8 : 3, such as KITTI's.

    picture: a tv_tensor, ...xHxW. Returns the same kind.
    """
    height, width = picture.shape[-2:]
    size = [min(height, round(width * MAX_ASPECT)), min(width, round(height * MAX_ASPECT))]
    squeezed: Tensor = F.resize(picture, size, antialias=True)
    return squeezed


def augmentation(kind: str, size: int) -> v2.Transform:
    """What is done to a sample before the network learns from it; the result is size x size.

    kind: "flip-crop" = Xian et al. 2018: flip and scale-crop; "full" = also rotation, colour, grey, blur and JPEG, as
    is common use; "none" = the whole picture, resized. size: px.
    """
    unknown = {tv_tensors.Image: 0, Label: math.nan}
    flip_crop = (
        v2.Lambda(squeeze_long),
        v2.RandomResizedCrop(size, scale=(0.5, 1.0), ratio=(1 / MAX_ASPECT, MAX_ASPECT), antialias=True),
        v2.RandomHorizontalFlip(),
    )
    common = (
        v2.RandomApply([v2.RandomRotation(5, v2.InterpolationMode.BILINEAR, fill=unknown)], p=0.3),
        v2.RandomApply([v2.ColorJitter(0.3, 0.3, 0.3, 0.05)], p=0.8),
        v2.RandomGrayscale(0.05),
        v2.RandomApply([v2.GaussianBlur(5, (0.1, 2.0))], p=0.1),
        v2.RandomApply([v2.JPEG((40, 95))], p=0.2),
    )
    steps = {"none": (v2.Resize((size, size), antialias=True),), "flip-crop": flip_crop, "full": (*flip_crop, *common)}
    return v2.Compose(steps[kind])


def transformed(sample: DepthSample, transform: v2.Transform) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A sample as tensors: image, disparity, valid, sky, weight, instances.

    3xHxW uint8; HxW float32, 0 where unknown; HxW bool; HxW bool; HxW float32 in [0, 1], the sample's confidence, 0
    where unknown; HxW float32 of whole numbers, 0 = of no instance.

    transform: of picture and label together. Random transforms draw from torch's global generator: seed that for the
    sample first.
    """
    image = tv_tensors.Image(torch.from_numpy(sample.image.copy()).permute(2, 0, 1))
    confidence = np.ones_like(sample.disparity) if sample.confidence is None else sample.confidence
    instances = np.zeros_like(sample.disparity) if sample.instances is None else sample.instances.astype(np.float32)
    maps = np.stack([sample.disparity, sample.sky.astype(np.float32), confidence, instances])
    image, label = transform(image, Label(torch.from_numpy(maps)))
    disparity, sky, weight, things = label.as_subclass(Tensor)
    valid = disparity.isfinite()
    disparity, weight = (torch.where(valid, values, 0) for values in (disparity, weight))
    return image.as_subclass(Tensor), disparity, valid, (sky == 1) & valid, weight, things.nan_to_num(0)


def as_input(image: Picture, size: int) -> Tensor:
    """A photograph as a network takes it: 1x3xhxw float32 RGB in [0, 1], h and w from `fitting_size`.

    image: HxWx3 uint8 RGB. size: side of the training crops, px.
    """
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    fitted: Tensor = F.resize(tensor, list(fitting_size(image.shape[0], image.shape[1], size)), antialias=True)
    return fitted.float() / 255
