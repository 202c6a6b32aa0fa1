"""Multi-scale gradient matching (Li & Snavely CVPR 2018; Ranftl et al. 2022, eq. 11): edges where the label has them.

    L = sum_k mean_i ( |dx R^k_i| + |dy R^k_i| ),   R = normalised prediction - normalised target,   k = 0..3

R^k is every 2^k-th pixel of R. The loss is 0 where prediction and label differ by a constant.
"""

from __future__ import annotations

from torch import Tensor

from trainer.losses.masked import mean_where

SCALES = 4


def gradient_matching(residual: Tensor, valid: Tensor, scales: int = SCALES) -> Tensor:
    """The loss of a residual.

    residual: BxHxW finite. valid: BxHxW bool; a step counts where both its ends are. scales: how many, each half as
    fine.
    """
    loss = residual.new_zeros(())
    for stride in (2**k for k in range(scales)):
        part, known = residual[:, ::stride, ::stride], valid[:, ::stride, ::stride]
        loss = loss + mean_where((part[:, :, 1:] - part[:, :, :-1]).abs(), known[:, :, 1:] & known[:, :, :-1])
        loss = loss + mean_where((part[:, 1:] - part[:, :-1]).abs(), known[:, 1:] & known[:, :-1])
    return loss
