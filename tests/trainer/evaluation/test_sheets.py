"""Sheets of pictures and their captions."""

from __future__ import annotations

import numpy as np

from trainer.evaluation.sheets import CAPTION_HEIGHT, GROUND, sheet

STRIPS = [np.zeros((20, 90, 3), np.uint8), np.zeros((20, 60, 3), np.uint8)]


def test_captions_stand_over_their_parts_and_no_wider() -> None:
    picture = sheet(STRIPS, ["a", "", "runs/a/very/long/name/that/does/not/fit"])
    assert picture.shape == (CAPTION_HEIGHT + 4 + 2 * (20 + 4), 90, 3)
    brightest = [int(picture[:CAPTION_HEIGHT, at : at + 30].max()) for at in (0, 30, 60)]
    assert brightest[1] == GROUND < min(brightest[0], brightest[2])


def test_sheets_without_captions_or_strips() -> None:
    assert sheet(STRIPS).shape == (2 * (20 + 4), 90, 3)
    assert sheet([], ["a"]).shape == (1, 1, 3)
