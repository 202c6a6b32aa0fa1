"""Vision transformers as encoders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import timm
import torch

from redweb_builder.monocular.network import RedNet, RedNetConfig
from redweb_builder.monocular.transformer import Reassemble, TransformerEncoder
from trainer.checkpoint import load_network, save_network
from trainer.models.encoder_weights import load_encoder_weights


@pytest.mark.parametrize("name", ["tu-vit_tiny_patch16_224", "tu-eva02_tiny_patch14_224"])
def test_any_size_comes_out_at_its_own_size_and_moves_with_the_weights(name: str) -> None:
    network = RedNet(RedNetConfig(name, 8))
    depth = network(torch.rand(1, 3, 97, 131))
    assert depth.shape == (1, 97, 131)
    depth.square().mean().backward()
    first = next(network.encoder.parameters())
    assert first.grad is not None
    assert network.stride == (28 if "patch14" in name else 32)


def test_tokens_become_maps_of_four_sizes() -> None:
    maps = Reassemble(64)([torch.rand(1, 64, 6, 8)] * 4)
    assert [tuple(part.shape[1:]) for part in maps] == [(8, 24, 32), (16, 12, 16), (32, 6, 8), (64, 3, 4)]


def test_weights_of_timm_are_found_by_name(tmp_path: Path) -> None:
    theirs = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    torch.save({"state_dict": {f"module.{name}": value for name, value in theirs.state_dict().items()}}, tmp_path / "w")
    encoder = RedNet(RedNetConfig("tu-vit_tiny_patch16_224", 8)).encoder
    load_encoder_weights(encoder, "tu-vit_tiny_patch16_224", str(tmp_path / "w"))
    assert isinstance(encoder, TransformerEncoder)
    name = "blocks.3.mlp.fc1.weight"
    assert torch.equal(encoder.state_dict()[f"model.{name}"], theirs.state_dict()[name])


def test_a_checkpoint_goes_round(tmp_path: Path) -> None:
    config = RedNetConfig("tu-vit_tiny_patch16_224", 8)
    network = RedNet(config).eval()
    save_network(tmp_path / "a.safetensors", network, {"name": "rednet", **asdict(config)}, {"size": 64})
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(load_network(tmp_path / "a.safetensors")(image), network(image))
