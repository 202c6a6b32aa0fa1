"""The ranking loss (Chen et al. NIPS 2016, eq. 1; Xian et al. CVPR 2018, eq. 1-2).

For a pair of pixels i, j with relation l and predictions z, larger = nearer:

    phi = log(1 + exp(-l (z_i - z_j)))    l = +1: i is nearer,  l = -1: j is nearer
    phi = (z_i - z_j)^2                   l =  0: as near as one another

The loss is the mean of phi over the pairs drawn in each picture. Written as above, exp overflows where a network
errs by more than 88 in float32 and the gradient becomes NaN; softplus(-l (z_i - z_j)) is the same and does not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.losses.masked import Scalars, mean_where, share_where, to_safe_float
from trainer.losses.ordinal import TAU
from trainer.losses.pairs import Pairs, gather_pixels, ordinal_relation, pair_weights, random_pairs


def ranking_terms(difference: Tensor, relation: Tensor) -> Tensor:
    """phi of each pair. difference: z_i - z_j; relation: l in {-1, 0, 1}, of the same shape."""
    return torch.where(relation == 0, difference.square(), F.softplus(-relation * difference))


def ranking_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    uniform: Tensor,
    *,
    sky: Tensor | None = None,
    noise: Tensor | None = None,
    true_zero: Tensor | None = None,
    tau: float = TAU,
    weight: Tensor | None = None,
) -> tuple[Tensor, Scalars]:
    """The loss over N random pairs a picture.

    prediction, target: BxHxW, larger = nearer, target finite. valid, sky: BxHxW bool. noise: B, the error a label may
    have. true_zero: B bool, whether ratios of the labels mean something. uniform: BxNx2 in [0, 1), the randomness. tau:
    see ordinal.py. weight: BxHxW in [0, 1]; a pair counts by the smaller weight of its ends.
    Returns the scalar loss, 0 for pictures without a valid pair, and for people `wrong`: the share of a picture's
    unequal pairs that the prediction does not order as the labels do, a mean over the pictures that have such pairs.
    A tie is an error, and so is NaN.
    """
    pairs = random_pairs(valid, uniform)
    relation = ordinal_relation(pairs, target, sky, noise, true_zero, tau)
    terms, scalars = pair_terms(to_safe_float(prediction), pairs, relation)
    return mean_where(terms, pair_weights(pairs, pairs.used, weight)), scalars


def pair_terms(prediction: Tensor, pairs: Pairs, relation: Tensor) -> tuple[Tensor, Scalars]:
    """phi of each pair, BxN, and `wrong`.

    prediction: BxHxW. pairs: N of each picture. relation: BxN, what the labels say.
    """
    difference = gather_pixels(prediction, pairs.first) - gather_pixels(prediction, pairs.second)
    wrong = share_where(~(relation * difference > 0), pairs.used & (relation != 0))
    return ranking_terms(difference, relation), {"wrong": wrong}
