"""Plain regression of the label, the warm-up of the seed article: L2 first, ranking after.

    L = mean (z - d)^2,    d = the label stretched to [0, 1] over the picture's valid pixels, 1 = nearest

A network without pretrained weights learns from it where things are before it is asked about pairs (the article
takes ten epochs of this and then ten of the ranking loss).
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.losses.masked import TINY, Scalars, mean_where, to_safe_float


def l2_loss(prediction: Tensor, target: Tensor, valid: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Scalars]:
    """The loss over all valid pixels.

    prediction, target: BxHxW, larger = nearer, target finite. valid: BxHxW bool. weight: BxHxW in [0, 1], how much a
    pixel counts; None = 1.
    """
    low = target.masked_fill(~valid, torch.inf).amin(dim=(1, 2), keepdim=True)
    high = target.masked_fill(~valid, -torch.inf).amax(dim=(1, 2), keepdim=True)
    stretched = torch.where(valid, (target - low) / (high - low).clamp(min=TINY), 0)
    return mean_where((to_safe_float(prediction) - stretched).square(), valid if weight is None else valid * weight), {}
