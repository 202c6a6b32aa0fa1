"""The weights of a run, written and read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainer.checkpoint import CheckpointError, load_network, read_header
from trainer.models.rednet import RedNet


def test_a_checkpoint_brings_back_the_same_network(network: RedNet, checkpoint: Path) -> None:
    image = torch.rand(1, 3, 64, 64)
    for path in (checkpoint, checkpoint.parent, str(checkpoint)):
        with torch.no_grad():
            assert torch.equal(load_network(path)(image), network(image))
    assert read_header(checkpoint)["step"] == 7


def test_what_is_no_checkpoint_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"0123456789")
    for path, told in ((tmp_path / "x.safetensors", "cannot be read"), (tmp_path / "none", "no checkpoint")):
        with pytest.raises(CheckpointError, match=told):
            load_network(path)
