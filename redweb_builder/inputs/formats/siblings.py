"""Names that differ in one number only, n and n + 1, with no third beside them: perhaps the two eyes of a camera."""

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
_FIRST = re.compile(r"^\D*(\d{1,9})(?!\d)")  # Basler_1_0007 Basler_2_0007


@dataclass(frozen=True)
class Numbered:
    """A name of two siblings.

    name: without the number. rest: with "#" for it, as names are compared. number: its own. lower: that of the lower.
    """

    name: str
    rest: str
    number: int
    lower: int

    def without_number(self, stem: str) -> str:
        """The name of a file in a folder of this name without the folder's number, as names are compared.

        stem: the file's name without its extension. The number stands behind the folder's own noun
        (camera_5/0007_Camera_5.jpg), or last.
        """
        plain = comparable(stem)
        noun = self.rest.partition("#")[0].rstrip("-_. ")
        match = re.search(rf"{re.escape(noun)}[-_. ]?0*({self.number})(?!\d)", plain) if noun else None
        match = match or _LAST.search(plain)
        if match is None or int(match[1]) != self.number or match.span() == (0, len(plain)):
            return plain
        return f"{plain[: match.start(1)]}#{plain[match.end(1) :]}"


Name = tuple[PurePath, str]  # a folder, and a name in it without extension


def numbered_siblings(names: Iterable[Name]) -> dict[Name, Numbered]:
    """Of every name that has exactly one sibling, n + 1 or n - 1: what it shares with it.

    names: of files without extension, or of folders.
    """
    listed = list(dict.fromkeys(names))
    siblings: dict[Name, Numbered] = {}
    for pattern in (_CAMERA, _LAST, _FIRST):
        families: dict[tuple[PurePath, str], list[tuple[int, str, Name]]] = defaultdict(list)
        for folder, name in listed:
            match = None if (folder, name) in siblings else pattern.search(name)
            if match:
                before, behind = name[: match.start(1)], name[match.end(1) :]
                family = folder, comparable(f"{before}#{behind}")
                families[family].append((int(match[1]), before + behind, (folder, name)))
        for (_, rest), members in families.items():
            numbers = {number for number, _, _ in members}
            if len(members) == 2 and max(numbers) == min(numbers) + 1:
                for number, plain, member in members:
                    siblings[member] = Numbered(plain, rest, number, min(numbers))
    return siblings
