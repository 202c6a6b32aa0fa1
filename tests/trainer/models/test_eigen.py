"""Eigen et al. 2014's network: sizes, start, stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from trainer.eigen_geometry import MAP
from trainer.models.eigen import COARSE, FINE, Coarse, Eigen


def test_every_layer_has_the_papers_size(narrow: None) -> None:
    network, sizes = Eigen().eval(), {}
    network.set_stage(FINE)

    def noted(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: torch.Tensor) -> None:
            sizes[name] = tuple(output.shape[1:])

        return hook

    for part in ("coarse", "fine"):
        for name, layer in getattr(network, part).named_children():
            layer.register_forward_hook(noted(f"{part} {name}"))
    with torch.no_grad():
        assert network(torch.rand(1, 3, 228, 304)).shape == (1, 55, 74)
    assert sizes == {  # channels, height, width
        "coarse conv1": (96, 55, 74),
        "coarse pool1": (96, 27, 37),
        "coarse conv2": (256, 27, 37),
        "coarse pool2": (256, 13, 18),
        "coarse conv3": (384, 13, 18),
        "coarse conv4": (384, 13, 18),
        "coarse conv5": (256, 13, 18),
        "coarse pool5": (256, 6, 8),
        "coarse full6": (8,),
        "coarse dropout": (8,),
        "coarse full7": (55 * 74,),
        "fine conv1": (63, 110, 148),
        "fine pool1": (63, 55, 74),
        "fine conv2": (64, 55, 74),
        "fine conv3": (1, 55, 74),
    }
    kernels = {name: layer.kernel_size for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    assert list(kernels.values()) == [(k, k) for k in (11, 5, 3, 3, 3, 9, 5, 5)]


def test_the_paper_has_4096_hidden_units() -> None:
    with torch.device("meta"):
        coarse = Coarse()
    assert tuple(coarse.full6.weight.shape) == (4096, 256 * 6 * 8)
    assert tuple(coarse.full7.weight.shape) == (4070, 4096)
    assert coarse.dropout.p == 0.5


def test_the_first_prediction_is_near_the_mean_and_fine_passes_coarse_on(narrow: None) -> None:
    torch.manual_seed(0)
    network = Eigen().eval()
    network.mean_map.copy_(torch.randn(MAP))
    network.set_stage(FINE)
    with torch.no_grad():
        maps = network.maps(torch.rand(2, 3, 228, 304))
    assert float((maps["coarse"] - network.mean_map).abs().max()) < 0.1
    torch.testing.assert_close(maps["coarse + fine"], maps["coarse"])


def test_in_the_fine_phase_the_coarse_network_stands_still_and_has_no_dropout(narrow: None) -> None:
    network = Eigen()
    network.set_stage(COARSE)
    network.train()
    image = torch.rand(1, 3, 228, 304)
    nn.init.normal_(network.coarse.full7.weight)
    assert not torch.equal(network(image), network(image))  # dropout
    assert list(network.maps(image)) == ["coarse"]
    network.set_stage(FINE)
    network.train()
    assert torch.equal(network.maps(image)["coarse"], network.maps(image)["coarse"])
    network(image).sum().backward()
    assert all(parameter.grad is None for parameter in network.coarse.parameters())
    assert all(parameter.grad is not None for parameter in network.fine.parameters())
