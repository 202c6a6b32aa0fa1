"""The segmented sky against matches of the two views."""

from __future__ import annotations

import numpy as np
import pytest

from redweb_builder.labels.sky import sky_area
from redweb_builder.types import BoolMap, FloatMap, Picture, Regions

GROUND_FAR, GROUND_NEAR = 4.0, 20.0


def scene(sky_disparity: float, texture: float) -> tuple[Picture, FloatMap, BoolMap, Regions]:
    """A ground that comes nearer row by row under a sky of one disparity, a share of which has texture."""
    generator = np.random.default_rng(0)
    left = np.full((120, 160, 3), 200, np.uint8)
    columns = round(160 * texture)
    left[:, :columns] = generator.integers(110, 200, (120, columns, 1), np.uint8)
    disparity = np.repeat(np.linspace(GROUND_FAR, GROUND_NEAR, 120, dtype=np.float32)[:, None], 160, 1)
    disparity[:50] = sky_disparity
    sky = np.zeros((120, 160), np.float32)
    sky[:50] = 1
    return left, disparity, np.ones(sky.shape, bool), Regions(sky, np.zeros_like(sky))


@pytest.mark.parametrize(
    ("sky_disparity", "texture", "kept"),
    [
        (2.0, 1.0, 1.0),  # clouds, matched and farthest
        (14.0, 1.0, 0.0),  # a poster of a sky, in the middle of the scene but not nearer than most of it
        (14.0, 0.0, 1.0),  # a blank sky: its disparity is borrowed
        (14.0, 0.1, 1.0),  # a few specks prove nothing
        (30.0, 1.0, 0.0),  # a ceiling
    ],
)
def test_a_painted_sky_is_matched_and_textured(sky_disparity: float, texture: float, kept: float) -> None:
    sky = sky_area(*scene(sky_disparity, texture))
    assert sky[:50].mean() == kept
    assert not sky[50:].any()


@pytest.mark.parametrize(("nearness", "kept"), [(-1.0, 1.0), (0.8, 0.0)])
def test_a_blank_sky_that_the_network_sees_near_is_none(nearness: float, kept: float) -> None:
    """A lit sign or pale stone has no texture that could be matched; the ground is 0 to 1, larger = nearer."""
    depth = np.repeat(np.linspace(0, 1, 60, dtype=np.float32)[:, None], 80, 1)  # of another size
    depth[:25] = nearness
    assert sky_area(*scene(2.0, 0.0), depth)[:50].mean() == kept


@pytest.mark.parametrize(
    ("probability", "around", "kept"),
    [
        (0.6, GROUND_FAR, 0.0),  # a white wall
        (0.9, GROUND_FAR, 1.0),  # the segmenter is sure
        (0.6, GROUND_NEAR, 1.0),  # a gap in a tree before the camera
    ],
)
def test_of_what_is_hardly_sky_the_network_asks_more(probability: float, around: float, kept: float) -> None:
    left, disparity, valid, regions = scene(2.0, 0.0)
    depth = np.repeat(np.linspace(0, 1, 120, dtype=np.float32)[:, None], 160, 1)
    disparity[60:90, 40:80] = around
    place = np.s_[65:85, 45:75]
    regions.sky[place], depth[place] = probability, 0.51  # between the 12th and the 20th percentile
    depth[:50] = -1
    assert sky_area(left, disparity, valid, regions, depth)[place].mean() == kept


@pytest.mark.parametrize(("probability", "kept"), [(0.6, 0.0), (0.9, 1.0)])
@pytest.mark.parametrize(("sky_disparity", "nearness"), [(13.2, 0.0), (2.0, 0.6)])
def test_a_sure_sky_may_be_nearer_than_the_farthest_ground(
    sky_disparity: float, nearness: float, probability: float, kept: float
) -> None:
    """Clouds, mist or the grain of a card are matched a little nearer; through an arch the network sees them nearer."""
    left, disparity, valid, regions = scene(sky_disparity, 1.0)
    depth = np.repeat(np.linspace(0, 1, 120, dtype=np.float32)[:, None], 160, 1)
    regions.sky[:50], depth[:50] = probability, nearness
    assert sky_area(left, disparity, valid, regions, depth)[:50].mean() == kept


