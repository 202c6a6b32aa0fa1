"""Photographs made to look like others: old cameras, night, paper, other skies.

Everything draws from torch's generator. Pictures are 3xHxW float32 in [0, 1], regions 3xHxW float32: sky, far, rest.
Things are HxW int64, -1 where nobody said what the rest is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from trainer.segmenter.pictures import NOBODY_SAID, RegionSample
from trainer.types import RegionBatch

SEPIA = (1.0, 0.87, 0.67)
PAPER = ((0.93, 0.90, 0.83), (0.55, 0.45, 0.33), (0.98, 0.98, 0.97), (0.45, 0.45, 0.47), (0.80, 0.70, 0.52))
Change = Callable[[Tensor], Tensor]


def geometry(size: int) -> v2.Transform:
    """A crop anywhere, so that sky need not be on top; at times turned, at times the whole picture.

    size: px, side of the square that comes out.
    """
    anywhere = v2.RandomResizedCrop(size, scale=(0.2, 1.0), ratio=(3 / 5, 5 / 3), antialias=True)
    whole = v2.Resize((size, size), antialias=True)
    turned = v2.RandomApply([v2.RandomRotation(12, v2.InterpolationMode.BILINEAR, fill=0)], p=0.2)
    return v2.Compose([v2.RandomChoice([anywhere, whole], p=[0.8, 0.2]), turned, v2.RandomHorizontalFlip()])


def augmented(sample: RegionSample, move: v2.Transform, other_sky: Tensor | None = None) -> RegionBatch:
    """A sample, cropped and changed, as a batch of one.

    move: crops and turns picture and regions together. other_sky: 3xhxw, of a photograph, in place of its own.
    """
    image = tv_tensors.Image(torch.from_numpy(sample.image).permute(2, 0, 1))
    label = tv_tensors.Image(torch.from_numpy(sample.regions).permute(2, 0, 1))
    things = tv_tensors.Mask(torch.from_numpy(sample.things)[None])
    image, label, things = move(image, label, things)
    picture, regions = (part.as_subclass(Tensor).float() / 255 for part in (image, label))
    known = regions.sum(0) > 0.98
    regions = torch.where(known, regions / regions.sum(0).clamp(min=1e-3), 0)
    kinds = things.as_subclass(Tensor)[0].long()
    kinds = torch.where((kinds == NOBODY_SAID) | ~known, -1, kinds)
    if chance(0.4) and float(regions[0].mean()) > 0.02 and bool(known.all()):
        picture = with_sky(picture, regions[0], other_sky)
    for likely, change in CHANGES:
        if chance(likely):
            picture = change(picture).clamp(0, 1)
    if chance(0.06):
        picture, regions, known, kinds = mounted(picture, regions, known, kinds)
    image = (255 * picture).round().to(torch.uint8)
    if chance(0.35):
        image = v2.functional.jpeg(image, int(between(25, 95)))
    return RegionBatch(image[None], (regions * known)[None], known[None].float(), kinds[None])


def chance(likely: float) -> bool:
    """True with a probability. likely: of it, in [0, 1]."""
    return float(torch.rand(())) < likely


def between(low: float, high: float) -> float:
    """A random number, uniform from `low` to `high`."""
    return low + (high - low) * float(torch.rand(()))


def clouds(height: int, width: int, finest: int) -> Tensor:
    """Smooth noise of zero mean, HxW: octaves of random grids, wider than tall.

    height, width: px. finest: the most cells along the height.
    """
    noise = torch.zeros(1, 1, height, width)
    cells, strength = 2, 1.0
    while cells <= finest:
        grid = torch.randn(1, 1, cells + 1, max(2, cells // 2) + 1)
        noise += strength * F.interpolate(grid, (height, width), mode="bicubic")
        cells, strength = 2 * cells, 0.55 * strength
    return noise[0, 0] / 1.5


def with_sky(picture: Tensor, sky: Tensor, photographed: Tensor | None) -> Tensor:
    """Another sky: a photographed one stretched to fit, where there is one, or a painted one.

    picture: 3xHxW. sky: HxW, its share of each pixel. photographed: 3xhxw, or None.
    """
    if photographed is not None:
        new = F.interpolate(photographed[None], sky.shape, mode="bilinear", antialias=True)[0]
        return picture + (new - picture) * sky
    new, light = painted_sky(*sky.shape)
    return picture * light + (new - picture * light) * sky


def sky_of(sample: RegionSample) -> Tensor | None:
    """The upper part of a picture that is nothing but sky, 3xhxw, if a fifth of its height is.

    sample: a picture with its regions.
    """
    clear = (sample.regions[..., 0] > 250).mean(1) > 0.98
    rows = len(clear) if clear.all() else int(np.argmin(clear))
    if rows < len(clear) / 5:
        return None
    top = rows // 2 if rows > len(clear) / 3 and chance(0.5) else 0  # low clouds as often as high ones
    return torch.from_numpy(sample.image[top:rows]).permute(2, 0, 1).float() / 255


def painted_sky(height: int, width: int) -> tuple[Tensor, float]:
    """3xHxW, any two colours from top to horizon and clouds, and the light it leaves to the ground.

    height, width: px. The sky is clear, overcast, dusk, night or bleached.
    """
    kind = int(torch.randint(5, ()))
    blue, grey, glow = torch.tensor([0.3, 0.5, 0.85]), torch.full((3,), between(0.45, 1.0)), torch.rand(3)
    glow = glow.sort(descending=True).values  # red over green over blue
    night = torch.tensor([0.03, 0.05, 0.12]) * between(0, 3)
    overcast = (grey, grey * between(0.7, 1.3))
    ends = [(blue, grey), overcast, (blue * 0.6, glow), (night, night * 2), (grey, blue)][kind]
    top, low = (colour + 0.08 * torch.randn(3) for colour in ends)
    ramp = torch.linspace(0, 1, height)[:, None] + 0.1 * clouds(height, width, 4)
    new = top[:, None, None] + (low - top)[:, None, None] * ramp.clamp(0, 1)
    cover = (clouds(height, width, 32) + between(-1.5, 0.7)).clamp(0, 1) * between(0, 1)
    white = torch.full((3, 1, 1), between(0.5, 1.0)) if kind != 3 else new * 1.5
    return new + (white - new) * cover, 0.4 if kind == 3 else 1.0


def grey(picture: Tensor) -> Tensor:
    """As a panchromatic plate, or one blind to red, which bleaches skies. picture: 3xHxW."""
    weights = torch.tensor([0.3, 0.59, 0.11]) if chance(0.7) else torch.tensor([0.05, 0.35, 0.6])
    return (picture * weights[:, None, None]).sum(0, keepdim=True).expand(3, -1, -1)


def sepia(picture: Tensor) -> Tensor:
    """A faded print on toned paper. picture: 3xHxW."""
    tone = torch.tensor(SEPIA) ** between(0.3, 1.2)
    faded = between(0, 0.15) + between(0.7, 0.95) * grey(picture)
    return faded * tone[:, None, None]


def exposure(picture: Tensor) -> Tensor:
    """Another gamma and brightness; at times burnt out. picture: 3xHxW."""
    return picture.clamp(min=1e-3) ** (2 ** between(-0.9, 0.9)) * 2 ** between(-0.4, 0.5)


def night(picture: Tensor) -> Tensor:
    """Dark and bluish, or under lamps. picture: 3xHxW."""
    lamp = torch.tensor([1, between(0.7, 1), between(0.4, 1.3)])
    return picture * between(0.12, 0.45) * lamp[:, None, None]


def haze(picture: Tensor) -> Tensor:
    """Fog: less contrast, more light. picture: 3xHxW."""
    return picture + (between(0.6, 0.95) - picture) * between(0.2, 0.6)


def colours(picture: Tensor) -> Tensor:
    """Another white, saturation and contrast. picture: 3xHxW."""
    white = torch.tensor([2 ** between(-0.35, 0.35), 1, 2 ** between(-0.35, 0.35)])
    picture = picture * white[:, None, None]
    mean = picture.mean(0, keepdim=True)
    picture = mean + (picture - mean) * between(0.4, 1.6)
    return 0.5 + (picture - 0.5) * between(0.7, 1.35)


def blur(picture: Tensor) -> Tensor:
    """Out of focus, or enlarged from something small. picture: 3xHxW."""
    height, width = picture.shape[1:]
    share = between(0.25, 0.8)
    small = F.interpolate(picture[None], scale_factor=share, mode="bilinear", antialias=True)
    return F.interpolate(small, (height, width), mode="bilinear")[0]


def grain(picture: Tensor) -> Tensor:
    """Noise of film (coarse, grey) or of a sensor (fine, coloured). picture: 3xHxW."""
    strength = between(0.01, 0.1)
    if chance(0.5):
        return picture + strength * torch.randn_like(picture)
    height, width = picture.shape[1:]
    coarse = torch.randn(1, 1, height // 2, width // 2)
    return picture + strength * F.interpolate(coarse, (height, width), mode="bilinear")[0]


def vignette(picture: Tensor) -> Tensor:
    """Dark corners. picture: 3xHxW."""
    height, width = picture.shape[1:]
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    return picture * (1 - between(0.1, 0.5) * (x**2 + y**2) / 2)


def mounted(picture: Tensor, regions: Tensor, known: Tensor, things: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """On the card of an old stereograph: paper around it, which is not sky.

    picture, regions: 3xSxS. known: SxS, where regions are known. things: SxS int64. Returns the four, changed alike.
    """
    side = picture.shape[1]
    inner = round(side * between(0.7, 0.95))
    top, left = (int(torch.randint(side - inner + 1, ())) for _ in range(2))
    paper = torch.tensor(PAPER[int(torch.randint(len(PAPER), ()))]) + 0.04 * torch.randn(3)
    card = paper[:, None, None] + 0.03 * clouds(side, side, 16)
    around = torch.tensor([0.0, 0.0, 1.0])[:, None, None].repeat(1, side, side)
    inside = torch.ones(side, side, dtype=torch.bool)
    window = (slice(top, top + inner), slice(left, left + inner))
    card[(slice(None), *window)] = _resized(picture, inner)
    around[(slice(None), *window)] = _resized(regions, inner)
    inside[window] = _resized(known[None].float(), inner)[0] > 0.99
    outside = torch.full((side, side), -1)
    outside[window] = F.interpolate(things[None, None].float(), (inner, inner))[0, 0].long()
    return card.clamp(0, 1), around, inside, outside


def _resized(maps: Tensor, side: int) -> Tensor:
    return F.interpolate(maps[None], (side, side), mode="bilinear", antialias=True)[0]


CHANGES: tuple[tuple[float, Change], ...] = (
    (0.7, colours),
    (0.5, exposure),
    (0.05, night),
    (0.07, haze),
    (0.2, grey),
    (0.08, sepia),
    (0.15, vignette),
    (0.2, blur),
    (0.25, grain),
)
