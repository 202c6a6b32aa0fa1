"""The protocols of published evaluations against small calculations of their own, from the definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainer.evaluation.published import (
    COLUMNS,
    Prediction,
    aligned_depth,
    figures_of,
    least_absolute,
    mean_terms,
    sparsification_error,
)

RNG = np.random.default_rng(0)
TRUTH = RNG.uniform(1, 9, (20, 30)).astype(np.float32)
VALID = RNG.random((20, 30)) > 0.3
NOISY = (1 / TRUTH + RNG.normal(0, 0.1, TRUTH.shape)).astype(np.float32)  # disparity
CAP = 6.0


def fitted(x: Any, y: Any) -> Any:
    """Coefficients of y = a x + b by least squares."""
    return np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y, rcond=None)[0]


def by_definition(protocol: str, values: Any, sense: str) -> Any:
    """Aligned depth of the valid pixels, in float64."""
    x, t = values[VALID].astype(np.float64), TRUTH[VALID].astype(np.float64)
    if protocol == "eigen":
        depth = 1 / np.maximum(x, 1e-6) if sense == "near" else x
        factor = 1 if sense == "metres" else np.median(t) / np.median(depth)
        return np.clip(depth * factor, 1e-3, CAP)
    if protocol == "marigold" and sense != "near":
        a, b = fitted(x, t)
        return np.clip(a * x + b, 1e-6, CAP)
    disparity = x if sense == "near" else 1 / x
    a, b = fitted(disparity, 1 / t)
    least = {"midas": 1 / CAP, "moge": 1 / t.max(), "marigold": 1e-3}[protocol]
    depth = 1 / np.maximum(a * disparity + b, least)
    return np.minimum(depth, CAP) if protocol == "marigold" else depth


@pytest.mark.parametrize(
    ("protocol", "sense"),
    [
        *((protocol, "near") for protocol in ("midas", "marigold", "moge", "eigen")),
        *((protocol, sense) for protocol in ("midas", "marigold", "eigen") for sense in ("far", "metres")),
    ],
)
def test_alignment_is_that_of_the_definition(protocol: str, sense: str) -> None:
    values = (3 * NOISY - 0.1 if sense == "near" else 2 * TRUTH + RNG.uniform(0, 3, TRUTH.shape)).astype(np.float32)
    depth = aligned_depth(protocol, Prediction(values, sense), TRUTH, VALID, CAP)
    assert depth[VALID] == pytest.approx(by_definition(protocol, values, sense), rel=1e-4)


def test_figures_are_those_of_the_definition() -> None:
    guess = (TRUTH * RNG.uniform(0.6, 1.6, TRUTH.shape)).astype(np.float32)
    gt, pred = TRUTH[VALID].astype(np.float64), guess[VALID].astype(np.float64)
    threshold = np.maximum(gt / pred, pred / gt)
    error = np.log(pred) - np.log(gt)
    wanted = {
        "AbsRel": np.mean(np.abs(gt - pred) / gt),
        "SqRel": np.mean((gt - pred) ** 2 / gt),
        "RMSE": np.sqrt(np.mean((gt - pred) ** 2)),
        "RMSElog": np.sqrt(np.mean(error**2)),
        "log10": np.mean(np.abs(np.log10(gt) - np.log10(pred))),
        "d1": np.mean(threshold < 1.25),
        "d2": np.mean(threshold < 1.25**2),
        "d3": np.mean(threshold < 1.25**3),
        "SILog": 100 * np.sqrt(np.mean(error**2) - np.mean(error) ** 2),
    }
    terms, count = mean_terms(guess, TRUTH, VALID)
    assert count == VALID.sum()
    assert tuple(wanted) == COLUMNS
    assert figures_of(terms) == pytest.approx(wanted, rel=1e-6)


def test_moge_fits_depth_by_least_relative_error_which_outliers_do_not_move() -> None:
    values = (TRUTH - 0.7) / 2.5
    values[:4] = values[3::-1]  # a fifth of the pixels has another's depth
    depth = aligned_depth("moge", Prediction(values, "far"), TRUTH, VALID, None)
    assert depth[4:][VALID[4:]] == pytest.approx(TRUTH[4:][VALID[4:]], rel=1e-3)
    x = np.arange(6.0)
    y = 2 * x + np.array([1.0, 1.0, 1.0, 9.0, 1.0, 1.0])
    assert least_absolute(x, y, np.ones(6)) == pytest.approx((2, 1), abs=1e-3)


def test_a_picture_without_truth_has_no_figures() -> None:
    nowhere = np.zeros(TRUTH.shape, bool)
    for protocol in ("midas", "marigold", "moge", "eigen"):
        depth = aligned_depth(protocol, Prediction(NOISY, "near"), TRUTH, nowhere, CAP)
        terms, count = mean_terms(depth, TRUTH, nowhere)
        assert count == 0
        assert np.isnan(terms).all()


def test_ause_is_zero_for_the_errors_order_and_the_area_between_the_curves_for_another() -> None:
    truth = np.ones((10, 10), np.float32)
    error = np.linspace(0, 0.99, 100).reshape(10, 10).astype(np.float32)
    everywhere = np.ones(truth.shape, bool)
    assert sparsification_error(truth + error, truth, everywhere, -error) == pytest.approx(0, abs=1e-6)
    steps = np.arange(50) / 50
    best = [np.mean(np.linspace(0, 0.99, 100)[: round(100 * (1 - step))]) for step in steps]
    worst = [np.mean(np.linspace(0, 0.99, 100)[round(100 * step) :]) for step in steps]
    area = np.trapezoid([*(np.array(worst) - np.array(best)), 0], dx=0.02)  # without a pixel there is no error
    assert sparsification_error(truth + error, truth, everywhere, error) == pytest.approx(area, rel=1e-4)
