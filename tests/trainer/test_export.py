"""A checkpoint in other formats."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import click
import pytest
import torch

from redweb_builder.errors import SettingsError
from redweb_builder.monocular.network import RedNet, RedNetConfig
from redweb_builder.networks.exported import load_exported
from trainer.checkpoint import load_network, read_header, save_network
from trainer.commands.console import trainer_errors_for_people
from trainer.commands.export import fixed_size
from trainer.export import OPSET, ExportError, export_checkpoint
from trainer.models.eigen import JOINT, Eigen, EigenConfig, build

CPU = torch.device("cpu")


@pytest.mark.parametrize("format", ["onnx", "torchscript", "safetensors"])
def test_every_export_equals_the_network_at_other_sizes(network: RedNet, checkpoint: Path, format: str) -> None:
    file = export_checkpoint(checkpoint, format)
    for size in ((1, 3, 70, 90), (3, 3, 128, 64)):
        image = torch.rand(size)
        with torch.no_grad():
            if format == "safetensors":
                depth = load_network(file)(image)
            else:
                depth = torch.from_numpy(load_exported(file, format, CPU).run([image.numpy()])[0])
            torch.testing.assert_close(depth, network(image), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("format", ["onnx", "torchscript", "safetensors"])
def test_a_network_of_no_use_takes_no_file_s_place(checkpoint: Path, tmp_path: Path, format: str) -> None:
    header, network = read_header(checkpoint), load_network(checkpoint)
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, float("nan"))
    save_network(tmp_path / "n.safetensors", network, header.pop("model"), header)
    target = tmp_path / "target"
    target.write_bytes(b"of an earlier export")
    with pytest.raises(ExportError, match="its weights are of no use"):
        export_checkpoint(tmp_path / "n.safetensors", format, target)
    assert target.read_bytes() == b"of an earlier export"


def test_memory_that_a_cpu_does_not_have_is_no_bug() -> None:
    """PyTorch has no class of its own for it, unlike for that of a GPU."""
    with pytest.raises(click.ClickException, match="too little memory"), trainer_errors_for_people():
        torch.empty(1 << 55, dtype=torch.uint8)


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


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "convolutional": ("rednet", {"encoder": "tu-mobilenetv3_small_050", "channels": 8}),
    "transformer": ("rednet", {"encoder": "tu-vit_tiny_patch16_224", "channels": 8}),
    "paper": ("eigen", {"backbone": None, "channels": None}),
    "convolutional, metric": ("eigen", {"backbone": "tu-mobilenetv3_small_050", "channels": 8}),
    "transformer, metric": ("eigen", {"backbone": "tu-vit_tiny_patch16_224", "channels": 8}),
}


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_is_exported_at_one_size(kind: str, form: str, tmp_path: Path, narrow: None) -> None:
    name, settings = KINDS[kind]
    torch.manual_seed(0)
    made = RedNet(RedNetConfig(**settings)) if name == "rednet" else build(EigenConfig(**settings))
    if isinstance(made, Eigen):
        made.set_stage(JOINT)
    for parameter in made.parameters():  # the last layers start at 0, where every file would be right
        torch.nn.init.normal_(parameter, std=0.05)
    save_network(tmp_path / "n.safetensors", made, {"name": name, **settings}, {"size": 64})
    size = (64, 96) if name == "rednet" else (228, 304)
    network = load_network(tmp_path / "n.safetensors")
    file = export_checkpoint(tmp_path / "n.safetensors", form, size=size if kind == "convolutional" else None)
    size = (64, 64) if kind == "transformer" else size
    exported = load_exported(file, form, CPU)
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        theirs, ours = torch.from_numpy(exported.run([image.numpy()])[0]), network(image)
    assert float(ours.std()) > 0
    assert float((theirs - ours).abs().max() / ours.std()) < 1e-3
    if form == "onnx":
        onnx = pytest.importorskip("onnx")
        assert exported.shapes == ((None, 3, *size),)
        model = onnx.load(str(file))
        assert model.opset_import[0].version == OPSET
        stated = model.graph.output[0].type.tensor_type.shape.dim[1:]
        assert [side.dim_value for side in stated] == list(ours.shape[1:])


def test_a_size_that_no_file_can_have_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    assert fixed_size("64x96") == (64, 96)
    for text in ("64", "64x", "x64", "64x9.5", "0x64", "-64x64", "64x64x64"):
        with pytest.raises(SettingsError, match="384x512"):
            fixed_size(text)
    with pytest.raises(ExportError, match="any size"):
        export_checkpoint(checkpoint, "safetensors", size=(64, 64))
