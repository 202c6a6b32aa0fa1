"""Sky and far field: the built-in network, networks loaded from a folder, and what happens without one."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file, save, save_file

from redweb_builder.errors import WeightsUnavailable
from redweb_builder.segmentation import SHIPPED
from redweb_builder.segmentation.segmenters import (
    ADE20K_CLASSES,
    ADE20K_FAR,
    ADE20K_SKY,
    BuiltinSegmenter,
    NoRegions,
    SmpSegmenter,
    guided_upsample,
    load_segmenter,
)
from redweb_builder.segmentation.sky_network import SkyNetwork
from redweb_builder.types import BoolMap, Picture
from samples.scenes import Scene

Render = Callable[..., Scene]
CPU = torch.device("cpu")


def overlap(first: BoolMap, second: BoolMap) -> float:
    """Intersection over union."""
    return float((first & second).sum() / (first | second).sum())


# --- built-in ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def builtin() -> BuiltinSegmenter:
    return BuiltinSegmenter(CPU)


@pytest.mark.parametrize("seed", [0, 2, 4, 6])
def test_builtin_finds_the_sky(builtin: BuiltinSegmenter, rendered: Render, seed: int) -> None:
    scene = rendered(seed)
    regions = builtin(scene.left)
    assert regions.sky.shape == regions.far.shape == scene.sky.shape
    assert regions.sky.dtype == regions.far.dtype == np.float32
    assert regions.sky.min() >= 0
    assert regions.sky.max() <= 1
    assert overlap(regions.sky > 0.5, scene.sky) > 0.7
    assert np.all(regions.sky + regions.far <= 1 + 1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_builtin_finds_no_sky_indoors(builtin: BuiltinSegmenter, rendered: Render, seed: int) -> None:
    regions = builtin(rendered(seed, "indoor").left)
    assert (regions.sky > 0.5).mean() < 0.01


def test_regions_do_not_depend_on_the_number_of_cores(
    builtin: BuiltinSegmenter, rendered: Render, torch_threads: Callable[[int], None]
) -> None:
    answers = []
    for threads in (1, 2, 4):
        torch_threads(threads)
        answers.append(builtin(rendered(4).left))
        assert torch.get_num_threads() == threads
    assert np.array_equal(answers[0].sky, answers[1].sky)
    assert np.array_equal(answers[0].sky, answers[2].sky)


def test_builtin_is_the_trained_network_with_its_batch_norms_folded(builtin: BuiltinSegmenter) -> None:
    trained = SkyNetwork()
    trained.load_state_dict(load_file(SHIPPED))
    picture = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        folded, expected = builtin.network(picture), trained.eval()(picture)
    assert torch.allclose(folded, expected, atol=1e-3)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in builtin.network.modules())


def test_what_is_shipped_is_small_and_is_what_was_trained(tmp_path: Path) -> None:
    assert SHIPPED.stat().st_size <= 8e6
    weights = BuiltinSegmenter(CPU).weights
    assert weights is not None
    assert (weights.origin, weights.sha256) == ("package", sha256(SHIPPED.read_bytes()).hexdigest())
    damaged = tmp_path / SHIPPED.name
    with pytest.raises(WeightsUnavailable, match="missing"):
        BuiltinSegmenter(CPU, damaged)
    content = bytearray(SHIPPED.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    copy(SHIPPED.with_name(f"{SHIPPED.name}.sha256"), tmp_path)
    with pytest.raises(WeightsUnavailable, match=r"segmenter\.safetensors is damaged"):
        BuiltinSegmenter(CPU, damaged)


def test_weights_that_are_no_network_are_named(tmp_path: Path) -> None:
    for number, content in enumerate((b"words instead of weights", save({"a": torch.zeros(2)}))):
        file = tmp_path / f"{number}.safetensors"
        file.write_bytes(content)
        file.with_name(f"{file.name}.sha256").write_text(sha256(content).hexdigest())
        with pytest.raises(WeightsUnavailable, match=rf"{number}\.safetensors is not of this version's network"):
            BuiltinSegmenter(CPU, file)


def test_none_finds_nothing(rendered: Render) -> None:
    segmenter, chosen = load_segmenter("none", None, CPU)
    assert isinstance(segmenter, NoRegions)
    assert "no segmentation" in chosen
    regions = segmenter(rendered(0).left)
    assert regions.sky.shape == rendered(0).sky.shape
    assert not regions.sky.any()
    assert not regions.far.any()


def test_edges_follow_the_photograph() -> None:
    """A map at an eighth of the size, its edge 2 px off: the photograph's edge wins."""
    picture = np.zeros((128, 160, 3), np.uint8)
    picture[:, 82:] = 200
    coarse = np.zeros((16, 20), np.float32)
    coarse[:, 10:] = 1
    sky = guided_upsample(picture, coarse, np.zeros_like(coarse)).sky
    truth = picture[..., 0] > 0
    assert (np.abs(sky - truth) > 0.5).mean() < 0.005
    assert overlap(sky > 0.5, truth) > overlap(np.repeat(np.repeat(coarse > 0.5, 8, 0), 8, 1), truth)


