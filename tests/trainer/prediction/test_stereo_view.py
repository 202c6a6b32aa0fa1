"""A second view made from one photograph and its depth."""

from __future__ import annotations

import numpy as np
import pytest

from samples.scenes import render
from trainer.prediction.stereo_view import PHASES, anaglyph, disparity_for_eyes, parallax_views, shifted_view


@pytest.mark.parametrize("seed", [3, 11])
def test_with_the_true_disparity_it_is_the_true_right_view(seed: int) -> None:
    """Where the right eye sees what the left one saw; what is hidden from it is only filled."""
    scene = render(seed, 160, 120, max_disparity=12.0)
    made = shifted_view(scene.left, scene.disparity)
    x = np.arange(160) + scene.right_disparity
    seen = (x >= 0) & (x <= 159)
    error = np.abs(made.astype(int) - scene.right).mean(axis=2)
    unmoved = np.abs(scene.left.astype(int) - scene.right).mean(axis=2)
    assert np.median(error[seen]) < 2
    assert error[seen].mean() < 0.4 * unmoved[seen].mean()


def test_what_is_near_hides_and_what_is_behind_fills() -> None:
    """A box moves to the left by its disparity; the place that it leaves shows the ground, not the box again."""
    disparity = np.zeros((20, 60), np.float32)
    disparity[5:15, 30:40] = 6
    image = np.full((20, 60, 3), 100, np.uint8)
    image[5:15, 30:40] = 200
    made = shifted_view(image, disparity)[..., 0]
    assert (made[5:15, 24:34] == 200).all()
    made[5:15, 24:34] = 100
    assert (made == 100).all()
    assert np.array_equal(shifted_view(image, 0 * disparity), image)


def test_the_middle_of_the_range_is_at_the_screen() -> None:
    depth = np.linspace(10, 20, 200, dtype=np.float32).reshape(10, 20)
    disparity = disparity_for_eyes(depth, (10, 20), strength=0.1)
    assert (disparity.min(), disparity.max()) == (-1, 1)


def test_a_loop_of_views_goes_both_ways() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)
    views = parallax_views(image, np.full((20, 40), 4, np.float32))
    assert len(views) == PHASES
    assert np.array_equal(views[0], image)
    right, left = views[PHASES // 4], views[3 * PHASES // 4]  # by two pixels
    assert np.array_equal(right[:, :-2], image[:, 2:])
    assert np.array_equal(left[:, 2:], image[:, :-2])
    mixed = anaglyph(image, views[3])
    assert np.array_equal(mixed[..., 1:], views[3][..., 1:])
