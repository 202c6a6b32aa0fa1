"""The number type of the forward pass is measured, not believed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from redweb_builder.errors import SettingsError
from trainer.training import precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("factor", "wanted"), [(1.5, torch.bfloat16), (1.1, torch.float32), (0.6, torch.float32)])
def test_bf16_is_taken_where_it_is_faster(factor: float, wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has the instructions, on which bf16 is `factor` times as fast."""
    seconds = {torch.float32: 1.0, torch.bfloat16: 1 / factor}
    monkeypatch.setattr(precision, "_computes_in_bf16", lambda device: True)
    monkeypatch.setattr(precision, "_seconds_a_step", lambda network, crop, device, kind: seconds[kind])
    assert precision.chosen_precision("auto", CPU, nn.Identity(), (8, 8)) is wanted


def test_a_network_is_measured_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    monkeypatch.setattr(precision, "_computes_in_bf16", lambda device: True)
    assert precision.chosen_precision("auto", CPU, network, (16, 24)) in (torch.float32, torch.bfloat16)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    monkeypatch.setattr(precision, "_computes_in_bf16", lambda device: False)
    monkeypatch.delattr(precision, "_seconds_a_step")  # nothing to measure
    assert precision.chosen_precision("auto", CPU, network, (16, 24)) is torch.float32
    with pytest.raises(SettingsError, match="CUDA"):
        precision.chosen_precision("fp16", CPU, network, (16, 24))