# --- a network of one's own --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained smp network with ADE20K's 150 classes, as save_pretrained leaves it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("networks") / "tiny"
    small = {"encoder_weights": None, "encoder_depth": 3, "decoder_channels": (16, 16, 16)}
    smp.Unet("resnet18", classes=ADE20K_CLASSES, **small).save_pretrained(str(folder))
    return folder


@pytest.fixture
def copied(network: Path, tmp_path: Path) -> Path:
    return copytree(network, tmp_path / "copied")


def test_a_network_is_loaded_from_its_folder_or_its_file(network: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 131, 3), dtype=np.uint8)
    answers = []
    for weights in (network, network / "model.safetensors"):
        segmenter, chosen = load_segmenter("auto", weights, CPU)
        assert segmenter.name == "tiny"
        assert segmenter.weights is not None
        assert segmenter.weights.origin == "path"
        assert segmenter.weights.sha256 == sha256((network / "model.safetensors").read_bytes()).hexdigest()
        assert str(network) in chosen
        answers.append(segmenter(picture))
    assert answers[0].sky.shape == (90, 131)
    assert answers[0].sky.dtype == np.float32
    assert 0 < answers[0].sky.max() <= 1
    assert np.array_equal(answers[0].sky, answers[1].sky)


class Classes(torch.nn.Module):
    """A network that is certain of one class a column of the picture."""

    def __init__(self, columns: list[int]) -> None:
        super().__init__()
        self.columns = columns

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        count, _, height, width = pictures.shape
        logits = torch.zeros(count, ADE20K_CLASSES, height, width)
        for index, which in enumerate(self.columns):
            start, stop = (round(edge * width / len(self.columns)) for edge in (index, index + 1))
            logits[:, which, :, start:stop] = 50
        return logits


def test_ade20k_classes_become_sky_and_far(network: Path) -> None:
    """ADE20K's 150, counted from 0: wall 0, sky 2, tree 4, mountain 16, water 21, sea 26, hill 68."""
    assert ADE20K_SKY == [2]
    assert {16, 21, 26, 68} <= set(ADE20K_FAR)
    assert not {0, 1, 2, 3, 4, 12} & set(ADE20K_FAR)  # wall, building, sky, floor, tree, person
    segmenter = SmpSegmenter("tiny", network, CPU)
    columns = [2, 0, 16, 4, 26, 12]
    segmenter.network = Classes(columns)
    picture = np.zeros((128, 384, 3), np.uint8)
    for index in range(6):
        picture[:, 64 * index : 64 * (index + 1)] = 40 * index
    regions = segmenter(picture)
    middles = [64 * index + 32 for index in range(6)]
    assert regions.sky[64, middles] == pytest.approx([1, 0, 0, 0, 0, 0], abs=0.02)
    assert regions.far[64, middles] == pytest.approx([0, 0, 1, 0, 1, 0], abs=0.02)


