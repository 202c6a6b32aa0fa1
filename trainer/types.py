"""The nouns of the trainer.

Depth is disparity-like everywhere: **larger = nearer**, in labels and in predictions alike (see ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from redweb_builder.errors import UserError
from redweb_builder.types import BoolMap, FloatMap, Picture

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing itself only from Python 3.11 on


class DataError(UserError):
    """A data set cannot be used as asked; str() says which file and what to do, for people."""


@dataclass(frozen=True)
class DepthSample:
    """One labelled picture, as a reader hands it out.

    key: its name in the set. image: HxWx3 uint8 RGB. disparity: HxW float32, larger = nearer, NaN = unknown; known up
    to scale and shift where `true_zero` is False. sky: HxW bool, known to be farther than everything else.
    noise: the error, in the disparity's own unit, that one label may have; pairs closer than twice that are equal
    (losses/ordinal.py). true_zero: disparity 0 is infinity, so that ratios mean something. confidence: HxW float32 in
    [0, 1], how much a label counts in the loss; None = all alike. instances: HxW integers, the number of the thing that
    a pixel is of, 0 = of none; None = nobody has said.
    """

    key: str
    image: Picture
    disparity: FloatMap
    sky: BoolMap
    noise: float
    true_zero: bool = False
    confidence: FloatMap | None = None
    instances: NDArray[np.integer[Any]] | None = None


@dataclass(frozen=True)
class Pictures:
    """B pictures of one size, as the loop sees them; what they are labelled with is a subclass's.

    image: Bx3xHxW uint8 RGB.
    """

    image: Tensor

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The same in page-locked memory, which CUDA copies from without waiting."""
        return self._each(Tensor.pin_memory)

    def pixels(self) -> Tensor:
        """The pictures as a network takes them: Bx3xHxW float32 RGB in [0, 1], channels last."""
        return self.image.to(torch.float32, memory_format=torch.channels_last).div_(255)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(**{field.name: change(getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True)
class Batch(Pictures):
    """Pictures with relative depth.

    disparity: BxHxW float32, finite: 0 where unknown. valid: BxHxW bool, where it is known.
    sky: BxHxW bool, a subset of valid. noise: B float32, true_zero: B bool, see DepthSample; without true_zero it is
    False for all. weight: BxHxW float32 in [0, 1], how much a label counts; without it all count 1. instances: BxHxW
    float32 of whole numbers, see DepthSample; 0 everywhere where nobody has said, as without it.
    """

    disparity: Tensor
    valid: Tensor
    sky: Tensor
    noise: Tensor
    true_zero: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    weight: Tensor = field(default_factory=lambda: torch.zeros(0))
    instances: Tensor = field(default_factory=lambda: torch.zeros(0))

    def __post_init__(self) -> None:
        """Give true_zero, weight and instances the shape of the batch where they were not given."""
        if len(self.weight) != len(self.noise):
            object.__setattr__(self, "weight", torch.ones_like(self.disparity))
        if len(self.instances) != len(self.noise):
            object.__setattr__(self, "instances", torch.zeros_like(self.disparity))
        if len(self.true_zero) != len(self.noise):
            object.__setattr__(self, "true_zero", torch.zeros_like(self.noise, dtype=torch.bool))


@dataclass(frozen=True)
class RegionBatch(Pictures):
    """Pictures with sky and far field.

    regions: Bx3xHxW float32, the shares of sky, far and rest, summing to 1. known: BxHxW float32, 1 where they are.
    things: BxHxW int64, what the rest is, as an index of sky_network.THINGS; -1 where nobody said.
    """

    regions: Tensor
    known: Tensor
    things: Tensor
