"""Validation while training."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from redweb_builder.types import FloatMap
from tests.trainer.memory_set import RAMP, Given
from trainer.evaluation.validation import make_validator


class BrightIsNear(nn.Module):
    """Right for the pictures of `Given`; gives no number for one without a dark pixel."""

    def forward(self, image: Tensor) -> Tensor:
        """Depth of each picture. image: Bx3xHxW."""
        return torch.where(image.amin() < 0.1, image.mean(1), torch.nan)


@pytest.mark.parametrize(("labels", "wkdr"), [([RAMP, RAMP * 0], 0), ([RAMP, RAMP + 100, RAMP * 0], math.inf)])
def test_a_network_that_gives_no_number_for_one_picture_is_never_the_best(labels: list[FloatMap], wkdr: float) -> None:
    """Its other pictures do not make up for it. A label of one value gives no ground, and does not count."""
    validate = make_validator([(Given(labels), range(len(labels)))], 64)
    assert validate(BrightIsNear(), torch.device("cpu")).figures["WKDR"] == wkdr
