"""The loss of Eigen et al. 2014 against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainer.eigen_geometry import MAP, TARGET
from trainer.losses.scale_invariant_log import scale_invariant_log_loss
from trainer.training.metric_recipe import scale_invariant_log
from trainer.types import Batch


def masked(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z, target = torch.randn(2, 5, 55, 74, generator=generator, dtype=torch.float64)
    valid = torch.rand(5, 55, 74, generator=generator) < torch.tensor([0.9, 0.5, 0.1, 0.7, 0.0])[:, None, None]
    return z, target, valid


def papers(z: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, balance: float) -> float:
    """Equation 4, picture by picture."""
    losses = []
    for depth, truth, mask in zip(z, target, valid, strict=True):
        d = (depth - truth)[mask].numpy()
        n = max(len(d), 1)
        losses.append((d**2).sum() / n - balance / n**2 * d.sum() ** 2)
    return float(np.mean(losses))


def articles(z: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> float:
    """What the seed article prints: one division for the whole batch."""
    mask = valid.double().flatten(1)
    d = z.flatten(1) * mask - target.flatten(1) * mask
    n = mask.sum(1)
    above = (n * (d**2).sum(1)).sum() - 0.5 * (d.sum(1) ** 2).sum()
    return float(above / max(float((n**2).sum()), 1))


def test_the_loss_is_the_papers_and_the_articles() -> None:
    for seed in range(3):
        z, target, valid = masked(seed)
        target = torch.where(valid, target, torch.nan)  # what is not known must not matter
        for balance in (0.0, 0.5, 1.0):
            ours = scale_invariant_log_loss(z, target, valid, balance)[0]
            assert float(ours) == pytest.approx(papers(z, target, valid, balance), abs=1e-10)
        each = torch.stack([scale_invariant_log_loss(z[[i]], target[[i]], valid[[i]])[0] for i in range(5)])
        known = target.nan_to_num(0)
        for i in range(4):
            assert float(each[i]) == pytest.approx(articles(z[[i]], known[[i]], valid[[i]]), abs=1e-10)
        by_pixels = scale_invariant_log_loss(z, target, valid, weigh_by_pixels=True)[0]
        assert float(by_pixels) == pytest.approx(articles(z, known, valid), abs=1e-10)


def test_the_error_that_is_shown_is_the_mean_of_that_of_each_picture() -> None:
    """So parts of a batch show what the whole does."""
    z, target, valid = masked(3)
    shown, *each = (
        float(scale_invariant_log_loss(z[part], target[part], valid[part])[1]["RMSElog"])
        for part in ([0, 1, 2, 3], [0, 1], [2, 3])
    )
    assert shown == pytest.approx(np.mean(each))


def test_at_lambda_1_a_factor_on_all_depths_costs_nothing() -> None:
    z, target, valid = masked(7)
    factors = torch.tensor([2.0, 0.1, 30.0, 1.0, 5.0]).log()[:, None, None]
    plain, scaled = (scale_invariant_log_loss(pred, target, valid, 1.0)[0] for pred in (z, z + factors))
    assert float(plain) == pytest.approx(float(scaled), abs=1e-10)
    assert float(scale_invariant_log_loss(z + factors, target, valid)[0]) > 2 * float(plain)


def test_labels_are_taken_at_every_fourth_pixel_and_nothing_else_counts() -> None:
    disparity = torch.rand(2, 228, 304) + 0.5
    valid = torch.zeros(2, 228, 304, dtype=torch.bool)
    rows, columns = np.arange(5, 222, 4), np.arange(5, 298, 4)
    assert (len(rows), len(columns)) == MAP
    valid[:, rows[:, None], columns] = True
    z = -disparity[:, rows[:, None], columns].log()
    batch = Batch(torch.zeros(2, 3, 228, 304), torch.where(valid, disparity, 0), valid, ~valid, torch.zeros(2))
    assert float(scale_invariant_log(z, batch, torch.empty(0))[0]) == 0
    assert float(scale_invariant_log(z + 1, batch, torch.empty(0))[0]) == pytest.approx(0.5)
    cells = np.arange(228 * 304).reshape(228, 304)
    assert np.array_equal(cells[TARGET], cells[4:-4, 4:-4][1::4, 1::4])  # the article's [1::4, 1::4] of 296x220
