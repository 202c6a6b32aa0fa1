"""The network of Xian et al. CVPR 2018, "Monocular Relative Depth Perception with Web Stereo Data Supervision".

A classification network gives features at 1/4, 1/8, 1/16 and 1/32 of the picture. Each is brought to 256 channels by a
3x3 convolution. From the coarsest on, each step refines (residual convolution units), doubles the size and adds the
next finer features; the adaptive output turns the last into one channel at the picture's size.

    1/32 -> transition -> RCU -> x2 ->+-> RCU -> x2 ->+-> RCU -> x2 ->+-> RCU -> x2 -> adaptive output
                                      |               |               |
                                1/16 -> RCU      1/8 -> RCU      1/4 -> RCU

With a vision transformer as encoder it is the network of DPT (transformer.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from redweb_builder.errors import SettingsError
from redweb_builder.monocular.encoders import build_encoder
from redweb_builder.monocular.pictures import checked_pictures
from redweb_builder.monocular.transformer import Reassemble, TransformerEncoder
from redweb_builder.networks.encoder_input import IMAGENET_MEAN, IMAGENET_STD, STRIDE

CHANNELS = 256
LIGHT_CHANNELS = 64
SMALL_ENCODER = 10_000_000  # parameters; below it the paper's decoder would be larger than the encoder
CHANNEL_RANGE = (2, 1024)  # of a decoder; a checkpoint of 10^12 must not fill the memory


@dataclass(frozen=True)
class RedNetConfig:
    """What the network is built from; written into every checkpoint.

    encoder: any encoder of segmentation-models-pytorch, or "tu-NAME" for timm's, of which plain vision transformers can
    be taken too. channels: of the decoder; None = 256 as in the paper, 64 for encoders under 10 million parameters.
    """

    encoder: str = "resnet50"
    channels: int | None = None

    def __post_init__(self) -> None:
        """Raise SettingsError for a value of another type or out of range: it may stand in somebody's checkpoint."""
        if not isinstance(self.encoder, str):
            raise SettingsError(f"encoder {self.encoder!r}: must be a name")
        check_channels(self.channels)


def check_channels(channels: int | None) -> None:
    """Raise SettingsError where a decoder cannot have so many channels. None = chosen by the encoder's size."""
    low, high = CHANNEL_RANGE
    if channels is not None and (type(channels) is not int or not low <= channels <= high):
        raise SettingsError(f"channels {channels!r}: must be a whole number from {low} to {high}")


class RedNet(nn.Module):
    """Bx3xHxW RGB in [0, 1], any size -> BxHxW relative depth, larger = nearer, no unit, unbounded.

    The pictures are normalised inside, so that whoever holds the weights needs to know nothing else.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: RedNetConfig) -> None:
        """Random weights; `encoder_weights.load_encoder_weights` fills the encoder. Raises SettingsError (encoder).

        config: encoder and width.
        """
        super().__init__()
        self.config = config
        self.batchnorm_frozen = False
        self.encoder = build_encoder(config.encoder)
        self.stride = STRIDE
        size = sum(parameter.numel() for parameter in self.encoder.parameters())
        channels = config.channels or (LIGHT_CHANNELS if size < SMALL_ENCODER else CHANNELS)
        widths, self.reassemble = self.encoder.out_channels[-4:], None
        if isinstance(self.encoder, TransformerEncoder):
            self.stride = self.encoder.stride
            self.reassemble = Reassemble(self.encoder.out_channels[-1])
            widths = self.reassemble.widths
        self.decoder = Decoder(widths, channels)
        for name, value in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> RedNet:
        """As usual, but where `batchnorm_frozen` the encoder's batch norms keep to their stored statistics.

        mode: True to train, False to test.
        """
        super().train(mode)
        if self.batchnorm_frozen:
            for part in self.encoder.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()
        return self

    def new_layers(self) -> list[nn.Parameter]:
        """All parameters but those of the encoder."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("encoder.")]

    def forward(self, image: Tensor) -> Tensor:
        """image: Bx3xHxW RGB in [0, 1]. Returns BxHxW."""
        image = checked_pictures(image)
        height, width = image.shape[-2:]
        # Many encoders (hrnet and others) take nothing but multiples of the stride.
        missing = (0, -width % self.stride, 0, -height % self.stride)
        pixels = F.pad((image - self.mean) / self.std, missing, mode="replicate")
        features = self.encoder(pixels)[-4:]
        depth: Tensor = self.decoder(self.reassemble(features) if self.reassemble else features)
        if self.stride != STRIDE:  # patches of 14 px leave a map of 16/14 of the size
            depth = F.interpolate(depth, pixels.shape[-2:], mode="bilinear", align_corners=False)
        return depth[:, 0, :height, :width]


class Decoder(nn.Module):
    """Four feature maps at 1/4 to 1/32, finest first -> Bx1xHxW."""

    def __init__(self, encoder_channels: list[int], channels: int) -> None:
        """encoder_channels: of the four maps, finest first. channels: of the decoder's own maps."""
        super().__init__()
        self.transitions = nn.ModuleList(nn.Conv2d(c, channels, 3, padding=1, bias=False) for c in encoder_channels)
        self.fusions = nn.ModuleList(Fusion(channels, joins=not last) for last in (False, False, False, True))
        self.output = AdaptiveOutput(channels)

    def forward(self, features: list[Tensor]) -> Tensor:
        """features: four, BxCxhxw, finest first. Returns Bx1xHxW, four times as high and wide as the finest."""
        skips = [transition(feature) for transition, feature in zip(self.transitions, features, strict=True)]
        depth = skips[-1]
        for level in (3, 2, 1, 0):
            depth = self.fusions[level](depth, skips[level])
        output: Tensor = self.output(depth)
        return output


class Fusion(nn.Module):
    """Add the features of this level, refine, go to the next finer size."""

    def __init__(self, channels: int, joins: bool) -> None:
        """channels: of all maps. joins: False for the coarsest level, which has nothing to add to."""
        super().__init__()
        self.skip_unit = ResidualConvUnit(channels) if joins else None
        self.unit = ResidualConvUnit(channels)

    def forward(self, depth: Tensor, skip: Tensor) -> Tensor:
        """depth, skip: BxCxhxw -> BxCx2hx2w."""
        if self.skip_unit is not None:
            depth = depth + self.skip_unit(skip)
        return doubled(self.unit(depth))


class ResidualConvUnit(nn.Module):
    """x + conv(relu(conv(relu(x)))), two 3x3 convolutions with weights of their own."""

    def __init__(self, channels: int) -> None:
        """channels: of what comes in and goes out."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """x: BxCxHxW. Returns the same shape."""
        refined: Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        return x + refined


class AdaptiveOutput(nn.Module):
    """3x3 to half the channels, 3x3 to one, x2."""

    def __init__(self, channels: int) -> None:
        """Channels: 256 -> 128 -> 1 in the paper. Starts near 0, or regression begins by crushing all features."""
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.depth = nn.Conv2d(channels // 2, 1, 3, padding=1)
        nn.init.normal_(self.depth.weight, std=0.001)
        nn.init.zeros_(self.depth.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """x: BxCxhxw. Returns Bx1x2hx2w."""
        return doubled(self.depth(F.relu(self.reduce(x))))


def doubled(x: Tensor) -> Tensor:
    """Twice the size, bilinear. x: BxCxhxw. Returns BxCx2hx2w."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
