"""The benchmark of tampered sets sees what it is there to see."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.robustness import tampered
from benchmarks.robustness.tampering import tamper
from redweb_builder.errors import StoreError

pytestmark = pytest.mark.skipif(sys.platform != "linux" or sys.version_info < (3, 11), reason="Linux, Python 3.11")

Snapshot = Callable[[Path], dict[str, bytes]]


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


def ending_in_a_colon() -> int:
    print("Error: x: ")
    return 1


def hanging() -> int:
    time.sleep(20)
    return 0


def test_every_end_of_a_command_has_its_name() -> None:
    ends = {
        tampered.OK: [lambda: 0, lambda: 3],
        tampered.REFUSED: [lambda: 1, raising(StoreError("set/RDs/x.png is damaged"))],
        tampered.BUG: [raising(KeyError("key")), raising(StoreError("")), lambda: 2, ending_in_a_colon],
        tampered.HANG: [hanging],
    }
    for outcome, commands in ends.items():
        for command in commands:
            assert tampered.outcome_of(command, seconds=1)[0] == outcome


@pytest.fixture
def workspace(built: Any, tmp_path: Path) -> Path:
    shutil.copytree(built.out, tmp_path / "set")
    (tmp_path / "set" / "decisions.jsonl").write_text("{}\n")
    for name in ("canary", *tampered.SAFE, *tampered.TAMPERED[1:]):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "letter.txt").write_text("the only copy\n")
    return tmp_path


def test_what_is_touched_or_lost_is_seen(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touch(here: Path, _: Path) -> dict[str, Callable[[], int]]:
        letter = here / "canary" / "letter.txt"
        return {"touch": lambda: letter.write_text("the only copy\n") and 0}

    def lose(here: Path, _: Path) -> dict[str, Callable[[], int]]:
        return {"lose": lambda: next((here / "set" / "masks").iterdir()).write_bytes(b"") and 0}

    monkeypatch.setattr(tampered, "tamper", lambda *_: "nothing")
    for commands, outcome in ((touch, tampered.TOUCHED), (lose, tampered.LOST)):
        monkeypatch.setattr(tampered, "commands", commands)
        ((became, _, _),) = tampered.run_set(0, workspace)[1].values()
        assert became == outcome
    there = {entry.name for entry in workspace.iterdir()}
    assert there == {"canary", "report.jsonl", *tampered.COPIED, *tampered.SAFE}


def test_a_set_follows_from_its_number_and_nothing_outside_is_tampered_with(
    workspace: Path, tmp_path: Path, snapshot: Snapshot
) -> None:
    before = snapshot(workspace / "canary"), snapshot(workspace / "set")
    for number in range(40):
        done = []
        for name in ("one", "two"):
            folder = shutil.copytree(workspace / "set", tmp_path / name)
            done.append(tamper(Random(number), folder, workspace / "canary"))
            shutil.rmtree(folder)
        assert done[0] == done[1]
    assert (snapshot(workspace / "canary"), snapshot(workspace / "set")) == before
