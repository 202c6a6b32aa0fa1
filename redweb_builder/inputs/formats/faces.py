"""Left and right that are directions: the faces of a cube map, and cameras that look around."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from redweb_builder.inputs.formats.names import comparable

_DIRECTIONS = re.compile(r"(?i)(?<![^\W\d_])(front|back|rear|top|bottom|up|down|left|right)(?![^\W\d_])")
_LETTERS = re.compile(r"(?i)(?<![^\W\d_])([fbudlr])$")
_BESIDES_EYES = re.compile(r"(?i)(?<![^\W\d_])(front|back|rear|top|bottom|up|down|[fbud]$)(?![^\W\d_])")
_FRONT = ("front", "f")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")  # where a word begins: SkyboxLeft, SkyboxUp
# Cameras around a car: CAM_FRONT_LEFT, CAM_FRONT_RIGHT, CAM_BACK_LEFT, CAM_BACK_RIGHT; ring_side_left, SIDE_RIGHT.
_CORNER = re.compile(r"(?i)(?<![^\W\d_])(front|side|back|rear)([-_. ])(left|right)(?![^\W\d_])")

Name = tuple[PurePath, str]  # a folder, and a name in it without extension


@dataclass(frozen=True)
class Directions:
    """Names that are directions, not eyes.

    aside: those that look elsewhere. fronts: those that look ahead, which may be eyes of a rig of two such cameras.
    """

    aside: frozenset[Name] = frozenset()
    fronts: frozenset[Name] = frozenset()

    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.aside or self.fronts)


def looks_elsewhere(name: str) -> bool:
    """Whether a name has the word or letter of a direction that is no eye. name: of a file or folder."""
    return _BESIDES_EYES.search(_CAMEL.sub("_", name)) is not None


def directions_in(names: Iterable[Name]) -> Directions:
    """The names that are directions: left and right beside front or rear, or beside two of back, top and bottom.

    names: of files or of folders. Letters (f b l r u d) count where both opposites are there.
    """
    listed = [(folder, name, _CAMEL.sub("_", name)) for folder, name in names]
    if not any(_BESIDES_EYES.search(words) for _, _, words in listed):
        return Directions()
    corners: dict[tuple[PurePath, str], dict[str, list[Name]]] = defaultdict(lambda: defaultdict(list))
    around: dict[tuple[PurePath, str, bool], dict[str, list[Name]]] = defaultdict(lambda: defaultdict(list))
    for folder, name, words in listed:
        corner = _CORNER.search(words)
        if corner:
            rest = comparable(f"{words[: corner.start()]}*{words[corner.end() :]}")
            corners[folder, rest][corner[1].lower()].append((folder, name))
        for pattern in (_DIRECTIONS, _LETTERS):
            for match in pattern.finditer(words):
                rest = comparable(f"{words[: match.start()]}*{words[match.end() :]}")
                around[folder, rest, pattern is _LETTERS][match[1].lower()].append((folder, name))
    faces = [
        (direction, member)
        for (_, _, letters), members in around.items()
        if (_looks_around_by_letter(members) if letters else _looks_around(members))
        for direction, alike in members.items()  # of "Left" and "left" both
        for member in alike
    ]
    fronts = frozenset(member for direction, member in faces if direction in _FRONT)
    around_a_car = (members for members in corners.values() if len(members) > 1)
    others = {member for direction, member in faces if direction not in _FRONT}
    return Directions(
        frozenset(others.union(*(names for members in around_a_car for names in members.values()))), fronts
    )


def _looks_around(directions: Iterable[str]) -> bool:
    others = set(directions) - {"left", "right"}
    return {"left", "right"} <= set(directions) and (not others.isdisjoint({"front", "rear"}) or len(others) >= 2)


def _looks_around_by_letter(letters: Iterable[str]) -> bool:
    return {"l", "r"} <= set(letters) and ({"f", "b"} <= set(letters) or {"u", "d"} <= set(letters))
