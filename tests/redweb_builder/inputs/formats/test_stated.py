"""Pairs that a person states: patterns, a list, the nearest time stamps, right eye first."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redweb_builder.config import BuildConfig, InputOptions
from redweb_builder.errors import SettingsError
from redweb_builder.inputs.discover import Discovery, discover
from redweb_builder.inputs.formats.stated import seconds_of


def pictures(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (70, 80, 3), np.uint8)).save(path)


def pairs(discovery: Discovery, folder: Path) -> list[tuple[str, str]]:
    return sorted(
        (source.left.relative_to(folder).as_posix(), source.right.relative_to(folder).as_posix())
        for source in discovery.sources
    )


@pytest.mark.parametrize(
    ("patterns", "files", "expected", "left_out"),
    [
        (("cam0/{n}.png", "cam7/{n}.png"), ["cam0/1.png", "cam7/1.png"], [("cam0/1.png", "cam7/1.png")], {}),
        (
            ("cam_{n}/left_{t}.png", "cam_{n}/other_{t}.png"),
            ["cam_1/left_7.png", "cam_1/other_7.png", "cam_2/left_7.png", "x.png"],
            [("cam_1/left_7.png", "cam_1/other_7.png")],
            {"unmatched": 2},
        ),
        (
            ("**/a{n}*.png", "**/b{n}.png"),
            ["day/one/a3x.png", "day/two/b3x.png", "day/two/b3.png"],
            [("day/one/a3x.png", "day/two/b3x.png")],
            {"unmatched": 1},
        ),
        (("**/a-{n}?.png", "**/b-{n}.png"), ["i/j/a-3x.png", "b-3.png"], [("i/j/a-3x.png", "b-3.png")], {}),
        (("{n}/*.png", "{n}/*.png"), ["s/a.png", "s/b.png"], [], {"unmatched": 2}),
        (
            ("disp_L{n}.png", "disp_R{n}.png"),
            ["disp_L1.png", "disp_R1.png"],
            [("disp_L1.png", "disp_R1.png")],
            {},
        ),
    ],
)
def test_patterns(
    tmp_path: Path,
    patterns: tuple[str, str],
    files: list[str],
    expected: list[tuple[str, str]],
    left_out: dict[str, int],
) -> None:
    pictures(tmp_path, *files)
    discovery = discover(tmp_path, InputOptions(pair=patterns))
    assert pairs(discovery, tmp_path) == expected
    assert Counter(file.reason for file in discovery.left_out) == left_out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pair": ("a.png", "b.png")}, "no field in common"),
        ({"pair": ("{1}.png", "{1}.png")}, "is no field"),
        ({"pair": ("l{n}.png", "r{n}.png"), "time_tolerance": 0.1}, "needs the field"),
        ({"pair": ("l{n}", "r{n}"), "layout": "side-by-side"}, "contradict"),
        ({"time_tolerance": -1.0}, "must be from 0 to 60"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, options: dict[str, object], words: str) -> None:
    pictures(tmp_path, "a.png")
    with pytest.raises(SettingsError, match=words):
        discover(tmp_path, InputOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"pair": ("left/{time}.png", "right/{time}.png")}])
def test_nearest_time_stamps(tmp_path: Path, options: dict[str, tuple[str, str]]) -> None:
    left = ("1403636579763555584", "1403636579813555456", "1403636579863555584")
    right = ("1403636579764000000", "1403636579812000000", "1403636579990000000")
    pictures(tmp_path, *(f"left/{stamp}.png" for stamp in left), *(f"right/{stamp}.png" for stamp in right))
    assert discover(tmp_path).sources == []
    discovery = discover(tmp_path, InputOptions(time_tolerance=0.005, **options))  # type: ignore[arg-type]
    assert pairs(discovery, tmp_path) == [(f"left/{left[at]}.png", f"right/{right[at]}.png") for at in (0, 1)]
    assert len(discovery.left_out) == 2


def test_names_without_a_stamp_hide_no_stamps(tmp_path: Path) -> None:
    """They were sorted as a time that is no number, and what stood beside them was not found."""
    pictures(tmp_path, *(f"left/{name}.png" for name in ("1000", "a", "notes", "2000", "3000")))
    pictures(tmp_path, *(f"right/{name}.png" for name in ("1000", "zz", "2000", "3000")))
    options = InputOptions(pair=("left/{time}.png", "right/{time}.png"), time_tolerance=0.5)
    discovery = discover(tmp_path, options)
    assert pairs(discovery, tmp_path) == [(f"left/{n}.png", f"right/{n}.png") for n in ("1000", "2000", "3000")]
    assert [file.path.stem for file in discovery.left_out] == ["a", "notes", "zz"]
    assert all("is no time stamp" in file.detail for file in discovery.left_out)


@pytest.mark.parametrize("tolerance", [None, 0.5])
def test_a_file_is_not_its_own_other_eye(tmp_path: Path, tolerance: float | None) -> None:
    pictures(tmp_path, "1000.png", "2000.png")
    discovery = discover(tmp_path, InputOptions(pair=("{time}.png", "{time}.png"), time_tolerance=tolerance))
    assert discovery.sources == []
    assert ["both patterns" in file.detail for file in discovery.left_out] == [True, True]


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("1403636579763555584", 1403636579.763555584),
        ("1403636579763555", 1403636579.763555),
        ("1403636579763", 1403636579.763),
        ("1403636579.5", 1403636579.5),
        ("1403636579_763555584", 1403636579.763555584),
        ("17", 17.0),
    ],
)
def test_stamps(stamp: str, seconds: float) -> None:
    assert abs(seconds_of(stamp) - seconds) < 1e-6
    assert np.isnan(seconds_of("frame"))


def test_a_list_of_pairs(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    pictures(folder, "x.png", "y.png", "sub/z.png", "w_L.png", "w_R.png")
    listing = tmp_path / "pairs.csv"
    listing.write_text(f"left,right,key\ny.png,x.png,garden\n\n{folder}/sub/z.png,gone.png\n")
    discovery = discover(folder, InputOptions(pairs=listing))
    assert pairs(discovery, folder) == [("y.png", "x.png")]
    assert discovery.sources[0].key.startswith("garden-")
    assert [(file.path.name, file.reason) for file in discovery.left_out] == [("gone.png", "unreadable")]
    assert "line 4" in discovery.left_out[0].detail


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Left,Right\nx.png,y.png", "x.png"),
        ("right,left\n\nx.png,y.png", "y.png"),
        ("x.png,y.png\nx.png,y.png,again", "x.png"),
        ("FOLDER/x.png,y.png", "x.png"),
    ],
)
def test_a_list_as_people_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, left: str) -> None:
    """Any case and order of the header, a line twice, and whole paths though the folder was typed as a relative one."""
    pictures(tmp_path / "in", "x.png", "y.png")
    (tmp_path / "pairs.csv").write_text(text.replace("FOLDER", str(tmp_path / "in")))
    monkeypatch.chdir(tmp_path)
    discovery = discover(Path("in"), InputOptions(pairs=Path("pairs.csv")))
    assert [source.left.name for source in discovery.sources] == [left]
    assert discovery.left_out == []


@pytest.mark.parametrize(
    "text", ["a.png", "a.png,a.png", "a.png,./a.png", "../a.png,b.png", "/etc/a.png,b.png", "a,b,c,d", "a\0,b"]
)
def test_a_list_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(SettingsError, match=r"pairs\.csv"):
        discover(tmp_path, InputOptions(pairs=tmp_path / "pairs.csv"))


def test_a_list_that_is_no_text_or_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes(b"\xff\xfe\0\1")
    (tmp_path / "folder").mkdir()
    for name, what in (
        ("pairs.csv", r"pairs\.csv: cannot be read as CSV"),
        ("nothing.csv", r"nothing\.csv: No such file or directory$"),
        ("folder", "folder: Is a directory$"),
    ):
        with pytest.raises(SettingsError, match=what):
            discover(tmp_path, InputOptions(pairs=tmp_path / name))


def test_right_first(tmp_path: Path) -> None:
    pictures(tmp_path, "a_L.png", "a_R.png", "b-lr.png")
    discovery = discover(tmp_path, InputOptions(right_first=True))
    assert [(source.right_first, source.order_stated) for source in discovery.sources] == [(True, True)] * 2


def test_which_files_pair_is_no_part_of_a_data_sets_identity(tmp_path: Path) -> None:
    """Old data sets go on, and a second rule may add its pairs; the order of the eyes may not change."""
    plain = BuildConfig().method()
    assert plain["inputs"] == {"layout": "auto", "film_rate": 1.0, "vr_fov": 90.0}
    assert BuildConfig(inputs=InputOptions(pair=("l{n}", "r{n}"), time_tolerance=1.0)).method() == plain
    assert BuildConfig(inputs=InputOptions(right_first=True)).method() != plain
