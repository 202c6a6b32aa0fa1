"""Point pairs that people judged: Depth in the Wild (diw.py), DA-2K and OASIS. For evaluation only.

DA-2K (Yang et al. 2024, DA-2K.md of github.com/DepthAnything/Depth-Anything-V2): annotations.json holds, a picture,
pairs of points (row, column) from 0 and which is closer; the scenario is the folder of the picture below images/.

OASIS (Chen et al. 2020, experiments/depth of github.com/princeton-vl/oasis): OASIS_val.csv has the columns Image and
RelativeDepth, the latter a CSV of "y_A,x_A,y_B,x_B,relation,..." from 0, ">" = A is farther. Its dense depth lies in
pickle files, which are never opened here.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from redweb_builder.files import open_text, parse_json, read_text
from trainer.data.readers.diw import Judgement, photograph, read_diw
from trainer.types import DataError

DA2K = "annotations.json"
OASIS_COLUMNS = ("Image", "RelativeDepth")
LARGEST = 100_000  # px, of a coordinate


def is_da2k(path: Path) -> bool:
    """Whether a path is the folder of DA-2K, or its file."""
    return (path / DA2K if path.is_dir() else path).name == DA2K and (path / DA2K if path.is_dir() else path).is_file()


def is_oasis(path: Path) -> bool:
    """Whether a CSV has the columns of OASIS. path: the file; it need not be there."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            return set(OASIS_COLUMNS) <= set(next(csv.reader([lines.readline(10_000)]), []))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def read_point_pairs(path: Path) -> list[Judgement]:
    """Every judgement of DIW, DA-2K or OASIS; those of a picture follow each other. Raises DataError.

    path: a CSV, annotations.json or the folder with it.
    """
    if is_da2k(path):
        return _da2k(path / DA2K if path.is_dir() else path)
    return _oasis(path) if is_oasis(path) else read_diw(path)


def _da2k(file: Path) -> list[Judgement]:
    try:
        content: Any = parse_json(read_text(file))
        judgements = [_da2k_pair(file, name, pair) for name, pairs in content.items() for pair in pairs]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: is not as DA-2K has it ({error})") from error
    if not judgements:
        raise DataError(f"{file}: holds no pairs of points")
    return judgements


def _da2k_pair(file: Path, name: str, pair: Any) -> Judgement:
    first, second = (_point(*pair[point]) for point in ("point1", "point2"))
    if pair["closer_point"] not in ("point1", "point2"):
        raise ValueError(f"{name}: closer_point is point1 or point2")
    folders = Path(name).parts[:-1]
    scenario = folders[-1] if folders else "pictures"
    return Judgement(
        file.parent / name, first, second, "<" if pair["closer_point"] == "point1" else ">", None, scenario
    )


def _oasis(file: Path) -> list[Judgement]:
    judgements = []
    try:
        rows = [
            (row["Image"], row["RelativeDepth"])
            for row in csv.DictReader(open_text(file))
            if all(map(row.get, OASIS_COLUMNS))
        ]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as OASIS's list ({error})") from error
    for image, pairs in rows:
        picture, listed = photograph(image, file), photograph(pairs, file)
        try:
            text = read_text(listed)
            lines_of = [line.split(",") for line in text.splitlines() if line.strip()]
            for y_a, x_a, y_b, x_b, farther, *_ in lines_of:
                if farther.strip() not in ("<", ">"):
                    raise ValueError(f"the relation is < or >, not {farther[:10]}")
                points = _point(float(y_a), float(x_a)), _point(float(y_b), float(x_b))
                judgements.append(Judgement(picture, *points, farther.strip()))
        except (OSError, ValueError, UnicodeDecodeError) as error:
            raise DataError(f"{listed}: cannot be read as pairs of OASIS ({error})") from error
    if not judgements:
        raise DataError(f"{file}: lists no pairs of points (column RelativeDepth)")
    return judgements


def _point(row: float, column: float) -> tuple[int, int]:
    """A point in whole pixels. Raises ValueError."""
    if not (0 <= row <= LARGEST and 0 <= column <= LARGEST):
        raise ValueError(f"point {row}, {column} is on no picture")
    return int(row), int(column)
