"""Which recorded pairs a build does again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from redweb_builder.builder.build import _forget_outdated, build
from redweb_builder.config import BuildConfig, InputOptions, Thresholds
from redweb_builder.dataset.integrity import _faults_of_keys
from redweb_builder.dataset.journal import NAME, Records
from redweb_builder.errors import SettingsError
from redweb_builder.inputs.remote import input_id
from redweb_builder.pair_sources import PairSources
from redweb_builder.types import PairSource


def test_pairs_of_another_calibration_or_offset_are_forgotten(tmp_path: Path) -> None:
    records = Records(tmp_path / NAME)
    for key, calibration, offset in (("same", None, None), ("calibrated", "0" * 64, None), ("shifted", None, 0.5)):
        records[key] = {"key": key, "calibration_sha256": calibration, "film_offset_s": offset}
    store: Any = SimpleNamespace(records=records)
    keys = ("new", "shifted", "same", "calibrated")
    sources = PairSources.of(PairSource(key, Path(), Path(), "files", "") for key in keys)
    _forget_outdated(store, tmp_path, tmp_path, sources)
    assert list(records) == ["same"]


def test_unread_files_of_another_input_are_not_looked_for_in_this_one(tmp_path: Path) -> None:
    records = Records(tmp_path / NAME)
    for key, place in (("gone", input_id(tmp_path)), ("of another", "0" * 16)):
        records[key] = {"key": key, "left": "a.jpg", "input": place, "file_states": [[5, 5]]}
    store: Any = SimpleNamespace(records=records)
    _forget_outdated(store, tmp_path, tmp_path, PairSources.of([]))
    assert list(records) == ["of another"]


def test_a_pair_that_a_build_dropped_is_no_fault_of_the_set(tmp_path: Path) -> None:
    """Its photographs could not be read and are gone: its line stays in the journal, and no build brings it back."""
    records = Records(tmp_path / NAME)
    records["gone"] = {"key": "gone", "file_states": [[5, 5], []]}
    records["lost"] = {"key": "lost"}
    records["there"] = {"key": "there"}
    assert [fault.what for fault in _faults_of_keys({"there"}, records)] == ["lost is not in the manifest"]


@pytest.mark.parametrize(
    "named",
    [
        {"flow": "onnx:/\udce9/net.onnx"},
        {"flow_weights": Path("/\udce9/raft.pth")},
        {"segmenter_weights": Path("/\udce9")},
        {"mono": "/\udce9/depth.onnx"},
    ],
)
def test_networks_whose_names_are_no_utf_8_are_refused_at_once(tmp_path: Path, named: dict[str, Any]) -> None:
    """build.json names them, and is written when all pairs are labelled."""
    with pytest.raises(SettingsError, match="is not UTF-8"):
        build(tmp_path, tmp_path / "out", BuildConfig(**named))


def test_settings_of_a_notebook_are_those_of_build_json(tmp_path: Path) -> None:
    """Numbers that NumPy has computed, and paths as text; what is no number is refused in words."""
    named: dict[str, Any] = {"max_side": np.int64(192), "flow_weights": str(tmp_path / "raft.pth")}
    limits: dict[str, Any] = {"min_range_px": np.float32(1.5), "duplicate_bits": np.int64(3)}
    rates: dict[str, Any] = {"film_rate": np.float32(2)}
    config = BuildConfig(**named, thresholds=Thresholds(**limits), inputs=InputOptions(**rates))
    plain = BuildConfig(
        max_side=192,
        flow_weights=tmp_path / "raft.pth",
        thresholds=Thresholds(min_range_px=1.5, duplicate_bits=3),
        inputs=InputOptions(film_rate=2.0),
    )
    assert config == plain
    assert json.loads(json.dumps(config.method())) == plain.method()
    for wrong in ({"max_side": "192"}, {"max_side": None}, {"limit": 1.5}, {"jobs": "2"}):
        none: dict[str, Any] = wrong
        with pytest.raises(SettingsError, match="must be a whole number"):
            BuildConfig(**none)
    much: Any = "much"
    with pytest.raises(SettingsError, match="min_range_px = much: must be a finite number"):
        Thresholds(min_range_px=much)
