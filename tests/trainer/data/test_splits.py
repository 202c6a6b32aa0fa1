"""Which samples are trained on and which are held out."""

from __future__ import annotations

import pytest

from tests.trainer.memory_set import RAMP, Given
from trainer.data.splits import folds, samples_of, split, three_parts
from trainer.types import DataError


def test_a_split_is_stable_and_leaves_something_on_either_side() -> None:
    train, validation = split(Given([RAMP] * 50), 0.1)
    assert len(validation) == 5
    assert sorted(train + validation) == list(range(50))
    assert validation == split(Given([RAMP] * 50), 0.1)[1]
    assert len(set(split(Given([RAMP] * 60), 0.1)[1]) & set(train)) <= 2  # ten more samples hardly move it
    assert split(Given([RAMP]), 0.1) == ([0], [])
    assert [len(side) for side in split(Given([RAMP] * 2), 0.1)] == [1, 1]
    assert split(Given([RAMP] * 5), 0)[1] == []


def test_a_test_part_is_kept_from_both_and_moves_nothing_of_validation() -> None:
    data = Given([RAMP] * 50)
    parts = three_parts(data, 0.1, 0.2)
    assert [len(parts[name]) for name in ("train", "val", "test")] == [35, 5, 10]
    assert sorted(parts["train"] + parts["val"] + parts["test"]) == list(range(50))
    assert parts["val"] == split(data, 0.1)[1]
    assert samples_of(data, "test", 0.1, 0.2) == samples_of(data, "auto", 0.1, 0.2) == parts["test"]
    assert [len(part) for part in three_parts(Given([RAMP] * 3), 0.1, 0.1).values()] == [1, 1, 1]


class Films(Given):
    """Every three samples are of one film."""

    def group(self, index: int) -> str:
        return f"film {index // 3}"


def test_folds_are_of_about_one_size_hold_every_sample_once_and_part_no_film() -> None:
    parts = folds(Films([RAMP] * 30), 3)
    assert sorted(index for part in parts for index in part) == list(range(30))
    assert sorted(map(len, parts)) == [9, 9, 12]
    assert all(len({index // 3 for index in part}) * 3 == len(part) for part in parts)
    with pytest.raises(DataError, match="10 scenes, too few for 11 parts"):
        folds(Films([RAMP] * 30), 11)
