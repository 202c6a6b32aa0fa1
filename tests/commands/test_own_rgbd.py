"""The commands of docs/your-own-rgbd.md, in their order, on small pictures: what people type there works."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from redweb_builder.commands.main import main

PAGE = Path(__file__).parents[2] / "docs" / "your-own-rgbd.md"
BEGIN = "python cli.py "
SMALLER = {"train": ["--size", "64", "--epochs", "1", "--batch", "2", "--workers", "0"]}  # the last of an option counts


def commands() -> list[list[str]]:
    return [shlex.split(line.removeprefix(BEGIN)) for line in PAGE.read_text().splitlines() if line.startswith(BEGIN)]


def camera(folder: Path, save: Callable[..., Path]) -> None:
    """Ten pictures of 848x480 at an eighth, another program's depth of each, and a film of them."""
    film = cv2.VideoWriter(str(folder / "film.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (106, 60))
    for number in range(10):
        metres = np.linspace(4, 1, 60)[:, None] + np.linspace(0, 0.1 * number, 106)
        picture = np.repeat((255 / metres)[..., None], 3, axis=2).astype(np.uint8)
        save(picture, folder / f"realsense/rgb/{number:06d}.png")
        save((1000 * metres).astype(np.uint16), folder / f"realsense/depth/{number:06d}.png")
        (folder / "theirs").mkdir(exist_ok=True)
        np.save(folder / f"theirs/{number:06d}.npy", 2 * metres)
        film.write(picture)
    film.release()


def test_the_commands_of_the_page_work(
    tmp_path: Path, save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    camera(tmp_path, save)
    monkeypatch.chdir(tmp_path)
    ran = []
    for name, *arguments in commands():
        device = [] if name == "export" else ["--device", "cpu"]
        result = CliRunner().invoke(main, [name, *arguments, *SMALLER.get(name, []), *device], catch_exceptions=False)
        assert result.exit_code == 0, f"{name} {shlex.join(arguments)}: {result.output}"
        ran.append(name)
    assert ran == ["train", "evaluate", "evaluate", "predict", "export"]
    rows = {
        row["predictor"]: row for row in json.loads((tmp_path / "runs/mine/evaluation/evaluation.json").read_text())
    }
    assert rows["theirs"]["samples"] == 2
    assert rows["theirs"]["AbsRel"] < 0.01 < rows["runs/mine"]["AbsRel"]
    assert len(list((tmp_path / "depth").glob("*.mp4"))) == 1
