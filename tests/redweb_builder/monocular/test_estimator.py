"""Depth of one photograph: the built-in network, and files that people bring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from redweb_builder.config import BUILTIN, NONE
from redweb_builder.errors import SettingsError, WeightsUnavailable
from redweb_builder.monocular import SHIPPED
from redweb_builder.monocular.agreement import concordance
from redweb_builder.monocular.estimator import BuiltinDepth, load_depth
from redweb_builder.types import Picture
from samples.scenes import Scene
from trainer.export import export_checkpoint

Render = Callable[..., Scene]
CPU = torch.device("cpu")


class Brightness(nn.Module):
    """A network of somebody else's: its depth is the mean of the normalised channels."""

    def forward(self, image: Tensor) -> Tensor:
        return image.mean(1)


class Scaled(nn.Module):
    """One number where a picture is bright, its negative where it is dark: a range may be no number, too."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, image: Tensor) -> Tensor:
        return image.mean(1).sign() * self.factor


def bars(height: int = 90, width: int = 130) -> Picture:
    return np.repeat(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], height, 0).repeat(3, 2)


@pytest.fixture(scope="module")
def builtin() -> BuiltinDepth:
    return BuiltinDepth(CPU)


@pytest.mark.parametrize("kind", ["outdoor", "indoor"])
def test_builtin_sees_what_is_near(builtin: BuiltinDepth, rendered: Render, kind: str) -> None:
    scene = rendered(2, kind)
    depth = builtin(scene.left)
    assert depth.shape == scene.disparity.shape
    assert depth.dtype == np.float32
    assert concordance(scene.disparity, depth, ~scene.sky) > 0.5


def test_depth_does_not_depend_on_the_number_of_cores(
    builtin: BuiltinDepth, rendered: Render, torch_threads: Callable[[int], None]
) -> None:
    answers = []
    for threads in (1, 2, 4):
        torch_threads(threads)
        answers.append(builtin(rendered(2).left))
        assert torch.get_num_threads() == threads
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    for name in (SHIPPED.name, f"{SHIPPED.name}.sha256"):
        copy(SHIPPED.with_name(name), tmp_path)
    file = tmp_path / SHIPPED.name
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(WeightsUnavailable, match="damaged"):
        BuiltinDepth(CPU, file)


def test_none_is_no_network() -> None:
    assert load_depth(NONE, CPU) is None


def test_a_file_of_somebody_elses_gets_normalised_pictures(tmp_path: Path) -> None:
    file = save_scripted(Brightness(), tmp_path / "theirs.pt")
    network = load_depth(str(file), CPU)
    assert network is not None
    depth = network(bars())
    assert network.name == "theirs.pt"
    assert depth.shape == (90, 130)
    assert depth[:, 0].mean() == pytest.approx(-1.99, abs=0.05)  # black: the mean of -mean/std


def save_scripted(network: nn.Module, file: Path) -> Path:
    torch.jit.script(network).save(str(file))  # type: ignore[no-untyped-call]
    return file


def test_depth_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="not finite"):
        load_depth(str(save_scripted(Scaled(float("nan")), tmp_path / "nan.pt")), CPU)
    network = load_depth(str(save_scripted(Scaled(3e38), tmp_path / "large.pt")), CPU)
    assert network is not None  # black alone has no range
    with pytest.raises(FloatingPointError, match=r"large\.pt"):
        network(bars())


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_an_exported_network_says_the_same(builtin: BuiltinDepth, tmp_path: Path, form: str) -> None:
    pytest.importorskip("onnxruntime")
    file = export_checkpoint(BUILTIN, form, tmp_path / f"network.{'onnx' if form == 'onnx' else 'pt'}")
    network = load_depth(str(file), CPU)
    assert network is not None
    ours, theirs = builtin(bars()), network(bars())
    assert np.abs(ours - theirs).max() < 1e-3 * ours.std()


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    for name, error in (("a.onnx", WeightsUnavailable), ("a.pt", WeightsUnavailable), ("a.txt", SettingsError)):
        (tmp_path / name).write_bytes(b"no network")
        with pytest.raises(error):
            load_depth(str(tmp_path / name), CPU)
    with pytest.raises(WeightsUnavailable, match="there is no depth network"):
        load_depth(str(tmp_path / "absent.onnx"), CPU)
