"""Files that a rule says the same of -> pairs. Of millions of files only numbers are in memory.

A rule is asked for a file whenever what it says is needed: that takes less than to keep it.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from redweb_builder.inputs.formats.eye_marks import LEFT, RIGHT, EyeMark, eye_marks
from redweb_builder.inputs.listing import Listing, Numbers


@dataclass(frozen=True)
class TwoFiles:
    """Two files that belong together.

    left, right: paths relative to the input folder. name: for the key, eye marks gone. rule: in words, what paired
    them. guessed: their names are not much of a reason, so the content should be asked.
    """

    left: PurePath
    right: PurePath
    name: str
    rule: str
    guessed: bool = False


@dataclass(frozen=True)
class Unpaired:
    """A file that a name rule explains but that makes no pair.

    file: relative to the input folder. reason: a short code. detail: a sentence for people.
    """

    file: PurePath
    reason: str
    detail: str


class File(NamedTuple):
    """A file by the parts of its path that rules ask for.

    number: in its listing. path: below the input folder. place: the folder that it lies in, as text. stem: its name
    without extension.
    """

    number: int
    path: str
    place: str
    stem: str

    @classmethod
    def of(cls, number: int, path: str) -> File:
        """number, path: as of the fields; folders are parted by "/"."""
        place, _, name = path.rpartition("/")
        dot = name.rfind(".")
        return cls(number, path, place or ".", name[:dot] if 0 < dot < len(name) - 1 else name)

    @property
    def folder(self) -> PurePath:
        """The folder that it lies in, relative to the input folder."""
        return _folder(self.place)

    @property
    def extension(self) -> str:
        """Lower case, with its dot; empty where there is none."""
        return self.path.rpartition("/")[2][len(self.stem) :].lower()

    @property
    def marks(self) -> Sequence[EyeMark]:
        """The eyes that its name speaks of, the plainest first."""
        return eye_marks(self.stem)


@lru_cache(maxsize=1024)
def _folder(place: str) -> PurePath:
    return PurePath(place)


class Files:
    """The files of a listing by their numbers. Each is made when it is asked for."""

    def __init__(self, listing: Listing) -> None:
        """listing: relative to the input folder."""
        self.listing = listing

    def __len__(self) -> int:
        """Number of files."""
        return len(self.listing)

    def __getitem__(self, number: int) -> File:
        """A file. number: its index, from 0."""
        return File.of(number, self.listing.name(number))

    def of(self, numbers: Numbers) -> Iterator[File]:
        """Some files. numbers: their indices, ascending."""
        return map(File.of, map(int, numbers), self.listing.take(numbers).names())

    def folders_of(self, numbers: Numbers) -> set[PurePath]:
        """The folders that some files lie in. numbers: as of `of`."""
        return {*map(PurePath, {name.rpartition("/")[0] for name in self.listing.take(numbers).names()})}


@dataclass(frozen=True)
class Claim:
    """What one rule says of one file: files of equal `group` and different `eye` are the two of a pair.

    exact: the group with names as they are written; it decides where names differ in case only. strong: the file
    belongs to that eye even where there is no partner. name, rule, guessed: see TwoFiles.
    """

    group: tuple[str, ...]
    exact: tuple[str, ...]
    eye: str
    name: str
    rule: str
    strong: bool
    guessed: bool = False


Rule: TypeAlias = Callable[[File], Claim | None]  # it says the same of a file whenever it is asked
Member: TypeAlias = tuple[File, Claim]


class Pairs(Sequence[TwoFiles]):
    """Pairs, each by the numbers of its files and the rule that made it, which is asked for its words again."""

    def __init__(self, files: Files) -> None:
        """None yet. files: that they are of."""
        self._files = files
        self._left, self._right, self._claimed, self._by = array("q"), array("q"), array("q"), array("q")
        self._rules: list[Rule] = []

    def add(self, left: int, right: int, claimed: int, rule: Rule) -> None:
        """left, right: numbers of the files. claimed: the one whose claim by the rule names the pair."""
        if not self._rules or self._rules[-1] is not rule:
            self._rules.append(rule)
        for numbers, number in ((self._left, left), (self._right, right), (self._claimed, claimed)):
            numbers.append(number)
        self._by.append(len(self._rules) - 1)

    def by(self, rule: Rule) -> Iterator[tuple[File, File]]:
        """The two files of each pair that a rule made. rule: which."""
        for left, right, by in zip(self._left, self._right, self._by, strict=True):
            if self._rules[by] is rule:
                yield self._files[left], self._files[right]

    def lefts(self) -> Iterator[PurePath]:
        """The left file of each pair."""
        return map(self._files.listing.__getitem__, self._left)

    def where(self, is_wanted: NDArray[np.bool_]) -> Pairs:
        """Some of the pairs. is_wanted: of each."""
        pairs = Pairs(self._files)
        for place in np.flatnonzero(is_wanted).tolist():
            pairs.add(self._left[place], self._right[place], self._claimed[place], self._rules[self._by[place]])
        return pairs

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self._left)

    @overload
    def __getitem__(self, which: int) -> TwoFiles: ...
    @overload
    def __getitem__(self, which: slice) -> list[TwoFiles]: ...
    def __getitem__(self, which: int | slice) -> TwoFiles | list[TwoFiles]:
        """A pair, or the pairs of a slice. which: from 0. Raises IndexError."""
        if isinstance(which, slice):
            return [self[place] for place in range(len(self))[which]]
        left, right = (self._files.listing[numbers[which]] for numbers in (self._left, self._right))
        claim = self._rules[self._by[which]](self._files[self._claimed[which]])
        assert claim is not None  # it made this pair
        return TwoFiles(left, right, claim.name, claim.rule, claim.guessed)


def groups_of(files: Files, numbers: Numbers, rule: Rule) -> Iterator[list[Member]]:
    """The files of which a rule claims one group, where they are two or more; groups in the order of their first files.

    files, numbers: which files, ascending. In memory is a hash of each file's group: files are sorted by it.
    """
    claimed, hashes = array("q"), array("q")
    for file in files.of(numbers):
        claim = rule(file)
        if claim is not None:
            claimed.append(file.number)
            hashes.append(hash(claim.group))
    ordered = np.argsort(np.array(hashes, np.int64), kind="stable")
    of_group = np.array(hashes, np.int64)[ordered]
    by_group = np.array(claimed, np.int64)[ordered]
    starts = np.flatnonzero(np.diff(of_group, prepend=of_group[:1] - 1))
    lengths = np.diff(starts, append=len(of_group))
    several = np.flatnonzero(lengths > 1)
    for run in several[np.argsort(by_group[starts[several]])]:
        alike: dict[tuple[str, ...], list[Member]] = defaultdict(list)  # two groups may have one hash
        for number in by_group[starts[run] : starts[run] + lengths[run]].tolist():
            file = files[number]
            claim = rule(file)
            assert claim is not None
            alike[claim.group].append((file, claim))
        yield from (members for members in alike.values() if len(members) > 1)


def pair_group(members: list[Member], rule: Rule, pairs: Pairs, unpaired: list[Unpaired]) -> Iterator[int]:
    """Pair the files of one group: equal names and extensions first, then what is left where it is one of each eye.

    members: the files, each with what `rule` claims of it. pairs, unpaired: get the pairs, and files that cannot be
    decided on. Yields the numbers of the files that are paired or left out.
    """
    steps: tuple[Callable[[Member], object], ...] = (
        lambda member: (member[1].exact, member[0].extension),
        lambda member: member[0].extension,
        lambda member: None,
    )
    for alike in steps:
        together: dict[object, list[Member]] = defaultdict(list)
        for member in members:
            together[alike(member)].append(member)
        members = []
        for group in together.values():
            left, right = ([file for file, claim in group if claim.eye == eye] for eye in (LEFT, RIGHT))
            if len(left) == len(right) == 1:
                pairs.add(left[0].number, right[0].number, group[0][0].number, rule)
            elif left and right and alike is not steps[-1]:
                detail = f"{group[0][1].rule}: several files for one eye"
                unpaired += [Unpaired(PurePath(file.path), "ambiguous", detail) for file in (*left, *right)]
            else:
                members += group
                continue
            yield from (file.number for file in (*left, *right))
        if len(members) < 2:
            break
