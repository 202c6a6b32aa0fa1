"""The commands as people type them: what they print, how they end, and that mistakes get a sentence, no traceback."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cli import main
from redweb_builder.builder import build as builder_module
from redweb_builder.commands import console
from redweb_builder.commands.errors import REQUIRED
from redweb_builder.config import Thresholds
from redweb_builder.criteria import CRITERIA, MEASUREMENTS
from redweb_builder.dataset.label_writer import LabelWriter
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.dataset.verdicts import thresholds_of
from redweb_builder.dataset.writer import Store
from redweb_builder.errors import StoreError
from redweb_builder.version import CHANGES, FORMAT, METHOD, __version__
from samples.scenes import Scene

Render = Callable[..., Scene]
SavePair = Callable[..., None]
QUICK = ("--flow", "dis", "--segmenter", "builtin", "--device", "cpu")


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def one_pair(tmp_path: Path, rendered: Render, save_pair: SavePair) -> Path:
    """A folder with one good pair."""
    save_pair(tmp_path / "in", "meadow", rendered(0).left, rendered(0).right)
    return tmp_path / "in"


# --- help and listing --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("remembered")
def test_a_dry_run_names_files_as_the_manifest_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for eye in "LR":
        for name in (f"in/x/a_{eye}.png", f"in/old_in/b_{eye}.png"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.chdir(tmp_path)
    listed = json.loads(run("build-redweb", "in", "--dry-run", "--json").output)
    texts = [pair["rejection"] for pair in listed["pairs"]]
    run("build-redweb", "in", "--out", "out", *QUICK)
    built = read_manifest(Path("out")).rows
    assert texts == [f"{row['reason']}: {row['detail']}" for row in built]
    assert "old_in/b_L.png" in "".join(texts)


def test_help_names_every_option() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "build-redweb" in result.output
    assert "grid" in result.output
    message = run("build-redweb", "--help").output
    for option in (
        "--out", "--flow", "--flow-weights", "--segmenter", "--segmenter-weights", "--device", "--max-side", "--limit",
        "--overwrite", "--dry-run", "--preset", "--eyes",
    ):  # fmt: skip
        assert option in message
    assert "auto|raft-large|raft-small|dis" in message
    assert "--keys" in run("grid", "--help").output
    assert re.fullmatch(
        rf"redweb-builder {__version__} \(data set format {FORMAT}, method \d+\)\n", run("--version").output
    )


def entry(output: str, name: str) -> str:
    """What a dry run says of a file, in one line."""
    lines = output.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith(name))
    text = itertools.takewhile(lambda line: line.startswith("    "), lines[at + 1 :])
    return " ".join(line.strip() for line in text)


def test_dry_run_lists_and_writes_nothing(stereo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = run("build-redweb", stereo, "--dry-run").output
    assert "14 pairs (13 two files; 1 side by side), 1 file in no pair" in output
    meadow = entry(output, "good-meadow_L.png + good-meadow_R.png")
    assert meadow == "two files; left eye first (order stated); 240x176; by file names with an eye mark"
    firs = entry(output, "good-firs-sbs.png")
    assert firs.startswith("side by side; left eye first (order from the picture, ")
    assert firs.endswith("sure); 480x176; guessed from name tag 'sbs'")
    assert entry(output, "widow_L.png").startswith("left out, one-eye: file names with an eye mark")
    assert max(map(len, output.splitlines())) <= 80
    assert not list(tmp_path.iterdir())


def test_dry_run_and_build_agree_on_strips(tmp_path: Path, rendered: Render, save_pair: SavePair) -> None:
    """At the size of the quick look a side of it is too small, at that of the build it is not."""
    views = [np.tile(view[:70], (1, 3, 1)) for view in (rendered(0).left, rendered(0).right)]
    save_pair(tmp_path / "in", "strip", *views)
    assert views[0].shape[1] / views[0].shape[0] > 7
    assert "too-small" not in run("build-redweb", tmp_path / "in", "--dry-run").output
    assert "too-small" in run("build-redweb", tmp_path / "in", "--dry-run", "--max-side", "300").output


def test_a_grid_is_a_png(tmp_path: Path) -> None:
    result = run("grid", tmp_path, "--to", tmp_path / "grid.jpg")
    assert result.exit_code == 2
    assert "the grid is a PNG" in result.output


def test_names_that_the_output_cannot_show_are_escaped(
    tmp_path: Path, rendered: Render, save_pair: SavePair, python: str, project: Path
) -> None:
    """A pipe of a Windows console, or of a Latin-1 locale."""
    save_pair(tmp_path / "in", "garden \N{SUNFLOWER}", rendered(0).left, rendered(0).right)
    command = [python, "cli.py", "build-redweb", str(tmp_path / "in"), "--dry-run"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    listed = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
    assert "garden \\U0001f33b_L.png" in listed.stdout


def test_dry_run_for_machines(stereo: Path) -> None:
    listed = json.loads(run("build-redweb", stereo, "--dry-run", "--json").output)
    assert len(listed["pairs"]) == 14
    firs = next(pair for pair in listed["pairs"] if pair["left"] == "good-firs-sbs.png")
    assert (firs["layout"], firs["order"], firs["right_first"], firs["width"]) == (
        "side-by-side",
        "picture",
        False,
        480,
    )
    assert firs["eye_order"] > 0
    assert listed["estimate"] == {"minutes": 0.7, "megabytes": 12.0}
    assert [(file["file"], file["reason"]) for file in listed["left_out"]] == [("widow_L.png", "one-eye")]


def test_dry_run_breaks_no_names(tmp_path: Path) -> None:
    name = "a holiday by the sea with " + "very-" * 14 + "long name"
    for eye in "LR":
        (tmp_path / f"{name}_{eye}.png").write_bytes(b"x")
    lines = run("build-redweb", tmp_path, "--dry-run").output.splitlines()
    assert lines[:2] == [f"{name}_L.png +", f"{name}_R.png"]


@pytest.mark.parametrize("columns", ["0", "1"])
def test_dry_run_on_a_terminal_without_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    (tmp_path / "a_L.png").write_bytes(b"x")
    assert "left out" in run("build-redweb", tmp_path, "--dry-run").output


def test_dry_run_names_cross_eyed_files(tmp_path: Path, rendered: Render, save: Callable[..., Path]) -> None:
    scene = rendered(0)
    save(np.hstack([scene.right, scene.left]), tmp_path / "meadow-rl.png")
    assert "right eye first (order stated)" in run("build-redweb", tmp_path, "--dry-run").output


def test_dry_run_names_the_order_that_a_build_would_take(
    tmp_path: Path, rendered: Render, save: Callable[..., Path]
) -> None:
    scene = rendered(0)
    save(np.hstack([scene.right, scene.left]), tmp_path / "meadow-sbs.png")
    assert "right eye first (order from the picture, " in run("build-redweb", tmp_path, "--dry-run").output
    assert "left eye first (order assumed)" in run("build-redweb", tmp_path, "--dry-run", "--eyes", "as-is").output
    stated = run("build-redweb", tmp_path, "--dry-run", "--right-first").output
    assert "right eye first (order stated)" in stated


def test_dry_run_names_calibrations_and_what_a_build_would_reject(
    tmp_path: Path, rendered: Render, save_pair: SavePair, save: Callable[..., Path]
) -> None:
    scene = rendered(0)
    height, width = scene.left.shape[:2]
    for folder, focal in (("rig", width), ("other", 1)):
        save_pair(tmp_path / folder, "a", scene.left, scene.right)
        matrix = f"[{focal} 0 {width / 2}; 0 {focal} {height / 2}; 0 0 1]"
        text = f"cam0={matrix}\ncam1={matrix}\ndoffs=0\nbaseline=100\nwidth={width}\nheight={height}\n"
        (tmp_path / folder / "calib.txt").write_text(text)
    save(scene.left[::-1, ::-1], tmp_path / "turned_L.png")
    save(scene.right, tmp_path / "turned_R.png")
    blocks = np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8).repeat(24, axis=0).repeat(24, axis=1)
    for eye in "LR":
        save(blocks, tmp_path / f"map_{eye}.png")
    output = run("build-redweb", tmp_path, "--dry-run").output
    assert "; calibration rig/calib.txt" in entry(output, "rig/a_L.png")
    assert "; calibration left aside: calib.txt: a focal length of 1 px" in entry(output, "other/a_L.png")
    assert "; a build would reject it: not-upright: turned_L.png:" in entry(output, "turned_L.png")
    assert "; a build would reject it: not-a-photograph: map_L.png:" in entry(output, "map_L.png")


def test_dry_run_of_names_with_brackets(tmp_path: Path, rendered: Render, save_pair: SavePair) -> None:
    """rich takes [red] for markup."""
    save_pair(tmp_path / "[red] trip", "pair [bold]", rendered(0).left, rendered(0).right)
    assert "[red] trip/pair [bold]_L.png" in run("build-redweb", tmp_path, "--dry-run").output


# --- building ----------------------------------------------------------------------------------------------------


def test_build_and_build_again(one_pair: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("build-redweb", one_pair, "--out", out, *QUICK)
    assert result.exit_code == 0
    assert "1 kept, 0 rejected" in result.output
    assert "flow dis, segmentation builtin" in result.output
    assert "DIS optical flow" in result.output
    assert str(out / "grid.png") in result.output
    assert (out / "manifest.parquet").is_file()
    again = run("build-redweb", one_pair, "--out", out, *QUICK)
    assert again.exit_code == 0
    assert "going on: 1 of 1 pairs are done already" in again.output
    other = run("build-redweb", one_pair, "--out", out, *QUICK, "--max-side", 200)
    assert other.exit_code == 1
    assert "max_side: 768 there, 200 now" in other.output
    assert "--overwrite" in other.output
    replaced = run("build-redweb", one_pair, "--out", out, *QUICK, "--max-side", 200, "--overwrite")
    assert replaced.exit_code == 0
    with Image.open(next((out / "RDs").iterdir())) as image:
        assert image.size == (200, 147)


def test_the_default_out_is_redweb(one_pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(one_pair.parent)
    assert run("build-redweb", "in", *QUICK).exit_code == 0
    assert (one_pair.parent / "redweb" / "manifest.parquet").is_file()


def test_summary_tells_reasons_and_the_exit_status_tells_nothing_kept(
    tmp_path: Path, rendered: Render, save_pair: SavePair, save: Callable[..., Path]
) -> None:
    save_pair(tmp_path / "in", "twice", rendered(0).left, rendered(0).left)
    save(rendered(4).left, tmp_path / "in" / "widow_L.png")
    result = run("build-redweb", tmp_path / "in", "--out", tmp_path / "out", *QUICK)
    assert result.exit_code == 3
    assert "0 kept, 1 rejected" in result.output
    assert "rejected: 1 no-parallax" in result.output
    assert "files in no pair: 1 one-eye" in result.output
    assert "Nothing was kept" in result.output


def test_an_unforeseen_error_is_reported(one_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from redweb_builder.builder import engines

    def faulty(*_: object) -> Any:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(engines, "label_pair", faulty)
    result = run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK)
    assert result.exit_code == 1
    assert "unforeseen error: 1 pair;" in result.output
    assert str(tmp_path / "out" / "errors.log") in result.output
    monkeypatch.undo()
    assert run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK).exit_code == 0


# --- mistakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_missing_folder(tmp_path: Path, dry: tuple[str, ...]) -> None:
    result = run("build-redweb", tmp_path / "nowhere", "--out", tmp_path / "out", *QUICK, *dry)
    assert result.exit_code == 1
    assert "nowhere: there is no such file or folder" in result.output
    assert not (tmp_path / "out").exists()


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    result = run("build-redweb", tmp_path / "in", "--out", tmp_path / "out", *QUICK)
    assert result.exit_code == 1
    assert "no stereo pair found" in result.output
    assert "no picture files at all" in result.output
    assert not (tmp_path / "out").exists()
    dry = run("build-redweb", tmp_path / "in", "--dry-run")
    assert "0 pairs, 0 files in no pair" in dry.output


@pytest.mark.parametrize("part", ["", "Imgs"])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_data_set_as_input_is_refused_with_the_command_that_goes_on(
    tmp_path: Path, part: str, dry: tuple[str, ...]
) -> None:
    dataset = tmp_path / "my set"
    (dataset / "Imgs").mkdir(parents=True)
    (dataset / "build.json").write_text(json.dumps({"format": FORMAT, "input": "holiday; ls"}))
    result = run("build-redweb", dataset / part, "--out", dataset, *QUICK, *dry)
    assert result.exit_code == 1
    assert f"to go on with it: build-redweb 'holiday; ls' --out '{dataset}'" in " ".join(result.output.split())


@pytest.fixture
def good_and_broken(one_pair: Path, rendered: Render, save_pair: SavePair) -> Path:
    """A folder with a good pair and one that cannot be read whole."""
    save_pair(one_pair, "torn", rendered(4).left, rendered(4).right)
    whole = (one_pair / "torn_R.png").read_bytes()
    (one_pair / "torn_R.png").write_bytes(whole[: len(whole) // 2])
    return one_pair


@pytest.mark.usefixtures("remembered")
def test_a_build_for_machines(good_and_broken: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "build.log", tmp_path / "out"
    result = run("build-redweb", good_and_broken, "--out", out, *QUICK, "--quiet", "--json", "--log", log)
    assert result.exit_code == 0
    assert result.stderr == ""
    summary = json.loads(result.stdout)
    assert (summary["kept"], summary["rejected"], summary["reasons"]) == (1, 1, {"corrupt": 1})
    assert summary["out"] == str(out)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {tuple(line) for line in lines} == {("time", "pair", "stage", "status", "seconds", "reason")}
    pairs = {line["pair"].split("-")[0]: line for line in lines if line["pair"]}
    assert (pairs["torn"]["stage"], pairs["torn"]["status"], pairs["torn"]["reason"]) == ("read", "rejected", "corrupt")
    assert (pairs["meadow"]["stage"], pairs["meadow"]["status"], pairs["meadow"]["reason"]) == (None, "kept", None)
    rows = {row["key"]: row for row in pq.read_table(out / "manifest.parquet").to_pylist()}
    assert all(0 <= line["seconds"] == rows[line["pair"]]["seconds"] for line in pairs.values())
    stages = [(line["stage"], line["status"]) for line in lines if not line["pair"]]
    assert stages[0] == ("loading the program", "started")
    assert ("pairs", "done") in stages
    assert stages[-1] == ("drawing the grid and the report", "finished")


def test_a_log_says_why_a_build_ended(one_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "build.log"
    monkeypatch.setattr(builder_module, "discover", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    assert run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK, "--log", log).exit_code == 130
    assert json.loads(log.read_text().splitlines()[-1])["status"] == "interrupted"
    monkeypatch.undo()
    assert run("build-redweb", tmp_path / "nowhere", "--out", tmp_path / "out", *QUICK, "--log", log).exit_code == 1
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["status"], "nowhere" in last["reason"]) == ("error", True)
    assert run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK, "--log", tmp_path).exit_code == 1


@pytest.mark.usefixtures("remembered")
def test_options_from_a_file(one_pair: Path, tmp_path: Path) -> None:
    """What is typed goes before the file, the file before the defaults; a set's build.json is such a file."""
    file = tmp_path / "mine.toml"
    file.write_text(
        '\ufeffjson = true\nquiet = 1\nflow = "dis"\nsegmenter = "builtin"\nmax-side = 200\neyes = "as-is"\n'
        '[thresholds]\nmin_texture = "off"\n',
        encoding="utf-8",
    )
    first, second = tmp_path / "first", tmp_path / "second"
    result = run("build-redweb", one_pair, "--out", first, "--config", file, "--max-side", 240)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["kept"] == 1
    identity = json.loads((first / "build.json").read_text())["identity"]
    assert (identity["max_side"], identity["eyes"], identity["flow"]) == (240, "as-is", "dis")
    assert identity["thresholds"]["min_texture"] is None
    assert run("build-redweb", one_pair, "--out", second, "--config", first / "build.json").exit_code == 0
    assert json.loads((second / "build.json").read_text())["identity"] == identity


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("part", [(), ("--part", "1/1")])
def test_the_command_that_check_names_mends_the_set_as_it_is_printed(
    one_pair: Path, tmp_path: Path, part: tuple[str, ...]
) -> None:
    """Also after `refilter`, of a part and with --limit: build.json says how the set was built."""
    whole = tmp_path / "it's a set"
    built = ("build-redweb", one_pair, "--out", whole, *QUICK, "--max-side", 200, "--limit", 1, *part)
    shutil.copytree(one_pair, one_pair / "another")  # --limit leaves it out
    assert run(*built).exit_code == 0
    out = whole / "part-1-of-1" if part else whole
    assert run("refilter", out, "--set", "min_agreement=0.4").exit_code == 0
    label = next((out / "RDs").iterdir())
    label.unlink()
    checked = run("check", out)
    assert checked.exit_code == 1
    command = next(line for line in checked.output.splitlines() if "cli.py build-redweb" in line)
    mended = run(*shlex.split(command)[2:])
    assert mended.exit_code == 0, mended.output
    assert label.is_file()
    assert run("check", out).exit_code == 0
    assert len(open_dataset(out)) == 1
    assert [place.name for place in whole.glob("part-*")] == (["part-1-of-1"] if part else [])
    assert thresholds_of(out).min_agreement == 0.4
    assert run(*built).exit_code == 0


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("by", ["--pair", "--pairs"])
def test_the_command_that_check_names_pairs_as_the_build_did(one_pair: Path, tmp_path: Path, by: str) -> None:
    out, pairs = tmp_path / "out", tmp_path / "my pairs.csv"
    (one_pair / "meadow_L.png").rename(one_pair / "top 1.png")  # nobody would pair the two by their names
    (one_pair / "meadow_R.png").rename(one_pair / "low 1.25.png")
    pairs.write_text("top 1.png,low 1.25.png\n")
    options = {"--pair": ("top {time}.png", "low {time}.png", "--time-tolerance", 0.5), "--pairs": (pairs,)}[by]
    assert run("build-redweb", one_pair, "--out", out, *QUICK, "--max-side", 200, by, *options).exit_code == 0
    label = next((out / "RDs").iterdir())
    label.unlink()
    checked = run("check", out).output
    assert ("Put the folder of my pairs.csv in the place of FOLDER." in checked) == (by == "--pairs")
    command = next(line for line in checked.splitlines() if "cli.py build-redweb" in line)
    assert str(tmp_path) not in json.loads((out / "build.json").read_text()).get("files", {}).values()
    mended = run(*shlex.split(command.replace("FOLDER", str(tmp_path)))[2:])
    assert mended.exit_code == 0, mended.output
    assert label.is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("max_sid = 3", "max_sid is no option of build-redweb"),
        ("max_side = 64", "max_side 64: must be from 128"),
        ("max_side = 'big'", "big"),
        ("max_side = 256.5", "256.5"),
        ("quiet = 3", "3"),
        ("max_side = {a = 1}", "max_side takes texts and numbers"),
        ("limit = true", "limit takes texts and numbers, not True"),
        ("pair = true", "pair takes texts and numbers, not True"),
        ("max_side = 1979-05-27", "max_side takes texts and numbers"),
        ("[thresholds]\nmin_beauty = 1", "the thresholds are min_texture"),
        ("[thresholds]\nmin_texture = 'low'", "min_texture needs a number"),
        ("[thresholds]\nmin_texture = false", "min_texture needs a number"),
        ("= 3", "cannot be read as TOML"),
    ],
)
def test_a_file_of_options_that_is_wrong(one_pair: Path, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(content)
    result = run("build-redweb", one_pair, "--out", tmp_path / "out", "--config", tmp_path / "mine.toml")
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("network", [{"flow": "torchscript:evil.pt"}, {"mono": "evil.pt"}, {}])
def test_a_set_of_a_stranger_gives_its_settings_and_nothing_else(
    one_pair: Path, tmp_path: Path, network: dict[str, str]
) -> None:
    """A TorchScript file is a program, and what --log names is appended to."""
    identity = {"eyes": "auto", "max_side": 200, "flow": "dis", "segmenter": "none", "mono": "none", "thresholds": {}}
    letter, build = tmp_path / "letter.txt", tmp_path / "build.json"
    letter.write_text("the only copy\n")
    build.write_text(json.dumps({"identity": {**identity, "inputs": {"log": str(letter)}, **network}}))
    for more in (("--dry-run",), ("--out", tmp_path / "out")):
        result = run("build-redweb", one_pair, "--config", build, *more)
        assert (result.exit_code, "with the path of yours" in result.output) == ((2, True) if network else (0, False))
    assert letter.read_text() == "the only copy\n"


def test_an_output_that_is_no_data_set(one_pair: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "me.jpg").write_bytes(b"the only copy")
    for more in ((), ("--overwrite",)):
        result = run("build-redweb", one_pair, "--out", photos, *QUICK, *more)
        assert result.exit_code == 1
        assert "not a data set" in result.output
        result = run("build-redweb", one_pair, "--out", photos / "me.jpg", *QUICK, *more)
        assert result.exit_code == 1
        assert "is a file" in result.output
        result = run("build-redweb", one_pair, "--out", one_pair, *QUICK, *more)
        assert result.exit_code == 1
    assert [(file.name, file.read_bytes()) for file in photos.iterdir()] == [("me.jpg", b"the only copy")]
    assert len(list(one_pair.iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--flow", "raft-huge"), 2, "raft-huge"),
        (("--device", "tpu"), 2, "tpu"),
        (("--preset", "strict"), 2, "strict"),
        (("--max-side", "big"), 2, "big"),
        (("--max-side", "64"), 2, "max_side 64: must be from 128 to 4096 px"),
        (("--limit", "0"), 2, "limit 0: must be at least 1"),
        (("--limit", "-3"), 2, "limit -3"),
        (("--nonsense",), 2, "--nonsense"),
        (("--flow", "raft-small", "--flow-weights", "nowhere.pth"), 1, "no weight file at nowhere.pth"),
        (("--flow", "raft-large"), 1, "raft_large"),
        (("--segmenter", "someone/network"), 1, "someone/network"),
        (("--segmenter", "auto", "--segmenter-weights", "nowhere"), 1, "nowhere lacks config.json"),
    ],
)
def test_bad_options(one_pair: Path, tmp_path: Path, options: tuple[str, ...], status: int, message: str) -> None:
    result = run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK, *options)
    assert result.exit_code == status
    assert message in result.output
    assert len(result.output.strip().splitlines()) < 8
    assert not (tmp_path / "out").exists()


