"""Evaluation of several checkpoints on several sets: what is loaded, and which tables come of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from redweb_builder.commands.main import main
from redweb_builder.errors import SettingsError
from redweb_builder.monocular.network import RedNet, RedNetConfig
from tests.trainer.memory_set import RAMP, Given
from trainer.checkpoint import load_network, read_header, save_network
from trainer.data.marks import mark_of, pack_marks
from trainer.data.open import open_data
from trainer.data.splits import Selection
from trainer.evaluation import evaluate as evaluation
from trainer.evaluation.competitors import prior
from trainer.evaluation.stored import open_stored
from trainer.models.eigen import EigenConfig, build
from trainer.prediction import predict

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


def test_a_set_that_is_missing_is_told_before_the_first_is_judged(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: pytest.fail("the first set was judged"))
    command = ["evaluate", str(checkpoints[0]), "--on", str(sets[0]), "--on", str(tmp_path / "none")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "there is no data set at" in result.output


def test_a_set_in_metres_has_one_table_where_every_network_is_metric(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    command = ["evaluate", str(checkpoints[1]), "--on", str(sets[0]), "--out", str(tmp_path / "out"), "--device", "cpu"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.endswith("evaluation.json and 1 picture sheet\n")
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


@pytest.mark.parametrize("which", [0, 1])
def test_the_part_that_training_kept_for_a_test_is_what_auto_takes(
    which: int, checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    (sets[0] / "split.csv").unlink()  # no part of its own
    command = (tmp_path, checkpoints[which], "--on", sets[0], "--validation", 0.1, "--test", 0.5)
    rows, _ = evaluated(*command)
    for part, is_it in (("test", True), ("val", False), ("all", False)):
        assert (evaluated(*command, "--part", part)[0] == rows) == is_it


def evaluated(tmp_path: Path, checkpoint: Path, *arguments: object) -> tuple[list[dict[str, Any]], str]:
    """The rows and the output of an evaluation by the command line."""
    command = ["evaluate", str(checkpoint), *map(str, arguments), "--out", str(tmp_path / "out"), "--device", "cpu"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads((tmp_path / "out" / "evaluation.json").read_text()), result.output


def test_diw_counts_what_is_missing_outside_or_another_picture(
    checkpoints: tuple[Path, Path], tmp_path: Path, save: Save
) -> None:
    lines = []
    for name, shape, pair in (
        ("right", (60, 80), "1,40,60,40,>,80,60"),
        ("wrong", (60, 80), "1,40,60,40,<,80,60"),
        ("resized", (120, 160), "1,40,60,40,>,80,60"),
        ("outside", (60, 80), "1,40,61,40,>,80,60"),
        ("another", (80, 80), "1,40,60,40,>,80,60"),
    ):
        save(np.zeros((*shape, 3), np.uint8), tmp_path / f"{name}.png")
        lines.append(f"./{name}.png\n{pair}\n")
    (tmp_path / "diw.csv").write_text("".join(lines) + "./gone.png\n1,40,60,40,>,80,60\n")
    rows, output = evaluated(tmp_path, checkpoints[0], "--on", tmp_path / "diw.csv")
    prior = rows[-1]
    assert (prior["samples"], prior["WHDR"], prior["unread"], prior["outside"]) == (4, 25, 2, 1)
    assert "2 pictures could not be read" in output
    assert "gone.png: cannot be opened" in output
    assert "another.png" in output
    (tmp_path / "diw.csv").write_text("./gone.png\n1,40,60,40,>,80,60\n")
    result = CliRunner().invoke(main, ["evaluate", str(checkpoints[0]), "--on", str(tmp_path / "diw.csv")])
    assert result.exit_code == 1
    assert "none of its 1 photographs can be read" in result.output


def test_a_second_pair_of_a_picture_is_of_that_picture_after_one_that_is_left_out(
    checkpoints: tuple[Path, Path], tmp_path: Path, save: Save
) -> None:
    for name, shape in (("judged", (60, 80)), ("another", (80, 80))):
        save(np.zeros((*shape, 3), np.uint8), tmp_path / f"{name}.png")
    names = ("judged", "another", "judged")
    (tmp_path / "diw.csv").write_text("".join(f"./{name}.png\n1,40,60,40,>,80,60\n" for name in names))
    rows, _ = evaluated(tmp_path, checkpoints[0], "--on", tmp_path / "diw.csv")
    assert (rows[-1]["samples"], rows[-1]["unread"]) == (2, 1)


def test_da2k_gives_accuracy_over_all_pairs_and_of_each_scenario(
    checkpoints: tuple[Path, Path], tmp_path: Path, save: Save
) -> None:
    lower = {"point1": [50, 3], "point2": [10, 3], "closer_point": "point1"}
    pairs = {"images/indoor/a.png": [lower, lower, lower], "images/aerial/b.png": [lower | {"closer_point": "point2"}]}
    for name in pairs:
        save(np.zeros((60, 80, 3), np.uint8), tmp_path / "DA-2K" / name)
    (tmp_path / "DA-2K" / "annotations.json").write_text(json.dumps(pairs))
    rows, _ = evaluated(tmp_path, checkpoints[0], "--on", tmp_path / "DA-2K")
    prior = rows[-1]
    assert (prior["data"], prior["samples"], prior["accuracy"]) == ("DA-2K", 4, 75)
    assert (prior["indoor"], prior["aerial"]) == (100, 0)
    pairs["images/aerial/a.png"] = pairs.pop("images/aerial/b.png")  # two pictures of one name
    save(np.zeros((60, 80, 3), np.uint8), tmp_path / "DA-2K/images/aerial/a.png")
    (tmp_path / "DA-2K" / "annotations.json").write_text(json.dumps(pairs))
    lower_nearer = np.repeat(np.arange(60, dtype=np.uint8)[:, None], 80, axis=1)
    save(lower_nearer, tmp_path / "near" / "indoor" / "a.png")  # as `predict DA-2K/images` names them
    save(59 - lower_nearer, tmp_path / "near" / "aerial" / "a.png")
    rows, _ = evaluated(tmp_path, tmp_path / "near", "--on", tmp_path / "DA-2K", "--predictions", "near")
    assert (rows[0]["accuracy"], rows[0]["indoor"], rows[0]["aerial"]) == (100, 100, 100)


@pytest.mark.parametrize("has_true_zero", [False, True])
def test_a_label_of_which_nothing_is_known_has_no_share_in_any_figure(has_true_zero: bool) -> None:
    data = Given([RAMP, RAMP * np.nan])
    data.has_true_zero = has_true_zero
    rows, _ = evaluation.evaluate({"upside down": lambda image: -prior(image)}, data, Selection("all"))
    figures = rows[0].figures
    assert (figures["WKDR"], figures["inverted"]) == (100, 100)
    assert rows[1].figures["inverted"] == 0


def test_pairs_of_points_are_counted_as_such_and_pictures_that_are_gone_once(
    checkpoints: tuple[Path, Path], tmp_path: Path, save: Save
) -> None:
    pair = {"point1": [50, 3], "point2": [10, 3], "closer_point": "point1"}
    save(np.zeros((60, 80, 3), np.uint8), tmp_path / "DA-2K/images/indoor/a.png")
    pairs = {"images/indoor/a.png": [pair] * 3, "images/indoor/gone.png": [pair] * 2}
    (tmp_path / "DA-2K" / "annotations.json").write_text(json.dumps(pairs))
    rows, output = evaluated(tmp_path, checkpoints[0], "--on", tmp_path / "DA-2K")
    assert (rows[0]["samples"], rows[0]["unread"]) == (3, 1)
    assert "DA-2K: 3 pairs of points" in output
    assert "1 picture could not be read" in output


def test_a_broken_picture_is_left_out_and_named(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    for path, name in ((sets[0], "rgb"), (sets[1], "Imgs")):
        file = path / name / "2.png"
        file.write_bytes(file.read_bytes()[:2000])
    rows, output = evaluated(
        tmp_path, checkpoints[0], "--against", checkpoints[1], "--on", sets[0], "--on", sets[1], "--part", "all"
    )
    for file in (sets[0] / "rgb/2.png", sets[1] / "Imgs/2.png"):
        assert f"left out:\n  {file}" in output
    assert {(row["samples"], row.get("unread", 0)) for row in rows} == {(2, 1), (654, 0)}


def test_figures_on_pictures_that_were_trained_on_are_marked(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    data = open_data(sets[1])
    marks = {"trained_on": pack_marks(mark_of(data, index) for index in range(2))}
    relative = RedNetConfig(ENCODER, 8)
    save_network(checkpoints[0], RedNet(relative), {"name": "rednet", **asdict(relative)}, {"size": 64, **marks})
    copy = tmp_path / "copy"
    shutil.copytree(sets[1], copy)
    rows, output = evaluated(tmp_path, checkpoints[0], "--on", copy)
    assert [row.get("trained_on") for row in rows] == [2, None]
    assert "2 of these pictures were trained on" in output


def test_frames_of_any_camera_are_trained_on_and_judged_whole(tmp_path: Path, save: Save) -> None:
    """A RealSense of 848x480, in millimetres: both kinds of network, and the same frames in another scale."""
    y = np.linspace(4000, 800, 480)[:, None]
    for number in range(6):
        depth = np.repeat(y + 50 * number, 848, axis=1).astype(np.uint16)
        save((depth // 20)[..., None].repeat(3, 2).astype(np.uint8), tmp_path / "set" / "rgb" / f"{number}.png")
        save(depth, tmp_path / "set" / "depth" / f"{number}.png")
    common = ["--data", tmp_path / "set", "--epochs", 1, "--batch", 2, "--workers", 0, "--device", "cpu"]
    common += ["--encoder-weights", "none", "--validation", 0.2]
    for out, own in (
        ("relative", ["--encoder", ENCODER, "--size", 64]),
        ("metric", ["--model", "eigen", "--backbone", ENCODER]),
    ):
        command = ["train", *common, *own, "--out", tmp_path / out]
        result = CliRunner().invoke(main, [str(part) for part in command], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        rows, output = evaluated(tmp_path, tmp_path / out, "--on", tmp_path / "set", "--part", "all")
        assert rows[-1]["samples"] in (6, 654)
        assert "were trained on" in output
    save(np.repeat(5 * y, 848, axis=1).astype(np.uint16), tmp_path / "tum" / "depth" / "0.png")
    save(np.zeros((480, 848, 3), np.uint8), tmp_path / "tum" / "rgb" / "0.png")
    refused = CliRunner().invoke(main, ["evaluate", str(tmp_path / "relative"), "--on", str(tmp_path / "tum")])
    assert refused.exit_code == 1
    assert "5000 (TUM RGB-D: 2.4 m)" in refused.output
    evaluated(tmp_path, tmp_path / "relative", "--on", tmp_path / "tum", "--depth-scale", 5000)


def test_predictions_of_another_program_are_judged_beside_the_networks(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path, save: Save
) -> None:
    near, far, small = (tmp_path / name for name in ("near", "far", "small"))
    for number in range(3):
        truth = 255.0 - np.asarray(Image.open(sets[1] / "RDs" / f"{number}.png"), np.float32)
        near.mkdir(exist_ok=True)
        np.save(near / f"{number}.npy", truth)
        save(np.rint(50_000 / (1 + truth)).astype(np.uint16), far / f"{number}.png")
        save(truth[::2, ::2].astype(np.uint8), small / f"{number}.png")
    for folder, sense in ((near, "near"), (far, "far"), (small, "near")):
        rows, _ = evaluated(tmp_path, folder, checkpoints[0], "--on", sets[1], "--predictions", sense)
        assert [row["predictor"] for row in rows] == [str(folder), str(checkpoints[0]), "lower is nearer"]
        assert rows[0]["WKDR"] < 3
    for arguments, message in (
        ([], "is larger nearer or farther"),
        (["--predictions", "near"], "has no prediction for 2"),
    ):
        (near / "2.npy").unlink(missing_ok=True)
        result = CliRunner().invoke(main, ["evaluate", str(near), "--on", str(sets[1]), *arguments])
        assert result.exit_code == 1
        assert message in result.output


@pytest.mark.parametrize("scale", [1, 2])
def test_depth_that_is_known_up_to_a_shift_keeps_its_order(tmp_path: Path, scale: int) -> None:
    depth = np.arange(-6.0, 18.0, dtype=np.float32).reshape(4, 6)
    np.save(tmp_path / "a.npy", depth)
    image = np.zeros((4 * scale, 6 * scale, 3), np.uint8)
    for sense, sign in (("near", 1), ("far", -1)):
        predicted = sign * open_stored(tmp_path, sense).predict("a", image)[::scale, ::scale]
        assert (np.diff(predicted) > 0).all()


def test_a_protocol_has_means_over_pictures_over_pixels_and_over_sets(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path, save: Save
) -> None:
    """Depth of another program, 0.1 m too far in the upper half, with a confidence that knows it."""
    given, copy = tmp_path / "given", tmp_path / "copy"
    shutil.copytree(sets[0], copy)
    for number in range(3):
        metres = np.asarray(Image.open(sets[0] / "depth" / f"{number}.png"), np.float32) / 1000
        error = np.zeros_like(metres)
        error[: 120 if number == 1 else 0] = 0.1
        given.mkdir(exist_ok=True)
        np.save(given / f"{number}.npy", metres + error)
        np.save(given / f"{number}_confidence.npy", -error / metres)
    arguments = ["--predictions", "metres", "--protocol", "eigen", "--on", sets[0], "--against", checkpoints[1]]
    rows, output = evaluated(tmp_path, given, *arguments, "--on", copy)  # --against is the same as one more CHECKPOINT
    own, pooled = rows[:2]
    assert (own["predictor"], own["samples"]) == (str(given), 2)
    assert own["RMSE"] == pytest.approx(np.sqrt(0.005) / 2, rel=1e-3)  # of two pictures one is right
    assert pooled["RMSE"] == pytest.approx(np.sqrt(0.005 / 2), rel=1e-3)
    assert own["AUSE"] == pytest.approx(0, abs=1e-6)
    assert "eigen, mean of 2 sets" in output
    both = next(row for row in rows if "mean of" in row["data"])
    assert [both[name] for name in ("AbsRel", "metres AbsRel", "copy AbsRel")] == pytest.approx([own["AbsRel"]] * 3)
    assert {file.name for file in (tmp_path / "out").glob("*.png")} == {
        "sheet_metres-eigen.png",
        "sheet_copy-eigen.png",
    }
    for path, protocol, status, message in (
        (sets[1], "midas", 1, "whose depth has a zero"),
        (sets[2], "moge", 1, "pairs of points"),
        (sets[0], "eigen", 2, "Take midas, marigold or moge"),  # of a network whose depth is known up to a shift
    ):
        command = ["evaluate", str(checkpoints[0]), "--on", str(path), "--protocol", protocol, "--device", "cpu"]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == status
        assert message in " ".join(result.output.split())


@pytest.mark.parametrize(("network", "on", "more"), [(0, 0, "--protocol marigold"), (0, 1, ""), (0, 2, ""), (1, 0, "")])
def test_weights_that_are_no_numbers_are_refused_as_by_predict(
    checkpoints: tuple[Path, Path], sets: tuple[Path, Path, Path], tmp_path: Path, network: int, on: int, more: str
) -> None:
    file = checkpoints[network]
    weights, header = load_network(file), read_header(file)
    for parameter in weights.parameters():
        parameter.data.fill_(torch.nan)
    save_network(file, weights, header.pop("model"), header)
    command = ["evaluate", str(file), "--on", str(sets[on]), "--out", str(tmp_path / "out"), "--device", "cpu"]
    result = CliRunner().invoke(main, [*command, *more.split()])
    assert result.exit_code == 1, result.output
    assert f"Error: {file}: the network gives values that are not finite; its weights are of no use" in result.output


@pytest.mark.parametrize("share", [-1.0, 1.0, 2.0, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(SettingsError, match=r"validation .*from 0 to below 1"):
        Selection("val", share)
    with pytest.raises(SettingsError, match=r"test .*from 0 to below 1"):
        Selection("test", test_fraction=share)


def test_one_photograph_that_cannot_be_read_is_counted_as_one(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    command = ["predict", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert "Error: 1 file could not be read; 1 picture done" in result.output
