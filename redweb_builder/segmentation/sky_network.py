"""The network of the built-in segmenter: a small feature pyramid for sky, far field and the rest.

EfficientNet-Lite0 (Tan and Le 2019) under the decoder of Kirillov et al. CVPR 2019, "Panoptic Feature Pyramid
Networks", both with the tensors of segmentation-models-pytorch's FPN, by their names. docs/segmenter.md is its model
card.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from redweb_builder.networks import lite0
from redweb_builder.networks.encoder_input import IMAGENET_MEAN, IMAGENET_STD, fit_to_stride

ENCODER = lite0.NAME
DECODER_CHANNELS = 64
NORM_GROUPS = 32  # of the decoder's group norms
DROPOUT = 0.2  # of the decoder's channels, in training
THINGS = ("building", "plant", "ground", "wall", "ceiling", "floor", "opening", "object")
CLASSES = ("sky", "far", *THINGS)  # the classes of the rest are trained for what they add to the features
SIDE = 352  # px, longer side of the network's input
SKY_BIAS = 0.6  # added to the logit of sky at run time; benchmarks.quality.sky_bias chooses it on the training pictures


class SkyNetwork(nn.Module):
    """Bx3xHxW RGB in [0, 1], sides multiples of 32 -> Bx10xHxW logits of CLASSES.

    The pictures are normalised inside, so that users of the weights need not do so. The mean of the deepest features is
    added to them everywhere (Liu et al. 2015, "ParseNet"): where there is a ceiling, a bright wall is no sky.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.network = FPN(len(CLASSES))
        deepest = self.network.encoder.out_channels[-1]
        self.context = nn.Conv2d(deepest, deepest, 1)
        nn.init.zeros_(self.context.weight)
        nn.init.zeros_(self.context.bias)  # type: ignore[arg-type]
        for name, value in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> SkyNetwork:
        """Set the mode, True = training, as in PyTorch.

        The encoder's batch norms stay in evaluation mode: they keep their pretrained statistics, since batches are
        small.
        """
        super().train(mode)
        for part in self.network.encoder.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """image: Bx3xHxW float32 RGB in [0, 1], sides multiples of STRIDE. Returns Bx10xHxW logits of CLASSES."""
        features = self.network.encoder((image - self.mean) / self.std)
        features[-1] = features[-1] + self.context(features[-1].mean((2, 3), keepdim=True))
        logits: Tensor = self.network.segmentation_head(self.network.decoder(features))
        return logits


class FPN(nn.Module):
    """The encoder, the decoder and the head, which a SkyNetwork runs one after the other."""

    def __init__(self, classes: int) -> None:
        """Random weights. classes: number of the head's channels."""
        super().__init__()
        self.encoder = lite0.Lite0()
        self.decoder = PyramidDecoder(self.encoder.out_channels[-4:])
        self.segmentation_head = nn.Sequential(
            nn.Conv2d(DECODER_CHANNELS, classes, 1), nn.UpsamplingBilinear2d(scale_factor=4)
        )
        nn.init.xavier_uniform_(self.segmentation_head[0].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.segmentation_head[0].bias)  # type: ignore[arg-type]


class PyramidDecoder(nn.Module):
    """Feature maps at 1/4 to 1/32 of the picture -> one map of DECODER_CHANNELS at 1/4.

    From the coarsest on, each is added to the next finer one. All four are brought to 1/4, and added.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        """Random weights. channels: of the four maps, finest first."""
        super().__init__()
        self.p5 = nn.Conv2d(channels[3], DECODER_CHANNELS, 1)
        self.p4, self.p3, self.p2 = (_TopDown(channels[at]) for at in (2, 1, 0))
        self.seg_blocks = nn.ModuleList(_Enlargement(doublings) for doublings in (3, 2, 1, 0))
        self.dropout = nn.Dropout2d(DROPOUT, inplace=True)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """See the class. features: the four maps are the last ones, finest first."""
        c2, c3, c4, c5 = features[-4:]
        p5 = self.p5(c5)
        p4 = self.p4(p5, c4)
        p3 = self.p3(p4, c3)
        p2 = self.p2(p3, c2)
        first, second, third, fourth = (
            block(part) for block, part in zip(self.seg_blocks, (p5, p4, p3, p2), strict=True)
        )
        summed: Tensor = self.dropout(first + second + third + fourth)  # the sum of a stack takes ten times as long
        return summed


class _TopDown(nn.Module):
    """The coarser map at twice its size, and the finer one in as many channels, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(channels, DECODER_CHANNELS, 1)

    def forward(self, coarser: Tensor, finer: Tensor) -> Tensor:
        added: Tensor = F.interpolate(coarser, scale_factor=2.0) + self.skip_conv(finer)
        return added


class _Enlargement(nn.Module):
    """Convolutions with a doubling of the size behind each of them; without doublings, one convolution."""

    def __init__(self, doublings: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*(_ConvNormReLU(doublings > 0) for _ in range(max(1, doublings))))

    def forward(self, x: Tensor) -> Tensor:
        enlarged: Tensor = self.block(x)
        return enlarged


class _ConvNormReLU(nn.Module):
    def __init__(self, doubles: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(DECODER_CHANNELS, DECODER_CHANNELS, 3, padding=1, bias=False),
            nn.GroupNorm(NORM_GROUPS, DECODER_CHANNELS),
            nn.ReLU(inplace=True),
        )
        self.doubles = doubles

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=True) if self.doubles else y


def region_probabilities(logits: Tensor) -> Tensor:
    """Bx10xHxW logits of CLASSES -> Bx2xHxW probabilities of sky and of far field."""
    return logits.softmax(1)[:, :2]


def input_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the network's input for a picture of this height and width, px.

    The longer side is about SIDE, both are multiples of STRIDE.
    """
    return fit_to_stride(height, width, SIDE / max(height, width))
