"""Measurements of a pair against known answers."""

from __future__ import annotations

import numpy as np
import pytest

from redweb_builder.filters.measurements import agreement, outliers
from redweb_builder.matching.texture import blank
from redweb_builder.types import Label, Mask

SIDE = 60


def test_a_plain_wall_is_not_held_against_the_agreement() -> None:
    picture = np.full((SIDE, SIDE, 3), 130, np.uint8)
    picture[:, : SIDE // 2] = np.random.default_rng(0).integers(0, 250, (SIDE, SIDE // 2, 3))
    error = np.full((SIDE, SIDE), 9, np.float32)
    error[:, : SIDE // 2 + 9] = 0.1  # up to where a window of 9 px still has structure
    assert agreement(error, np.zeros(error.shape, bool)) < 0.7
    assert agreement(error, blank(picture, 9)) == 1


@pytest.mark.parametrize(("stray", "share"), [(9, 0.1), (99, 0.91)], ids=["none", "far out"])
def test_outliers_are_what_the_content_leaves_of_the_scale(stray: float, share: float) -> None:
    disparity = np.tile(np.linspace(0, 9, SIDE, dtype=np.float32), (SIDE, 1))
    mask = np.full(disparity.shape, Mask.MEASURED, np.uint8)
    disparity[0, 0], mask[0, 0] = stray, Mask.FILLED
    assert outliers(Label(disparity, mask, mask)) == pytest.approx(share, abs=0.02)