def test_the_network_sees_imagenet_colours(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = SmpSegmenter("tiny", network, CPU)
    inputs: list[torch.Tensor] = []

    class Spy(Classes):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            inputs.append(pictures)
            return super().forward(pictures)

    monkeypatch.setattr(segmenter, "network", Spy([0]))
    picture: Picture = np.full((100, 300, 3), (124, 116, 104), np.uint8)  # ImageNet's mean colour
    segmenter(picture)
    segmenter(np.full((300, 100, 3), 255, np.uint8))
    assert inputs[0].abs().max() < 0.02
    assert [tuple(tensor.shape[2:]) for tensor in inputs] == [(160, 512), (512, 160)]
    white = [(1 - mean) / spread for mean, spread in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert inputs[1].mean((0, 2, 3)).tolist() == pytest.approx(white, abs=1e-3)


@pytest.mark.parametrize("choice", ["auto", "smp-hub/upernet-convnext-tiny"])
def test_what_is_missing_is_named(copied: Path, choice: str) -> None:
    (copied / "config.json").unlink()
    with pytest.raises(WeightsUnavailable, match=r"copied lacks config\.json"):
        load_segmenter(choice, copied, CPU)
    (copied / "model.safetensors").unlink()
    with pytest.raises(WeightsUnavailable, match=r"lacks config\.json and model\.safetensors"):
        load_segmenter(choice, copied, CPU)
    with pytest.raises(WeightsUnavailable, match="nowhere"):
        load_segmenter(choice, copied.parent / "nowhere", CPU)


def test_a_damaged_file_is_named(copied: Path) -> None:
    whole = (copied / "model.safetensors").read_bytes()
    for content in (b"", b"words instead of weights", whole[: len(whole) // 2]):
        (copied / "model.safetensors").write_bytes(content)
        with pytest.raises(WeightsUnavailable, match="copied cannot be loaded"):
            load_segmenter("auto", copied, CPU)
    (copied / "model.safetensors").write_bytes(whole)
    (copied / "config.json").write_text("{broken")
    with pytest.raises(WeightsUnavailable, match="copied cannot be loaded"):
        load_segmenter("auto", copied, CPU)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_weights_of_another_network_are_refused(copied: Path) -> None:
    config: dict[str, Any] = json.loads((copied / "config.json").read_text())
    config["decoder_channels"] = [8, 8, 8]
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsUnavailable, match="copied cannot be loaded"):
        load_segmenter("auto", copied, CPU)


def test_a_network_file_makes_the_program_ask_no_network(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: calls.append(address))
    config: dict[str, Any] = json.loads((copied / "config.json").read_text())
    config["encoder_name"] = "tu-hf-hub:someone/network"
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsUnavailable, match="have none of this name"):
        load_segmenter("auto", copied, CPU)
    assert calls == []


def test_loading_prints_nothing_and_values_that_are_none_are_refused(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_segmenter("auto", copied, CPU)
    assert capsys.readouterr().out == ""  # where --json prints
    weights = load_file(copied / "model.safetensors")
    weights["segmentation_head.0.bias"] *= np.nan
    save_file(weights, copied / "model.safetensors")
    with pytest.raises(WeightsUnavailable, match="not finite"):
        load_segmenter("auto", copied, CPU)


@pytest.mark.parametrize("classes", [1, 21, 151])
def test_another_number_of_classes_is_refused(tmp_path: Path, classes: int) -> None:
    folder = tmp_path / "other"
    small = {"encoder_weights": None, "encoder_depth": 3, "decoder_channels": (8, 8, 8)}
    smp.Unet("mobilenet_v2", classes=classes, **small).save_pretrained(str(folder))
    with pytest.raises(WeightsUnavailable, match="150 classes"):
        load_segmenter("auto", folder, CPU)


def test_auto_offline_is_the_builtin_and_says_so() -> None:
    segmenter, chosen = load_segmenter("auto", None, CPU)
    assert isinstance(segmenter, BuiltinSegmenter)
    assert segmenter.weights is not None
    assert "built-in" in chosen
    assert "no other could be had" in chosen
    assert "smp-hub/upernet-convnext-tiny" in chosen


def test_a_network_asked_for_by_name_is_not_replaced() -> None:
    with pytest.raises(WeightsUnavailable, match="someone/some-network"):
        load_segmenter("someone/some-network", None, CPU)
    with pytest.raises(WeightsUnavailable):
        load_segmenter("no such name!", None, CPU)


def test_auto_finds_a_network_in_the_hub_cache(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def cached(model: str, *, local_files_only: bool, **_: Any) -> str:
        assert model == "smp-hub/upernet-convnext-tiny"
        assert local_files_only
        return str(network)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    segmenter, _ = load_segmenter("auto", None, CPU)
    assert segmenter.name == "smp-hub/upernet-convnext-tiny"
    assert segmenter.weights is not None
    assert segmenter.weights.origin == "cache"
