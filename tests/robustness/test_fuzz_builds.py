"""The benchmark of whole builds sees what it is there to see."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.robustness import fuzz_builds
from redweb_builder.builder import engines
from redweb_builder.pipeline import prepare

pytestmark = pytest.mark.skipif(sys.platform != "linux" or sys.version_info < (3, 11), reason="Linux, Python 3.11")
NUMBER = 1  # of a build with a pair that can be read among its first inputs


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fuzz_builds, "INPUTS", 12)
    folder = tmp_path / "photographs"
    folder.mkdir()
    fuzz_builds.write_inputs(NUMBER, folder)
    return folder


def test_what_does_not_hold_is_seen(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems, reasons = fuzz_builds.problems_of(NUMBER, photographs, tmp_path / "good")
    assert problems == []
    assert reasons.total() >= 12

    def fail(*_: Any) -> Any:
        raise KeyError("key")

    def touch(source: Any, *others: Any) -> Any:
        source.left.write_bytes(b"")
        return prepare(source, *others)

    for name, broken in (("build-redweb", fail), ("the photographs have changed", touch)):
        monkeypatch.setattr(engines, "prepare", broken)
        problems, _ = fuzz_builds.problems_of(NUMBER, photographs, tmp_path / name)
        assert any(problem.startswith(name) for problem in problems)
