"""What the tests of the trainer share: a small network, and its checkpoint."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from redweb_builder.monocular.network import RedNet, RedNetConfig
from trainer.checkpoint import save_network
from trainer.models import eigen

SMALL = RedNetConfig("resnet18", 8)


@pytest.fixture(scope="module")
def network() -> RedNet:
    torch.manual_seed(0)
    return RedNet(SMALL).eval()


@pytest.fixture
def checkpoint(network: RedNet, tmp_path: Path) -> Path:
    file = tmp_path / "best.safetensors"
    save_network(file, network, {"name": "rednet", **asdict(SMALL)}, {"size": 64, "step": 7})
    return file


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's network with a narrow full layer: 50 million weights fewer."""
    monkeypatch.setattr(eigen, "HIDDEN", 8)
