"""The scale-invariant loss of Eigen, Puhrsch & Fergus, NIPS 2014, equation 4.

    d_i = log y_i - log y*_i
    L   = 1/n sum d_i^2 - lambda/n^2 (sum d_i)^2          lambda = 0.5, n valid pixels of a picture

With lambda 1 it is the variance of d, blind to one factor on all depths of a picture; with lambda 0 plain L2.

The authors' code, as the seed article prints it, divides once for the whole batch:
(sum_b n_b sum d^2 - lambda sum_b (sum d)^2) / sum_b n_b^2. That is the mean of the L above with weights n_b^2, and the
same where all pictures have as many valid pixels. By default every picture counts alike, as in the other losses.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.losses.masked import Scalars, to_safe_float

BALANCE = 0.5


def scale_invariant_log_loss(
    prediction: Tensor, target: Tensor, valid: Tensor, balance: float = BALANCE, weigh_by_pixels: bool = False
) -> tuple[Tensor, Scalars]:
    """The loss, a mean over the pictures of the batch; one without valid pixels counts 0.

    prediction, target: Bxhxw log depth, target finite where valid. valid: Bxhxw bool. balance: lambda.
    weigh_by_pixels: a picture counts n^2, as in the authors' code, instead of 1. Returns the scalar loss, and for
    people `RMSElog`, the mean of that of each picture.
    """
    d = torch.where(valid, to_safe_float(prediction) - torch.where(valid, target, 0), 0).flatten(1)
    known = valid.flatten(1).sum(dim=1)
    n = known.clamp(min=1)
    squares, total = d.square().sum(dim=1) / n, d.sum(dim=1) / n
    rmse = squares.detach().sqrt().mean()
    losses = squares - balance * total.square()
    if not weigh_by_pixels:
        return losses.mean(), {"RMSElog": rmse}
    weights = known.to(losses.dtype).square()
    return (weights * losses).sum() / weights.sum().clamp(min=1), {"RMSElog": rmse}
