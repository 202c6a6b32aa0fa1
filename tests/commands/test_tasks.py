"""The blocks of docs/tasks.md, in their order, on small pictures: what people copy from there works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from redweb_builder import open_dataset
from redweb_builder.commands.main import main

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
BEGIN = "python cli.py "
ON_CPU = {"build-redweb": ["--device", "cpu", "--flow", "dis"], "depth": ["--device", "cpu", "--flow", "dis"]}


def test_the_blocks_of_the_page_work(
    tmp_path: Path,
    rendered: Callable[..., Any],
    save: Callable[..., Path],
    save_pair: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scene = rendered(0)
    save_pair(tmp_path / "photos", "meadow", scene.left, scene.right)
    save(np.hstack([scene.left, scene.right]), tmp_path / "statue-sbs.jpg")
    save(scene.left, tmp_path / "photograph.jpg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(sh|python)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert [language for language, _ in blocks] == ["sh", "python", "sh", "sh", "sh"]
    for language, block in blocks:
        if language == "python":
            exec(block, {})
            continue
        for line in block.splitlines():
            assert line.startswith(BEGIN)
            name, *arguments = shlex.split(line.removeprefix(BEGIN))
            result = CliRunner().invoke(main, [name, *arguments, *ON_CPU.get(name, [])], catch_exceptions=False)
            assert result.exit_code == 0, f"{line}: {result.output}"
    (key,) = open_dataset("my-set").keys
    assert key in capsys.readouterr().out
    for file in ("for-the-hub/README.md", "for-stereo-networks/training/disp_occ_0/000000_10.png"):
        assert (tmp_path / file).is_file()
    assert list((tmp_path / "statue").glob("*.ply"))
    assert list((tmp_path / "predicted").glob("*.png"))
