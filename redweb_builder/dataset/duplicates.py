"""Which of many pictures look alike, by their perceptual hashes, and which of them stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from redweb_builder.process import available_cores

LARGER = 1.2  # times the px of the other: below, pictures count as equal in size
ALIKE = 0.1  # of quality, in [0, 1]: labels that differ by less count as equally good
HASH_BITS = 64
FEWEST_BITS = 2  # for which hashes are cut into bands, so that two bands have at most 32 bits
MOST_BANDED = 8  # bits; beyond, bands are too narrow to sort by, and every two hashes are compared
PAIRS = 1 << 22  # compared at a time
THREADS = 4  # at most; each holds some 100 bytes a hash

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Pictures that may be duplicates of each other, from the best label to the worst.

    hashes: N 64-bit perceptual hashes (imagehash.phash). qualities: N, in [0, 1]. areas: N, px. sequences: N, the
    sequence of frames (clips.py) that a picture is of, None for others.
    """

    hashes: Hashes
    qualities: NDArray[np.float64]
    areas: NDArray[np.float64]
    sequences: Sequence[str | None]


def have_near(hashes: Hashes, bits: float) -> NDArray[np.bool_]:
    """Where a hash is not the only one of its kind: another is equal, or differs in at most so many bits.

    hashes: N. bits: such as 4.
    """
    different, numbers, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    near = counts > 1
    for first, second, _ in near_pairs(different, bits):
        near[first] = near[second] = True
    return near[numbers]


def find_duplicates(candidates: Candidates, bits: float) -> list[tuple[int, int, int]]:
    """(duplicate, the picture that stays, bits in which they differ) of every picture that looks like a better one.

    candidates: the pictures. bits: the most in which the hashes of two duplicates differ. Of two the earlier one stays,
    or the larger picture where their labels are alike, since a small copy is easier to match. Frames of one sequence
    are no duplicates of each other.
    """
    hashes, numbers = np.unique(candidates.hashes, return_inverse=True)
    near: dict[int, list[tuple[int, int]]] = {}  # of a hash: (another one, bits in which it differs)
    for first, second, distances in near_pairs(hashes, bits):
        for a, b, distance in zip(first.tolist(), second.tolist(), distances.tolist(), strict=True):
            near.setdefault(a, []).append((b, distance))
            near.setdefault(b, []).append((a, distance))
    staying: dict[int, list[tuple[int, int]]] = {}  # by hash: (turn in which it came, picture)
    found: list[tuple[int, int, int]] = []
    for index, number in enumerate(numbers.tolist()):
        sequence = candidates.sequences[index]
        rivals = [
            (distance, turn, other, at)
            for at, distance in ((number, 0), *near.get(number, ()))
            for turn, other in staying.get(at, ())
            if sequence is None or candidates.sequences[other] != sequence
        ]
        if not rivals:
            staying.setdefault(number, []).append((index, index))
            continue
        distance, turn, twin, at = min(rivals)
        if _is_larger_and_alike(candidates, index, twin):
            staying[at].remove((turn, twin))
            staying.setdefault(number, []).append((turn, index))
            index, twin = twin, index
        found.append((index, twin, distance))
    return found


def _is_larger_and_alike(candidates: Candidates, index: int, other: int) -> bool:
    """Whether a picture is clearly larger than another, and its label hardly worse."""
    areas, qualities = candidates.areas, candidates.qualities
    return bool(areas[index] >= LARGER * areas[other] > 0 and qualities[index] >= qualities[other] - ALIKE)


def near_pairs(hashes: Hashes, bits: float) -> Iterator[tuple[Places, Places, NDArray[np.uint8]]]:
    """Pairs of different hashes that differ in at most so many bits, each once: places of both, and the bits.

    hashes: N, no two the same. bits: such as 4. The bits of a hash are cut into bits + 2 bands. Two hashes that differ
    in at most `bits` bits have two bands in common, so that only those with a pair of equal bands are compared.
    """
    if bits < 1:
        return
    if bits > MOST_BANDED:
        order = np.arange(len(hashes))
        for first, second, difference in _near_in_runs(hashes, order, np.zeros(len(hashes), np.uint64), bits):
            yield first, second, np.bitwise_count(difference)
        return
    edges = np.linspace(0, HASH_BITS, max(int(bits), FEWEST_BITS) + 3).astype(int).tolist()
    two_bands = list(combinations(pairwise(edges), 2))
    masks = [np.uint64(sum((1 << high) - (1 << low) for low, high in bands)) for bands in two_bands]

    def near_by(number: int) -> list[tuple[Places, Places, NDArray[np.uint8]]]:
        pairs = []
        for first, second, difference in _near_in_runs(hashes, *_sorted_by(hashes, two_bands[number]), bits):
            is_new = np.ones(len(difference), bool)
            for earlier in masks[:number]:  # by which the pair was found already
                is_new &= (difference & earlier) != 0
            pairs.append((first[is_new], second[is_new], np.bitwise_count(difference[is_new])))
        return pairs

    with ThreadPoolExecutor(min(available_cores(), THREADS)) as pool:
        for pairs in pool.map(near_by, range(len(two_bands))):
            yield from pairs


def _sorted_by(hashes: Hashes, bands: Sequence[tuple[int, int]]) -> tuple[Places, Hashes]:
    """The places of hashes in the order of two of their bands, and these bands, in that order.

    bands: the first bit of each, and the one after its last. Sorting numbers that hold bands and place takes a fifth of
    the time of sorting places.
    """
    (low, high), (other_low, other_high) = bands
    narrow, other = np.uint64((1 << high - low) - 1), np.uint64((1 << other_high - other_low) - 1)
    both = (hashes >> np.uint64(low) & narrow) << np.uint64(other_high - other_low)
    both |= hashes >> np.uint64(other_low) & other
    place_bits = np.uint64(32)
    packed = np.sort(both << place_bits | np.arange(len(hashes), dtype=np.uint64))
    return (packed & np.uint64(0xFFFFFFFF)).astype(np.int64), packed >> place_bits


def _near_in_runs(hashes: Hashes, order: Places, bands: Hashes, bits: float) -> Iterator[tuple[Places, Places, Hashes]]:
    """The near ones among every two hashes with equal bands: places of both, and their difference.

    order: of the hashes, by bands. bands: in that order. Neighbours come first, then those two apart, and on.
    """
    at, apart = np.arange(len(order)), 1
    while len(at := at[: np.searchsorted(at, len(order) - apart)]):
        at = at[bands[at] == bands[at + apart]]
        for start in range(0, len(at), PAIRS):
            part = at[start : start + PAIRS]
            first, second = order[part], order[part + apart]
            difference = hashes[first] ^ hashes[second]
            near = np.flatnonzero(np.bitwise_count(difference) <= bits)
            yield first[near], second[near], difference[near]
        apart += 1
