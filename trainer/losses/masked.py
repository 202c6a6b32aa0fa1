"""What the losses share: safe numbers, means under a mask, the normalisation that removes scale and shift.

Everything is done a picture first and averaged over the batch last. So a batch split over processes or accumulated in
parts gives the same gradient as the whole, and a picture with few labels counts as much as one with many. Only
--weigh-by-pixels (scale_invariant_log.py) weighs the pictures of a part against each other.
"""

from __future__ import annotations

import torch
from torch import Tensor

Scalars = dict[str, Tensor]
LARGEST = 1e6
TINY = 1e-6
FLATTEST = 1e-3  # of a prediction: below it the gradient of 1 / scale would overflow float16


def to_safe_float(prediction: Tensor) -> Tensor:
    """A prediction in float32 (float64 stays), within +-1e6: no square or sum of it overflows; NaN stays NaN."""
    return prediction.to(torch.promote_types(prediction.dtype, torch.float32)).clamp(-LARGEST, LARGEST)


def mean_where(values: Tensor, used: Tensor) -> Tensor:
    """Mean of each picture's used values, 0 for one without any, averaged over the batch: Bx..., Bx... -> ().

    used: bool, or float weights from 0 on.
    """
    values, used = values.flatten(1), used.flatten(1)
    weighted = torch.where(used > 0, values * used, 0)
    return (weighted.sum(dim=1) / used.sum(dim=1).clamp(min=TINY)).mean()


def share_where(condition: Tensor, used: Tensor) -> Tensor:
    """Share of each picture's used entries that meet a condition, averaged over the pictures that have such entries.

    condition, used: Bx... bool. Returns a detached scalar; NaN where no entry is used.
    """
    return ((condition & used).flatten(1).sum(dim=1) / used.flatten(1).sum(dim=1)).nanmean()


def normalised(values: Tensor, valid: Tensor, floor: float = TINY) -> tuple[Tensor, Tensor]:
    """Zero median and unit mean absolute deviation over each picture's valid pixels (Ranftl et al. 2022, eq. 5-6).

        t(d) = median(d),   s(d) = mean |d - t(d)|,   (d - t) / s

    values: BxHxW finite. floor: the least scale divided by. Returns the normalised BxHxW, 0 where invalid, and B bool:
    False where a picture has nothing to scale by (no valid pixel, or all within the floor).
    """
    flat, mask = values.flatten(1), valid.flatten(1)
    shift = flat.masked_fill(~mask, torch.nan).nanmedian(dim=1, keepdim=True).values.nan_to_num(0)
    centred = torch.where(mask, flat - shift, 0)
    scale = centred.abs().sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)
    return (centred / scale.clamp(min=floor)).view_as(values), scale[:, 0] > floor