def test_cuda_where_there_is_none(one_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK, "--device", "cuda")
    assert result.exit_code == 2
    assert "no CUDA device" in result.output


def test_no_space_left(one_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LabelWriter, "write_label", full)
    result = run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK)
    assert result.exit_code == 1
    assert "no space left on the disk" in result.output
    monkeypatch.undo()
    assert run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK).exit_code == 0


@pytest.mark.parametrize(("kind", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt(
    one_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: signal.Signals, status: int
) -> None:
    before = signal.getsignal(kind)
    monkeypatch.setattr(Store, "record", lambda *_: signal.raise_signal(kind))
    result = run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK)
    assert result.exit_code == status
    assert "Interrupted. 0 of 1 pairs are recorded. Nothing is lost" in result.output
    assert signal.getsignal(kind) == before
    monkeypatch.undo()
    assert run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK).exit_code == 0


def test_odd_metadata_of_a_picture_shows_no_line_of_a_librarys_source(
    tmp_path: Path, project: Path, python: str, rendered: Callable[..., Any]
) -> None:
    """A tag of a TIFF file that lies beyond its end."""
    for eye, view in (("L", rendered(0).left), ("R", rendered(0).right)):
        Image.fromarray(view).save(tmp_path / f"a_{eye}.tif", software="x" * 50)
        content = bytearray((tmp_path / f"a_{eye}.tif").read_bytes())
        entry = content.index(struct.pack("<HHI", 305, 2, 51))
        content[entry + 8 : entry + 12] = struct.pack("<I", 2**31 - 256)
        (tmp_path / f"a_{eye}.tif").write_bytes(content)
    command = [python, str(project / "cli.py"), "build-redweb", str(tmp_path), "--dry-run"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "a_L.tif + a_R.tif" in ended.stdout
    assert (ended.returncode, ended.stderr) == (0, "")


def test_another_interrupt_while_a_command_ends_shows_no_traceback() -> None:
    script = (
        "import atexit, signal; from redweb_builder.commands.main import main\n"
        "atexit.register(signal.raise_signal, signal.SIGINT)\n"
        "main(['--version'])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=100)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, b"")


def test_an_interrupt_while_a_command_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redweb_builder.commands.main.import_module", lambda _: signal.raise_signal(signal.SIGINT))
    result = run("report", "set")
    assert (result.exit_code, result.output) == (130, "\nInterrupted. Nothing was done yet.\n")


def test_an_interrupt_while_a_command_imports_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch takes seconds, after the command itself was found."""

    class Slow:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "trainer.commands.console":
                signal.raise_signal(signal.SIGINT)

    monkeypatch.delitem(sys.modules, "trainer.commands.console", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Slow(), *sys.meta_path])
    for arguments in (["predict", "photograph.jpg"], ["train"], ["evaluate", "builtin", "--on", "set"]):
        result = run(*arguments)
        assert (result.exit_code, result.output) == (130, "\nInterrupted. Nothing was done yet.\n")


def test_an_interrupt_of_a_command_that_says_nothing_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "report", lambda *_: signal.raise_signal(signal.SIGTERM))
    result = run("report", tmp_path)
    assert (result.exit_code, result.output) == (143, "\nInterrupted. The same command goes on from here.\n")


@pytest.mark.parametrize("fails", [RuntimeError("DataLoader worker is killed"), OSError("broken pipe")])
def test_what_fails_since_sigterm_ended_the_workers_too_is_no_fault(
    fails: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`timeout`, systemd and schedulers end all processes of a command."""

    def worker_died(*_: object) -> None:
        raise AssertionError("PyTorch's handler of SIGCHLD")

    def report(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGCHLD)
            raise fails from None

    monkeypatch.setattr(console, "report", report)
    before = signal.signal(signal.SIGCHLD, worker_died)
    try:
        result = run("report", "set")
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert result.exit_code == 143
    assert "Interrupted. The same command goes on" in result.output
    assert "rror" not in result.output


def test_a_bug_is_shown_as_a_bug(one_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ValueError that nobody raised on purpose is no mistake of the user's: its traceback is kept, in a file."""

    def broken(*_: object, **__: object) -> None:
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(builder_module, "Store", broken)
    result = run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK)
    assert result.exit_code == 70
    assert "a bug in redweb-builder (ValueError: operands could not be broadcast together)" in result.output
    log = next(tmp_path.glob("redweb-bug-*.log"))
    assert str(log) in result.output
    assert "in broken" in log.read_text()


@pytest.mark.parametrize(
    ("module", "package", "command"), [("cv2", "opencv-python", "grid"), ("torch", "torch", "predict")]
)
def test_a_missing_package_is_named(project: Path, tmp_path: Path, module: str, package: str, command: str) -> None:
    """Whether it is imported with the command, or when that runs."""
    script = f"import sys; sys.modules[{module!r}] = None; from redweb_builder.commands.main import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", script, command, str(tmp_path)], cwd=project, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"Error: the package {package}, which redweb-builder requires, is not installed: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_every_required_package_has_its_module(project: Path) -> None:
    listed = re.search(r"\ndependencies = \[\n(.*?)\n\]", (project / "pyproject.toml").read_text(), re.DOTALL)
    assert listed
    assert sorted(re.findall(r'^ *"([\w-]+)', listed[1], re.MULTILINE)) == sorted(REQUIRED.values())


def test_one_version(project: Path) -> None:
    assert f"version: {__version__}\n" in (project / "CITATION.cff").read_text()
    assert max(CHANGES) == METHOD, "what the newest method changed is not said"


def test_every_limit_has_its_criterion() -> None:
    limits = {limit.name for limit in fields(Thresholds)} - {"duplicate_bits"}
    assert {criterion.threshold for criterion in CRITERIA} == limits
    assert {criterion.measurement for criterion in CRITERIA} <= {measurement.name for measurement in MEASUREMENTS}


def test_an_error_message_is_a_sentence(one_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise StoreError("words for [people]")

    monkeypatch.setattr(builder_module, "Store", refused)
    result = run("build-redweb", one_pair, "--out", tmp_path / "out", *QUICK)
    assert result.output.strip().splitlines()[-1] == "Error: words for [people]"


# --- grid --------------------------------------------------------------------------------------------------------


def test_grid_of_some_keys(built: Any, tmp_path: Path) -> None:
    few, more = tmp_path / "few.png", tmp_path / "more.png"
    before = (built.out / "grid.png").read_bytes()
    meadow, torn = built.rows["good-meadow"]["key"], built.rows["torn"]["key"]
    result = run("grid", built.out, "--keys", meadow, "--to", few)
    assert result.exit_code == 0
    assert result.output.strip() == str(few)
    assert run("grid", built.out, "--keys", meadow, "--keys", torn, "--to", more).exit_code == 0
    with Image.open(few) as narrow, Image.open(more) as high:
        assert narrow.width == high.width
        assert narrow.height < high.height
    assert (built.out / "grid.png").read_bytes() == before
    wrong = run("grid", built.out, "--keys", "no-such-key", "--to", few)
    assert wrong.exit_code == 1
    assert "no-such-key" in wrong.output


def test_grid_rows_and_place(built: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(built.out, tmp_path / "copy")
    (copy / "grid.png").unlink()
    assert run("grid", copy).exit_code == 0
    with Image.open(copy / "grid.png") as image:
        whole = image.height
    assert run("grid", copy, "--rows", 2).exit_code == 0
    with Image.open(copy / "grid.png") as image:
        assert image.height < whole / 3
    assert run("grid", copy, "--rows", 0).exit_code == 2


def test_refilter_of_what_is_no_data_set(tmp_path: Path) -> None:
    result = run("refilter", tmp_path, "--set", "min_texture=0.1")
    assert result.exit_code == 1
    assert f"Error: {tmp_path} is no data set of this program" in result.output


def test_grid_of_what_is_no_data_set(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        result = run("grid", folder)
        assert result.exit_code == 1
        assert "is not a data set" in result.output


# --- what importing costs ----------------------------------------------------------------------------------------

IMPORT = """
import socket, sys
def refuse(*a, **k):
    raise SystemExit("network touched: " + repr(a))
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import {module}
print(*sorted(set(name.split(".")[0] for name in sys.modules)))
"""


def imported(module: str, python: str, project: Path) -> set[str]:
    """Top-level modules loaded by `import module` in a fresh interpreter that refuses to connect."""
    done = subprocess.run(
        [python, "-c", IMPORT.format(module=module)], capture_output=True, text=True, cwd=project, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["redweb_builder", "cli", "redweb_builder.inputs"])
def test_import_is_light(python: str, project: Path, module: str) -> None:
    loaded = imported(module, python, project)
    assert not loaded & {"torch", "torchvision", "kornia", "segmentation_models_pytorch", "timm", "huggingface_hub"}


def test_help_loads_no_library_of_pictures_or_tables(python: str, project: Path) -> None:
    """It lists all commands, so it imports what each of them needs at its head."""
    code = "import sys; from cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=project, check=True)
    assert "build-redweb" in done.stdout
    assert not set(done.stdout.splitlines()[-1].split()) & {"numpy", "cv2", "PIL", "pyarrow", "filelock", "rich"}


def test_public_names_and_no_network_in_importing_everything(python: str, project: Path) -> None:
    code = IMPORT.format(module="redweb_builder as r, redweb_builder.inspect.show") + (
        "print(r.build.__name__, r.open_dataset.__name__, r.BuildConfig().max_side, r.__version__); r.nonsense"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=project, check=False)
    assert done.stdout.splitlines()[-1].split() == ["build", "open_dataset", "768", __version__]
    assert re.search(r"AttributeError: module 'redweb_builder' has no attribute 'nonsense'", done.stderr)


def test_dry_run_loads_no_network_code(one_pair: Path, python: str, project: Path) -> None:
    code = (
        "import sys; from cli import main; main(['build-redweb', sys.argv[1], '--dry-run'], standalone_mode=False);"
        " assert 'torch' not in sys.modules"
    )
    done = subprocess.run([python, "-c", code, str(one_pair)], capture_output=True, text=True, cwd=project, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 pair (" in done.stdout


def test_output_that_nobody_reads_any_more_ends_without_a_word(tmp_path: Path, python: str, project: Path) -> None:
    """As of `build-redweb photos --dry-run | head`."""
    command = [python, "cli.py", "build-redweb", str(tmp_path), "--dry-run"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
