"""Parts of a build, and how far each is: what belongs to which, and statuses that lie."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from redweb_builder.dataset.heartbeat import read_heartbeat
from redweb_builder.dataset.parts import folder_of_part, part_of_folder, sources_of_part
from redweb_builder.dataset.status import RUNNING, SILENT, status_of
from redweb_builder.pair_sources import PairSources
from redweb_builder.types import PairSource
from redweb_builder.version import FORMAT

BEAT = {"time": 1.0, "total": 4, "done": 1, "failed": 0, "rate": 0.5}


def source(key: str, clip: str | None = None) -> PairSource:
    return PairSource(key, Path("a"), Path("b"), "files", "names", clip=clip)


def test_every_pair_is_in_one_part_and_stays_there() -> None:
    sources = PairSources.of(source(f"pair-{number}") for number in range(400))
    parts = [sources_of_part(sources, (number, 4)) for number in range(1, 5)]
    assert sorted(pair.key for part in parts for pair in part) == sorted(pair.key for pair in sources)
    assert all(70 <= len(part) <= 130 for part in parts)
    new = (source(f"new-{number}") for number in range(50))
    added = sources_of_part(PairSources.of([*new, *sources]), (2, 4))
    assert [pair for pair in added if pair.key.startswith("pair")] == parts[1]
    assert sources_of_part(sources, None) == sources


def test_the_frames_of_a_clip_are_in_one_part() -> None:
    frames = PairSources.of(source(f"frame-{number}", clip=f"clip-{number // 10}") for number in range(100))
    parts = [{pair.clip for pair in sources_of_part(frames, (number, 3))} for number in (1, 2, 3)]
    assert sum(map(len, parts)) == 10


def test_names_of_part_folders() -> None:
    assert folder_of_part(Path("out"), (3, 16)) == Path("out/part-03-of-16")
    assert part_of_folder(Path("out/part-03-of-16")) == (3, 16)
    assert part_of_folder(Path("out/part-of-16")) is None


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", json.dumps(BEAT | {"total": 1e300}), json.dumps(BEAT | {"rate": float("nan")}), "{" * 9999],
)
def test_a_heartbeat_that_lies_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(json.dumps(BEAT))
    assert read_heartbeat(tmp_path) == BEAT
    (tmp_path / "status.json").write_text(content)
    assert read_heartbeat(tmp_path) == {}


@pytest.mark.parametrize(("ahead", "state"), [(-3600, SILENT), (-60, RUNNING), (60, RUNNING), (3600, SILENT)])
def test_a_build_whose_heartbeat_is_far_from_now_is_silent(tmp_path: Path, ahead: float, state: str) -> None:
    """Also in the future: the clock was set back since."""
    (tmp_path / "build.json").write_text(json.dumps({"format": FORMAT}))
    (tmp_path / "status.json").write_text(json.dumps(BEAT | {"time": time.time() + ahead}))
    assert [build.state for build in status_of(tmp_path)] == [state]
