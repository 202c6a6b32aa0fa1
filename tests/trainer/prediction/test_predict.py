"""Photographs to depth."""

from __future__ import annotations

import numpy as np
import torch

from trainer.data.eigen_transforms import as_frame
from trainer.eigen_geometry import MAP
from trainer.prediction.predict import filled

CPU = torch.device("cpu")


def test_cells_are_filled_four_times_in_the_middle_of_the_frame() -> None:
    cells = np.arange(55 * 74, dtype=np.float32).reshape(MAP)
    whole = filled(cells, (240, 320))
    np.testing.assert_array_equal(whole[10:230:4, 12:308:4], cells)
    np.testing.assert_array_equal(whole[13:230:4, 15:308:4], cells)
    assert whole[0, 0] == cells[0, 0]
    assert whole[-1, -1] == cells[-1, -1]
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    np.testing.assert_array_equal(as_frame(image), image[1::2, 1::2])
    assert as_frame(image[:300, :200]).shape == (240, 320, 3)
