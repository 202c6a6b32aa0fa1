"""Evaluation of several checkpoints on several sets: what is loaded, and which tables come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from redweb_builder.commands.main import main
from trainer import predict
from trainer.checkpoint import save_network
from trainer.evaluation import evaluate as evaluation
from trainer.models.eigen import EigenConfig, build
from trainer.models.rednet import RedNet, RedNetConfig

Save = Callable[..., Path]
ENCODER = "tu-mobilenetv3_small_050"


@pytest.fixture
def checkpoints(tmp_path: Path) -> tuple[Path, Path]:
    """A network of relative depth and one of depth in metres, both random."""
    torch.manual_seed(0)
    relative, metric = RedNetConfig(ENCODER, 8), EigenConfig(ENCODER, 8)
    files = tmp_path / "relative.safetensors", tmp_path / "metric.safetensors"
    save_network(files[0], RedNet(relative), {"name": "rednet", **asdict(relative)}, {"size": 64, "validation": 0.5})
    save_network(files[1], build(metric), {"name": "eigen", **asdict(metric)}, {})
    return files


@pytest.fixture
def sets(tmp_path: Path, save: Save) -> tuple[Path, Path, Path]:
    """A set in metres with a test part, one of relative depth, and a CSV of DIW."""
    ramp = np.repeat(np.linspace(1000, 5000, 240)[:, None], 320, axis=1).astype(np.uint16)
    metres, relative, diw = tmp_path / "metres", tmp_path / "relative", tmp_path / "diw.csv"
    rows = ["key,part,scene"]
    for number in range(3):
        picture = np.random.default_rng(number).integers(0, 256, (240, 320, 3), np.uint8)
        save(picture, metres / "rgb" / f"{number}.png")
        save(ramp, metres / "depth" / f"{number}.png")
        save(picture[:60, :80], relative / "Imgs" / f"{number}.png")
        save((ramp[:60, :80] // 20).astype(np.uint8), relative / "RDs" / f"{number}.png")
        rows.append(f"{number},{'test' if number else 'train'},room_{number}")
    (metres / "split.csv").write_text("\n".join(rows) + "\n")
    diw.write_text(f"{relative}/Imgs/0.png\n1,1,50,70,>,80,60\n")
    return metres, relative, diw


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[str]:
    """The paths that a module's function is called with from now on."""
    calls: list[str] = []
    original = getattr(module, name)

    def call(path: Path, *rest: Any) -> Any:
        calls.append(path.name)
        return original(path, *rest)

    monkeypatch.setattr(module, name, call)
    return calls


def test_every_checkpoint_and_every_set_is_opened_once(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, opened = counted(monkeypatch, predict, "load_network"), counted(monkeypatch, evaluation, "open_data")
    on = [argument for path in sets for argument in ("--on", str(path))]
    against = ["--against", str(checkpoints[1]), "--against", str(checkpoints[0])]
    command = ["evaluate", str(checkpoints[0]), *against, *on, "--out", str(tmp_path / "out"), "--device", "cpu"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert loaded == ["relative.safetensors", "metric.safetensors"]
    assert opened == ["metres", "relative"]
    rows = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    names = [str(path) for path in checkpoints]
    tables: dict[str, list[str]] = {}
    for row in rows:
        tables.setdefault(row["data"], []).append(row["predictor"])
    assert tables["metres-test"][:2] == ["mean of the training depths", f"{names[1]}: {ENCODER}"]
    for title in ("metres", "relative", "diw"):
        assert tables[title] == [*names, "lower is nearer"]
    assert {row["samples"] for row in rows if row["data"] == "metres"} == {2}
    sheets = {file.name for file in (tmp_path / "out").glob("sheet_*.png")}
    assert sheets == {"sheet_metres-test.png", "sheet_metres.png", "sheet_relative.png", "sheet_diw.png"}


def test_a_set_in_metres_has_one_table_where_every_network_is_metric(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    command = ["evaluate", str(checkpoints[1]), "--on", str(sets[0]), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert CliRunner().invoke(main, command, catch_exceptions=False).exit_code == 0
    rows = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert {row["data"] for row in rows} == {"metres-test"}


def test_validation_samples_are_those_that_the_checkpoint_held_out(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    for more, samples in ((), 2), (("--validation", "0.1"), 1):
        command = ["evaluate", str(checkpoints[0]), "--on", str(sets[1]), "--part", "val", "--out", str(tmp_path / "o")]
        result = CliRunner().invoke(main, [*command, "--device", "cpu", *more], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        rows = json.loads((tmp_path / "o" / "evaluation.json").read_text())
        assert {row["samples"] for row in rows} == {samples}
