"""How many cores and which device are used."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
import torch

from redweb_builder import process
from redweb_builder.config import BuildConfig
from redweb_builder.errors import SettingsError
from redweb_builder.networks.device import choose_device


@pytest.mark.parametrize(("quota", "wanted"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 6), ("no", 6)])
def test_a_container_gets_no_more_threads_than_cores(
    quota: str, wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(process, "CGROUP_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    assert process.available_cores() == wanted


def test_the_older_form_of_the_quota_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tmp_path / "quota", tmp_path / "period"
    monkeypatch.setattr(process, "CGROUP_V2", tmp_path / "none")
    monkeypatch.setattr(process, "CGROUP_V1", files)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    for quota, wanted in (("-1", 6), ("300000", 3)):
        files[0].write_text(quota)
        files[1].write_text("100000")
        assert process.available_cores() == wanted


def test_devices_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(SettingsError, match="cuda:2: only 2 CUDA device"):
        choose_device("cuda:2")
    for wrong in ({"device": "gpu"}, {"device": "cuda:x"}, {"jobs": 0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            BuildConfig(**wrong)


def test_what_is_imported_at_the_start_is_never_searched_for_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    frozen = gc.get_freeze_count()
    with process.uncollected_imports():
        assert not gc.isenabled()
        kept: list[list[int]] = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(kept)
    monkeypatch.undo()
    gc.unfreeze()
    with process.uncollected_imports():  # in a process that has loaded PyTorch
        assert gc.isenabled()
    assert gc.get_freeze_count() == 0
