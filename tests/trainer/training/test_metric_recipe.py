"""Training of depth in metres: rates, phases, exact continuation, commands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from cli import main
from trainer.checkpoint import load_network
from trainer.config import preset
from trainer.data import metric_frames
from trainer.data.open import open_data
from trainer.data.pictures import read_rgb
from trainer.data.splits import split
from trainer.eigen_geometry import MAP
from trainer.export import export_checkpoint
from trainer.models.eigen import Eigen
from trainer.prediction.predict import predict_metres
from trainer.progress import Progress
from trainer.train import train_metric_depth
from trainer.training.metric_recipe import metric_depth, scale_invariant_log

CPU = torch.device("cpu")
BACKBONE = "tu-mobilenetv3_small_050"


def test_the_rates_are_the_papers(monkeypatch: pytest.MonkeyPatch, narrow: None) -> None:
    config = replace(preset("eigen"), learning_rate=1.0)

    def rates(has_start: bool) -> list[list[float]]:
        monkeypatch.setattr("trainer.training.metric_recipe.imagenet_start", lambda *_: (has_start, ""))
        recipe = metric_depth(config, torch.zeros(MAP))
        made = []
        for phase in recipe.phases:
            phase.on_start(recipe.network)
            made.append([group["lr"] for group in phase.optimiser(recipe.network).param_groups])
        return made

    assert rates(True) == [[0.001, 0.001, 0.1, 0.1], [0.001, 0.001, 0.01, 0.01]]
    assert rates(False)[0] == [0.1] * 4


@pytest.fixture(scope="module")
def nyu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rooms of two frames, nearer where darker, as rgb/ and depth/ with a test room."""
    folder = tmp_path_factory.mktemp("nyu")
    for name in ("rgb", "depth"):
        (folder / name).mkdir()
    rows = ["key,part,scene"]
    y, x = np.mgrid[0:240, 0:320]
    for number in range(8):
        metres = 2 + number / 6 + np.sin(x / 50 + number) / 2 - y / 400
        grey = np.rint(50 * metres).astype(np.uint8)
        Image.fromarray(np.repeat(grey[..., None], 3, 2)).save(folder / "rgb" / f"{number:02d}.png")
        Image.fromarray((1000 * metres).astype(np.uint16)).save(folder / "depth" / f"{number:02d}.png")
        rows.append(f"{number:02d},{'test' if number > 5 else 'train'},room_{number // 2}")
    (folder / "split.csv").write_text("\n".join(rows) + "\n")
    return folder


SETTINGS = replace(
    preset("eigen"),
    encoder_weights="none",
    batch=2,
    epochs=1,
    fine_epochs=1,
    learning_rate=0.1,
    validation=0.2,
    validations=1,
    workers=0,
    precision="float32",
    device="cpu",
)


def curve(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "train"]


