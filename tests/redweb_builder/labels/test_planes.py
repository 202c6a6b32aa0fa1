"""Planes spread from what is measured to what is not."""

from __future__ import annotations

import numpy as np
import pytest

from redweb_builder.labels.planes import RightView, propagate_planes
from redweb_builder.labels.superpixels import segment_superpixels
from redweb_builder.types import FloatMap

HEIGHT, WIDTH = 96, 240
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
EVERYWHERE = np.ones((HEIGHT, WIDTH), bool)
COLUMN = np.arange(WIDTH)
FAR, NEAR = 0.0, 8.0  # px; on the left and on the right of a band that nothing is known of
BAND = (COLUMN > 60) & (COLUMN < 180)


def filled(depth: FloatMap | None) -> FloatMap:
    """Disparity of the middle row by planes from both sides of the band, on a picture without an edge."""
    raw = np.broadcast_to(np.where(COLUMN < WIDTH / 2, FAR, NEAR).astype(np.float32), EVERYWHERE.shape)
    support = np.broadcast_to(~BAND, EVERYWHERE.shape)
    nothing = RightView(np.zeros_like(raw), ~EVERYWHERE)
    disparity = propagate_planes(segment_superpixels(GREY, depth), raw, support, EVERYWHERE, nothing)
    return np.asarray(disparity[HEIGHT // 2], np.float32)


@pytest.mark.parametrize("step", [85, 155])
def test_a_surface_ends_where_the_network_sees_a_step(step: int) -> None:
    depth = np.tile((step <= COLUMN).astype(np.float32), (HEIGHT, 1))
    row = filled(depth[::2, ::2])  # of any size
    assert np.abs(row[: step - 12] - FAR).max() < 1
    assert np.abs(row[step + 12 :] - NEAR).max() < 1


def test_what_the_network_joins_has_no_sharp_step() -> None:
    """Alone the planes end at each other; where the network sees one surface up to the right border they are joined."""
    border = np.zeros((HEIGHT, WIDTH), np.float32)
    border[:, -1] = 1
    alone, joined = (np.abs(np.diff(filled(depth))).max() for depth in (None, border))
    assert alone == pytest.approx(NEAR - FAR, abs=0.5)
    assert joined < alone / 2


def test_a_slope_ends_with_its_reach_and_makes_no_sawtooth() -> None:
    """Beyond it the planes are level, so that no superpixel falls only for the next one to rise again."""
    raw = np.broadcast_to(np.where(COLUMN < 24, 0, 14 - 0.1 * COLUMN).astype(np.float32), EVERYWHERE.shape)
    support = np.broadcast_to(COLUMN < 100, EVERYWHERE.shape)
    nothing = RightView(np.zeros_like(raw), ~EVERYWHERE)
    row = propagate_planes(segment_superpixels(GREY, None), raw, support, EVERYWHERE, nothing)[HEIGHT // 2]
    assert row[120] < row[96] - 1.5  # the slope goes on
    assert np.diff(row[96:]).max() < 0.9  # a sawtooth has steps of the slope over a superpixel, 1.1
    assert np.ptp(row[-24:]) < 0.5


def test_a_wide_strip_is_smooth_whatever_its_texture() -> None:
    """A wood that only one eye sees: its colours make no cells of the two depths beside it."""
    patches = np.random.default_rng(0).integers(116, 140, (HEIGHT // 12, WIDTH // 12, 3), np.uint8)
    seen = COLUMN < 100  # by both eyes
    wood = np.where(seen[:, None], GREY, np.kron(patches, np.ones((12, 12, 1), np.uint8)))
    one_surface = np.zeros((HEIGHT, WIDTH), np.float32)
    one_surface[0, 0] = 1
    upper = (np.arange(HEIGHT) < HEIGHT / 2)[:, None]
    raw = np.broadcast_to(np.where(upper, FAR, NEAR).astype(np.float32), EVERYWHERE.shape)
    nothing = RightView(np.zeros_like(raw), ~EVERYWHERE)
    superpixels = segment_superpixels(wood, one_surface)
    disparity = propagate_planes(superpixels, raw, EVERYWHERE & seen, EVERYWHERE, nothing)
    assert max(np.abs(np.diff(disparity[:, 150:], axis=axis)).max() for axis in (0, 1)) < (NEAR - FAR) / 3


@pytest.mark.parametrize("nearness", [0.0, 0.8])
def test_what_the_network_puts_beyond_all_is_not_near(nearness: float) -> None:
    """A blank sky of the colour of the chimney before it; or a wall that may well belong to the chimney."""
    seen, upper = COLUMN < 120, (np.arange(HEIGHT) < HEIGHT / 2)[:, None]
    chimney, roof = upper & seen, ~upper & seen
    raw = np.where(roof, 2.0, NEAR).astype(np.float32)
    depth = np.select([chimney, roof], [0.9, 0.5], nearness).astype(np.float32)
    depth[0, 0] = 1
    picture = np.where(roof[..., None], 10, GREY).astype(np.uint8)
    nothing = RightView(np.zeros_like(raw), ~EVERYWHERE)
    disparity = propagate_planes(segment_superpixels(picture, depth), raw, chimney | roof, EVERYWHERE, nothing)
    assert disparity[10, 60] == pytest.approx(NEAR, abs=0.5)
    assert (disparity[10, 200] < 2.5) == (nearness == 0)
