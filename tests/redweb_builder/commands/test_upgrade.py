"""What a new build would change of an older data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from redweb_builder.commands.config_file import read_settings
from redweb_builder.commands.main import main
from redweb_builder.commands.upgrade import changes_of
from redweb_builder.version import METHOD

Age = Callable[..., Path]


@pytest.fixture
def aged(built: Any, tmp_path: Path) -> Age:
    """Writes the build.json of a finished data set with another identity into a folder."""

    def write(**identity: object) -> Path:
        build = json.loads((built.out / "build.json").read_text())
        build["identity"] |= identity
        (tmp_path / "build.json").write_text(json.dumps(build))
        return tmp_path

    return write


def output(folder: Path, status: int = 0) -> str:
    result = CliRunner().invoke(main, ["upgrade", str(folder)])
    assert result.exit_code == status, result.output
    return result.output


def test_a_set_of_today_is_left_alone(aged: Age) -> None:
    assert "change nothing" in output(aged())


def test_an_older_set_is_told_what_is_new_and_how(aged: Age) -> None:
    folder = aged(method=10, mono="none", mono_weights_sha256=None)
    text = output(folder)
    assert f"method: 10 there, {METHOD} now" in text
    assert "method 11: a depth network is asked" in text
    assert "mono: none there, builtin is the default now" in text
    assert f"--out {folder} --config {folder / 'build.json'} --mono builtin --overwrite" in text
    assert read_settings(folder / "build.json")["mono"] == "none"
    assert "pairs are\nlost whose photographs are gone, or lie in another folder" in text


def test_a_part_is_built_again_as_that_part(aged: Age) -> None:
    build = json.loads((aged(method=METHOD - 1) / "build.json").read_text())
    whole = aged()
    part = whole / "part-02-of-16"
    part.mkdir()
    (part / "build.json").write_text(json.dumps(build | {"part": [2, 16], "limit": 9}))
    text = output(part)
    assert f"--out {whole} --config {part / 'build.json'} --part 2/16 --limit 9 --mono builtin --overwrite" in text
    (part / "build.json").write_text(json.dumps(build | {"part": [3, 16]}))
    assert f"--out {part} --config" in output(part)


def test_other_weights_and_limits_are_named(aged: Age) -> None:
    limits = {"min_texture": 0.5, "min_agreement": 0.5, "min_range_px": None}
    text = output(aged(segmenter_weights_sha256="0" * 64, thresholds=limits))
    assert "segmenter: the built-in network has other weights now" in text
    assert "min_texture: 0.5 there, kept; the default is 0.04 now" in text
    assert "min_range_px: off there, kept; the default is 2.5 now" in text
    assert "min_agreement" not in text
    assert "max_outliers: not judged there, 0.9 now" in text


def test_networks_of_the_users_are_kept_and_their_paths_asked_for(aged: Age) -> None:
    text = output(aged(method=METHOD - 1, mono="my depth.onnx", flow="onnx:gmflow.onnx"))
    assert "is the default now" not in text
    assert "--flow onnx:FOLDER/gmflow.onnx --mono 'FOLDER/my depth.onnx' --overwrite" in text
    assert "Put the folder of gmflow.onnx in the place of FOLDER" in text
    assert "Put the folder of my depth.onnx in the place of FOLDER" in text
    assert "change nothing" in output(aged(mono="my depth.onnx"))


@pytest.mark.parametrize("identity", [None, 5, [], {"method": "\x1b[31m", "thresholds": 3}])
def test_what_comes_from_elsewhere_is_read(tmp_path: Path, identity: object) -> None:
    build = {"format": "redweb-builder/1", "identity": identity, "input": "a b'c"}
    assert changes_of(build)
    (tmp_path / "build.json").write_text(json.dumps(build))
    text = output(tmp_path)
    assert "\x1b" not in text
    assert """build-redweb 'a b'"'"'c' --out""" in text


def test_a_stranger_s_names_become_no_option_and_no_file_that_is_there(aged: Age) -> None:
    folder = aged(method=METHOD - 1, mono="/tmp/set/evil.pt", flow="torchscript:../evil.pt")
    build = json.loads((folder / "build.json").read_text())
    files = {"flow_weights": "../evil;.pth", "pairs": 3, "log": "x"}
    (folder / "build.json").write_text(json.dumps(build | {"input": "--log=.profile", "files": files}))
    text = output(folder)
    assert "cli.py build-redweb STEREO_DIR --out" in text
    assert "--flow-weights 'FOLDER/evil;.pth' --flow torchscript:FOLDER/evil.pt --mono FOLDER/evil.pt" in text
    assert "--log" not in text
    assert "--pairs" not in text


def test_another_folder_is_refused(tmp_path: Path) -> None:
    assert "no data set" in output(tmp_path, status=1)
