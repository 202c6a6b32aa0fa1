"""A checkpoint in other formats."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch

from redweb_builder.monocular.network import RedNet
from redweb_builder.networks.exported import load_exported
from trainer.checkpoint import load_network
from trainer.export import export_checkpoint


@pytest.mark.parametrize("format", ["onnx", "torchscript", "safetensors"])
def test_every_export_equals_the_network_at_other_sizes(network: RedNet, checkpoint: Path, format: str) -> None:
    file = export_checkpoint(checkpoint, format)
    for size in ((1, 3, 70, 90), (3, 3, 128, 64)):
        image = torch.rand(size)
        with torch.no_grad():
            if format == "safetensors":
                depth = load_network(file)(image)
            else:
                depth = torch.from_numpy(load_exported(file, format, torch.device("cpu")).run([image.numpy()])[0])
            torch.testing.assert_close(depth, network(image), rtol=1e-3, atol=1e-4)


def test_a_torchscript_file_says_nothing_of_the_machine_and_of_chance(
    checkpoint: Path, tmp_path: Path, project: Path
) -> None:
    """Exported again it is the same; here but for the numbers that torch gives to the classes of one process."""
    contents: list[dict[str, bytes]] = []
    for name in ("one", "two"):
        torch.manual_seed(len(contents))
        file = export_checkpoint(checkpoint, "torchscript", tmp_path / name)
        assert str(project).encode() not in file.read_bytes()
        with ZipFile(file) as archive:
            numbered = re.compile("/code/|/data.pkl$")
            contents.append({name: archive.read(name) for name in archive.namelist() if not numbered.search(name)})
    assert contents[0] == contents[1]
