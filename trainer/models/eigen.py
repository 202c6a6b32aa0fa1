"""The networks of metric depth: Eigen, Puhrsch & Fergus, NIPS 2014, and a modern encoder in their place.

    picture 304x228 (width x height)
      coarse   conv 11x11/4 96 -> 74x55, pool -> 37x27      the whole picture, through two full layers
               conv  5x5   256 -> 37x27, pool -> 18x13
               conv  3x3   384, conv 3x3 384, conv 3x3 256 -> 18x13, pool -> 8x6
               full 4096, dropout -> full 74x55
      fine     conv  9x9/2  63 -> 148x110, pool -> 74x55    what is near by
               + the coarse map: 64 channels
               conv  5x5    64 -> 74x55
               conv  5x5     1 -> 74x55, linear

All pools are 3x3/2. Those after the first convolutions take the half window at the end (37, and 74x55), the one before
the full layers does not (8, not 9): the paper's sizes leave no other way. Layer sizes, the single full layer between
features and map, the 63 + 1 channels and the output's start at the mean are those of the authors' published network;
its local response normalisation is left out, since torchvision's AlexNet was trained without it.

The 74x55 cells are 4 px apart and begin at pixel 5 of the crop: `eigen_geometry.TARGET` takes the labels there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from redweb_builder.errors import SettingsError
from redweb_builder.monocular.network import RedNet, RedNetConfig, check_channels
from redweb_builder.monocular.pictures import checked_pictures
from redweb_builder.networks.encoder_input import IMAGENET_MEAN, IMAGENET_STD
from trainer.eigen_geometry import MAP

HIDDEN = 4096
SMALL = 0.01  # deviation of random weights
COARSE, FINE, JOINT = 0, 1, 2


@dataclass(frozen=True)
class EigenConfig:
    """backbone: None = the paper's network; else an encoder of segmentation-models-pytorch, "tu-NAME" for timm's.

    channels: of the backbone's decoder, see RedNetConfig.
    """

    backbone: str | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        """Raise SettingsError for a value of another type or out of range."""
        if self.backbone is not None and not isinstance(self.backbone, str):
            raise SettingsError(f"backbone {self.backbone!r}: must be a name")
        check_channels(self.channels)


class MetricNetwork(nn.Module):
    """Bx3x228x304 RGB in [0, 1] -> log of depth in metres: what both networks share.

    mean_map: 55x74, mean log depth over the training frames: the prediction that does not look, and where both start.
    """

    mean_map: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        """Register what is not trained."""
        super().__init__()
        self.register_buffer("mean_map", torch.zeros(MAP))
        for name, value in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """Every map that the network has to show by the name of its stage, the final one last: Bxhxw log metres.

        image: Bx3x228x304 RGB in [0, 1].
        """
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        """The final map, Bxhxw: 55x74 of the paper's network, 228x304 with a backbone.

        image: Bx3x228x304 RGB in [0, 1].
        """
        return list(self.maps(checked_pictures(image)).values())[-1]

    def normalised(self, image: Tensor) -> Tensor:
        """As ImageNet's networks take pictures. image: Bx3xHxW RGB in [0, 1]."""
        return (image - self.mean) / self.std


class Eigen(MetricNetwork):
    """The paper's network. `at` tells which part is trained, and whether there is a fine map yet.

    Frozen means as at test: the coarse map that the fine network is trained on is made without dropout.
    """

    stage: Tensor

    def __init__(self) -> None:
        """Random weights; `imagenet_start` fills the coarse convolutions."""
        super().__init__()
        self.coarse, self.fine = Coarse(), Fine()
        self.register_buffer("stage", torch.tensor(COARSE, dtype=torch.uint8))  # in the weights, as it belongs to them

    def set_stage(self, stage: int) -> None:
        """Train the COARSE network alone, the FINE one on the frozen coarse one, or both (JOINT).

        stage: one of the three.
        """
        self.stage.fill_(stage)
        self.coarse.requires_grad_(stage != FINE)
        self.fine.requires_grad_(stage != COARSE)
        self.train(self.training)

    def train(self, mode: bool = True) -> Eigen:
        """As usual, but a frozen coarse network stays as at test. mode: True to train, False to test."""
        super().train(mode)
        self.coarse.train(mode and int(self.stage) != FINE)
        return self

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """The coarse map, and from the second phase on the fine one."""
        pixels = self.normalised(image)
        coarse = self.mean_map + self.coarse(pixels).float()
        if int(self.stage) == COARSE:
            return {"coarse": coarse}
        return {"coarse": coarse, "coarse + fine": self.fine(pixels, coarse)}


