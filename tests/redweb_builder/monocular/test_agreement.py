"""How far a disparity and a network's depth order points alike."""

from __future__ import annotations

import numpy as np
import pytest

from redweb_builder.monocular.agreement import LEAST_POINTS, concordance

RAMP = np.tile(np.linspace(-3, 8, 60, dtype=np.float32), (40, 1))
EVERYWHERE = np.ones(RAMP.shape, bool)


def test_any_growing_scale_agrees_and_the_opposite_disagrees() -> None:
    assert concordance(RAMP, np.exp(RAMP), EVERYWHERE) == 1
    assert concordance(RAMP, -5 * RAMP + 2, EVERYWHERE) == -1


def test_noise_agrees_by_chance() -> None:
    noise = np.random.default_rng(1).random(RAMP.shape, np.float32)
    assert concordance(RAMP, noise, EVERYWHERE) == pytest.approx(0, abs=0.05)


def test_points_count_by_their_weight() -> None:
    depth = np.where(np.arange(60) < 30, RAMP, -RAMP)
    left, right = (np.tile(np.arange(60) < 30, (40, 1)) == side for side in (True, False))
    assert concordance(RAMP, depth, left) == 1
    assert concordance(RAMP, depth, right) == -1
    assert concordance(RAMP, depth, left + np.float32(0.01) * right) > 0.9


def test_without_a_basis_there_is_no_figure() -> None:
    few = np.zeros(RAMP.shape, bool)
    few.flat[: LEAST_POINTS - 1] = True
    assert np.isnan(concordance(RAMP, RAMP, few))
    assert np.isnan(concordance(np.ones_like(RAMP), RAMP, EVERYWHERE))
    assert np.isnan(concordance(np.full_like(RAMP, np.nan), RAMP, EVERYWHERE))
