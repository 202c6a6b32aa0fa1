"""Judged pairs of points of DA-2K and OASIS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.data.open import is_point_pairs, open_data
from trainer.data.readers.point_pairs import read_point_pairs
from trainer.types import DataError


def test_da2k_is_rows_first_from_0_and_says_which_is_closer(tmp_path: Path) -> None:
    pair = {"point1": [3, 5], "point2": [0, 1], "closer_point": "point1"}
    other = pair | {"closer_point": "point2"}
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps({"images/indoor/a.jpg": [pair, other]}))
    first, second = read_point_pairs(tmp_path)
    assert is_point_pairs(tmp_path)
    assert is_point_pairs(file)
    assert (first.first, first.second, first.farther, first.scenario) == ((3, 5), (0, 1), "<", "indoor")
    assert second.farther == ">"
    with pytest.raises(DataError, match="for evaluation only"):
        open_data(tmp_path)
    file.write_text("{}")
    with pytest.raises(DataError, match="no pairs of points"):
        read_point_pairs(file)
    for wrong in ({"point1": [3], "point2": [0, 1], "closer_point": "point1"}, pair | {"closer_point": "left"}, 5):
        file.write_text(json.dumps({"a.jpg": [wrong]}))
        with pytest.raises(DataError, match="not as DA-2K has it"):
            read_point_pairs(file)


def test_oasis_lists_a_file_of_pairs_a_picture(tmp_path: Path) -> None:
    home = tmp_path / "OASIS_trainval"
    for name in ("image", "rel"):
        (home / name).mkdir(parents=True)
    (home / "image/a.png").touch()
    (home / "rel/a.csv").write_text("3,5,0,1,>,8,6,\n1,1,2,2,<,8,6,\n")
    header = "Image,FocalLength,Mask,Normal,Depth,RelativeDepth,Fold\n"
    lists = home / "OASIS_val.csv"
    lists.write_text(f"{header}OASIS_trainval/image/a.png,1,,,d.pkl,OASIS_trainval/rel/a.csv,\nb.png,1,,,d.pkl,,\n")
    pairs = read_point_pairs(lists)
    assert is_point_pairs(lists)
    assert [(pair.first, pair.second, pair.farther) for pair in pairs] == [((3, 5), (0, 1), ">"), ((1, 1), (2, 2), "<")]
    assert pairs[0].image == home / "image/a.png"
    (home / "rel/a.csv").write_text("3,5,0,1,=,8,6,\n")
    with pytest.raises(DataError, match=r"a\.csv"):
        read_point_pairs(lists)
