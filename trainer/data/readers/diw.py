"""Depth in the Wild (Chen et al. 2016): one judged point pair a photograph.

The CSV has two lines a photograph: its path, and "y_A,x_A,y_B,x_B,relation,width,height", coordinates **from 1 and y
first**; ">" = A is farther, "<" = B is farther. Paths are looked for below the CSV's folder and as they stand.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path

from redweb_builder.files import open_text
from trainer.data.pictures import is_file
from trainer.types import DataError

Point = tuple[int, int]
LARGEST = 100_000  # px, of a coordinate
SAME_SHAPE = 0.02  # relative difference of the proportions of a picture and of the size in the list


@dataclass(frozen=True)
class Judgement:
    """One judged pair.

    image: its file, below the list's folder. first, second: (row, column) from 0. farther: ">" = first is farther, "<"
    = second is. size: (width, height) in px of the picture that was judged, where the list has it. scenario: what kind
    of picture it is, where the list says.
    """

    image: Path
    first: Point
    second: Point
    farther: str
    size: tuple[int, int] | None = None
    scenario: str = ""


def read_diw(file: Path) -> list[Judgement]:
    """Every judgement of a CSV such as DIW_test.csv. Raises DataError, with the line, where it is not of that form.

    file: the CSV.
    """
    try:
        rows = [row for row in csv.reader(open_text(file)) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as a list of DIW ({error})") from error
    if not rows or len(rows) % 2:
        raise DataError(f"{file}: has {len(rows)} lines; DIW has two a photograph: the path, and the point pair")
    return [_judgement(file, at + 2, rows[at][0], rows[at + 1]) for at in range(0, len(rows), 2)]


def on_picture(judgement: Judgement, shape: tuple[int, ...]) -> tuple[Judgement, bool]:
    """A judgement in pixels of the picture on the disk, and whether a point lay outside it and was moved to its edge.

    shape: (H, W, ...) of that picture. Points of a picture that was resized since are scaled. Raises DataError where
    its proportions are not those of the list.
    """
    height, width = shape[:2]
    listed = judgement.size or (width, height)
    if abs(listed[0] * height / (listed[1] * width) - 1) > SAME_SHAPE:
        raise DataError(
            f"{judgement.image}: is {width}x{height}, the list says {listed[0]}x{listed[1]}: another picture"
        )
    points, outside = [], False
    for row, column in (judgement.first, judgement.second):
        at = round((row + 0.5) * height / listed[1] - 0.5), round((column + 0.5) * width / listed[0] - 0.5)
        inside = min(max(at[0], 0), height - 1), min(max(at[1], 0), width - 1)
        outside |= not (row < listed[1] and column < listed[0])
        points.append(inside)
    return replace(judgement, first=points[0], second=points[1], size=(width, height)), outside


def _judgement(file: Path, line: int, path: str, pair: list[str]) -> Judgement:
    try:
        numbers = [float(number) for number in pair[:4]]
        farther = pair[4].strip()
        size = (int(float(pair[5])), int(float(pair[6]))) if len(pair) > 6 and pair[5].strip() else None
    except (ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{file}, line {line}: not y_A,x_A,y_B,x_B,relation ({','.join(pair)[:80]})") from error
    possible = all(math.isfinite(number) and 1 <= number <= LARGEST for number in numbers)
    if farther not in ("<", ">") or not possible or (size and not all(1 <= side <= LARGEST for side in size)):
        raise DataError(
            f"{file}, line {line}: the relation is < or >, coordinates start from 1 ({','.join(pair)[:80]})"
        )
    y_a, x_a, y_b, x_b = (int(number) - 1 for number in numbers)
    return Judgement(photograph(path, file), (y_a, x_a), (y_b, x_b), farther, size)


def photograph(path: str, file: Path) -> Path:
    """The file that a line of a list names: below the list's folder or the one above it, or where the line says.

    path: as in the list. file: the list.
    """
    candidates = (file.parent / path, file.parent.parent / path, file.parent / Path(path).name, Path(path))
    return next((file for file in candidates if is_file(file)), candidates[0])
