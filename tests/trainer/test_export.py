"""A checkpoint in other formats."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from redweb_builder.monocular.network import RedNet
from trainer.checkpoint import load_network
from trainer.export import OnnxNetwork, export_checkpoint


@pytest.mark.parametrize("format", ["onnx", "torchscript", "safetensors"])
def test_every_export_equals_the_network_at_other_sizes(network: RedNet, checkpoint: Path, format: str) -> None:
    file = export_checkpoint(checkpoint, format)
    load = {"onnx": OnnxNetwork, "torchscript": torch.jit.load, "safetensors": load_network}[format]
    exported = load(file)  # type: ignore[operator]
    for size in ((1, 3, 70, 90), (3, 3, 128, 64)):
        image = torch.rand(size)
        with torch.no_grad():
            torch.testing.assert_close(exported(image), network(image), rtol=1e-3, atol=1e-4)


def test_a_torchscript_file_names_no_folder_of_this_machine(checkpoint: Path, tmp_path: Path, project: Path) -> None:
    """And is the same, whoever asks for it."""
    one = export_checkpoint(checkpoint, "torchscript", tmp_path / "one").read_bytes()
    assert str(project).encode() not in one
