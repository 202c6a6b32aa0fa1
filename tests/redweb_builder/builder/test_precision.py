"""A data set is of one precision of RAFT: the one that its build began with, on whatever machine it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.models import optical_flow

from redweb_builder.builder.build import build
from redweb_builder.commands.config_file import read_settings
from redweb_builder.config import BuildConfig
from redweb_builder.errors import StoreError
from redweb_builder.networks.device import choose_precision
from tests.redweb_builder.builder.test_builder import Render, SavePair


@pytest.mark.parametrize(
    ("kind", "wanted", "chosen"),
    [
        ("cpu", "auto", "float32"),
        ("cuda", "auto", "bf16"),
        ("cuda", "float32", "float32"),
        ("cpu", "bf16", "bf16"),
    ],
)
def test_the_device_decides_unless_it_is_told(kind: str, wanted: str, chosen: str) -> None:
    assert choose_precision(wanted, torch.device(kind)) == chosen


def test_a_build_goes_on_in_the_precision_that_it_began_with(
    tmp_path: Path, rendered: Render, save_pair: SavePair
) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "raft.pth"
    torch.save(optical_flow.raft_small(weights=None).state_dict(), weights)
    scene = rendered(6)
    for name in ("a", "b"):
        save_pair(tmp_path / "in", name, scene.left, scene.right)
    settings: dict[str, Any] = {"flow": "raft-small", "flow_weights": weights, "segmenter": "none", "mono": "none"}

    def build_with(overwrite: bool = False, **changes: Any) -> str:
        config = BuildConfig(max_side=128, **settings, **changes)
        build(tmp_path / "in", tmp_path / "out", config, overwrite=overwrite)
        stated = json.loads((tmp_path / "out" / "build.json").read_text())
        precision: str = stated["identity"]["flow_precision"]
        assert precision in stated["flow"]
        assert read_settings(tmp_path / "out" / "build.json")["precision"] == precision
        return precision

    assert build_with(precision="bf16", limit=1) == "bf16"
    assert build_with() == "bf16"
    with pytest.raises(StoreError, match="flow_precision: bf16 there, float32 now"):
        build_with(precision="float32")
    assert build_with(overwrite=True) == "float32"
