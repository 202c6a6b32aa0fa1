"""Losses and pairs against known answers: closed forms, gradients, invariances, numbers at the edge."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trainer.losses import LOSSES, RANDOM_COLUMNS
from trainer.losses.gradient import gradient_matching
from trainer.losses.improved_ranking import hard_pairs
from trainer.losses.l2 import l2_loss
from trainer.losses.ordinal import ordinal_step
from trainer.losses.pairs import Pairs, edge_pairs, ordinal_relation, random_pairs
from trainer.losses.ranking import ranking_loss, ranking_terms
from trainer.losses.scale_shift_invariant import scale_shift_invariant_loss
from trainer.losses.structure_guided import structure_guided_pairs
from trainer.types import Batch

Make = Callable[..., Batch]


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def batch(generator: torch.Generator) -> Batch:
    valid = torch.rand(2, 12, 10, generator=generator) > 0.2
    disparity = torch.randn(2, 12, 10, generator=generator).where(valid, torch.zeros(()))
    image = torch.randint(0, 256, (2, 3, 12, 10), generator=generator, dtype=torch.uint8)
    return Batch(image, disparity, valid, torch.zeros_like(valid), torch.zeros(2))


def uniform(batch: int, pairs: int, generator: torch.Generator) -> Tensor:
    return torch.rand(batch, pairs, RANDOM_COLUMNS, generator=generator)


# ---- closed forms -----------------------------------------------------------------------------------------------


def test_ranking_terms_are_the_papers() -> None:
    difference = torch.tensor([0.0, 2.0, 2.0, -3.0], dtype=torch.float64)
    relation = torch.tensor([1.0, 1.0, -1.0, 0.0], dtype=torch.float64)
    wanted = [math.log(2), math.log(1 + math.exp(-2)), math.log(1 + math.exp(2)), 9.0]
    torch.testing.assert_close(ranking_terms(difference, relation), torch.tensor(wanted, dtype=torch.float64))


def test_a_flat_prediction_costs_log_2_for_unequal_and_nothing_for_equal_pairs(generator: torch.Generator) -> None:
    step = torch.arange(100.0).view(1, 10, 10)  # all unequal but for neighbours: 1 of 99 is under 2 %
    flat, valid = torch.zeros(1, 10, 10), torch.ones(1, 10, 10, dtype=torch.bool)
    loss, scalars = ranking_loss(flat, step, valid, uniform(1, 4000, generator), tau=0.001)
    assert loss.item() == pytest.approx(math.log(2), rel=1e-5)
    assert scalars["wrong"] == 1  # a tie is an error
    assert ranking_loss(flat * torch.nan, step, valid, uniform(1, 100, generator), tau=0.001)[1]["wrong"] == 1
    assert ranking_loss(flat, torch.ones_like(flat), valid, uniform(1, 100, generator))[0] == 0


def test_the_improved_loss_drops_the_easiest_unequal_pairs_and_no_equal_one() -> None:
    terms = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.0, 0.9]])
    relation = torch.tensor([[1, -1, 1, 1, -1, 1, 1, 1, 0, 1]])
    used = torch.tensor([[True] * 9 + [False]])
    kept = hard_pairs(terms, relation, used)
    assert kept.tolist() == [[False, False] + [True] * 7 + [False]]  # a quarter of 8 unequal; the equal one stays


def test_l2_compares_with_the_stretched_label() -> None:
    target = torch.tensor([[[-4.0, 0.0, 4.0, 99.0]]])
    valid = torch.tensor([[[True, True, True, False]]])
    loss, _ = l2_loss(torch.tensor([[[0.0, 0.5, 0.0, 7.0]]]), target, valid)
    assert loss.item() == pytest.approx(1 / 3)


def test_ssi_by_hand() -> None:
    valid = torch.ones(1, 1, 5, dtype=torch.bool)
    z, d = torch.tensor([[[-2.0, -1, 0, 1, 2]]]), torch.tensor([[[-1.0, -1, 0, 1, 1]]])
    # medians 0, deviations 6/5 and 4/5: residuals 10/6 - 10/8 = 5/12 twice, 5/6 - 5/4 = 5/12 twice, 0
    plain, _ = scale_shift_invariant_loss(z, d, valid, gradient_weight=0)
    trimmed, _ = scale_shift_invariant_loss(z, d, valid, trimmed=0.2, gradient_weight=0)
    assert plain.item() == pytest.approx(4 * 5 / 12 / 10, rel=1e-5)
    assert trimmed.item() == pytest.approx(3 * 5 / 12 / 10, rel=1e-5)


def test_gradient_matching_of_a_ramp_is_its_slopes() -> None:
    residual = torch.arange(16.0).expand(1, 16, 16)  # slope 1 along x at stride 1, 2 at stride 2, ...
    assert gradient_matching(residual, torch.ones(1, 16, 16, dtype=torch.bool)).item() == 1 + 2 + 4 + 8


# ---- gradients and numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_float64_differences(name: str, batch: Batch, generator: torch.Generator) -> None:
    exact = Batch(batch.image, batch.disparity.double(), batch.valid, batch.sky, batch.noise.double())
    z = torch.randn(2, 12, 10, generator=generator, dtype=torch.float64, requires_grad=True)
    numbers = uniform(2, 60, generator).double()
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, exact, numbers)[0], z, fast_mode=True)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_any_finite_prediction_gives_a_finite_loss(
    name: str, dtype: torch.dtype, batch: Batch, generator: torch.Generator
) -> None:
    numbers = uniform(2, 60, generator)
    for magnitude in (0.0, 1e-30, 1.0, 1e4, torch.finfo(dtype).max):
        z = (torch.randn(2, 12, 10, generator=generator).clamp(-1, 1) * magnitude).to(dtype).requires_grad_()
        loss, _ = LOSSES[name](z, batch, numbers)
        loss.backward()  # type: ignore[no-untyped-call]
        assert z.grad is not None
        assert loss.isfinite(), magnitude
        assert z.grad.isfinite().all(), magnitude


@pytest.mark.parametrize("name", LOSSES)
def test_a_prediction_that_is_nan_is_not_hidden(name: str, batch: Batch, generator: torch.Generator) -> None:
    assert LOSSES[name](torch.full((2, 12, 10), torch.nan), batch, uniform(2, 60, generator))[0].isnan()


@pytest.mark.parametrize("name", LOSSES)
def test_empty_masks_add_nothing_and_spoil_nothing(name: str, batch: Batch, generator: torch.Generator) -> None:
    numbers, z = uniform(2, 60, generator), torch.randn(2, 12, 10, generator=generator)
    without = torch.tensor([True, False])[:, None, None] & batch.valid
    half = Batch(batch.image, batch.disparity, without, batch.sky, batch.noise)
    alone = Batch(*(getattr(batch, part)[:1] for part in ("image", "disparity", "valid", "sky", "noise")))
    assert LOSSES[name](z, half, numbers)[0].item() == pytest.approx(
        LOSSES[name](z[:1], alone, numbers[:1])[0].item() / 2, rel=1e-5
    )
    none = Batch(batch.image, batch.disparity, torch.zeros_like(batch.valid), batch.sky, batch.noise)
    z.requires_grad_()
    loss, _ = LOSSES[name](z, none, numbers)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0
    assert z.grad is not None
    assert not z.grad.any()


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"l2"}))
def test_an_all_equal_label_is_survived(name: str, batch: Batch, generator: torch.Generator) -> None:
    flat = Batch(batch.image, torch.ones_like(batch.disparity), batch.valid, batch.sky, batch.noise)
    loss, _ = LOSSES[name](torch.randn(2, 12, 10, generator=generator), flat, uniform(2, 60, generator))
    assert loss.isfinite()


# ---- invariances ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (0.25, -40.0)])
def test_labels_are_known_up_to_scale_and_shift(
    name: str, scale: float, shift: float, batch: Batch, generator: torch.Generator
) -> None:
    z, numbers = torch.randn(2, 12, 10, generator=generator), uniform(2, 60, generator)
    noise = torch.full((2,), 0.1)
    plain = Batch(batch.image, batch.disparity, batch.valid, batch.sky, noise)
    other = Batch(batch.image, scale * batch.disparity + shift, batch.valid, batch.sky, scale * noise)
    torch.testing.assert_close(
        LOSSES[name](z, plain, numbers)[0], LOSSES[name](z, other, numbers)[0], rtol=2e-4, atol=0
    )


@pytest.mark.parametrize("name", ["ssi", "ssi-trimmed"])
def test_ssi_does_not_see_the_predictions_scale_and_shift_but_its_sign(
    name: str, batch: Batch, generator: torch.Generator
) -> None:
    numbers = uniform(2, 6, generator)
    assert LOSSES[name](5 * batch.disparity - 3, batch, numbers)[0].item() == pytest.approx(0, abs=1e-5)
    assert LOSSES[name](-batch.disparity, batch, numbers)[0] > 0.5


@pytest.mark.parametrize("name", ["ssi", "l2"])
def test_dense_losses_do_not_see_a_flip(name: str, batch: Batch, generator: torch.Generator) -> None:
    z = torch.randn(2, 12, 10, generator=generator)
    full = Batch(batch.image[..., :9], batch.disparity[..., :9], batch.valid[..., :9], batch.sky, batch.noise)
    flipped = Batch(full.image, full.disparity.flip(2), full.valid.flip(2), full.sky, full.noise)
    numbers = uniform(2, 6, generator)
    # 9 columns: strides 1, 2, 4, 8 all start and end on the border, so a flip keeps the same pixels
    torch.testing.assert_close(
        LOSSES[name](z[..., :9], full, numbers)[0], LOSSES[name](z[..., :9].flip(2), flipped, numbers)[0]
    )


def test_a_pair_and_its_mirror_agree() -> None:
    first, second = torch.tensor([[0, 1, 2]]), torch.tensor([[2, 0, 1]])
    used, target = torch.ones(1, 3, dtype=torch.bool), torch.tensor([[[5.0, 1.0, 1.0]]])
    there = ordinal_relation(Pairs(first, second, used), target)
    back = ordinal_relation(Pairs(second, first, used), target)
    assert there.tolist() == [[1, -1, 0]]
    assert (there == -back).all()


# ---- pairs ------------------------------------------------------------------------------------------------------


def test_every_valid_pixel_is_drawn_alike_and_no_other(generator: torch.Generator) -> None:
    valid = torch.rand(3, 9, 7, generator=generator) > torch.tensor([0.2, 0.8, 1.0])[:, None, None]
    pairs = random_pairs(valid, torch.rand(3, 50_000, 2, generator=generator))
    for number in range(2):
        drawn = torch.cat([pairs.first[number], pairs.second[number]]).bincount(minlength=63)
        known = valid[number].flatten()
        assert not drawn[~known].any()
        expected = 100_000 / known.sum()
        chi_square = ((drawn[known] - expected) ** 2 / expected).sum()
        assert chi_square < known.sum() + 5 * (2 * known.sum()) ** 0.5
    assert not pairs.used[2].any()
    assert pairs.used[:2].float().mean() > 0.9  # unused only where both ends are one pixel


def test_the_last_number_below_one_stays_in_the_picture() -> None:
    valid = torch.zeros(1, 5, 5, dtype=torch.bool)
    valid[0, 1, 2] = valid[0, 4, 1] = True
    pairs = random_pairs(valid, torch.tensor([[[0.0, 1 - 2**-24]]]))
    assert (pairs.first.item(), pairs.second.item()) == (7, 21)


def test_edge_pairs_lie_on_a_line_across_the_edge(generator: torch.Generator) -> None:
    gradient = torch.zeros(1, 2, 40, 80)
    gradient[:, 0, :, 40] = 1.0  # an upright edge at x = 40
    valid = torch.ones(1, 40, 80, dtype=torch.bool)
    pairs = edge_pairs(gradient, valid, torch.rand(1, 200, 5, generator=generator))
    x, y = (pairs.first % 80).view(200, 3), (pairs.first // 80).view(200, 3)
    x2, y2 = (pairs.second % 80).view(200, 3), (pairs.second // 80).view(200, 3)
    assert (y == y2).all()
    assert ((x[:, 0] <= x2[:, 0]) & (x2[:, 0] <= 38)).all()  # (a, b) left of the edge, at least 2 px away
    assert ((x[:, 1] <= 38) & (x2[:, 1] >= 42)).all()  # (b, c) across it
    assert (x[:, 0] >= 10).all()  # nowhere farther than 30 px
    assert (x2[:, 2] <= 70).all()
    assert pairs.used.view(200, 3)[:, 1].all()
    valid[:, :, 45:] = False
    again = edge_pairs(gradient, valid, torch.rand(1, 200, 5, generator=generator))
    ends = valid.flatten(1).gather(1, again.first) & valid.flatten(1).gather(1, again.second)
    assert (ends | ~again.used).all()
    nothing = edge_pairs(torch.zeros_like(gradient), valid, torch.rand(1, 9, 5, generator=generator))
    assert not nothing.used.any()


def test_pairs_lie_across_the_borders_of_instances_where_these_are_marked(generator: torch.Generator) -> None:
    """Borders at x = 30 and 60, whatever the numbers; a picture without, or of one thing, has its label's edge."""
    instances = torch.zeros(3, 40, 90)
    instances[0, :, 30:60], instances[0, :, 60:], instances[2] = 1, 200, 7
    target = torch.zeros(3, 40, 90)
    target[1:, :, 45:] = 1.0
    valid, image = torch.ones(3, 40, 90, dtype=torch.bool), torch.zeros(3, 3, 40, 90)
    pairs = structure_guided_pairs(image, target, valid, uniform(3, 600, generator), instances)
    first, second = (end[:, -300:].view(3, 100, 3)[:, :, 1] % 90 for end in (pairs.first, pairs.second))  # (b, c)
    used = pairs.used[:, -300:].view(3, 100, 3)[:, :, 1]
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    over = {x: (used & (low < x) & (high >= x)).sum(dim=1).tolist() for x in (30, 45, 60)}
    assert min(over[30][0], over[60][0]) > 30
    assert over[45][1] == used[1].sum() > 90
    assert over[45][2] == used[2].sum() > 90


