"""What an evaluation comes to: rows of figures, sheets of pictures, and the files they are written to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import cv2

from redweb_builder.files import remove_temporaries, write_atomic
from redweb_builder.types import Picture


@dataclass(frozen=True)
class ResultRow:
    """One predictor on one set.

    data, predictor: their names. samples: how many pictures, or pairs of points, the figures are of; counted: which of
    the two. figures: name -> value; rates are in percent, lower is better but for d1 and F1, NaN = the set gives no
    ground for the figure. counts: what people should know of the samples, see COUNTS; only what is not 0. unread: why
    pictures were left out, a sentence each.
    """

    data: str
    predictor: str
    samples: int
    figures: dict[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    unread: Sequence[str] = ()
    counted: str = "pictures"


# name of a count in evaluation.json -> what it says
COUNTS = {
    "trained_on": "of these pictures were trained on: the figures say nothing about other pictures",
    "outside": "pairs had points outside their picture, which were moved to its edge",
}


Table = tuple[list[ResultRow], Picture]  # the rows of one set, and its sheet of pictures


def merge_tables(tables: Sequence[Table]) -> tuple[list[ResultRow], dict[str, Picture]]:
    """The rows of several sets, and their sheets by name; sets of one name get numbers. tables: of one set each."""
    names = unique_names([rows[0].data for rows, _ in tables])
    rows = [replace(row, data=name) for name, (own, _) in zip(names, tables, strict=True) for row in own]
    return rows, {name: picture for name, (_, picture) in zip(names, tables, strict=True) if picture.shape[0] > 1}


def unique_names(names: Sequence[str]) -> list[str]:
    """Names of sets, the second one of a name with -2 behind it, and so on: two folders may both be called redweb.

    A number that makes the name of another set is passed over. names: in their order.
    """
    unique: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        others = (other for other in numbered if other not in unique and other not in names)
        unique.append(next(others) if name in unique else name)
    return unique


def write_report(rows: Sequence[ResultRow], sheets: dict[str, Picture], out: Path) -> None:
    """Write `out`/evaluation.json and a sheet_NAME.png a set.

    rows: of all sets. sheets: the set's name -> HxWx3 uint8 RGB. NaN becomes null.
    """
    out.mkdir(parents=True, exist_ok=True)
    remove_temporaries(out)
    content = json.dumps([_entry(row) for row in rows])
    valid_json = json.loads(content, parse_constant=lambda _: None)  # NaN is no JSON: null
    write_atomic(out / "evaluation.json", (json.dumps(valid_json, indent=2) + "\n").encode())
    for name, picture in sheets.items():
        done, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        assert done
        write_atomic(out / f"sheet_{name}.png", png.tobytes())


def _entry(row: ResultRow) -> dict[str, object]:
    counts = {**row.counts, **({"unread": len(row.unread)} if row.unread else {})}
    return {"data": row.data, "predictor": row.predictor, "samples": row.samples, **row.figures, **counts}
