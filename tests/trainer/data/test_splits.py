"""Which samples are trained on and which are held out."""

from __future__ import annotations

from tests.trainer.memory_set import RAMP, Given
from trainer.data.splits import split


def test_a_split_is_stable_and_leaves_something_on_either_side() -> None:
    train, validation = split(Given([RAMP] * 50), 0.1)
    assert len(validation) == 5
    assert sorted(train + validation) == list(range(50))
    assert validation == split(Given([RAMP] * 50), 0.1)[1]
    assert len(set(split(Given([RAMP] * 60), 0.1)[1]) & set(train)) <= 2  # ten more samples hardly move it
    assert split(Given([RAMP]), 0.1) == ([0], [])
    assert [len(side) for side in split(Given([RAMP] * 2), 0.1)] == [1, 1]
    assert split(Given([RAMP] * 5), 0)[1] == []