def test_noise_under_the_stated_bound_never_turns_a_pair_round(generator: torch.Generator) -> None:
    """The rule's promise; with the paper's ratio rule it fails on the same labels."""
    truth = torch.rand(4, 30, 30, generator=generator) * 10
    error = 0.3
    labels = truth + error * (2 * torch.rand(4, 30, 30, generator=generator) - 1)
    pairs = random_pairs(torch.ones(4, 30, 30, dtype=torch.bool), torch.rand(4, 20_000, 2, generator=generator))
    true = (truth.flatten(1).gather(1, pairs.first) - truth.flatten(1).gather(1, pairs.second)).sign()
    relation = ordinal_relation(pairs, labels, noise=torch.full((4,), error))
    assert (relation * true >= 0).all()
    assert (relation != 0).float().mean() > 0.8  # and it is not silent
    shifted = labels - 5  # a converged camera: the ratio rule reads signs and sizes off an arbitrary zero
    a, b = shifted.flatten(1).gather(1, pairs.first), shifted.flatten(1).gather(1, pairs.second)
    ratio_rule = torch.where(a / b > 1.02, 1, torch.where(b / a > 1.02, -1, 0))
    assert (ratio_rule * true < 0).float().mean() > 0.2


def test_on_truth_with_a_zero_the_papers_ratio_decides(generator: torch.Generator) -> None:
    """Depth of 1 to 80 m: the step of labels without a zero would call far pairs equal that evaluation does not."""
    depth = 1 + 79 * torch.rand(1, 30, 30, generator=generator)
    pairs = random_pairs(torch.ones(1, 30, 30, dtype=torch.bool), torch.rand(1, 20_000, 2, generator=generator))
    a, b = depth.flatten(1).gather(1, pairs.first), depth.flatten(1).gather(1, pairs.second)
    wanted = (b - a).sign() * (torch.maximum(a, b) / torch.minimum(a, b) > 1.02)
    ours = ordinal_relation(pairs, 1 / depth, true_zero=torch.tensor([True]))
    assert (ours == wanted).float().mean() > 0.999  # but for rounding at the threshold
    assert (ordinal_relation(pairs, 1 / depth) == wanted).float().mean() < 0.9


