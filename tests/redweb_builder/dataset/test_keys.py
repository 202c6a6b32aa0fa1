"""Keys of a data set: they behave as a list of them, in whatever pieces they lie."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from redweb_builder.dataset.keys import Keys

GROWING, MIXED = ["a", "b", "d", "é", "東"], ["d", "a", "東", "a", ""]


@pytest.mark.parametrize("texts", [GROWING, MIXED, ["x"], []])
def test_keys_are_what_a_list_of_them_is(texts: list[str]) -> None:
    keys = Keys(pa.chunked_array([texts[:2], [], texts[2:]], pa.string()))
    assert (list(keys), len(keys), keys == texts, keys != [*texts, "z"]) == (texts, len(texts), True, True)
    assert keys == Keys.of(texts) == pickle.loads(pickle.dumps(keys))
    assert keys != "".join(texts)
    for part in (slice(1, 3), slice(None, None, -1), slice(-2, None), slice(4, 1), slice(0, 9, 2)):
        assert list(keys[part]) == texts[part]
    for place in range(-len(texts), len(texts)):
        assert keys[place] == keys[np.int32(place)] == texts[place]
    for key in (*texts, "c", "zz", "\udcff"):
        assert (key in keys) == (key in texts)
        if key in texts:
            assert keys.index(key) == texts.index(key)
    with pytest.raises(IndexError):
        keys[len(texts)]
    with pytest.raises(ValueError, match="no key"):
        keys.index("c")
    number: object = 3
    assert number not in keys


def test_a_later_one_is_found_behind_a_place() -> None:
    assert Keys.of(MIXED).index("a", 2) == MIXED.index("a", 2)
    assert Keys.of(GROWING).index("d", -3) == GROWING.index("d", -3)


def test_a_part_is_sent_without_the_rest() -> None:
    keys = Keys.of([f"{number:06}" for number in range(10_000)])
    assert len(pickle.dumps(keys[5:9])) < 1_000
    assert repr(keys) == "['000000', '000001', '000002', ...]"
