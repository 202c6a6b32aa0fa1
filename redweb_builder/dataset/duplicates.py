"""Which of many pictures look alike, by their perceptual hashes, and which of them stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, combinations, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder.process import available_cores

LARGER = 1.2  # times the px of the other: below, pictures count as equal in size
ALIKE = 0.1  # of quality, in [0, 1]: labels that differ by less count as equally good
HASH_BITS = 64
MOST_BANDED = 8  # bits; beyond, bands are too narrow to sort by, and every two hashes are compared
BLOCK = 1 << 16  # hashes worked on at a time, so that they stay in the processor's cache
SIDE_BY_SIDE = 4  # places; to look at all hashes up to here takes less time than to gather those that matter
THREADS = 4  # at most; each holds some 100 bytes a hash

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]
Near = list[tuple[int, int]]
Band = tuple[int, int]  # of bits: the first one, and that after the last


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
    ordered = np.sort(hashes)
    are_new = np.diff(ordered, prepend=~ordered[:1]) != 0  # sorting places, as np.unique does for them, takes longer
    different = ordered[are_new]
    near = [ordered[~are_new]]
    for first, second, _ in near_pairs(different, bits):
        near += [different[first], different[second]]
    return np.asarray(pc.is_in(pa.array(hashes), pa.array(np.concatenate(near))))


def find_duplicates(candidates: Candidates, bits: float) -> Places:
    """Every picture that looks like a better one.

    candidates: the pictures. bits: the most in which the hashes of two duplicates differ. Of two the earlier one stays,
    or the larger picture where their labels are alike, since a small copy is easier to match. Frames of one sequence
    are no duplicates of each other. Returns Mx3: a duplicate, the picture that stays, and the bits in which they
    differ.
    """
    hashes, first_of, numbers = np.unique(candidates.hashes, return_index=True, return_inverse=True)
    near = [[(number, 0)] for number in range(len(hashes))]  # of each hash: (itself or another, bits that differ)
    for first, second, distances in near_pairs(hashes, bits):
        for a, b, distance in zip(first.tolist(), second.tolist(), distances.tolist(), strict=True):
            near[a].append((b, distance))
            near[b].append((a, distance))
    is_simple = _first_stays(candidates, numbers, near)
    places = np.arange(len(numbers))
    copies = places[is_simple[numbers] & (first_of[numbers] != places)]
    simple = np.stack([copies, first_of[numbers[copies]], np.zeros_like(copies)], axis=1)
    others = _one_after_the_other(candidates, numbers, places[~is_simple[numbers]], near)
    return np.concatenate([simple, np.array(others, np.int64).reshape(-1, 3)])


def _first_stays(candidates: Candidates, numbers: Places, near: Sequence[Near]) -> NDArray[np.bool_]:
    """Of which hashes the first picture stays and the others are its duplicates: most, and soon told.

    No other hash is near, no picture is of a sequence, and none is clearly larger than another.
    """
    smallest, largest = np.full(len(near), np.inf), np.zeros(len(near))
    np.minimum.at(smallest, numbers, candidates.areas)
    np.maximum.at(largest, numbers, candidates.areas)
    are_simple: NDArray[np.bool_] = largest < LARGER * smallest
    are_simple &= np.array([len(others) == 1 for others in near], bool)
    are_simple[numbers[[sequence is not None for sequence in candidates.sequences]]] = False
    return are_simple


def _one_after_the_other(
    candidates: Candidates, numbers: Places, places: Places, near: Sequence[Near]
) -> list[tuple[int, int, int]]:
    """find_duplicates among the pictures at some places. numbers: of the hash of each picture."""
    sequences, qualities, areas = candidates.sequences, candidates.qualities, candidates.areas
    staying: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)  # by hash: (turn in which it came, picture)
    found: list[tuple[int, int, int]] = []
    for index, number in zip(places.tolist(), numbers[places].tolist(), strict=True):
        sequence = sequences[index]
        rivals = [
            (distance, turn, other, at)
            for at, distance in near[number]
            for turn, other in staying[at]
            if sequence is None or sequences[other] != sequence
        ]
        if not rivals:
            staying[number].append((index, index))
            continue
        distance, turn, twin, at = min(rivals)
        if areas[index] >= LARGER * areas[twin] > 0 and qualities[index] >= qualities[twin] - ALIKE:
            staying[at].remove((turn, twin))
            staying[number].append((turn, index))
            index, twin = twin, index
        found.append((index, twin, distance))
    return found


def near_pairs(hashes: Hashes, bits: float) -> Iterator[tuple[Places, Places, NDArray[np.uint8]]]:
    """Pairs of hashes that differ in at most so many bits, each once: places of both, and the bits.

    hashes: N, growing, no two the same. bits: such as 4. The bits of a hash are cut into bits + 2 bands. Two hashes
    that differ in at most `bits` bits have two bands in common, so that only those with a pair of equal bands are
    compared.
    """
    if bits < 1:
        return
    if bits > MOST_BANDED:
        two_bands: list[Sequence[Band]] = [()]
    else:
        edges = np.linspace(0, HASH_BITS, int(bits) + 3).astype(int).tolist()
        two_bands = list(combinations(pairwise(edges), 2))
    masks = [np.uint64(sum((1 << high) - (1 << low) for low, high in bands)) for bands in two_bands]

    def near_by(number: int) -> list[tuple[Places, Places, NDArray[np.uint8]]]:
        pairs = []
        for first, second in _near_in_bands(hashes, two_bands[number], bits):
            difference = first ^ second
            is_new = np.ones(len(difference), bool)
            for earlier in masks[:number]:  # by which the pair was found already
                is_new &= (difference & earlier) != 0
            places = (np.searchsorted(hashes, values[is_new]) for values in (first, second))
            pairs.append((*places, np.bitwise_count(difference[is_new])))
        return pairs

    with ThreadPoolExecutor(min(available_cores(), THREADS)) as pool:
        for pairs in pool.map(near_by, range(len(two_bands))):
            yield from pairs


def _near_in_bands(hashes: Hashes, bands: Sequence[Band], bits: float) -> Iterator[tuple[Hashes, Hashes]]:
    """The near ones among every two hashes that are equal in some bands.

    With the bits of these bands first, hashes are sorted as numbers, a tenth of the time of sorting places, and what is
    compared lies side by side: neighbours first, then those two apart, and on; beyond SIDE_BY_SIDE, where few are left
    that are equal in the bands, these alone.
    """
    edges = [0, *chain(*sorted(bands)), HASH_BITS]
    between = [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high]
    order = [*bands, *between]
    ordered = np.sort(_with_bands_in_order(hashes, order))
    back = _places_of(order)
    alike = np.uint64((1 << HASH_BITS - sum(high - low for low, high in bands)) - 1)  # at most, where bands are equal
    for start in range(0, len(ordered) - 1, BLOCK):
        block = ordered[start : start + BLOCK]
        for apart in range(1, SIDE_BY_SIDE + 1):
            others = ordered[start + apart : start + apart + BLOCK]
            difference = block[: len(others)] ^ others
            near = np.flatnonzero(np.bitwise_count(difference) <= bits)
            near = near[difference[near] <= alike]
            if len(near):
                yield _with_bands_in_order(block[near], back), _with_bands_in_order(others[near], back)
        at = start + np.flatnonzero(difference <= alike)
        while len(at):
            apart += 1
            at = at[: np.searchsorted(at, len(ordered) - apart)]
            difference = ordered[at] ^ ordered[at + apart]
            at, difference = at[difference <= alike], difference[difference <= alike]
            near = at[np.bitwise_count(difference) <= bits]
            if len(near):
                yield _with_bands_in_order(ordered[near], back), _with_bands_in_order(ordered[near + apart], back)


def _with_bands_in_order(hashes: Hashes, order: Sequence[Band]) -> Hashes:
    """Hashes with their bits moved: those of the first band become the highest ones, and so on. order: of all bits."""
    moved = np.zeros(len(hashes), np.uint64)
    for start in range(0, len(hashes), BLOCK):
        before, after = hashes[start : start + BLOCK], moved[start : start + BLOCK]
        place = HASH_BITS
        for low, high in order:
            place -= high - low
            bits = before & np.uint64((1 << high) - (1 << low))
            after |= bits << np.uint64(place - low) if place > low else bits >> np.uint64(low - place)
    return moved


def _places_of(order: Sequence[Band]) -> list[Band]:
    """The order that puts bands back which were put into an order: where each lies now, from the highest one down."""
    low, places = HASH_BITS, {}
    for band in order:
        low -= band[1] - band[0]
        places[band] = (low, low + band[1] - band[0])
    return [places[band] for band in sorted(order, reverse=True)]
