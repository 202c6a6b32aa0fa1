"""The built-in networks' encoder against timm's, which defines it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import timm
import torch

from redweb_builder.networks.lite0 import NAME, Lite0


@pytest.mark.parametrize("size", [(64, 96), (65, 43)])
def test_features_are_those_of_timm(size: tuple[int, int]) -> None:
    """Sides that are halved exactly, and sides of which an odd pixel is left at some level."""
    torch.manual_seed(0)
    own = Lite0()
    theirs: Any = timm.create_model(NAME.removeprefix("tu-"), features_only=True)
    for part in theirs.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 2)
            torch.nn.init.normal_(part.bias)
    own.model.load_state_dict(theirs.state_dict())
    assert list(own.model.state_dict()) == list(theirs.state_dict())  # weight files of others are matched by this order
    assert own.out_channels == theirs.feature_info.channels()
    image = torch.randn(2, 3, *size)
    for mode in (True, False):
        own.train(mode)
        theirs.train(mode)
        for mine, other in zip(own(image), theirs(image), strict=True):
            torch.testing.assert_close(mine, other)


def test_built_in_networks_load_without_the_libraries_of_others() -> None:
    """Each of these takes a part of a second to two of every start."""
    code = (
        "import sys, torch, redweb_builder.builder.build\n"
        "from redweb_builder.monocular.estimator import load_depth\n"
        "from redweb_builder.segmentation.segmenters import load_segmenter\n"
        "load_segmenter('builtin', None, torch.device('cpu')), load_depth('builtin', torch.device('cpu'))\n"
        "print({'torchvision', 'kornia', 'timm', 'segmentation_models_pytorch', 'torch._dynamo'} & set(sys.modules))\n"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "set()"
