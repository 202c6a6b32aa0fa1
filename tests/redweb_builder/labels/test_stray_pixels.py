"""Blobs of wrong flow that would stretch a label."""

from __future__ import annotations

import numpy as np
import pytest

from redweb_builder.labels.refine import stray_pixels

BLOB = np.s_[80:95, 40:60]  # 3 % of the picture


@pytest.mark.parametrize(
    ("disparity", "error_px", "dropped"),
    [(150, 1.0, True), (-150, 1.0, True), (150, 0.2, False), (13, 1.0, False)],
    ids=["near", "far", "well matched", "no gap"],
)
def test_a_blob_beyond_a_gap_is_dropped_where_its_error_is_large(
    disparity: float, error_px: float, dropped: bool
) -> None:
    field = np.tile(np.linspace(0, 10, 100, dtype=np.float32), (100, 1))
    error = np.full(field.shape, 0.2, np.float32)
    field[BLOB], error[BLOB] = disparity, error_px
    blob = np.zeros(field.shape, bool)
    blob[BLOB] = True
    stray = stray_pixels(field, np.ones(field.shape, bool), error)
    assert (stray == (blob & dropped)).all()


def test_a_tenth_of_the_picture_is_no_blob() -> None:
    field = np.zeros((100, 100), np.float32)
    field[:10] = 50
    assert not stray_pixels(field, np.ones(field.shape, bool), np.ones_like(field)).any()
