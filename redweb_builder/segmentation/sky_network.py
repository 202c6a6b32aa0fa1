"""The network of the built-in segmenter: a small feature pyramid that tells sky and far field from the rest.

EfficientNet-Lite0 (Tan and Le 2019; timm's port) under the decoder of Kirillov et al. CVPR 2019, "Panoptic Feature
Pyramid Networks", both as segmentation-models-pytorch makes them. docs/segmenter.md is its model card.
"""

from __future__ import annotations

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

ENCODER = "tu-tf_efficientnet_lite0"
DECODER_CHANNELS = 64
THINGS = ("building", "plant", "ground", "wall", "ceiling", "floor", "opening", "object")
CLASSES = ("sky", "far", *THINGS)  # what the rest is, it learns so that it knows what a place looks like
STRIDE = 32  # sides of its input are multiples of this
SIDE = 352  # longer side at which it sees pictures, px
SKY_BIAS = 0.6  # added to the logit of sky at run time; benchmarks.quality.sky_bias asks the pictures trained on for it
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, which the encoder was trained on


class SkyNetwork(nn.Module):
    """Bx3xHxW RGB in [0, 1], sides multiples of 32 -> Bx10xHxW logits of CLASSES.

    The pictures are normalised inside, so that whoever holds the weights needs to know nothing else. The mean of the
    deepest features joins them everywhere (Liu et al. 2015, "ParseNet"): a ceiling tells that a bright wall is no sky.
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
        for name, value in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> SkyNetwork:
        """As usual, but the encoder's batch norms keep to their pretrained statistics: the batches are small."""
        super().train(mode)
        for part in self.network.encoder.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        features = list(self.network.encoder((image - self.mean) / self.std))
        features[-1] = features[-1] + self.context(features[-1].mean((2, 3), keepdim=True))
        logits: Tensor = self.network.segmentation_head(self.network.decoder(features))
        return logits


def sky_far_rest(logits: Tensor) -> Tensor:
    """BxCxHxW logits of CLASSES -> Bx3xHxW probabilities that sum to 1."""
    sky, far, *things = logits.softmax(1).unbind(1)
    return torch.stack([sky, far, torch.stack(things).sum(0)], 1)


def input_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which the network sees a picture: longer side SIDE, sides multiples of STRIDE."""
    shrink = SIDE / max(height, width)
    fitted = (max(STRIDE, round(side * shrink / STRIDE) * STRIDE) for side in (height, width))
    return next(fitted), next(fitted)
