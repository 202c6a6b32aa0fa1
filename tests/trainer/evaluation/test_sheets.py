"""Sheets of pictures and their captions."""

from __future__ import annotations

import numpy as np

from trainer.evaluation.sheets import CAPTION_HEIGHT, GROUND, SHEET_HEIGHT, metric_strip, sheet
from trainer.types import DepthSample

STRIPS = [np.zeros((20, 90, 3), np.uint8), np.zeros((20, 60, 3), np.uint8)]


def test_captions_stand_over_their_parts_and_no_wider() -> None:
    picture = sheet(STRIPS, ["a", "", "runs/a/very/long/name/that/does/not/fit"])
    assert picture.shape == (CAPTION_HEIGHT + 4 + 2 * (20 + 4), 90, 3)
    brightest = [int(picture[:CAPTION_HEIGHT, at : at + 30].max()) for at in (0, 30, 60)]
    assert brightest[1] == GROUND < min(brightest[0], brightest[2])


def test_sheets_without_captions_or_strips() -> None:
    assert sheet(STRIPS).shape == (2 * (20 + 4), 90, 3)
    assert sheet([], ["a"]).shape == (1, 1, 3)


def test_a_frame_of_which_no_depth_is_known_has_the_colours_of_its_predictions() -> None:
    """Its label spoke for the scale alone, and ended a training or an evaluation that showed it."""
    shape = (24, 32)
    sample = DepthSample(
        "a", np.zeros((*shape, 3), np.uint8), np.full(shape, np.nan, np.float32), np.zeros(shape, bool), 0
    )
    metres = np.linspace(1, 4, 32, dtype=np.float32)[None].repeat(24, 0)
    picture = metric_strip(sample, [metres])
    assert picture.shape == (SHEET_HEIGHT, 3 * 240, 3)
    assert int(picture[90, 240:480].sum(1).max()) > int(picture[90, 240:480].sum(1).min()) + 300
