"""The losses by name, each bound to what a batch holds. One file a loss: the paper, the formula, the function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from trainer.losses.improved_ranking import improved_ranking_loss
from trainer.losses.l2 import l2_loss
from trainer.losses.masked import Scalars
from trainer.losses.ranking import ranking_loss
from trainer.losses.scale_shift_invariant import TRIMMED, scale_shift_invariant_loss
from trainer.losses.structure_guided import COLUMNS, structure_guided_loss
from trainer.types import Batch

# (prediction BxHxW, batch, uniform BxNx7 in [0, 1): the randomness for N pairs) -> (loss, scalars for people)
Loss = Callable[[Tensor, Any, Tensor], tuple[Tensor, Scalars]]  # of a network's answer, its kind of batch, randomness
RANDOM_COLUMNS = COLUMNS


def ranking(z: Tensor, batch: Batch, uniform: Tensor) -> tuple[Tensor, Scalars]:
    """Xian et al. 2018, without its improvement. z, batch, uniform: as of Loss."""
    return ranking_loss(z, batch.disparity, batch.valid, uniform, **_ordinal(batch))


def improved_ranking(z: Tensor, batch: Batch, uniform: Tensor) -> tuple[Tensor, Scalars]:
    """Xian et al. 2018: the easiest quarter of the unequal pairs dropped. z, batch, uniform: as of Loss."""
    return improved_ranking_loss(z, batch.disparity, batch.valid, uniform, **_ordinal(batch))


def structure_guided(z: Tensor, batch: Batch, uniform: Tensor) -> tuple[Tensor, Scalars]:
    """Xian et al. 2020: pairs across edges and borders of things too, and gradients. z, batch, uniform: as of Loss."""
    return structure_guided_loss(
        z, batch.disparity, batch.valid, uniform, image=batch.image, instances=batch.instances, **_ordinal(batch)
    )


def ssi(z: Tensor, batch: Batch, _: Tensor) -> tuple[Tensor, Scalars]:
    """MiDaS, plain. z, batch: as of Loss."""
    return scale_shift_invariant_loss(z, batch.disparity, batch.valid, weight=batch.weight)


def ssi_trimmed(z: Tensor, batch: Batch, _: Tensor) -> tuple[Tensor, Scalars]:
    """MiDaS, trimmed. z, batch: as of Loss."""
    return scale_shift_invariant_loss(z, batch.disparity, batch.valid, trimmed=TRIMMED, weight=batch.weight)


def l2(z: Tensor, batch: Batch, _: Tensor) -> tuple[Tensor, Scalars]:
    """The seed article's warm-up. z, batch: as of Loss."""
    return l2_loss(z, batch.disparity, batch.valid, batch.weight)


def _ordinal(batch: Batch) -> dict[str, Any]:
    """What the losses over pairs need to know of a batch."""
    return {"sky": batch.sky, "noise": batch.noise, "true_zero": batch.true_zero, "weight": batch.weight}


LOSSES: dict[str, Loss] = {
    "ranking": ranking,
    "improved-ranking": improved_ranking,
    "structure-guided": structure_guided,
    "ssi": ssi,
    "ssi-trimmed": ssi_trimmed,
    "l2": l2,
}
