"""The names of files, in order, and no object a file."""

from __future__ import annotations

import tracemalloc
from array import array
from pathlib import PurePath

import numpy as np
import pytest

from redweb_builder.inputs.formats.folders import pair_files
from redweb_builder.inputs.listing import BLOCK, Listing

NAMES = ("b/x.png", "a-b/c.png", "a/b.png", "a.png", "a/b.png.d/x", "caf\udce9/q.png", "é.png", "a/B.png", "z")


def test_files_are_sorted_as_paths_are() -> None:
    listing = Listing.of(NAMES, array("q", range(len(NAMES))))
    paths = sorted(map(PurePath, NAMES))
    assert [*listing] == paths == [listing[number] for number in range(len(paths))]
    assert [*listing.names()] == [path.as_posix() for path in paths]
    assert [listing.size(PurePath(name)) for name in NAMES] == [*range(len(NAMES))]
    assert listing.size(PurePath("a/b")) is None
    assert Listing.of(NAMES).size(PurePath("z")) is None
    assert (len(Listing.of(())), listing[-1]) == (0, paths[-1])
    with pytest.raises(IndexError):
        listing[len(NAMES)]


def test_some_of_the_files_keep_their_sizes() -> None:
    listing = Listing.of(NAMES, array("q", range(len(NAMES))))
    some = listing[1:4]
    assert [*some] == [*listing][1:4]
    assert [some.size(file) for file in some] == [listing.size(file) for file in some]
    assert [*listing.take(np.array([0, 2]))] == [listing[0], listing[2]]


def test_what_lies_below_a_folder() -> None:
    listing = Listing.of(NAMES)
    for folder in ("a", "a/b.png.d", "b", "none"):
        below = [listing[number] for number in listing.below(PurePath(folder))]
        assert below == [path for path in listing if path.is_relative_to(folder)]
    assert len(listing.below(PurePath())) == len(NAMES)


def test_pairing_makes_no_object_for_every_file() -> None:
    """Objects took 1 KiB a file; what may grow with the list is a few numbers a file."""
    count = 2 * BLOCK
    listing = Listing.of(f"{number // 1000}/{eye}/{number:08d}.jpg" for number in range(count // 2) for eye in "LR")
    tracemalloc.start()
    try:
        pairs, unpaired, rest = pair_files(listing)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(pairs), unpaired, len(rest)) == (count // 2, [], 0)
    assert (pairs[7].left, pairs[7].right) == (PurePath("0/L/00000007.jpg"), PurePath("0/R/00000007.jpg"))
    assert peak / count < 250
