"""The structure-guided ranking loss with its gradient term (Xian et al. CVPR 2020, "Structure-Guided Ranking Loss").

    L = L_ranking(random pairs and pairs across edges, tau = 0.03) + 0.2 L_gradient

Random pairs seldom straddle a thin thing or a border, and so borders come out soft. Half the pairs here are drawn on
lines across edges (pairs.edge_pairs): half of those at edges of the photograph, half at the borders of instances (the
paper's instance-guided pairs), or at edges of the label in pictures without a marked border.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainer.losses.gradient import gradient_matching
from trainer.losses.masked import FLATTEST, Scalars, mean_where, normalised, to_safe_float
from trainer.losses.pairs import (
    Pairs,
    edge_pairs,
    image_gradient,
    instance_gradient,
    label_gradient,
    ordinal_relation,
    pair_weights,
    random_pairs,
)
from trainer.losses.ranking import pair_terms

TAU = 0.03
GRADIENT_WEIGHT = 0.2
COLUMNS = 7  # random numbers for each pair: 2 for the random pairs, 5 for the lines across edges


def structure_guided_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    uniform: Tensor,
    *,
    image: Tensor,
    instances: Tensor | None = None,
    sky: Tensor | None = None,
    noise: Tensor | None = None,
    true_zero: Tensor | None = None,
    tau: float = TAU,
    gradient_weight: float = GRADIENT_WEIGHT,
    weight: Tensor | None = None,
) -> tuple[Tensor, Scalars]:
    """The loss over N random pairs a picture and as many across edges.

    image: Bx3xHxW RGB. instances: BxHxW, see `structure_guided_pairs`. uniform: BxNx7 in [0, 1). prediction, target,
    valid, sky, noise, true_zero, tau, weight: as of `ranking_loss`. gradient_weight: of the gradient term, that of
    MiDaS on normalised maps, since our labels have no scale of their own; `weight` does not enter it. Returns besides
    `wrong` the parts of the loss.
    """
    prediction = to_safe_float(prediction)
    pairs = structure_guided_pairs(image, target, valid, uniform, instances)
    relation = ordinal_relation(pairs, target, sky, noise, true_zero, tau)
    terms, scalars = pair_terms(prediction, pairs, relation)
    ranking = mean_where(terms, pair_weights(pairs, pairs.used, weight))

    (ours, _), (theirs, scaled) = normalised(prediction, valid, FLATTEST), normalised(target, valid)
    gradient = gradient_matching(ours - theirs, valid & scaled[:, None, None])
    return ranking + gradient_weight * gradient, {"ranking": ranking.detach(), "gradient": gradient.detach(), **scalars}


def structure_guided_pairs(
    image: Tensor, target: Tensor, valid: Tensor, uniform: Tensor, instances: Tensor | None = None
) -> Pairs:
    """N random pairs and N across edges (to the nearest multiple of six below).

    image: Bx3xHxW RGB. target: BxHxW. valid: BxHxW bool. uniform: BxNx7 in [0, 1), the randomness. instances: BxHxW
    float of whole numbers, 0 = of none; where a picture shows no border of any, or they are None, edges of its label
    take their place.
    """
    borders = label_gradient(target, valid)
    if instances is not None:
        of_instances = instance_gradient(instances)
        borders = torch.where(of_instances.any(dim=(1, 2, 3))[:, None, None, None], of_instances, borders)
    lines = uniform.shape[1] // 6  # a line gives three pairs, and there are two kinds of edges
    across = uniform[..., 2:]
    drawn = (
        random_pairs(valid, uniform[..., :2]),
        edge_pairs(image_gradient(image), valid, across[:, :lines]),
        edge_pairs(borders, valid, across[:, lines : 2 * lines]),
    )
    return Pairs(*(torch.cat([getattr(some, end) for some in drawn], dim=1) for end in ("first", "second", "used")))