def test_what_a_sky_borrows_from_here_and_there_is_no_poster() -> None:
    left, disparity, valid, regions = scene(14.0, 1.0)
    disparity[:50] = np.tile(np.array([2, 2, 14, 14, 14], np.float32), 32)
    assert sky_area(left, disparity, valid, regions)[:50].all()


def test_only_the_contradicted_part_of_a_sky_is_taken_out() -> None:
    left, disparity, valid, regions = scene(2.0, 1.0)
    disparity[:50, 60:80] = 30  # a tree that passed for sky
    left[:50, 60:80] //= 3
    sky = sky_area(left, disparity, valid, regions)
    assert not sky[10:40, 60:80].any()
    assert sky[:50, :40].all()
    assert sky[:50, 100:].all()


def test_what_is_cut_around_a_tree_does_not_depend_on_the_pictures_size() -> None:
    left, disparity, valid, regions = scene(2.0, 1.0)
    disparity[:50, 60:80] = 30
    left[:50, 60:80] //= 3
    large = [np.repeat(np.repeat(part, 3, 0), 3, 1) for part in (left, disparity, valid, regions.sky, regions.far)]
    once = sky_area(left, disparity, valid, regions)
    thrice = sky_area(large[0], large[1], large[2], Regions(large[3], large[4]))
    assert thrice.mean() == pytest.approx(once.mean(), abs=0.01)


def test_sky_that_shows_between_branches_stays_sky() -> None:
    left, disparity, valid, regions = scene(2.0, 0.0)
    left[:50] = (120, 160, 220)
    left[:50, 60:80:4] = left[:50, 61:80:4] = (60, 45, 40)
    disparity[:50, 60:80] = 30  # as flow has it: that of the branches, between them too
    sky = sky_area(left, disparity, valid, regions)
    branches = (left[..., 2] < 100)[:50]
    np.testing.assert_array_equal(sky[10:40], ~branches[10:40])


@pytest.mark.parametrize(("probability", "kept"), [(0.8, False), (0.95, True)])
def test_a_dark_pole_is_no_sky_unless_the_network_is_sure(probability: float, kept: bool) -> None:
    left, disparity, valid, regions = scene(2.0, 0.0)
    left[:50] = (120, 160, 220)
    left[:50, 60:63] = (60, 45, 40)
    valid[:50] = False  # nobody has matched it
    regions.sky[:50, 60:63] = probability
    sky = sky_area(left, disparity, valid, regions)
    assert sky[:50, 60:63].all() == sky[:50, 60:63].any() == kept
    assert sky[:50, :60].all()
    assert sky[:50, 63:].all()


def test_a_lit_sign_at_night_is_no_sky_however_sure_the_network() -> None:
    left, disparity, valid, regions = scene(2.0, 0.0)
    left[:50] = (18, 16, 20)
    left[20:30, 60:70] = (40, 140, 240)
    sky = sky_area(left, disparity, valid, regions)
    assert not sky[20:30, 60:70].any()
    assert sky[:50].sum() == 50 * 160 - 10 * 10


@pytest.mark.parametrize(
    ("probability", "nearness", "grey", "kept"),
    [
        (0.7, 0.3, 150, False),  # a tower of pale stone
        (0.95, 0.3, 150, True),  # the segmenter is sure
        (0.7, 0.0, 150, True),  # the network sees nothing there
        (0.7, 0.3, 200, True),  # it has the colour of the sky
    ],
)
def test_a_tower_that_the_segmenter_and_the_network_see_is_no_sky(
    probability: float, nearness: float, grey: int, kept: bool
) -> None:
    left, disparity, valid, regions = scene(2.0, 0.0)
    depth = np.repeat(np.linspace(0, 1, 120, dtype=np.float32)[:, None], 160, 1)
    depth[:50] = -0.2
    tower = np.s_[10:50, 76:84]
    left[tower], regions.sky[tower] = grey, probability
    depth[tower] += nearness
    sky = sky_area(left, disparity, valid, regions, depth)
    assert sky[10:40, 76:84].all() == sky[10:40, 76:84].any() == kept  # at its foot there is no sky around it
    assert sky[:50, :70].all()
    assert sky[:50, 90:].all()
