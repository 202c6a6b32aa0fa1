"""Sheets of pictures and their captions."""

from __future__ import annotations

import numpy as np

from trainer.evaluation.sheets import CAPTION_HEIGHT, GROUND, sheet

STRIPS = [np.zeros((20, 90, 3), np.uint8), np.zeros((20, 60, 3), np.uint8)]


def test_captions_stand_over_their_parts_and_no_wider() -> None:
    picture = sheet(STRIPS, ["a", "", "runs/a/very/long/name/that/does/not/fit"])
    assert picture.shape == (CAPTION_HEIGHT + 4 + 2 * (20 + 4), 90, 3)
    written = (picture[:CAPTION_HEIGHT, :, 0] > GROUND).any(axis=0)
    assert written[:30].any()
    assert not written[30:60].any()
    assert written[60:].any()


def test_sheets_without_captions_or_strips() -> None:
    assert sheet(STRIPS).shape == (2 * (20 + 4), 90, 3)
    assert sheet([], ["a"]).shape == (1, 1, 3)
