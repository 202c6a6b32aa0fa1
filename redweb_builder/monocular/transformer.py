"""Vision transformers as encoders: DINOv2 and other plain ViTs of timm, and the reassembly of their tokens into maps.

A ViT gives maps of one size, a value a patch of 14 or 16 px. As in Ranftl et al. ICCV 2021, "Vision Transformers for
Dense Prediction" (DPT), four of its blocks are brought to sizes 4, 2, 1 and 1/2 times that; what follows in DPT is the
decoder of Xian et al. 2018 (network.py). Class tokens are left out, as in Depth Anything (Yang et al. 2024).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

PATCHES = (14, 16)  # px; with others the maps would not lie near 1/4 to 1/32 of the picture
LEVELS = 4


class TransformerEncoder(nn.Module):
    """Bx3xHxW normalised RGB, sides multiples of `stride` -> four maps BxCxhxw of evenly spaced blocks, first to last.

    h, w: H and W in patches, both even. out_channels: C of each of the four. stride: px, two patches.
    """

    def __init__(self, name: str, pretrained: bool = False) -> None:
        """name: of timm, without "tu-". pretrained: fetch its weights, else random.

        Raises TypeError where the network is no plain vision transformer with a patch of 14 or 16 px.
        """
        import timm  # takes a second, which a build with the built-in network need not wait for
        from timm.models.eva import Eva
        from timm.models.vision_transformer import VisionTransformer

        super().__init__()
        network: Any = timm.create_model(name, pretrained=pretrained, num_classes=0, dynamic_img_size=True)
        patch = network.feature_info[-1]["reduction"] if isinstance(network, VisionTransformer | Eva) else None
        if patch not in PATCHES or network.patch_embed.patch_size != (patch, patch):
            raise TypeError(f"{name} is no plain vision transformer with a patch of 14 or 16 px")
        self.model = network
        self.stride = 2 * patch
        self.out_channels = [network.num_features] * LEVELS

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class. image: Bx3xHxW."""
        maps: list[Tensor] = self.model.forward_intermediates(image, indices=LEVELS, intermediates_only=True, norm=True)
        return maps

    def fix_size(self, height: int, width: int) -> None:
        """Take pictures of one size only, padded to whole strides, as files that know no other size must.

        height, width: px.
        """
        padded = (height + -height % self.stride, width + -width % self.stride)
        self.model.set_input_size(img_size=padded)


class Reassemble(nn.Module):
    """Four maps BxCxhxw of a transformer -> maps of 4h, 2h, h and h/2 rows with C/8, C/4, C/2 and C channels."""

    def __init__(self, channels: int) -> None:
        """channels: C."""
        super().__init__()
        self.widths = [channels // 8, channels // 4, channels // 2, channels]
        self.projections = nn.ModuleList(nn.Conv2d(channels, width, 1) for width in self.widths)
        quarter, half, _, whole = self.widths
        self.sizes = nn.ModuleList(
            [
                nn.ConvTranspose2d(quarter, quarter, 4, stride=4),
                nn.ConvTranspose2d(half, half, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(whole, whole, 3, stride=2, padding=1),
            ]
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """See the class. maps: of the encoder, first block first."""
        parts = zip(maps, self.projections, self.sizes, strict=True)
        return [size(projection(part)) for part, projection, size in parts]
