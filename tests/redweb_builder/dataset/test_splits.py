"""Which samples exports mark as held out: whole films, and those that training holds out."""

from __future__ import annotations

from typing import Any

import pytest

from redweb_builder.dataset.keys import Keys
from redweb_builder.dataset.manifest import table_of
from redweb_builder.dataset.splits import groups_of, split


def parts_of(rows: list[dict[str, Any]], turn: int = 1) -> dict[str, Keys]:
    keys = Keys.of([row["key"] for row in rows][::turn])
    return {part: keys.take(places) for part, places in split(table_of(rows), keys).items()}


FRAMES = [{"key": f"{film}-{at}", "left": film, "film_time_s": at / 2} for film in "abcdefgh" for at in range(20)]


def test_films_are_not_cut_apart_and_the_order_does_not_matter() -> None:
    parts = parts_of(FRAMES)
    films = {part: {key[0] for key in keys} for part, keys in parts.items()}
    assert len(films["validation"]) == 1
    assert films["train"].isdisjoint(films["validation"])
    assert {part: sorted(keys) for part, keys in parts_of(FRAMES, -1).items()} == {
        part: sorted(keys) for part, keys in parts.items()
    }
    alone = table_of([{"key": "x", "left": "a.jpg", "film_time_s": None}, {"key": "y", "film_time_s": 1.0}])
    assert groups_of(alone).to_pylist() == ["x", "y"]


@pytest.mark.parametrize("count", [1, 2, 40])
def test_every_sample_is_in_one_part_and_training_is_never_empty(count: int) -> None:
    rows = [{"key": str(number), "left": f"{number}.jpg"} for number in range(count)]
    parts = parts_of(rows)
    assert sorted(key for keys in parts.values() for key in keys) == sorted(row["key"] for row in rows)
    assert len(parts["train"]) == max(1, count - max(1, count // 10))
    assert ("validation" in parts) == (count > 1)
