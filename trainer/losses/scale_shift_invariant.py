"""Scale-and-shift-invariant losses with gradient matching (Ranftl et al., "MiDaS", TPAMI 2022, eq. 5-8, 10, 11).

Prediction and target are each brought to zero median and unit mean absolute deviation, and then compared:

    L = 1 / (2M) sum |d - d*|  + 0.5 L_gradient       plain (ssimae)
    L = the same without the largest fifth of the residuals of each picture       trimmed (ssitrim)

The least-squares variant of the paper (ssimse) is left out on purpose: its best scale may be negative, so that a map
with near and far exchanged is forgiven in full, and nothing teaches the network which end is near.
"""

from __future__ import annotations

from torch import Tensor

from trainer.losses.gradient import gradient_matching
from trainer.losses.masked import FLATTEST, Scalars, mean_where, normalised, to_safe_float

GRADIENT_WEIGHT = 0.5
TRIMMED = 0.2


def scale_shift_invariant_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    *,
    trimmed: float = 0.0,
    gradient_weight: float = GRADIENT_WEIGHT,
    weight: Tensor | None = None,
) -> tuple[Tensor, Scalars]:
    """The loss over all valid pixels.

    prediction, target: BxHxW, larger = nearer, target finite. valid: BxHxW bool. trimmed: the share of the largest
    residuals left out (0.2 = ssitrim). gradient_weight: of the gradient term beside the data term. weight: BxHxW in [0,
    1], how much a pixel counts; in the gradient term all count alike. A picture whose label is empty or all equal adds
    0. Returns the scalar loss and its two parts.
    """
    (ours, _), (theirs, scaled) = normalised(to_safe_float(prediction), valid, FLATTEST), normalised(target, valid)
    counted = valid & scaled[:, None, None]
    residual = ours - theirs
    kept = counted & ~_largest(residual.detach().abs(), counted, trimmed) if trimmed else counted
    # The paper divides by twice the number of all valid pixels, those left out included.
    data = mean_where((residual.abs() / 2).where(kept, 0), counted if weight is None else counted * weight)
    gradient = gradient_matching(residual, counted)
    return data + gradient_weight * gradient, {"data": data.detach(), "gradient": gradient.detach()}


def _largest(values: Tensor, counted: Tensor, share: float) -> Tensor:
    """Which of the counted values are among the largest `share` of their picture: BxHxW bool."""
    flat, mask = values.flatten(1), counted.flatten(1)
    ordered = flat.masked_fill(~mask, -1).argsort(dim=1, descending=True)
    rank = ordered.argsort(dim=1)
    return (rank < (share * mask.sum(dim=1, keepdim=True)).floor()).view_as(values)
