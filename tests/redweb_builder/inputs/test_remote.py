"""Photographs from remote storage: the data set is that of a folder; what fails is asked again, or named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redweb_builder import BuildConfig, build
from redweb_builder.commands.dry_run import print_dry_run
from redweb_builder.config import InputOptions
from redweb_builder.errors import InputError, InputNotFound, StoreError
from redweb_builder.inputs import copies, remote
from redweb_builder.inputs.copies import copied, remote_files_below
from redweb_builder.inputs.discover import discover
from redweb_builder.progress import PAIRS, Progress
from redweb_builder.types import LeftOut
from tests.redweb_builder.conftest import Troubled

CONFIG = BuildConfig(flow="dis", segmenter="none", mono="none", device="cpu")
ADDRESS = "s3://sets/all photos"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, rendered: Any, save: Any, save_pair: Any) -> Path:
    """Pairs by name and by content, one that is broken, one with a calibration, and files in no pair."""
    folder = tmp_path_factory.mktemp("photos")
    meadow, hut, firs = rendered(0), rendered(4), rendered(2)
    save_pair(folder / "a", "meadow", meadow.left, meadow.right)
    save(np.hstack([hut.left, hut.right]), folder / "untold.png")
    save(firs.left, folder / "rig/left/1.jpg")
    save(firs.right, folder / "rig/right/1.jpg")
    (folder / "rig/calib.txt").write_text("no calibration")
    save(meadow.left, folder / "alone.png")
    broken = (folder / "rig/left/1.jpg").read_bytes()[:3000]
    (folder / "broken_L.jpg").write_bytes(broken)
    (folder / "broken_R.jpg").write_bytes(broken)
    (folder / "empty.png").touch()
    return folder


@pytest.fixture
def stored(troubled: Troubled, photos: Path) -> Troubled:
    """The same files on the server."""
    import boto3

    client = boto3.client("s3")
    for file in photos.rglob("*"):
        if file.is_file():
            key = f"all photos/{file.relative_to(photos)}"
            client.put_object(Bucket="sets", Key=key, Body=file.read_bytes())
    return troubled


def comparable(files: dict[str, bytes]) -> dict[str, Any]:
    """The files of a data set, less what tells where and when it was built; of its journal the last line of a pair."""
    records = map(json.loads, files["journal.jsonl"].splitlines())
    others = {"build.json", "report.html"}  # the report links to the photographs of a folder
    last = {record["key"]: {**record, "file_states": None, "input": None} for record in records}
    return {name: last if name == "journal.jsonl" else files[name] for name in files.keys() - others}


def test_the_data_set_is_that_of_a_folder(
    stored: Troubled,
    photos: Path,
    tmp_path: Path,
    snapshot: Callable[[Path], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The storage goes away in the middle of the first build, one file cannot be had in the second one."""
    build(photos, tmp_path / "here/set", CONFIG)
    monkeypatch.setattr(remote, "ATTEMPTS", 3)

    def breaks(path: str) -> Callable[[Progress], None]:
        """What has this in its path cannot be had once the pairs are read."""
        return lambda progress: setattr(stored, "broken", path if progress.stage == PAIRS else stored.broken)

    with pytest.raises(StoreError, match=r"s3://sets: cannot read all photos.* tried 3 times .*; the same command"):
        build(ADDRESS, tmp_path / "there/set", CONFIG, watch=breaks(""))
    stored.broken = None
    summary = build(ADDRESS, tmp_path / "there/set", CONFIG, watch=breaks("meadow_R"))
    assert summary.reasons == {"corrupt": 1, "unreadable": 1}
    monkeypatch.setattr(remote, "ATTEMPTS", 6)
    stored.broken, stored.troubles = None, ["", "500", "", "", "late", "503", "503", "", "500"]
    assert build(ADDRESS, tmp_path / "there/set", CONFIG).failed == []
    assert not stored.troubles
    assert comparable(snapshot(tmp_path / "there/set")) == comparable(snapshot(tmp_path / "here/set"))
    assert json.loads((tmp_path / "there/set/build.json").read_text())["input"] == ADDRESS
    assert list(copies._place().iterdir()) == []


