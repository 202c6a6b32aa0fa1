"""Names that differ in one number only, n and n + 1, or in one letter, a and b, with no third: perhaps two eyes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from redweb_builder.inputs.formats.names import comparable

# A number behind a noun of cameras says more than the last number of a name: cam1_0007 cam2_0007.
_CAMERA = re.compile(r"(?i)(?:cam(?:era)?|infra(?:red)?|ir|image|img|view|eye|lens|sensor)[-_. ]?(\d{1,9})(?!\d)")
_LAST = re.compile(r"(\d{1,9})\D*$")
_FIRST = re.compile(r"^\D*(\d{1,9})(?!\d)")  # Basler_1_7 Basler_2_7
_BEFORE_A_COUNTER = re.compile(r"^\D*(\d)\D+\d{3,9}\D*$")  # Basler_1_0007 Basler_2_0007
# A letter apart from others, last or behind a noun of cameras: tree_a tree_b, 0017A 0017B, camA_0007 camB_0007.
_LAST_LETTER = re.compile(r"(?i)(?<![^\W\d_])([a-d])$")
_CAMERA_LETTER = re.compile(
    r"(?:[Cc]am(?:era)?|[Ll]ens|[Ee]ye|[Vv]iew|[Ss]ensor)(?:[-_. ]([a-dA-D])|([A-D]))(?![^\W\d_])"
)
# The first that gives a name one sibling counts: of 17A 17B 18A 18B the letter is the eye, of Basler_1_0007 to
# Basler_2_0008 the camera, since two moments of one camera agree as its two eyes do.
_PATTERNS = (_CAMERA, _CAMERA_LETTER, _LAST_LETTER, _BEFORE_A_COUNTER, _LAST, _FIRST)


@dataclass(frozen=True)
class Numbered:
    """A name of two siblings.

    name: without the number or letter. rest: with "#" for it, as names are compared. first: whether it is the lower of
    the two. marks: the two numbers, or letters, the lower first, as they are compared.
    """

    name: str
    rest: str
    first: bool
    marks: tuple[str, str]

    def without_number(self, stem: str) -> str:
        """The name of a file in a folder of this name without the folder's number, as names are compared.

        stem: the file's name without its extension. The number stands behind the folder's own noun
        (camera_5/0007_Camera_5.jpg), or last.
        """
        plain, mark = comparable(stem), self.marks[not self.first]
        noun = self.rest.partition("#")[0].rstrip("-_. ")
        match = re.search(rf"{re.escape(noun)}[-_. ]?0*({mark})(?![^\W_])", plain) if noun else None
        match = match or (_LAST if mark.isdigit() else _LAST_LETTER).search(plain)
        if match is None or match[1].lstrip("0") != mark.lstrip("0") or match.span() == (0, len(plain)):
            return plain
        return f"{plain[: match.start(1)]}#{plain[match.end(1) :]}"


Name = tuple[PurePath, str]  # a folder, and a name in it without extension


def numbered_siblings(names: Iterable[Name]) -> dict[Name, Numbered]:
    """Of every name that has exactly one sibling, one number or letter higher or lower: what it shares with it.

    names: of files without extension, or of folders.
    """
    listed = list(dict.fromkeys(names))
    siblings: dict[Name, Numbered] = {}
    for pattern in _PATTERNS:
        families: dict[tuple[PurePath, str], list[tuple[int, str, Name]]] = defaultdict(list)
        for folder, name in listed:
            match = None if (folder, name) in siblings else pattern.search(name)
            if match:
                start, end = match.span(match.lastindex or 1)
                family = folder, comparable(f"{name[:start]}#{name[end:]}")
                families[family].append((_place(name[start:end]), name[:start] + name[end:], (folder, name)))
        for (_, rest), members in families.items():
            numbers = {number for number, _, _ in members}
            if len(members) == 2 and max(numbers) == min(numbers) + 1:
                low = min(numbers)
                marks = (str(low), str(low + 1)) if pattern not in (_LAST_LETTER, _CAMERA_LETTER) else _letters(low)
                for number, plain, member in members:
                    siblings[member] = Numbered(plain, rest, number == low, marks)
    return siblings


def _place(mark: str) -> int:
    """A number, or the place of a letter in the alphabet."""
    return int(mark) if mark.isdigit() else ord(mark.lower()) - ord("a")


def _letters(low: int) -> tuple[str, str]:
    return chr(ord("a") + low), chr(ord("a") + low + 1)
