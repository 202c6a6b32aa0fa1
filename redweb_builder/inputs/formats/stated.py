"""Pairs that a person states: two patterns with named fields, a list in a file, or time stamps that lie close."""

from __future__ import annotations

import csv
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path, PurePath

from redweb_builder.errors import SettingsError
from redweb_builder.files import open_text
from redweb_builder.inputs.formats.names import comparable

TIME = "time"  # the field of a pattern that is compared as a time where a tolerance is given

_SPECIAL = re.compile(r"\{([^{}]*)\}|\*\*/|\*\*|\*|\?")
_STAMP = re.compile(r"(\d+)[._](\d{1,9})|(\d+)")
_UNITS = ((18, 1e-9), (15, 1e-6), (12, 1e-3), (0, 1.0))  # digits from which a stamp since 1970 is in such parts of a s


@dataclass(frozen=True)
class ListedPair:
    """A line of a list of pairs. left, right: relative to the input folder. key: a name for it; may be empty."""

    left: PurePath
    right: PurePath
    key: str
    line: int


def pattern_of(text: str) -> re.Pattern[str]:
    """A pattern of --pair as a regular expression over a path with "/", below the input folder.

    text: as a shell's: * and ? within a name, ** over folders; and {name}, a field, which stands for a part of a name.
    Raises SettingsError for a field that has no plain name.
    """
    parts: list[str] = []
    at = 0
    fields: set[str] = set()
    for match in _SPECIAL.finditer(text):
        parts.append(re.escape(comparable(text[at : match.start()])))
        at = match.end()
        field = match[1]
        if field is None:
            parts.append({"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}[match[0]])
        elif not re.fullmatch(r"[A-Za-z]\w*", field):
            raise SettingsError(f"--pair {text!r}: {{{field}}} is no field; name it by letters, as {{n}} or {{time}}")
        else:
            parts.append(f"(?P={field})" if field in fields else f"(?P<{field}>[^/]+)")
            fields.add(field)
    parts.append(re.escape(comparable(text[at:])))
    return re.compile("".join(parts))


def pair_by_patterns(
    files: Iterable[PurePath], patterns: tuple[str, str], tolerance: float | None = None
) -> tuple[list[tuple[PurePath, PurePath]], dict[PurePath, str]]:
    """Pair files whose paths match the two patterns with equal fields.

    files: relative to the input folder. patterns: of the left and the right eye (pattern_of). tolerance: s; where it
    is given, the field "time" need not be equal but nearest, and no further apart.
    Returns the pairs, and of every other file why it is in none. Raises SettingsError where the patterns have no field
    in common.
    """
    left, right = map(pattern_of, patterns)
    shared = sorted(set(left.groupindex) & set(right.groupindex))
    if not shared:
        raise SettingsError(
            f"--pair {patterns[0]!r} {patterns[1]!r}: no field in common; write what is equal in both as {{n}}"
        )
    by_time = tolerance is not None
    if by_time and TIME not in shared:
        raise SettingsError(
            f"--pair {patterns[0]!r} {patterns[1]!r}: --time-tolerance needs the field {{time}} in both"
        )
    equal = [field for field in shared if not (by_time and field == TIME)]
    groups: dict[tuple[str, ...], tuple[list[_Timed], list[_Timed]]] = defaultdict(lambda: ([], []))
    why: dict[PurePath, str] = {}
    for file in files:
        path = comparable(file.as_posix())
        why[file] = "matches neither pattern of --pair"
        for eye, pattern in enumerate((left, right)):
            match = pattern.fullmatch(path)
            time = seconds_of(match[TIME]) if match and by_time else 0.0
            if match and isnan(time):
                why[file] = f"matches a pattern of --pair, but {match[TIME]!r} is no time stamp"
            elif match:
                groups[tuple(match[field] for field in equal)][eye].append((time, file))
                why[file] = "matches a pattern of --pair, but there is no file for the other eye"
    pairs: list[tuple[PurePath, PurePath]] = []
    for lefts, rights in groups.values():
        if by_time:
            nearest = nearest_pairs(lefts, rights, tolerance or 0.0)
        elif len(lefts) == len(rights) == 1:
            nearest = [(lefts[0][1], rights[0][1])]
        elif lefts and rights:
            nearest = []
            why |= {file: "several files match --pair with equal fields" for _, file in (*lefts, *rights)}
        else:
            continue
        for left_file, right_file in nearest:
            if left_file == right_file:
                why[left_file] = "matches both patterns of --pair, and no other file is its other eye"
            else:
                pairs.append((left_file, right_file))
    for file in (file for pair in pairs for file in pair):
        why.pop(file, None)
    return pairs, why


_Timed = tuple[float, PurePath]


def nearest_pairs(
    lefts: Sequence[_Timed], rights: Sequence[_Timed], tolerance: float
) -> list[tuple[PurePath, PurePath]]:
    """Two files each whose times are nearest to each other.

    lefts, rights: (time in s, file) of each eye. tolerance: s, the most apart.
    """
    lefts, rights = sorted(lefts), sorted(rights)
    pairs = []
    for time, file in lefts:
        other = _nearest(rights, time)
        if other is not None and abs(other[0] - time) <= tolerance and _nearest(lefts, other[0]) == (time, file):
            pairs.append((file, other[1]))
    return pairs


def _nearest(timed: Sequence[_Timed], time: float) -> _Timed | None:
    at = bisect_left(timed, time, key=lambda entry: entry[0])
    return min(timed[max(0, at - 1) : at + 1], key=lambda entry: abs(entry[0] - time), default=None)


def seconds_of(stamp: str) -> float:
    """A time stamp of a file name in s: 1403636579763555584 (ns), 1403636579.76 or 1403636579_763555584 (s); else NaN.

    Whole numbers of 18, 15 or 12 digits and more are nano-, micro- and milliseconds.
    """
    match = _STAMP.fullmatch(stamp)
    if match is None:
        return float("nan")
    if match[3] is None:
        return float(f"{match[1]}.{match[2]}")
    return int(stamp) * next(unit for digits, unit in _UNITS if len(stamp) >= digits)


def read_pair_list(file: Path, base: Path) -> list[ListedPair]:
    """The lines of a CSV file left,right[,key]; with the header right,left those of right,left[,key].

    file: the list. base: the input folder, which paths are below or relative to. Of lines with the same two files the
    first counts. Raises SettingsError, with the line, where the file or a line of it cannot be used.
    """
    try:
        rows = list(csv.reader(open_text(file)))
    except OSError as error:
        raise SettingsError(f"--pairs {file}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        advice = "write lines left,right or left,right,key"
        raise SettingsError(f"--pairs {file}: cannot be read as CSV ({error}); {advice}") from error
    listed: dict[tuple[PurePath, PurePath], ListedPair] = {}
    left_first = True
    for line, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        if line == 1 and sorted(map(str.lower, cells[:2])) == ["left", "right"]:
            left_first = cells[0].lower() == "left"
            continue
        if not any(cells):
            continue
        if len(cells) not in (2, 3) or not all(cells[:2]) or PurePath(cells[0]) == PurePath(cells[1]):
            raise SettingsError(f"--pairs {file}, line {line}: needs two files, left,right or left,right,key")
        files = [_below(cell, base, f"--pairs {file}, line {line}") for cell in cells[:2]]
        left, right = files if left_first else files[::-1]
        listed.setdefault((left, right), ListedPair(left, right, cells[2] if len(cells) == 3 else "", line))
    return list(listed.values())


def _below(cell: str, base: Path, place: str) -> PurePath:
    inside = PurePath(cell)
    for folder in (base.absolute(), base.resolve()):
        if inside.is_relative_to(folder):
            inside = inside.relative_to(folder)
    if inside.is_absolute() or ".." in inside.parts or "\0" in cell:
        raise SettingsError(f"{place}: {cell!r} does not lie in the input folder {base}")
    return inside
