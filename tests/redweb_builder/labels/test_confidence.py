"""Doubt in blank areas."""

from __future__ import annotations

import numpy as np
import pytest

from redweb_builder.labels.confidence import blank_factor

SIDE = 64
HALF = SIDE // 2


@pytest.mark.parametrize(("level", "noise"), [(128, 1), (253, 6)], ids=["grey", "saturated"])
def test_the_factor_grows_with_the_distance_from_texture(level: int, noise: int) -> None:
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 250, (SIDE, SIDE, 3)).astype(np.uint8)
    blank = level + generator.integers(-noise, noise + 1, (SIDE, HALF, 1)).clip(-2, 2)
    picture[:, HALF:] = blank
    row = blank_factor(picture)[HALF]
    assert (row[: HALF - 5] == 1).all()
    assert (np.diff(row[HALF + 5 :]) > 0).all()
    assert row[-1] > 5
