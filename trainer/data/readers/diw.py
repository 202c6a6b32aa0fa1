"""Depth in the Wild (Chen et al. 2016): one judged point pair a photograph.

The CSV has two lines a photograph: its path, and "y_A,x_A,y_B,x_B,relation,width,height", coordinates **from 1 and y
first**; ">" = A is farther, "<" = B is farther. Paths are looked for below the CSV's folder and as they stand.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from trainer.types import DataError


@dataclass(frozen=True)
class Judgement:
    """first, second: (row, column) from 0. farther: ">" = first is farther, "<" = second is."""

    image: Path
    first: tuple[int, int]
    second: tuple[int, int]
    farther: str


def read_diw(file: Path) -> list[Judgement]:
    """Every judgement of a CSV such as DIW_test.csv. Raises DataError, with the line, where it is not of that form."""
    with file.open(newline="") as lines:
        rows = [row for row in csv.reader(lines) if row]
    if not rows or len(rows) % 2:
        raise DataError(f"{file}: has {len(rows)} lines; DIW has two a photograph: the path, and the point pair")
    judgements = []
    for at in range(0, len(rows), 2):
        path, pair = rows[at][0], rows[at + 1]
        try:
            y_a, x_a, y_b, x_b = (int(float(number)) - 1 for number in pair[:4])
            farther = pair[4].strip()
        except (ValueError, IndexError) as error:
            raise DataError(f"{file}, line {at + 2}: not y_A,x_A,y_B,x_B,relation ({','.join(pair)})") from error
        if farther not in ("<", ">") or min(y_a, x_a, y_b, x_b) < 0:
            raise DataError(f"{file}, line {at + 2}: the relation is < or >, coordinates start from 1")
        judgements.append(Judgement(_photograph(path, file), (y_a, x_a), (y_b, x_b), farther))
    return judgements


def _photograph(path: str, file: Path) -> Path:
    """The photograph of a line: below the CSV's folder, or where the line says."""
    candidates = (file.parent / path, file.parent / Path(path).name, Path(path))
    return next((file for file in candidates if file.is_file()), candidates[0])
