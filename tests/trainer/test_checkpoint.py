"""The weights of a run, written and read."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from redweb_builder.commands.main import main
from redweb_builder.monocular.network import RedNet
from trainer.checkpoint import FORMAT, CheckpointError, load_network, load_state, open_run, read_header, save_network


def test_a_checkpoint_brings_back_the_same_network(network: RedNet, checkpoint: Path) -> None:
    image = torch.rand(1, 3, 64, 64)
    for path in (checkpoint, checkpoint.parent, str(checkpoint)):
        with torch.no_grad():
            assert torch.equal(load_network(path)(image), network(image))
    assert read_header(checkpoint)["step"] == 7


def test_the_same_weights_and_header_are_the_same_bytes(network: RedNet, tmp_path: Path) -> None:
    """safetensors orders the metadata by chance, each time anew."""
    more = {name: name * 3 for name in "abcdefgh"}
    for number in range(3):
        save_network(tmp_path / f"{number}.safetensors", network, {"name": "rednet"}, more)
    first, *others = (file.read_bytes() for file in sorted(tmp_path.iterdir()))
    assert others == [first, first]
    assert int.from_bytes(first[:8], "little") % 8 == 0
    weights = load_file(tmp_path / "0.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_what_is_no_checkpoint_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"0123456789")
    for path, message in ((tmp_path / "x.safetensors", "cannot be read"), (tmp_path / "none", "no checkpoint")):
        with pytest.raises(CheckpointError, match=message):
            load_network(path)


def test_a_damaged_state_is_reported_without_the_words_of_a_library(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"\x80\x02.")
    with pytest.raises(CheckpointError) as caught:
        load_state(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'state.pt'}: is damaged or cut off; remove it to start anew"


def test_a_state_of_which_nobody_knows_the_run_is_refused(tmp_path: Path) -> None:
    open_run(tmp_path, {"epochs": 1}, overwrite=False)
    (tmp_path / "state.pt").write_bytes(b"some")
    open_run(tmp_path, {"epochs": 1}, overwrite=False)
    (tmp_path / "run.json").unlink()
    with pytest.raises(CheckpointError, match=r"has a state.pt and no run.json.*--overwrite"):
        open_run(tmp_path, {"epochs": 1}, overwrite=False)
    open_run(tmp_path, {"epochs": 1}, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def hostile(folder: Path, **entries: Any) -> Path:
    """A checkpoint whose header says what `entries` say; texts go in as they are."""
    header = {"format": FORMAT, "model": {"name": "rednet", "encoder": "resnet18", "channels": 8}, **entries}
    file = folder / "x.safetensors"
    save_file(
        {"a": torch.zeros(1)},
        file,
        {key: value if isinstance(value, str) else json.dumps(value) for key, value in header.items()},
    )
    return file


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"model": "[" * 100_000}, "damaged"),
        ({"model": "nothing"}, "damaged"),
        ({"model": [1]}, "describes no network"),
        ({"model": {"name": ["rednet"]}}, "knows no network"),
        ({"model": {"name": "rednet", "encoder": 3}}, "must be a name"),
        ({"model": {"name": "rednet", "colour": 3}}, "cannot be made"),
        ({"model": {"name": "rednet", "channels": 10**12}}, "channels 1000000000000"),
        ({"model": {"name": "rednet", "channels": -8}}, "channels -8"),
        ({"model": {"name": "rednet", "channels": True}}, "channels True"),
        ({"model": {"name": "eigen", "backbone": {}}}, "must be a name"),
        ({"size": 10**12}, "size 1000000000000"),
        ({"size": -1}, "size -1"),
        ({"size": "NaN"}, "size nan"),
        ({"size": 1e400}, "size inf"),
        ({"size": [64]}, "size"),
        ({"validation": "NaN"}, "validation nan"),
        ({"validation": "wide"}, "damaged"),
        ({}, "not those of this version"),
    ],
)
def test_a_header_with_impossible_values_is_refused(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    file = str(hostile(tmp_path, **entries))
    for command in (["predict", file, file], ["evaluate", file, "--on", file], ["export", file, "--format", "onnx"]):
        result = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "out")])
        assert (result.exit_code, result.output.startswith(f"Error: {file}: ")) == (1, True), result.output
        assert message in result.output


@pytest.mark.parametrize(
    "name", ["tu-hf-hub:x/y", "tu-hf_hub:x/y", "hf-hub:x/y", "tu-local-dir:/etc", "tu-https://x/y"]
)
@pytest.mark.parametrize("model", [("rednet", "encoder"), ("eigen", "backbone")])
def test_a_checkpoint_never_makes_the_program_call_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, model: tuple[str, str]
) -> None:
    calls: list[object] = []
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: calls.append(address))
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: calls.append(address))
    with pytest.raises(CheckpointError, match="have none of this name"):
        load_network(hostile(tmp_path, model={"name": model[0], model[1]: name}))
    assert calls == []


def test_files_of_other_projects_are_named_as_such(tmp_path: Path) -> None:
    torch.save({"pretrained.layer1.0.weight": torch.zeros(1)}, tmp_path / "midas.pt")
    with pytest.raises(CheckpointError, match=r"PyTorch file of an export or of another project.*--init"):
        load_network(tmp_path / "midas.pt")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="of another project"):
        load_network(tmp_path / "other.safetensors")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07\x12\x07pytorch" * 9)
    with pytest.raises(CheckpointError, match=r"ONNX file.*give the \.safetensors"):
        load_network(tmp_path / "net.onnx")


@pytest.mark.parametrize("image", [torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.zeros(64, 64, 3)])
def test_a_loaded_network_takes_floats_only(checkpoint: Path, image: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"takes Bx3xHxW floats in \[0, 1\]"):
        load_network(checkpoint)(image)


def test_a_loaded_network_takes_the_floats_of_numpy(checkpoint: Path) -> None:
    picture = np.random.default_rng(0).random((1, 3, 64, 64))
    network = load_network(checkpoint)
    assert torch.equal(network(torch.from_numpy(picture)), network(torch.from_numpy(picture).float()))