def test_both_phases_run_in_the_one_loop_and_go_on_exactly(nyu: Path, tmp_path: Path, narrow: None) -> None:
    seen: list[Progress] = []
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_metric_depth([(nyu, 1.0)], SETTINGS, whole, watch=seen.append)
    assert [progress.phase for progress in seen[1:]] == ["coarse"] * 2 + ["fine"] * 2

    class Stop(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step == 4:
            raise Stop

    with pytest.raises(Stop):
        train_metric_depth([(nyu, 1.0)], SETTINGS, broken, watch=stop)
    after = load_network(broken / "last.safetensors")  # written at step 2
    train_metric_depth([(nyu, 1.0)], SETTINGS, broken)
    assert curve(broken) == pytest.approx(curve(whole), rel=1e-6)
    final = load_network(whole / "last.safetensors")
    assert isinstance(after, Eigen)
    assert isinstance(final, Eigen)
    for network, stages in ((after, ["coarse"]), (final, ["coarse", "coarse + fine"])):
        assert list(network.maps(torch.rand(1, 3, 228, 304))) == stages


def test_joint_training_has_one_phase_and_moves_both(nyu: Path, tmp_path: Path, narrow: None) -> None:
    config = replace(SETTINGS, joint=True, epochs=1)
    recipe = metric_depth(config, torch.zeros(MAP))
    assert [phase.name for phase in recipe.phases] == ["joint"]
    start = {name: value.clone() for name, value in recipe.network.state_dict().items()}
    train_metric_depth([(nyu, 1.0)], config, tmp_path)
    end = load_network(tmp_path / "last.safetensors").state_dict()
    for name in ("coarse.conv1.weight", "coarse.full7.weight", "fine.conv1.weight", "fine.conv3.weight"):
        assert not torch.equal(start[name], end[name]), name


@pytest.mark.parametrize(("joint", "option"), [(False, "--fine-epochs"), (True, "--epochs")])
def test_a_finished_run_goes_on_with_more_epochs_of_its_last_phase(
    joint: bool, option: str, nyu: Path, tmp_path: Path, narrow: None
) -> None:
    config = replace(SETTINGS, joint=joint)
    longer = replace(config, epochs=2) if joint else replace(config, fine_epochs=2)
    steps = train_metric_depth([(nyu, 1.0)], config, tmp_path).steps
    finished: list[Progress] = []
    train_metric_depth([(nyu, 1.0)], config, tmp_path, watch=finished.append)
    assert f"more {option} continue it" in finished[0].notes[-1]
    assert train_metric_depth([(nyu, 1.0)], longer, tmp_path).steps == steps + 2
    assert len(curve(tmp_path)) == steps + 2


@pytest.mark.parametrize("joint", [False, True])
def test_a_bad_first_step_of_a_phase_costs_one_step(
    joint: bool, nyu: Path, tmp_path: Path, narrow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the phase nor the next step's gradients are lost with it."""
    config = replace(SETTINGS, joint=joint, epochs=1, fine_epochs=0 if joint else 1)
    bad = 1 if joint else 3  # the first of the fine phase; before it, the last of the coarse one
    calls = [0]

    def poisoned(z: Any, batch: Any, uniform: Any, **settings: Any) -> Any:
        calls[0] += 1
        loss, scalars = scale_invariant_log(z, batch, uniform, **settings)
        return (loss * torch.nan if calls[0] in (bad - 1, bad) else loss), scalars

    monkeypatch.setattr("trainer.training.metric_recipe.scale_invariant_log", poisoned)
    summary = train_metric_depth([(nyu, 1.0)], config, tmp_path)
    assert summary.skipped == (1 if joint else 2)
    network = load_network(tmp_path / "last.safetensors")
    assert isinstance(network, Eigen)
    assert list(network.maps(torch.rand(1, 3, 228, 304))) == ["coarse", "coarse + fine"]


def test_the_recipe_of_the_paper_is_plain_sgd(nyu: Path, tmp_path: Path, narrow: None) -> None:
    """--recipe gives the settings, an option goes before it, and what is kept is the last weights, not a mean."""
    options = "--encoder-weights none --batch 2 --epochs 1 --fine-epochs 1 --workers 0 --device cpu --validation 0.2"
    arguments = ["train", "--recipe", "eigen-2014", "--data", str(nyu), "--out", str(tmp_path), *options.split()]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    settings = json.loads((tmp_path / "run.json").read_text())
    wanted = {"batch": 2, "ema": 0, "clip": 0, "warmup": 0, "schedule": "constant", "weigh_by_pixels": True}
    assert {name: settings[name] for name in wanted} == wanted
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    rates = {line["learning_rate"] for line in lines if line["kind"] == "train"}
    assert rates == {0.1, 0.01}  # of the last group: constant in each phase


def test_frames_are_decoded_once(nyu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.data.readers import frames

    read: list[str] = []

    def counted(file: Path) -> Any:
        read.append(file.name)
        return read_rgb(file)

    monkeypatch.setattr(frames, "read_rgb", counted)
    train_metric_depth([(nyu, 1.0)], replace(SETTINGS, backbone=BACKBONE, epochs=2, fine_epochs=0), tmp_path)
    assert sorted(read) == [f"{number:02d}.png" for number in range(6)]  # and never a test frame


def test_a_broken_frame_that_is_not_read_ahead_costs_one_sample(
    nyu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is memory for four frames; of those that come after them one is cut off."""
    folder = tmp_path / "nyu"
    shutil.copytree(nyu, folder)
    data = open_data(folder)
    training, held_out = split(data, SETTINGS.validation)
    monkeypatch.setattr(metric_frames, "MEMORY", 4 * metric_frames.FRAME_BYTES)
    broken = data.files([*held_out, *training][5])[0]
    broken.write_bytes(broken.read_bytes()[:500])
    summary = train_metric_depth([(folder, 1.0)], replace(SETTINGS, backbone=BACKBONE, fine_epochs=0), tmp_path / "run")
    assert summary.unread == 1


def test_the_commands_train_evaluate_predict_export(nyu: Path, tmp_path: Path) -> None:
    def called(*arguments: object) -> str:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    out = tmp_path / "run"
    options = f"--backbone {BACKBONE} --encoder-weights none --batch 2 --epochs 1 --validation 0.2 --workers 0".split()
    output = called("train", "--model", "eigen", "--data", nyu, "--out", out, "--device", "cpu", *options)
    assert "AbsRel" in output
    output = called("evaluate", out, "--on", nyu, "--against", out / "last.safetensors", "--device", "cpu")
    assert "AbsRel" in output
    rows = json.loads((out / "evaluation" / "evaluation.json").read_text())
    assert rows[0]["predictor"] == "mean of the training depths"
    assert rows[-1]["predictor"] == "the paper, coarse + fine"
    assert {row["samples"] for row in rows} == {2, 654}  # the test room; the paper's
    assert list(rows[0])[3:] == ["d1", "d2", "d3", "AbsRel", "SqRel", "RMSE", "RMSElog", "SI"]
    assert (out / "evaluation" / "sheet_nyu").with_name(f"sheet_{nyu.name}-test.png").is_file()
    called("predict", out, nyu / "rgb" / "03.png", "--out", tmp_path / "depth", "--device", "cpu")
    network = load_network(out)
    image = np.asarray(Image.open(nyu / "rgb" / "03.png"))
    metres = predict_metres(network, image, CPU)[BACKBONE]  # type: ignore[arg-type]
    np.testing.assert_allclose(np.asarray(Image.open(tmp_path / "depth" / "03.png")), 1000 * metres, atol=1)
    export_checkpoint(out, "torchscript", tmp_path / "network.pt")


def test_wrong_input_is_a_sentence(nyu: Path, tmp_path: Path, save: Callable[..., Path]) -> None:
    picture, grey = np.zeros((100, 100, 3), np.uint8), np.full((100, 100), 2000, np.uint16)
    for stem in "ab":
        save(picture, tmp_path / "redweb" / "Imgs" / f"{stem}.png")
        save(grey, tmp_path / "redweb" / "RDs" / f"{stem}.png")
    for arguments, output in (
        (["--data", str(tmp_path / "redweb")], "not in metres"),
        (["--data", str(nyu), "--validation", "0"], "--validation must be above 0"),
        (["--data", str(nyu), "--backbone", "nonet"], "nonet"),
        (["--data", str(nyu), "--backbone", BACKBONE, "--joint"], "one with a backbone has one phase"),
        (["--data", str(nyu), "--recipe", "eigen-2014"], "--recipe has its own network"),
        (["--data", str(nyu), "--size", "256"], "size 256: is no setting of model eigen"),
    ):
        result = CliRunner().invoke(main, ["train", "--model", "eigen", "--out", str(tmp_path / "o"), *arguments])
        assert result.exit_code in (1, 2), result.output
        assert output in result.output
        assert "Traceback" not in result.output
