"""EfficientNet-Lite0 (Tan and Le 2019), the encoder of both built-in networks, in plain PyTorch.

Its tensors are named as in segmentation-models-pytorch, which takes it from timm. These libraries take two seconds of
every start, for what they import.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

NAME = "tu-tf_efficientnet_lite0"  # in segmentation-models-pytorch
STEM = 32  # channels
# A stage: channels, number of blocks, side of the depthwise kernels, stride of the first block, expansion.
STAGES = (
    *((16, 1, 3, 1, 1), (24, 2, 3, 2, 6), (40, 2, 5, 2, 6), (80, 3, 3, 2, 6)),
    *((112, 3, 5, 1, 6), (192, 4, 5, 2, 6), (320, 1, 3, 1, 6)),
)
LEVELS = (0, 1, 2, 4, 6)  # the stages that end at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture
EPSILON = 1e-3  # of the batch norms, as TensorFlow has it


class Lite0(nn.Module):
    """Bx3xHxW normalised RGB -> feature maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size.

    out_channels: of each of the five.
    """

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.model = _Stages()
        self.out_channels = [STAGES[level][0] for level in LEVELS]

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class. image: Bx3xHxW."""
        maps: list[Tensor] = self.model(image)
        return maps


class _Stages(nn.Module):
    """The stem and the stages, in which the output of each stage is the input of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _SameConv(3, STEM, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(STEM, EPSILON)
        stages, channels = [], STEM
        for out, number, side, stride, expansion in STAGES:
            blocks = []
            for at in range(number):
                kind = _Residual if expansion > 1 else _Separable
                blocks.append(kind(channels, out, side, stride if at == 0 else 1, expansion))
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, maps = F.relu6(self.bn1(self.conv_stem(image)), inplace=True), []
        for number, stage in enumerate(self.blocks):
            x = stage(x)
            if number in LEVELS:
                maps.append(x)
        return maps


class _Separable(nn.Module):
    """A depthwise convolution and a pointwise one. side, stride: of the first, px."""

    def __init__(self, channels: int, out: int, side: int, stride: int, _expansion: int) -> None:
        super().__init__()
        self.conv_dw = _SameConv(channels, channels, side, stride, groups=channels)
        self.bn1 = nn.BatchNorm2d(channels, EPSILON)
        self.conv_pw = _SameConv(channels, out, 1)
        self.bn2 = nn.BatchNorm2d(out, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)), inplace=True)))
        return projected


class _Residual(nn.Module):
    """An inverted residual block (Sandler et al. 2018): expansion, depthwise convolution, projection."""

    def __init__(self, channels: int, out: int, side: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * channels
        self.conv_pw = _SameConv(channels, wide, 1)
        self.bn1 = nn.BatchNorm2d(wide, EPSILON)
        self.conv_dw = _SameConv(wide, wide, side, stride, groups=wide)
        self.bn2 = nn.BatchNorm2d(wide, EPSILON)
        self.conv_pwl = _SameConv(wide, out, 1)
        self.bn3 = nn.BatchNorm2d(out, EPSILON)
        self.has_skip = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        expanded = F.relu6(self.bn1(self.conv_pw(x)), inplace=True)
        filtered = F.relu6(self.bn2(self.conv_dw(expanded)), inplace=True)
        projected: Tensor = self.bn3(self.conv_pwl(filtered))
        return projected + x if self.has_skip else projected


class _SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding: the output has 1/stride of the size, rounded up.

    Where the padding of a side is odd, its larger part lies at the right and at the bottom.
    """

    def __init__(self, channels: int, out: int, side: int, stride: int = 1, groups: int = 1) -> None:
        padding = side // 2 if stride == 1 else 0
        super().__init__(channels, out, side, stride, padding, groups=groups, bias=False)
        nn.init.normal_(self.weight, 0, math.sqrt(2 * groups / (side * side * out)))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            down, across = (self.kernel_size[0] - 2 + side % 2 for side in x.shape[2:])  # traceable by exports
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return super().forward(x)
