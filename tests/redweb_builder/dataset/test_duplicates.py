"""Duplicates among many pictures: the index finds what comparing every two would."""

from __future__ import annotations

import numpy as np
import pytest

from redweb_builder.dataset.duplicates import ALIKE, LARGER, Candidates, Hashes, find_duplicates, have_near, near_pairs


def some_hashes(generator: np.random.Generator, count: int, flips: int) -> Hashes:
    """Hashes around a few centres, each with up to `flips` bits turned over."""
    hashes = generator.integers(0, 2**64, 12, np.uint64)[generator.integers(0, 12, count)]
    for _ in range(flips):
        flipped = np.uint64(1) << generator.integers(0, 64, count, np.uint64)
        hashes ^= np.where(generator.random(count) < 0.6, flipped, np.uint64(0))
    return hashes


def one_by_one(candidates: Candidates, bits: float) -> list[tuple[int, int, int]]:
    """The rule as it reads: each picture against all that stay so far."""
    staying: list[int] = []
    found = []
    for index, sequence in enumerate(candidates.sequences):
        rivals = [other for other in staying if sequence is None or candidates.sequences[other] != sequence]
        distances = np.bitwise_count(candidates.hashes[rivals] ^ candidates.hashes[index])
        if not rivals or distances.min() > bits:
            staying.append(index)
            continue
        new, old = index, rivals[int(distances.argmin())]
        areas, qualities = candidates.areas, candidates.qualities
        if areas[new] >= LARGER * areas[old] > 0 and qualities[new] >= qualities[old] - ALIKE:
            staying[staying.index(old)] = new
            new, old = old, new
        found.append((new, old, int(distances.min())))
    return found


@pytest.mark.parametrize(("bits", "flips"), [(0, 1), (1, 2), (4, 3), (4, 0), (8, 5), (11, 7), (64, 9)])
def test_the_same_as_one_by_one(bits: int, flips: int) -> None:
    generator = np.random.default_rng(bits)
    clips = [None, None, "a", "b"]
    candidates = Candidates(
        some_hashes(generator, 300, flips),
        np.linspace(1, 0, 300),
        np.asarray(1000 * generator.integers(0, 4, 300), np.float64),
        [clips[number] for number in generator.integers(0, 4, 300)],
    )
    found = sorted(map(tuple, find_duplicates(candidates, bits).tolist()))
    assert found == sorted(one_by_one(candidates, bits))
    assert len(found) > 10


@pytest.mark.parametrize("sizes", [(640,), (640, 700), (640, 768), (0, 640)])
def test_copies_of_pictures_without_near_ones(sizes: tuple[int, ...]) -> None:
    """Most are told at once where no size differs much, by hand where one does."""
    generator = np.random.default_rng(3)
    hashes = generator.integers(0, 2**64, 30, np.uint64)[generator.integers(0, 30, 200)]
    areas = np.asarray(generator.choice(sizes, 200), np.float64)
    candidates = Candidates(hashes, np.linspace(1, 0.8, 200), areas, [None] * 198 + ["a", "a"])
    found = sorted(map(tuple, find_duplicates(candidates, 4).tolist()))
    assert found == sorted(one_by_one(candidates, 4))
    assert len(found) == 200 - len(np.unique(hashes))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_every_near_pair_is_found_once(bits: int) -> None:
    hashes = np.unique(some_hashes(np.random.default_rng(1), 400, bits))
    found = [pair for first, second, _ in near_pairs(hashes, bits) for pair in zip(first, second, strict=True)]
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None])
    assert len(found) == len({frozenset(pair) for pair in found}) == (np.triu(distances <= bits, 1)).sum() > 10


@pytest.mark.parametrize("bits", [0, 1, 4, 64])
def test_those_that_are_not_alone(bits: int) -> None:
    """Hashes that are there twice among them."""
    generator = np.random.default_rng(2)
    hashes = np.concatenate([some_hashes(generator, 200, 5), generator.integers(0, 2**64, 200, np.uint64)])
    distances = np.bitwise_count(hashes[:, None] ^ hashes[None]) + 99 * np.eye(len(hashes), dtype=np.uint8)
    near = (distances <= bits).any(axis=1)
    assert have_near(hashes, bits).tolist() == near.tolist()
    assert near.any()
    assert bits == 64 or not near.all()
