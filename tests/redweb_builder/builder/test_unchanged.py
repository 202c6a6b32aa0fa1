"""A finished build that is asked for again does nothing; it does its work where anything is another than then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redweb_builder import BuildConfig, Thresholds, build
from redweb_builder.builder import build as build_module
from redweb_builder.builder.refilter import refilter
from redweb_builder.builder.summary import Summary
from redweb_builder.builder.unchanged import NAME, unchanged_build
from redweb_builder.config import InputOptions
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.progress import Progress
from samples.scenes import Scene

CONFIG = BuildConfig(flow="dis", segmenter="none", mono="none", device="cpu", eyes="as-is", max_side=128)
Change = Callable[[Path, Path], Any]


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, rendered: Callable[..., Scene], save_pair: Callable[..., None]
) -> tuple[Path, Path]:
    """The photographs of two pairs and of a lone eye, and the data set built from them."""
    folder = tmp_path_factory.mktemp("unchanged")
    photos, out = folder / "photos", folder / "out"
    for seed, name in enumerate(("a", "b", "widow")):
        save_pair(photos, name, rendered(seed).left, rendered(seed).right)
    (photos / "widow_R.png").unlink()
    assert not build(photos, out, CONFIG).unchanged
    return photos, out


@pytest.fixture
def own(finished: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Its copy, built once more where it lies now."""
    for folder in finished:
        shutil.copytree(folder, tmp_path / folder.name)
    photos, out = tmp_path / "photos", tmp_path / "out"
    assert not build(photos, out, CONFIG).unchanged
    assert unchanged_build(photos, out, CONFIG)
    return photos, out


def test_nothing_is_done_again(finished: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    photos, out = finished
    times = {file: file.stat().st_mtime_ns for file in out.rglob("*")}

    def never(*_: object, **__: object) -> Any:
        raise AssertionError("nothing may be looked into")

    monkeypatch.setattr(build_module, "discover", never)
    seen: list[Progress] = []
    again = build(photos, out, replace(CONFIG, jobs=1), watch=seen.append)
    assert again == Summary(out, 2, 0, 0, {}, {"one-eye": 1}, [], "dis", "none", again.seconds, unchanged=True)
    assert seen[-1].notes == ["nothing has changed since this data set was finished; --overwrite builds it anew"]
    assert (seen[-1].done, seen[-1].total, seen[-1].resumed) == (2, 2, 2)
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*")} == times


def _touch(file: Path) -> None:
    os.utime(file, ns=(1, 1))


def _label(out: Path) -> Path:
    return next((out / "RDs").glob("*.png"))


@pytest.mark.parametrize(
    "change",
    [
        lambda photos, _: _touch(photos / "a_L.png"),
        lambda photos, _: shutil.copy(photos / "a_R.png", photos / "widow_R.png"),
        lambda photos, _: (photos / "b_R.png").unlink(),
        lambda photos, _: (photos / "c_L.png").symlink_to(photos / "nowhere.png"),
        lambda photos, _: (photos / "c.mp4").symlink_to(photos / "nowhere.mp4"),
        lambda _, out: _label(out).unlink(),
        lambda _, out: _label(out).write_bytes(_label(out).read_bytes()[:-1]),
        lambda _, out: (out / "report.html").unlink(),
        lambda _, out: (out / "decisions.jsonl").touch(),
        lambda _, out: refilter(out, {"min_range_px": 3.0}),
        lambda _, out: (out / NAME).write_text('["settings"]'),
        lambda _, out: (out / NAME).write_bytes(b"\0" * 9),
    ],
    ids=[
        "touched",
        "added",
        "removed",
        "dangling",
        "dangling-film",
        "no-label",
        "torn",
        "no-report",
        "decided",
        "refiltered",
        "list",
        "noise",
    ],
)
def test_whatever_changed_is_looked_at(own: tuple[Path, Path], change: Change) -> None:
    photos, out = own
    change(photos, out)
    assert unchanged_build(photos, out, CONFIG) is None
    assert not build(photos, out, CONFIG).unchanged
    assert (out / "report.html").is_file()
    assert _label(out).is_file()


@pytest.mark.parametrize(
    "other",
    [
        replace(CONFIG, limit=1),
        replace(CONFIG, max_side=256),
        replace(CONFIG, thresholds=Thresholds(min_texture=0.05)),
        replace(CONFIG, inputs=InputOptions(right_first=True)),
        replace(CONFIG, part=(1, 2)),
    ],
    ids=["limit", "side", "threshold", "order", "part"],
)
def test_other_settings_are_another_build(own: tuple[Path, Path], other: BuildConfig) -> None:
    assert unchanged_build(*own, other) is None


@pytest.mark.parametrize("folder", ["pillow_heif-1.0.dist-info", "av.egg-info"])
def test_another_package_is_another_build(
    own: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """It may read what could not be read."""
    (tmp_path / "site" / folder).mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert unchanged_build(*own, CONFIG) is None


def test_a_file_that_a_setting_names_is_looked_at(own: tuple[Path, Path], tmp_path: Path) -> None:
    photos, out = own
    listed = tmp_path / "pairs.csv"
    listed.write_text("a_L.png,a_R.png\n")
    config = replace(CONFIG, inputs=InputOptions(pairs=listed))
    shutil.rmtree(out)
    assert build(photos, out, config).kept == 1
    assert unchanged_build(photos, out, config)
    listed.write_text("a_L.png,a_R.png\nb_L.png,b_R.png\n")
    assert build(photos, out, config).kept == 2


def test_a_listed_photograph_in_a_hidden_folder_is_looked_at(own: tuple[Path, Path], tmp_path: Path) -> None:
    photos, out = own
    shutil.copytree(photos, photos / ".raw")
    listed = tmp_path / "pairs.csv"
    listed.write_text(".raw/a_L.png,.raw/a_R.png\n")
    config = replace(CONFIG, inputs=InputOptions(pairs=listed))
    assert build(photos, out, config, overwrite=True).kept == 1
    assert unchanged_build(photos, out, config)
    shutil.copy(photos / "b_R.png", photos / ".raw" / "a_R.png")
    assert unchanged_build(photos, out, config) is None


def test_what_may_be_read_the_next_time_is_tried(own: tuple[Path, Path]) -> None:
    """A folder of a disk that is away: nothing that is listed tells that it has come back."""
    photos, out = own
    (photos / "link_L.png").symlink_to(photos / "nowhere")
    build(photos, out, CONFIG)
    assert "unreadable" in read_manifest(out, ("reason",)).table["reason"].to_pylist()
    assert not (out / NAME).exists()


def test_a_build_that_began_and_did_not_end_is_not_finished(
    own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, out = own
    before = (out / NAME).read_bytes()

    def killed(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(build_module, "final_rows", killed)
    _touch(photos / "a_L.png")
    with pytest.raises(KeyboardInterrupt):
        build(photos, out, CONFIG)
    assert not (out / NAME).exists()
    (out / NAME).write_bytes(before)
    assert unchanged_build(photos, out, CONFIG) is None


def test_a_photograph_that_comes_while_the_set_is_built_is_not_passed_over(
    own: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, out = own
    _touch(photos / "a_L.png")
    finish = build_module.final_rows

    def late(*args: Any) -> Any:
        shutil.copy(photos / "b_R.png", photos / "widow_R.png")
        return finish(*args)

    with monkeypatch.context() as patch:
        patch.setattr(build_module, "final_rows", late)
        assert build(photos, out, CONFIG).kept == 2
    again = build(photos, out, CONFIG)
    assert (again.unchanged, again.left_out) == (False, {})
