"""What the tests of networks share: a small one."""

from __future__ import annotations

import pytest
import torch

from redweb_builder.monocular.network import RedNet, RedNetConfig


@pytest.fixture(scope="module")
def network() -> RedNet:
    torch.manual_seed(0)
    return RedNet(RedNetConfig("resnet18", 8)).eval()
