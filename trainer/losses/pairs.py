"""Which pixel pairs a ranking loss compares.

Random numbers come in, pairs go out: every function is deterministic, works on the whole batch at once, and on the
device that its tensors are on. A pixel is named by its index into the flattened picture, y * W + x.
What the labels say of a pair: ordinal.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from kornia.filters import spatial_gradient
from torch import Tensor

from trainer.losses.ordinal import TAU, ordinal_step, relation_of

EDGE_SHARE = 0.1  # Xian et al. 2020: an edge is where the gradient exceeds this share of the picture's largest
EDGE_REACH = (2.0, 30.0)  # Xian et al. 2020: px from the edge to the points on either side of it


@dataclass(frozen=True)
class Pairs:
    """N pairs in each of B pictures.

    first, second: BxN int64 indices into the flattened picture. used: BxN bool; False where no pair could be drawn.
    """

    first: Tensor
    second: Tensor
    used: Tensor


def random_pairs(valid: Tensor, uniform: Tensor) -> Pairs:
    """Pairs of pixels, each drawn evenly from its picture's valid pixels (Xian et al. 2018, online sampling).

    valid: BxHxW bool. uniform: BxNx2 in [0, 1). A picture without two valid pixels gets no used pair.
    """
    first, second = (_nth_true_pixel(valid, uniform[..., end]) for end in (0, 1))
    any_valid = valid.flatten(1).any(dim=1, keepdim=True)
    return Pairs(first, second, any_valid & (first != second))


def edge_pairs(gradient: Tensor, valid: Tensor, uniform: Tensor) -> Pairs:
    """Pairs across edges: four points in a line through each edge pixel (Xian et al. 2020, section 3.2).

    Through an edge pixel e runs the line along the gradient there; a and b lie on one side of e, c and d on the other,
    2 to 30 px away, in the order a b e c d. The pairs are (a, b), (b, c), (c, d): one across the edge, and one on each
    side of it, so that edges become sharp and the surfaces beside them stay whole.

    gradient: Bx2xHxW float, (x, y), of the picture or of the label (`image_gradient`, `label_gradient`).
    valid: BxHxW bool, where the label is known. uniform: BxAx5 in [0, 1), A = edge pixels. Returns 3A pairs a picture;
    those that leave the picture or end where the label is unknown are not used.
    """
    height, width = valid.shape[1:]
    strength = gradient[:, 0].square() + gradient[:, 1].square()
    strongest = strength.amax(dim=(1, 2), keepdim=True)
    edge = (strength >= EDGE_SHARE**2 * strongest) & (strength > 0)
    anchor = _nth_true_pixel(edge, uniform[..., 0])
    along = F.normalize(gradient.flatten(2).gather(2, anchor[:, None].expand(-1, 2, -1)), dim=1)  # Bx2xA
    near, far = EDGE_REACH
    side = (near + (far - near) * uniform[..., 1:].reshape(*anchor.shape, 2, 2)).sort(dim=3).values  # BxAx2x2
    offset = torch.stack([-side[:, :, 0, 1], -side[:, :, 0, 0], side[:, :, 1, 0], side[:, :, 1, 1]], dim=2)  # a b c d
    x = ((anchor % width)[..., None] + along[:, 0, :, None] * offset).round().long()  # BxAx4
    y = ((anchor // width)[..., None] + along[:, 1, :, None] * offset).round().long()

    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    point = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    known = inside & valid.flatten(1).gather(1, point.flatten(1)).view_as(point) & (strongest > 0)
    used = known[..., :-1] & known[..., 1:] & (point[..., :-1] != point[..., 1:])
    return Pairs(point[..., :-1].flatten(1), point[..., 1:].flatten(1), used.flatten(1))


def image_gradient(image: Tensor) -> Tensor:
    """Sobel gradient of the grey picture, Bx2xHxW float32, (x, y). image: Bx3xHxW uint8 or float RGB."""
    grey = image.float().mean(dim=1, keepdim=True)
    gradient: Tensor = spatial_gradient(grey)[:, 0]
    return gradient


def label_gradient(target: Tensor, valid: Tensor) -> Tensor:
    """Sobel gradient of the label, 0 where the 3x3 around a pixel is not all known.

    target: BxHxW float. valid: BxHxW bool, where it is known. Returns Bx2xHxW float32, (x, y).
    """
    gradient: Tensor = spatial_gradient(torch.where(valid, target, 0)[:, None])[:, 0]
    beside_unknown = F.max_pool2d((~valid).float()[:, None], 3, stride=1, padding=1) > 0
    return gradient.masked_fill(beside_unknown, 0)


def instance_gradient(instances: Tensor) -> Tensor:
    """Across the borders of instances, of one strength at all of them: Bx2xHxW float32, (x, y), 0 inside of each.

    instances: BxHxW float of whole numbers, 0 = of none.
    """
    gradient: Tensor = spatial_gradient(instances[:, None])[:, 0]
    return F.normalize(gradient, dim=1)


def ordinal_relation(
    pairs: Pairs,
    target: Tensor,
    sky: Tensor | None = None,
    noise: Tensor | None = None,
    true_zero: Tensor | None = None,
    tau: float = TAU,
) -> Tensor:
    """What the labels say of each pair, by the ordinal rule: +1 first is nearer, -1 second is nearer, 0 equal.

    pairs: N of each picture. target: BxHxW, larger = nearer, finite. sky: BxHxW bool. noise: B, the error a label may
    have. true_zero: B bool, whose ratios decide. tau: see ordinal.py. Without sky, noise or true_zero there is none.
    Returns BxN of the target's dtype.
    """
    a, b = gather_pixels(target, pairs.first), gather_pixels(target, pairs.second)
    sky = torch.zeros_like(target, dtype=torch.bool) if sky is None else sky
    noise = target.new_zeros(len(target)) if noise is None else noise
    true_zero = torch.zeros_like(noise, dtype=torch.bool) if true_zero is None else true_zero
    a_sky, b_sky = gather_pixels(sky, pairs.first), gather_pixels(sky, pairs.second)
    counted = torch.cat([pairs.used & ~a_sky, pairs.used & ~b_sky], dim=1)
    step = ordinal_step(torch.cat([a, b], dim=1), counted, noise, tau)
    return relation_of(a, b, step, true_zero, a_sky, b_sky, tau)


def pair_weights(pairs: Pairs, used: Tensor, weight: Tensor | None) -> Tensor:
    """How much each pair counts: BxN; 0 where `used` (BxN bool) is False, else the smaller weight of its two ends.

    pairs: N of each picture. weight: BxHxW float in [0, 1]; None = 1 everywhere, and `used` itself is returned.
    """
    if weight is None:
        return used
    return used * torch.minimum(gather_pixels(weight, pairs.first), gather_pixels(weight, pairs.second))


def gather_pixels(values: Tensor, index: Tensor) -> Tensor:
    """The values at some pixels. values: BxHxW. index: BxN int64, into the flattened picture. Returns BxN."""
    return values.flatten(1).gather(1, index)


def _nth_true_pixel(mask: Tensor, uniform: Tensor) -> Tensor:
    """For each number the index of a True pixel, all equally likely: BxHxW bool, BxN in [0, 1) -> BxN int64.

    The k-th True pixel is where the running count first reaches k + 1, which a binary search finds for the whole
    batch at once. Index 0 where the mask is empty.
    """
    count = mask.flatten(1).cumsum(dim=1, dtype=torch.int32)
    total = count[:, -1:]
    wanted = torch.minimum((uniform * total).int(), total - 1) + 1  # u * total may round up to total
    return torch.searchsorted(count, wanted.contiguous()).clamp(max=count.shape[1] - 1)
