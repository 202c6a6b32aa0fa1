"""What was painted around a photograph has no depth."""

from __future__ import annotations

import numpy as np
import pytest

from redweb_builder.labels.frame import RIM_PX, painted_frame
from redweb_builder.labels.planes import RightView
from redweb_builder.labels.refine import refine
from redweb_builder.matching.fusion import Match
from redweb_builder.types import Mask, Picture, Regions

HEIGHT, WIDTH = 120, 160
FRAME = 16  # px


def photograph() -> Picture:
    return np.random.default_rng(0).integers(8, 240, (HEIGHT, WIDTH, 3), np.uint8)


def test_a_black_border_is_a_frame_and_black_within_the_picture_is_none() -> None:
    left = photograph()
    left[:, :FRAME] = 3
    left[50:80, 60:100] = 0  # a dark robe
    frame = painted_frame(left)
    rim = RIM_PX // 2
    assert frame[:, : FRAME + rim].all()
    assert not frame[:, FRAME + rim :].any()


@pytest.mark.parametrize(("level", "side"), [(5, FRAME), (0, 4)])
def test_the_dark_of_a_photograph_and_a_small_shadow_are_no_frame(level: int, side: int) -> None:
    left = photograph()
    left[:side, :side] = level
    assert not painted_frame(left).any()


def test_a_frame_has_no_label() -> None:
    """Its flow is consistent, as that of a blank area is, and it would pass for sky."""
    left = photograph()
    left[:FRAME] = 0
    disparity = np.repeat(np.linspace(2, 12, HEIGHT, dtype=np.float32)[:, None], WIDTH, 1)
    everywhere, none = np.ones(disparity.shape, bool), np.zeros_like(disparity)
    match = Match(disparity, none, none)
    black = (left.max(-1) == 0).astype(np.float32)
    label = refine(left, match, everywhere, Regions(black, none), RightView(none, ~everywhere))
    assert (label.mask[: FRAME + 1] == Mask.UNKNOWN).all()
    assert np.isnan(label.disparity[: FRAME + 1]).all()
    assert np.isfinite(label.disparity[FRAME + RIM_PX :]).all()
    assert not (label.mask == Mask.SKY).any()
