"""The teacher: a network with ADE20K's classes that says of unlabelled photographs what is sky and what is far."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from redweb_builder.networks.exported import last_line
from redweb_builder.segmentation.segmenters import ADE20K_FAR, ADE20K_SKY
from redweb_builder.segmentation.sky_network import THINGS
from redweb_builder.types import BoolMap, FloatMap, Picture
from trainer.types import DataError

SIDE = 513  # longer side at which it looks, 8k + 1
TALL = [2, 5, 26]  # building, tree, house; its classes are ADE20K's from 1 on, 0 = other
GROUND = [4, 7, 10, 12, 14, 17, 22, 27, 30, 47, 53, 55, 61, 69, 129]  # floor, road, grass ... water, field, hill, lake
ADE20K_THINGS = {  # in the numbers of ADE20K, from 0 on; what is not here is an object
    "building": (1, 25, 79, 84),
    "plant": (4, 17, 66, 72),
    "ground": (6, 9, 11, 13, 29, 34, 46, 52, 54, 91, 94),
    "wall": (0,),
    "ceiling": (5,),
    "floor": (3, 28),
    "opening": (8, 14, 18, 22, 27, 58, 63),
}
SKYLINE = 1 / 16  # of the picture's height


@dataclass(frozen=True)
class Taught:
    """Of a picture. sky, far: HxW float32 probability. things: HxW uint8, what a pixel is most likely if it is neither.

    things are indices of sky_network.THINGS.
    """

    sky: FloatMap
    far: FloatMap
    things: NDArray[np.uint8]


class Teacher:
    """DeepLabV3+ on MobileNetV2 (Chen et al. 2018; Sandler et al. 2018) with 151 outputs, from a file of code."""

    def __init__(self, code: Path, weights: Path) -> None:
        """code: a Python file that defines DeepLabMNV2; it is run. weights: its state dict. Raises DataError."""
        try:
            spec = spec_from_file_location("teacher", code)
            assert spec is not None
            assert spec.loader is not None
            module: Any = module_from_spec(spec)
            spec.loader.exec_module(module)
            network: nn.Module = module.DeepLabMNV2()
            state = torch.load(weights, map_location="cpu", weights_only=True)
            network.load_state_dict({name: value.float() for name, value in state.items()})
        except Exception as error:  # whatever somebody else's file raises
            raise DataError(f"{code} with {weights} cannot be loaded as a teacher: {last_line(error)}") from error
        self.network = network.eval()

    def __call__(self, picture: Picture) -> Taught:
        """HxWx3 uint8 -> what is sky, far field and the rest; a mean over the picture and its mirror."""
        probabilities = self.classes(picture)
        groups = ([1 + index for index in ADE20K_SKY], [1 + index for index in ADE20K_FAR], TALL, GROUND)
        size = (picture.shape[1], picture.shape[0])
        sky, far, tall, ground = (cv2.resize(probabilities[classes].sum(0), size) for classes in groups)
        thin = skyline(sky > 0.5, tall > 0.5, ground > 0.5)
        far = np.where(thin, np.maximum(far, 1 - sky), far)
        things = cv2.resize(_things(probabilities), size, interpolation=cv2.INTER_NEAREST)
        return Taught(sky.clip(0, 1), np.minimum(far, 1 - sky).clip(0, 1), np.asarray(things, np.uint8))

    @torch.inference_mode()
    def classes(self, picture: Picture) -> NDArray[np.float32]:
        """Probabilities of the classes: 151xhxw float32, summing to 1, at a quarter of the teacher's size.

        picture: HxWx3 uint8 RGB, any size.
        """
        shrink = SIDE / max(picture.shape[:2])
        height, width = (round(side * shrink / 8) * 8 + 1 for side in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR)
        tensor = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 127.5 - 1
        both = self.network(torch.cat([tensor, tensor.flip(3)]), full=False).softmax(1)
        mean: NDArray[np.float32] = ((both[0] + both[1].flip(2)) / 2).numpy()
        return mean


def _things(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """151xHxW -> HxW: the most likely of THINGS."""
    named = [[1 + index for index in ADE20K_THINGS[name]] for name in THINGS[:-1]]
    no_thing = {1 + index for index in (*ADE20K_SKY, *ADE20K_FAR)}
    other = [index for index in range(len(probabilities)) if index not in no_thing.union(*named)]
    sums = [probabilities[classes].sum(0) for classes in (*named, other)]
    return np.asarray(np.argmax(sums, 0), np.uint8)


def skyline(sky: BoolMap, tall: BoolMap, ground: BoolMap) -> BoolMap:
    """Where buildings and trees are far away: between sky and ground, and less than SKYLINE of the picture tall.

    What is 4 m or taller and fills under a sixteenth of a usual field of view (40 degrees) is 90 m away or farther.
    """
    limit = round(SKYLINE * len(sky))
    above, height = np.zeros(sky.shape, bool), np.zeros(sky.shape, np.int32)
    for y in range(1, len(sky)):  # of each column's runs: does sky lie on top, and how tall is it so far
        begins = tall[y] & ~tall[y - 1]
        above[y] = tall[y] & np.where(begins, sky[y - 1], above[y - 1])
        height[y] = np.where(tall[y], height[y - 1] + 1, 0)
    thin = np.zeros(sky.shape, bool)
    for y in range(len(sky) - 2, 0, -1):
        ends = tall[y] & ground[y + 1] & above[y] & (height[y] < limit)
        thin[y] = ends | (thin[y + 1] & tall[y])
    steady = cv2.blur(thin.astype(np.float32), (15, 1)) > 0.5  # single columns prove nothing
    return np.asarray(thin & steady)
