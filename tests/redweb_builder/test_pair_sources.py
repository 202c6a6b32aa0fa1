"""Sources that are kept as columns come back as they were."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from redweb_builder.pair_sources import BLOCK, PairSources
from redweb_builder.types import PairSource

PHOTOGRAPH = PairSource(
    "b-1", Path("/in/left/caf\udce9.png"), Path("/in/right/1.png"), "files", "folders", guessed=True
)
FRAME = PairSource(
    "a-2",
    Path("trip.mp4"),
    Path("trip.mp4"),
    "side-by-side",
    "named -sbs; clip 1 at 0.500 s",
    right_first=True,
    order_stated=True,
    time=0.5,
    crops=((0, 1, 2, 3), (4, 5, 6, 7)),
    film_order=-0.25,
    offset=0.125,
    clip="trip c001",
    clip_frame=3,
    alignment=(1.0, 0.1, -2.5),
    order_prior=4.0,
    fov=75.0,
    calibration=(Path("/in/calib/cam0.yaml"), Path("/in/calib/cam1.yaml")),
)


def many(count: int) -> list[PairSource]:
    return [PairSource(f"{number:06d}", Path(f"/in/L/{number}"), Path("r"), "files", "") for number in range(count)]


def test_every_field_comes_back() -> None:
    for entry in fields(PairSource):  # one of another value than its default says that it is kept
        assert {getattr(PHOTOGRAPH, entry.name), getattr(FRAME, entry.name)} != {entry.default}
    sources = PairSources.of(iter([PHOTOGRAPH, FRAME]))
    assert [*sources] == [PHOTOGRAPH, FRAME] == [sources[0], sources[-1]]
    assert sources == [PHOTOGRAPH, FRAME]
    assert sources != [FRAME, PHOTOGRAPH]
    assert PairSources.of([]) == []


def test_some_of_them_in_any_order() -> None:
    given = many(2 * BLOCK + 5)
    sources = PairSources.of(given)
    assert (len(sources), sources[BLOCK + 1], sources[-1]) == (len(given), given[BLOCK + 1], given[-1])
    assert sources[BLOCK - 2 : BLOCK + 2] == given[BLOCK - 2 : BLOCK + 2]
    assert sources[::-500] == given[::-500]
    assert sources.take(np.array([BLOCK, 3])) == [given[BLOCK], given[3]]
    with pytest.raises(IndexError):
        sources[len(given)]


def test_sorted_by_key_and_asked_by_key() -> None:
    given = many(BLOCK + 7)
    sources = PairSources.of([*given[::-1], FRAME]).sorted_by_key()
    assert sources == [*given, FRAME]
    assert [*sources.all_keys()] == [source.key for source in (*given, FRAME)]
    assert sources.has_key("000003")
    assert sources.has_key(FRAME.key)
    assert not sources.has_key("3")
    assert not PairSources.of([]).has_key("3")


def test_a_pair_takes_little_memory() -> None:
    """An object takes 1 KiB; five million pairs are to fit a laptop."""
    assert PairSources.of(many(4096)).table.nbytes / 4096 < 200
