"""The figures against answers known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluation.metrics import (
    affine_depth,
    balanced_threshold,
    boundary_f1,
    lower_is_nearer,
    ordinal,
    whdr_wrong,
    wkdr_at,
    wkdr_unequal,
)

RAMP = lower_is_nearer(40, 30) + 1
ALL = np.ones(RAMP.shape, bool)


def test_wkdr_of_the_truth_its_inverse_and_a_tie() -> None:
    for ratio in (True, False):
        assert wkdr_unequal(ordinal(3 * RAMP - 9, RAMP, ALL, ratio=ratio)) == 0
        assert wkdr_unequal(ordinal(-RAMP, RAMP, ALL, ratio=ratio)) == 1
        assert wkdr_unequal(ordinal(np.full_like(RAMP, np.nan), RAMP, ALL, ratio=ratio)) == 1
        assert wkdr_unequal(ordinal(np.zeros_like(RAMP), RAMP, ALL, ratio=ratio)) == 1
    noise = np.random.default_rng(0).normal(size=RAMP.shape).astype(np.float32)
    assert wkdr_unequal(ordinal(noise, RAMP, ALL, ratio=True)) == pytest.approx(0.5, abs=0.05)


def test_the_ratio_decides_what_is_equal() -> None:
    two = np.where(np.arange(30) < 15, 1.0, 1.019)[None].repeat(10, 0).astype(np.float32)
    assert not ordinal(two, two, np.ones_like(two, bool), ratio=True).relation.any()
    assert ordinal(two * 1.002 - 0.002, two - 0.5, np.ones_like(two, bool), ratio=True).relation.any()
    assert ordinal(two, two, np.ones_like(two, bool), ratio=False).relation.any()  # affine: all of the range
    assert not ordinal(two, two, np.ones_like(two, bool), ratio=False, noise=0.0096).relation.any()


def test_sky_is_farther_than_the_farthest_ground_and_equal_to_itself() -> None:
    """However little their labels differ; as in training."""
    truth = np.tile(np.linspace(0, 10, 40, dtype=np.float32), (20, 1))
    truth[:10] = 0
    sky = np.zeros(truth.shape, bool)
    sky[:10] = True
    right, wrong = np.where(sky, -1, truth), np.where(sky, 0.05, truth)  # the second: over the farthest column
    for prediction, least in ((right, 0.0), (wrong, 0.005)):
        asked = ordinal(prediction, truth, ~np.isnan(truth), ratio=False, sky=sky)
        assert wkdr_unequal(asked) >= least
        assert least or wkdr_unequal(asked) == 0
    ignorant = ordinal(wrong, truth, ~np.isnan(truth), ratio=False)
    assert (ignorant.relation != 0).mean() < (asked.relation != 0).mean()


def test_wkdr_parts_and_their_balance() -> None:
    truth = np.where(np.arange(30) < 15, 1.0, 2.0)[None].repeat(10, 0).astype(np.float32)
    wobble = truth + 0.1 * np.random.default_rng(1).normal(size=truth.shape).astype(np.float32)
    wavy = ordinal(wobble, truth, np.ones_like(truth, bool), ratio=True)
    assert wkdr_at(wavy, 0)[1:] == pytest.approx((1, 0), abs=0.01)  # no two predictions are quite equal
    assert wkdr_at(wavy, 10)[1:] == (0, 1)
    assert max(wkdr_at(wavy, balanced_threshold([wavy]))) < 0.01


def test_no_truth_is_no_figure() -> None:
    nothing = np.zeros_like(ALL)
    assert np.isnan(wkdr_unequal(ordinal(RAMP, RAMP, nothing, ratio=True)))
    assert np.isnan(affine_depth(RAMP, RAMP, nothing)[0].abs_rel)
    assert np.isnan(boundary_f1(RAMP, np.ones_like(RAMP), ALL))
    assert balanced_threshold([ordinal(RAMP, RAMP, nothing, ratio=True)]) == 0


def test_affine_figures_forgive_scale_and_shift_and_tell_an_inversion() -> None:
    right, aligned = affine_depth(-7 + 0.2 * RAMP, RAMP, ALL)
    assert right.abs_rel == pytest.approx(0, abs=1e-5)
    assert right.d1 == 1
    assert not right.inverted
    np.testing.assert_allclose(aligned, RAMP, rtol=1e-5)
    assert affine_depth(-RAMP, RAMP, ALL)[0].inverted


def test_affine_figures_by_hand() -> None:
    truth = np.array([[1.0, 0.5, 0.25, 0.5]], np.float32)  # depths 1, 2, 4, 2
    prediction = np.zeros_like(truth)  # aligned to the mean 0.5625: depth 16/9 everywhere
    figures, _ = affine_depth(prediction, truth, np.ones_like(truth, bool))
    depth = 16 / 9
    assert figures.abs_rel == pytest.approx((abs(depth - 1) + 2 * (2 - depth) / 2 + (4 - depth) / 4) / 4, rel=1e-5)
    assert figures.d1 == 0.5
    assert figures.rmse == pytest.approx(np.sqrt(((depth - 1) ** 2 + 2 * (2 - depth) ** 2 + (4 - depth) ** 2) / 4))


def test_boundary_f1_of_a_step() -> None:
    truth = np.ones((20, 20), np.float32)
    truth[:, 10:] = 2
    all_valid = np.ones_like(truth, bool)
    assert boundary_f1(truth, truth, all_valid) == 1
    assert boundary_f1(np.roll(truth, 1, axis=1), truth, all_valid) == 0
    assert boundary_f1(3 - truth, truth, all_valid) == 0  # the border is there, the near side is not
    doubled = truth.copy()
    doubled[:, :5] = 2  # a border more: precision 1/2, recall 1
    assert boundary_f1(doubled, truth, all_valid) == pytest.approx(2 / 3)


def test_whdr_is_strict() -> None:
    near_right = np.array([[1.0, 2.0]], np.float32)
    assert not whdr_wrong(near_right, (0, 0), (0, 1), ">")
    assert whdr_wrong(near_right, (0, 0), (0, 1), "<")
    assert whdr_wrong(np.ones((1, 2), np.float32), (0, 0), (0, 1), ">")
    assert whdr_wrong(np.ones((1, 2), np.float32), (0, 0), (0, 1), "<")
