"""Which pixel pairs a ranking loss asks about, and what the labels say of each.

Random numbers come in, pairs go out: every function is deterministic, works on the whole batch at once, and on the
device that its tensors are on. A pixel is named by its index into the flattened picture, y * W + x.

**The ordinal rule.** Xian et al. 2018 call a pair unequal where the *ratio* of its two labels exceeds 1 + tau. A ratio
means something only where zero does: adding a constant to all labels changes every ratio, and labels from stereo are
known up to exactly such a constant (converged cameras, 8-bit stretching). Here a pair is unequal where the *difference*
exceeds a step of the picture's own:

    step = max(tau * range, 2 * noise),    range = 98th - 2nd percentile of the labels of the drawn points

so the rule is invariant to scale and shift, and **never wrong in sign** where every label is within `noise` of the
truth: measured a - b > step >= 2 noise implies true a > b.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from kornia.filters import spatial_gradient
from torch import Tensor

TAU = 0.02  # Chen et al. 2016; Xian et al. 2018
RANGE_QUANTILES = (0.02, 0.98)  # outliers do not stretch the range
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
    """Sobel gradient of the grey picture: Bx3xHxW uint8 or float RGB -> Bx2xHxW float32, (x, y)."""
    grey = image.float().mean(dim=1, keepdim=True)
    gradient: Tensor = spatial_gradient(grey)[:, 0]
    return gradient


def label_gradient(target: Tensor, valid: Tensor) -> Tensor:
    """Sobel gradient of the label, 0 where the 3x3 around a pixel is not all known.

    target: BxHxW float. valid: BxHxW bool, where it is known. Returns Bx2xHxW float32, (x, y). Depth edges take the
    place of the instance borders of Xian et al. 2020, which need a segmentation of every picture.
    """
    gradient: Tensor = spatial_gradient(torch.where(valid, target, 0)[:, None])[:, 0]
    beside_unknown = F.max_pool2d((~valid).float()[:, None], 3, stride=1, padding=1) > 0
    return gradient.masked_fill(beside_unknown, 0)


def ordinal_step(labels: Tensor, counted: Tensor, noise: Tensor, tau: float = TAU) -> Tensor:
    """How far two labels of a picture must be apart to be called unequal (the rule is in this module's docstring).

    labels: BxM, of drawn points. counted: BxM bool, those to measure the range on: valid, and not sky. noise: B, the
    error that a label may have. tau: share of the range. Returns Bx1, 0 where nothing is counted and nothing known of
    the noise.
    """
    quantiles = torch.tensor(RANGE_QUANTILES, dtype=labels.dtype, device=labels.device)
    low, high = labels.masked_fill(~counted, torch.nan).nanquantile(quantiles, dim=1).nan_to_num(0)
    return torch.maximum(tau * (high - low), 2 * noise.to(labels.dtype))[:, None]


def ordinal_relation(
    pairs: Pairs, target: Tensor, sky: Tensor | None = None, noise: Tensor | None = None, tau: float = TAU
) -> Tensor:
    """What the labels say of each pair: +1 first is nearer, -1 second is nearer, 0 equal; BxN, the target's dtype.

    Two sky points are equal; sky against anything else is farther, however small the difference of the labels. pairs: N
    of each picture. target: BxHxW, larger = nearer, finite. sky: BxHxW bool. noise: B, the error a label may have. tau:
    the share of the range that the step is, see the module.
    """
    a, b = gather_pixels(target, pairs.first), gather_pixels(target, pairs.second)
    if sky is None:
        sky = torch.zeros_like(target, dtype=torch.bool)
    if noise is None:
        noise = target.new_zeros(len(target))
    a_sky, b_sky = gather_pixels(sky, pairs.first), gather_pixels(sky, pairs.second)
    counted = torch.cat([pairs.used & ~a_sky, pairs.used & ~b_sky], dim=1)
    step = ordinal_step(torch.cat([a, b], dim=1), counted, noise, tau)
    relation = (a - b).sign() * ((a - b).abs() > step)
    return torch.where(a_sky | b_sky, b_sky.to(relation) - a_sky.to(relation), relation)


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
