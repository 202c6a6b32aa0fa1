"""Labels judged before training."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainer.memory_set import RAMP, Given
from trainer.evaluation.sanity import check_labels
from trainer.types import DataError


def test_empty_and_flat_labels_are_named() -> None:
    assert check_labels(Given([RAMP] * 6), range(6)) == []
    notes = check_labels(Given([RAMP] * 6 + [np.full_like(RAMP, np.nan), np.ones_like(RAMP)]), range(8))
    assert ["no known pixel" in notes[0], "all one value" in notes[1]] == [True, True]


def test_a_set_of_which_no_label_says_anything_is_refused() -> None:
    unknown, flat = np.full_like(RAMP, np.nan), np.ones_like(RAMP)
    for labels in ([unknown] * 3, [flat] * 3, [unknown, flat, unknown]):
        with pytest.raises(DataError, match=r"not one of its 3 labels.*--min-confidence.*--check none"):
            check_labels(Given(labels), range(3))
        assert "nothing to learn from" in check_labels(Given(labels), range(3), refuse=False)[-1]
    data = Given([unknown, RAMP, unknown, unknown])  # the second is not among the three that are read at first
    assert len(check_labels(data, range(4), most=3)) == 1


def test_labels_that_are_upside_down_are_refused() -> None:
    data = Given([RAMP[::-1]] * 6)
    with pytest.raises(DataError, match=r"FARTHER in 100 % of pairs.*--check none"):
        check_labels(data, range(6))
    assert "polarity is inverted" in check_labels(data, range(6), refuse=False)[0]
    assert check_labels(data, range(4)) == []
