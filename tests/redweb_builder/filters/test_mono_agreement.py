"""Labels that a monocular depth network contradicts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from redweb_builder.config import Thresholds
from redweb_builder.criteria import CRITERIA
from redweb_builder.filters.checks import judge
from redweb_builder.filters.measurements import disputed_part, mono_agreement
from redweb_builder.types import FloatMap, Label, Mask

DEPTH = np.tile(np.linspace(0, 1, 50, dtype=np.float32), (40, 1))


def label(disparity: FloatMap) -> Label:
    """Measured everywhere, as certainly everywhere."""
    return Label(disparity, np.full(disparity.shape, Mask.MEASURED, np.uint8), np.full(disparity.shape, 200, np.uint8))


def verdict(agreement: float) -> str | None:
    """The reason of a pair that fails nothing else."""
    passing = {criterion.measurement: math.nan for criterion in CRITERIA} | {"mono_agreement": agreement}
    rejection = judge(passing, Thresholds())
    return rejection.reason if rejection else None


def test_a_label_inside_out_is_disputed_and_a_right_one_is_not() -> None:
    right, wrong = label(20 * DEPTH - 4), label(4 - 20 * DEPTH)
    assert mono_agreement(right, DEPTH) == 1
    assert mono_agreement(wrong, DEPTH) == 0
    assert verdict(mono_agreement(right, DEPTH)) is None
    assert verdict(mono_agreement(wrong, DEPTH)) == "disputed"


def test_what_is_not_measured_does_not_count() -> None:
    half = label(20 * DEPTH)
    half.mask[:, 25:] = Mask.FILLED
    half.disparity[:, 25:] *= -1
    assert mono_agreement(half, DEPTH) == pytest.approx(1)


def test_a_part_that_moved_is_disputed_and_a_label_inside_out_as_a_whole_is_not() -> None:
    moved = label(20 * DEPTH)
    moved.disparity[12:28, 30:50] -= 20  # nearest for the network
    assert disputed_part(label(20 * DEPTH), DEPTH) == pytest.approx(0)
    assert disputed_part(label(-20 * DEPTH), DEPTH) == pytest.approx(0)
    assert disputed_part(moved, DEPTH) > 0.7
    moved.confidence[12:28, 30:50] = 0  # as unknown
    assert disputed_part(moved, DEPTH) == pytest.approx(0)


def test_without_a_network_nothing_is_disputed() -> None:
    agreement = mono_agreement(label(-DEPTH), None)
    assert math.isnan(agreement)
    assert math.isnan(disputed_part(label(-DEPTH), None))
    assert verdict(agreement) is None
