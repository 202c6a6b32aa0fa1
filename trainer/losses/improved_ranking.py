"""The improved ranking loss (Xian et al. CVPR 2018, eq. 3): the ranking loss without its easiest pairs.

    L = sum_k w_k phi_k / sum_k w_k

w is 0 for the quarter of the picture's **unequal** pairs with the smallest phi, and 1 for the others and for every
equal pair. A pair that is ordered right by a wide margin has nothing more to teach; without it the network is not
pushed to spread depth for ever. Sorting all pairs together, as some copies of this loss do, drops the equal pairs
instead, since their squares are small, and depth becomes noisy on plain surfaces.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.losses.masked import Scalars, mean_where, to_safe_float
from trainer.losses.ordinal import TAU
from trainer.losses.pairs import ordinal_relation, pair_weights, random_pairs
from trainer.losses.ranking import pair_terms

DROPPED = 0.25


def hard_pairs(terms: Tensor, relation: Tensor, used: Tensor, dropped: float = DROPPED) -> Tensor:
    """Which pairs count: BxN bool; `used` less the `dropped` share of each picture's unequal pairs of smallest phi.

    The number dropped is rounded down. terms: BxN; relation: BxN in {-1, 0, 1}; used: BxN bool.
    """
    unequal = used & (relation != 0)
    smallest_first = terms.detach().masked_fill(~unequal, torch.inf).argsort(dim=1, stable=True)
    rank = smallest_first.argsort(dim=1)
    return used & ~(unequal & (rank < (dropped * unequal.sum(dim=1, keepdim=True)).floor()))


def improved_ranking_loss(
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

    prediction, target, valid, uniform, sky, noise, true_zero, tau, weight and the result: as of `ranking_loss`.
    """
    pairs = random_pairs(valid, uniform)
    relation = ordinal_relation(pairs, target, sky, noise, true_zero, tau)
    terms, scalars = pair_terms(to_safe_float(prediction), pairs, relation)
    hard = hard_pairs(terms, relation, pairs.used)
    return mean_where(terms, pair_weights(pairs, hard, weight)), scalars
