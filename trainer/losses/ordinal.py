"""The ordinal rule: which of two labels is nearer, or whether they count as equal. Training and evaluation both use it.

Chen et al. 2016 and Xian et al. 2018 call a pair unequal where the *ratio* of its two labels exceeds 1 + tau. That is
the rule here for labels whose zero is infinity: depth and true disparity.

Labels from web stereo have no such zero: adding a constant to all of them changes every ratio, and they are known up to
exactly such a constant (converged cameras, 8-bit stretching). There a pair is unequal where the *difference* exceeds a
step of the picture's own:

    step = max(tau * range, 2 * noise),    range = 98th - 2nd percentile of the labels

So the rule is invariant to scale and shift, and never wrong in sign where every label is within `noise` of the truth:
a - b > step >= 2 noise implies that the true a is larger than the true b.
"""

from __future__ import annotations

import torch
from torch import Tensor

TAU = 0.02  # Chen et al. 2016; Xian et al. 2018
RANGE_QUANTILES = (0.02, 0.98)  # outliers do not stretch the range


def ordinal_step(labels: Tensor, counted: Tensor, noise: Tensor, tau: float = TAU) -> Tensor:
    """The difference above which two labels of a picture without a true zero are unequal.

    labels: BxM float. counted: BxM bool, those to measure the range on: known, and not sky. noise: B, the error that a
    label may have. tau: share of the range. Returns Bx1, 0 where nothing is counted and the noise is 0.
    """
    quantiles = torch.tensor(RANGE_QUANTILES, dtype=labels.dtype, device=labels.device)
    low, high = labels.masked_fill(~counted, torch.nan).nanquantile(quantiles, dim=1).nan_to_num(0)
    return torch.maximum(tau * (high - low), 2 * noise.to(labels.dtype))[:, None]


def relation_of(
    a: Tensor, b: Tensor, step: Tensor, true_zero: Tensor, a_sky: Tensor, b_sky: Tensor, tau: float = TAU
) -> Tensor:
    """What the labels say of each pair: +1 a is nearer, -1 b is nearer, 0 equal; BxN of the labels' dtype.

    a, b: BxN float, larger = nearer, finite. step: Bx1, of `ordinal_step`. true_zero: B bool, whether the ratio decides
    (labels above 0) instead of the step. a_sky, b_sky: BxN bool; two sky points are equal, and sky is farther than
    everything else, however small the difference of the labels. tau: as in the module's docstring.
    """
    by_ratio = torch.maximum(a, b) > (1 + tau) * torch.minimum(a, b)
    unequal = torch.where(true_zero[:, None], by_ratio, (a - b).abs() > step)
    relation = (a - b).sign() * unequal
    return torch.where(a_sky | b_sky, b_sky.to(relation) - a_sky.to(relation), relation)
