"""A look at the labels before training."""

from __future__ import annotations

import numpy as np

from tests.trainer.memory_set import RAMP, Given
from trainer.evaluation.sanity import check_labels


def test_looking_over_a_set_tells_empty_flat_and_upside_down() -> None:
    assert check_labels(Given([RAMP] * 6), range(6)) == []
    notes = check_labels(Given([RAMP[::-1]] * 6 + [np.full_like(RAMP, np.nan), np.ones_like(RAMP)]), range(8))
    assert ["no known pixel" in notes[0], "all one value" in notes[1], "polarity looks inverted" in notes[2]] == [
        True
    ] * 3