def test_outliers_do_not_stretch_the_step() -> None:
    labels = torch.linspace(0, 1, 1001)[None]
    counted = torch.ones_like(labels, dtype=torch.bool)
    spoiled = labels.clone()
    spoiled[0, 500] = 1000.0
    plain = ordinal_step(labels, counted, torch.zeros(1))
    assert plain.item() == pytest.approx(0.02 * 0.96, rel=1e-3)
    assert ordinal_step(spoiled, counted, torch.zeros(1)).item() == pytest.approx(plain.item(), rel=0.01)
    assert ordinal_step(labels, counted, torch.ones(1)).item() == 2
    assert ordinal_step(labels, ~counted, torch.zeros(1)).item() == 0


def test_sky_is_equal_to_sky_and_farther_than_anything_else() -> None:
    target = torch.tensor([[[0.0, 0.0, 0.001, 9.0]]])
    sky = torch.tensor([[[True, True, False, False]]])
    pairs = Pairs(torch.tensor([[0, 0, 2]]), torch.tensor([[1, 2, 1]]), torch.ones(1, 3, dtype=torch.bool))
    assert ordinal_relation(pairs, target, sky).tolist() == [[0, -1, 1]]


# ---- weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_what_weighs_nothing_teaches_nothing(name: str, batch: Batch, generator: torch.Generator) -> None:
    """Labels of weight 0 on the left half: no gradient of a pair or a residual reaches it."""
    weight = torch.ones_like(batch.disparity)
    weight[..., :5] = 0
    weighted = replace(batch, weight=weight)
    z = torch.randn(2, 12, 10, generator=generator, requires_grad=True)
    drawn = uniform(2, 200, generator)
    loss, scalars = LOSSES[name](z, weighted, drawn)
    if name in ("ssi", "ssi-trimmed"):  # its scale is of the whole picture, and the gradient term has no weights
        loss = loss - 0.5 * scalars["gradient"]
        assert loss.item() != pytest.approx(float(LOSSES[name](z, batch, drawn)[1]["data"]))
        return
    if name == "structure-guided":
        _, parts = LOSSES[name](z, batch, drawn)
        assert float(scalars["ranking"]) != float(parts["ranking"])
        assert float(scalars["gradient"]) == float(parts["gradient"])
        return
    (gradient,) = torch.autograd.grad(loss, z)
    assert not gradient[..., :5].any()
    assert gradient[..., 5:].any()
    half = LOSSES[name](z, replace(batch, weight=torch.full_like(weight, 0.5)), drawn)[0]
    assert half.item() == pytest.approx(LOSSES[name](z, batch, drawn)[0].item(), rel=1e-5)  # only ratios count