def test_a_dry_run_lists_what_it_lists_of_a_folder(
    stored: Troubled, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_dry_run(photos, InputOptions(), as_json=True)
    here = json.loads(capsys.readouterr().out)
    print_dry_run(Path(ADDRESS), InputOptions(), as_json=True)
    assert json.loads(capsys.readouterr().out) == here


def test_of_files_whose_names_say_all_a_kilobyte_is_read(stored: Troubled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.Remote, "copy", None)
    found = discover(Path(ADDRESS) / "rig")
    assert [source.left for source in found.sources] == [Path(ADDRESS) / "rig/left/1.jpg"]
    assert [file.name for file in found.sources[0].calibration] == ["calib.txt"]


def test_names_that_are_no_paths_are_left_out(troubled: Troubled) -> None:
    import boto3

    client = boto3.client("s3")
    deep = "n/" * 400 + "e.png"
    names = ("../evil_L.png", "/etc/passwd", "a//b.png", "./c.png", "x #y?.png", "n" * 300 + ".png", deep)
    for name in (*names, ".hidden/a.png", "folder/", "good.png"):
        client.put_object(Bucket="sets", Key=f"hostile/{name}", Body=b"1")
    left_out: list[LeftOut] = []
    root = Path("s3://sets/hostile")
    files = remote_files_below(root, left_out)
    assert sorted(files.names()) == sorted(("good.png", deep, "x #y?.png"))
    assert sorted(file.path.name for file in left_out) == sorted(
        ("..%2Fevil_L.png", "%2Fetc%2Fpasswd", "a%2F%2Fb.png", ".%2Fc.png", "n" * 255)
    )
    for file in (root / "../../etc/x", Path("s3:/sets/" + "n" * 300)):
        with pytest.raises(InputError, match="no path"), copied([file]):
            pass


def test_one_file_nothing_and_a_data_set(troubled: Troubled, tmp_path: Path, rendered: Any, save: Any) -> None:
    import boto3

    client = boto3.client("s3")
    scene = rendered(0)
    content = save(np.hstack([scene.left, scene.right]), tmp_path / "a.png").read_bytes()
    client.put_object(Bucket="sets", Key="one/hut_sbs.png", Body=content)
    client.put_object(Bucket="sets", Key="built/set/build.json", Body=b'{"format": "redweb-builder/4"}')
    client.put_object(Bucket="sets", Key="built/set/Imgs/a_sbs.png", Body=content)
    found = discover(Path("s3://sets/one/hut_sbs.png"))
    assert (found.base, found.sources[0].left) == (Path("s3://sets/one"), Path("s3://sets/one/hut_sbs.png"))
    with pytest.raises(InputNotFound, match="s3://sets/nothing: there is no such"):
        discover(Path("s3://sets/nothing"))
    assert discover(Path("s3://sets/built"), skip=lambda folder: (folder / "build.json").is_file()).sources == []


def test_a_film_is_copied_once_for_many_frames(stored: Troubled, monkeypatch: pytest.MonkeyPatch) -> None:
    copied_files: list[str] = []
    plain = remote.Remote.copy

    def copy(self: remote.Remote, name: str, to: Path) -> None:
        copied_files.append(name)
        plain(self, name, to)

    monkeypatch.setattr(remote.Remote, "copy", copy)
    film = Path(ADDRESS) / "film.mp4"
    import boto3

    boto3.client("s3").put_object(Bucket="sets", Key="all photos/film.mp4", Body=b"moving")
    for _ in range(3):
        with copied([film]) as there:
            assert there.here(film).read_bytes() == b"moving"
    assert copied_files == ["all photos/film.mp4"]


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_other_storage_is_listed_folder_by_folder(scheme: str, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    root = f"memory://{tmp_path.name}" if scheme == "memory" else f"file://{tmp_path}"
    files, path = fsspec.core.url_to_fs(root)
    for name in ("a/b/c_L.png", "a/d.png", "e.png", ".hidden.png"):
        files.pipe(f"{path}/{name}", b"12", create_parents=True) if scheme == "memory" else None
        if scheme == "file":
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"12")
    found = remote_files_below(Path(root), [])
    assert {file.as_posix(): found.size(file) for file in found} == {"a/b/c_L.png": 2, "a/d.png": 2, "e.png": 2}
    with copied([Path(root) / "e.png"]) as there:
        assert there.here(Path(root) / "e.png").read_bytes() == b"12"
