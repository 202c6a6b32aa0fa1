"""The network of relative depth: shapes and parts."""

from __future__ import annotations

import pytest
import torch

from redweb_builder.errors import SettingsError
from redweb_builder.monocular.network import RedNet, RedNetConfig, ResidualConvUnit


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


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("resnet51", "did you mean .*resnet50"),
        ("convnext_tiny", "did you mean tu-convnext_tiny"),
        ("tu-vit_base_patch8_224", "'tu-vit_base_patch8_224'.*feature maps at 1/4, 1/8, 1/16 and 1/32"),
        ("no such thing", "did you mean resnet50"),
    ],
)
def test_an_encoder_that_cannot_be_had_is_answered_with_those_that_can(encoder: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        RedNet(RedNetConfig(encoder))


def test_a_picture_does_not_depend_on_its_batch(network: RedNet) -> None:
    first, second = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(
            network(torch.stack([first, second]))[0], network(first[None])[0], rtol=1e-4, atol=1e-5
        )