class Coarse(nn.Module):
    """Bx3x228x304 normalised -> Bx55x74, added to the mean map."""

    def __init__(self) -> None:
        """He's start; the last layer starts near 0, so that the first prediction is the mean map."""
        super().__init__()
        self.conv1, self.pool1 = nn.Conv2d(3, 96, 11, stride=4), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.pool2 = nn.Conv2d(96, 256, 5, padding=2), nn.MaxPool2d(3, 2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv5, self.pool5 = nn.Conv2d(384, 256, 3, padding=1), nn.MaxPool2d(3, 2)
        self.full6 = nn.Linear(256 * 6 * 8, HIDDEN)
        self.dropout = nn.Dropout(0.5)
        self.full7 = nn.Linear(HIDDEN, MAP[0] * MAP[1])
        _he_start((*self.convolutions(), self.full6))
        nn.init.normal_(self.full7.weight, std=1e-3)
        nn.init.zeros_(self.full7.bias)

    def convolutions(self) -> tuple[nn.Conv2d, ...]:
        """The five that start from ImageNet where its weights can be had."""
        return self.conv1, self.conv2, self.conv3, self.conv4, self.conv5

    def features(self, pixels: Tensor) -> Tensor:
        """What the convolutions see, before their last pool: Bx256x13x18. pixels: Bx3x228x304, normalised."""
        x = self.pool1(F.relu(self.conv1(pixels)))
        x = self.pool2(F.relu(self.conv2(x)))
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        return F.relu(self.conv5(x))

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: Bx3x228x304, normalised. Returns Bx55x74."""
        x = self.pool5(self.features(pixels))
        x = self.dropout(F.relu(self.full6(x.flatten(1))))
        depth: Tensor = self.full7(x)
        return depth.view(-1, *MAP)


class Fine(nn.Module):
    """Bx3x228x304 normalised and the coarse map Bx55x74 -> Bx55x74 log metres."""

    def __init__(self) -> None:
        """Starts as passing the coarse map on: one channel carries it, one its negative, as both must pass a ReLU.

        The rest is small, as in Krizhevsky et al. 2012: from He's start the paper's rates overshoot at once.
        """
        super().__init__()
        self.conv1, self.pool1 = nn.Conv2d(3, 63, 9, stride=2), nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = nn.Conv2d(64, 64, 5, padding=2)
        self.conv3 = nn.Conv2d(64, 1, 5, padding=2)
        for layer, std in ((self.conv1, SMALL), (self.conv2, SMALL), (self.conv3, 0.0)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            for channel, sign in ((0, 1.0), (1, -1.0)):
                self.conv2.weight[channel] = 0
                self.conv2.weight[channel, 0, 2, 2] = sign
                self.conv3.weight[0, channel, 2, 2] = sign

    def forward(self, pixels: Tensor, coarse: Tensor) -> Tensor:
        """pixels: Bx3x228x304, normalised. coarse: Bx55x74 log metres. Returns Bx55x74 log metres."""
        edges = self.pool1(F.relu(self.conv1(pixels)))
        x = torch.cat([coarse[:, None], edges.float()], dim=1)
        depth: Tensor = self.conv3(F.relu(self.conv2(x)))
        return depth[:, 0]


class BackboneDepth(MetricNetwork):
    """A pretrained encoder with RedNet's decoder in the paper's place: same input, loss and data; 228x304 log metres.

    Also takes pictures of other sizes, for export.
    """

    def __init__(self, encoder: str, channels: int | None = None) -> None:
        """Random weights; the first prediction is the mean depth. Raises ValueError (encoder).

        encoder, channels: as of RedNetConfig.
        """
        super().__init__()
        self.name = encoder
        self.network = RedNet(RedNetConfig(encoder, channels))
        nn.init.zeros_(self.network.decoder.output.depth.weight)
        nn.init.zeros_(self.network.decoder.output.depth.bias)  # type: ignore[arg-type]

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """One, under the encoder's name."""
        return {self.name: self.mean_map.mean() + self.network(image).float()}


def build(config: EigenConfig) -> MetricNetwork:
    """The network of a config, random. Raises ValueError (encoder)."""
    return Eigen() if config.backbone is None else BackboneDepth(config.backbone, config.channels)


def _he_start(layers: Iterable[nn.Conv2d | nn.Linear]) -> None:
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
