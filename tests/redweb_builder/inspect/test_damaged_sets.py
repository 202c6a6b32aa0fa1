"""Data sets that are damaged or come from elsewhere: drawn without what cannot be shown, which is named and counted."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cli import main
from redweb_builder.config import PRESETS
from redweb_builder.dataset.decisions import decide
from redweb_builder.dataset.facts import UNKNOWN, facts_of
from redweb_builder.dataset.paths import input_folder
from redweb_builder.dataset.reader import open_dataset


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def folder(built: Any, tmp_path: Path) -> Path:
    copy: Path = shutil.copytree(built.out, tmp_path / "set")
    return copy


def test_a_preview_that_cannot_be_shown_costs_its_own_pair(folder: Path, tmp_path: Path) -> None:
    empty, gone, small, linked, fifo, *_ = sorted((folder / "previews").iterdir())
    empty.write_bytes(b"")
    gone.unlink()
    Image.new("RGB", (8, 8)).save(small)
    for file in (linked, fifo):
        file.unlink()
    Image.new("RGB", (8, 8)).save(tmp_path / "private.jpg")
    linked.symlink_to(tmp_path / "private.jpg")
    os.mkfifo(fifo)
    (folder / "grid.png").unlink()
    result = run("grid", folder)
    assert result.exit_code == 1
    assert "5 pairs are drawn without their pictures" in result.output
    for file in (empty, gone, small, linked, fifo):
        assert file.name in result.output
    with Image.open(folder / "grid.png") as grid:
        assert grid.height > 500


def test_a_label_that_is_gone_is_named_by_the_report(folder: Path, built: Any) -> None:
    label = next((folder / "RDs").iterdir())
    label.unlink()
    (folder / "report.html").unlink()
    result = run("report", folder)
    assert result.exit_code == 1
    assert label.stem in result.output
    assert "1 labelled pair cannot be shown as it was: its files" in result.output
    assert (folder / "report.html").read_text(encoding="utf-8").count(label.stem) >= 1


def test_a_label_that_was_cut_off_is_named_by_the_report(folder: Path) -> None:
    label = next((folder / "RDs").iterdir())
    label.write_bytes(label.read_bytes()[:-20])
    (folder / "report.html").unlink()
    result = run("report", folder)
    assert result.exit_code == 1
    assert f"{label.name}: " in result.output
    assert "were written" in result.output
    assert f"check {folder}" in result.output
    assert (folder / "report.html").is_file()


def test_a_file_in_the_place_of_a_folder_is_missing_pictures(folder: Path) -> None:
    shutil.rmtree(folder / "confidence")
    (folder / "confidence").write_bytes(b"")
    for command in ("report", "check"):
        result = run(command, folder)
        assert result.exit_code == 1
        assert "confidence/" in result.output


def test_marks_that_cannot_be_read_are_named_by_check(folder: Path) -> None:
    keys = [file.stem for file in sorted((folder / "RDs").iterdir())]
    (folder / "unknown").mkdir()
    Image.new("L", (8, 8)).save(folder / "unknown" / f"{keys[0]}.png")
    (folder / "unknown" / f"{keys[1]}.png").write_bytes(b"")
    result = run("check", folder)
    assert result.exit_code == 1
    assert all(f"unknown/{key}.png" in result.output for key in keys[:2])
    assert "2 faults" in result.output


def test_decisions_with_a_torn_line_are_to_be_left_where_they_are(folder: Path) -> None:
    """Moved away, as a link is to be, what people decided would be lost."""
    (folder / "decisions.jsonl").write_text('{"id": "x')
    result = run("check", folder)
    assert result.exit_code == 1
    assert "decisions.jsonl  1 damaged line\n" in result.output
    assert "leave the file where it is" in result.output
    assert "move them away" not in result.output


def test_marks_in_a_label_of_another_size_are_resized(folder: Path) -> None:
    """The build was given again with --max-side and --overwrite; what people marked stays."""
    before = open_dataset(folder)[0]
    height, width = before.mask.shape
    (folder / "unknown").mkdir()
    marks = np.zeros((2 * height, 2 * width), np.uint8)
    marks[:height] = 255
    Image.fromarray(marks).save(folder / "unknown" / f"{before.key}.png")
    assert run("check", folder).exit_code == 0
    after = open_dataset(folder)[0].mask
    assert not after[: height // 2].any()
    np.testing.assert_array_equal(after[height // 2 :], before.mask[height // 2 :])


@pytest.mark.parametrize("content", [None, b"", b"[]"])
def test_check_names_what_says_how_the_set_was_built(folder: Path, content: bytes | None) -> None:
    (folder / "build.json").unlink()
    if content is not None:
        (folder / "build.json").write_bytes(content)
    result = run("check", folder)
    assert result.exit_code == 1
    assert "build.json  is missing, or cannot be read" in result.output
    assert "\n1 fault\n" in result.output
    assert "a copy of the data set" in result.output


def test_check_says_when_it_has_nothing_to_compare_with(folder: Path) -> None:
    assert "journal.jsonl" not in run("check", folder).output
    (folder / "journal.jsonl").unlink()
    assert "No journal.jsonl says what was written" in run("check", folder).output


def test_check_cuts_no_name(folder: Path) -> None:
    (folder / "RDs" / f"{'x' * 200}.png").write_bytes(b"")
    assert f"RDs/{'x' * 200}.png" in run("check", folder).output


def test_decisions_of_others_that_are_none_are_counted(folder: Path) -> None:
    theirs = folder.parent / "theirs.jsonl"
    lines = [json.dumps(asdict(decide(key, "accept", "ana"))) for key in ("no-such-pair", "nor-this")]
    theirs.write_text("\n".join([*lines, "torn", "{}"]))
    output = run("decisions", folder, theirs).output
    assert "2 new lines merged\npassed over: 2 lines of these files, no decision" in output
    assert "passed over: 2 decisions about pairs that this data set does not have" in output


def test_a_sound_set_is_drawn_with_status_0(folder: Path) -> None:
    assert run("grid", folder).exit_code == 0
    assert run("report", folder).exit_code == 0


@pytest.mark.parametrize(
    "build", [{}, {"identity": 5}, {"flow": {}, "format": []}, {"input": 7}, {"input": "\0"}, {"input": "x" * 5000}]
)
def test_whatever_build_json_says_is_text_or_unknown(folder: Path, tmp_path: Path, build: dict[str, Any]) -> None:
    thresholds = {"thresholds": asdict(PRESETS["default"]), "segmentation": "<b>&amp;|x\n# y"}
    (folder / "build.json").write_text(json.dumps(thresholds | build))
    assert run("report", folder).exit_code == 0
    assert "&lt;b&gt;&amp;amp;|x # y" in (folder / "report.html").read_text(encoding="utf-8")
    assert run("export", folder, "--format", "huggingface", "--out", tmp_path / "hub").exit_code == 0
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert r"\<b\>\&amp;\|x # y" in card
    assert UNKNOWN in card
    assert facts_of(build).flow == UNKNOWN


@pytest.mark.parametrize("share", ["//attacker/share", "\\\\attacker\\share"])
def test_a_share_of_the_network_is_not_looked_for(folder: Path, share: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "build.json").write_text(json.dumps({"input": share}))
    asked: list[object] = []

    def exists(path: object) -> bool:
        asked.append(path)
        return True

    monkeypatch.setattr(os.path, "exists", exists)
    assert input_folder(folder) is None
    assert asked == []
