"""The network of the built-in segmenter: a small feature pyramid for sky, far field and the rest.

EfficientNet-Lite0 (Tan and Le 2019; timm's port) under the decoder of Kirillov et al. CVPR 2019, "Panoptic Feature
Pyramid Networks", both as segmentation-models-pytorch makes them. docs/segmenter.md is its model card.
"""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from redweb_builder.networks.encoder_input import IMAGENET_MEAN, IMAGENET_STD, fit_to_stride

ENCODER = "tu-tf_efficientnet_lite0"
DECODER_CHANNELS = 64
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
        channels = {"decoder_pyramid_channels": DECODER_CHANNELS, "decoder_segmentation_channels": DECODER_CHANNELS}
        self.network = smp.FPN(ENCODER, encoder_weights=None, classes=len(CLASSES), **channels)
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
        features = list(self.network.encoder((image - self.mean) / self.std))
        features[-1] = features[-1] + self.context(features[-1].mean((2, 3), keepdim=True))
        logits: Tensor = self.network.segmentation_head(self.network.decoder(features))
        return logits


def region_probabilities(logits: Tensor) -> Tensor:
    """Bx10xHxW logits of CLASSES -> Bx2xHxW probabilities of sky and of far field."""
    return logits.softmax(1)[:, :2]


def input_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the network's input for a picture of this height and width, px.

    The longer side is about SIDE, both are multiples of STRIDE.
    """
    return fit_to_stride(height, width, SIDE / max(height, width))
