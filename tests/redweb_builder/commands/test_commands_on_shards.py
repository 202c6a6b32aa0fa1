"""A data set in shards is treated by every command as the folder that it was exported from."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli import main
from redweb_builder.dataset.decisions import FILE, append_decisions, decide
from redweb_builder.dataset.reader import Dataset, open_dataset
from redweb_builder.dataset.storage import storage_of
from redweb_builder.export.dataset import export_dataset
from redweb_builder.review.session import Session

LIMITS = ("--set", "min_texture=off", "--set", "max_vertical=0.005")  # pairs change to both sides


def run(*arguments: object) -> tuple[int, str]:
    """A command's exit status and output; a bug fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def folder(built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built data set about which people decided."""
    copy: Path = shutil.copytree(built.out, tmp_path_factory.mktemp("folder") / "set")
    keys = {name: row["key"] for name, row in built.rows.items()}
    append_decisions(
        copy, [decide(keys["good-hut"], "reject", "eve", "blurred"), decide(keys["textureless"], "accept", "eve")]
    )
    return copy


@pytest.fixture(scope="module")
def shards(folder: Path) -> Path:
    export_dataset(folder, "webdataset", folder.parent / "shards" / "set")
    return folder.parent / "shards" / "set"


@pytest.fixture
def both(folder: Path, shards: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the folder and of the shards, to be changed."""
    return shutil.copytree(folder, tmp_path / "set"), shutil.copytree(shards, tmp_path / "shards" / "set")


@pytest.fixture
def remote(shards: Path) -> Iterator[Path]:
    """The shards in fsspec's memory, under an address."""
    import fsspec

    files = fsspec.filesystem("memory")
    files.put(f"{shards}/", "/sets/set/", recursive=True)
    yield Path("memory://sets/set")
    files.rm("/sets", recursive=True)
    storage_of.cache_clear()


def rows_of(report: Path) -> list[dict[str, Any]]:
    """What a report shows of each pair, pictures among it; not where the files lie."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', report.read_text(encoding="utf-8"))[1])  # type: ignore[index]
    rows = [dict(zip(data["columns"], values, strict=True)) for values in data["rows"]]
    return [row | {"image": None, "home": row["home"] is None} for row in rows]


def test_shards_hold_kept_pairs_and_apart_from_them_the_others(folder: Path, shards: Path) -> None:
    opened = open_dataset(shards)
    assert opened.keys == open_dataset(folder).keys
    assert opened.rejected.keys == open_dataset(folder).rejected.keys != []
    every = Dataset(folder, "labelled")
    for key in every.keys:
        assert opened.files.stored(key, "preview")[0][1] == (folder / "previews" / f"{key}.jpg").read_bytes()
    kept = {key for file in shards.glob("*.parquet") for key in pq.read_table(file, columns=["key"])["key"].to_pylist()}
    assert kept == {
        *opened.keys,
        *(key for block in opened.manifest_blocks() for key in block["key"].to_pylist()),
    }  # the manifest among these files
    in_tars = {key for file in shards.glob("*-*.parquet") for key in pq.read_table(file)["key"].to_pylist()}
    assert in_tars == set(opened.keys)
    assert pq.read_table(shards / "manifest.parquet").equals(pq.read_table(folder / "manifest.parquet"))
    build = json.loads((shards / "build.json").read_text())
    assert "input" not in build  # the path of somebody's photographs
    assert str(folder) not in json.dumps(build)


def test_report_and_grid_are_those_of_the_folder(folder: Path, shards: Path, remote: Path, tmp_path: Path) -> None:
    for place, name in ((folder, "a"), (shards, "b"), (remote, "c")):
        assert run("report", place, "--single-file", tmp_path / f"{name}.html")[0] == 0
        assert run("grid", place, "--rows", 5, "--to", tmp_path / f"{name}.png")[0] == 0
    expected = rows_of(tmp_path / "a.html")
    assert expected == rows_of(tmp_path / "b.html") == rows_of(tmp_path / "c.html")
    assert any(row["strip"] for row in expected if row["status"] == "rejected")
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in "abc"}) == 1
    for command, option in (("report", "--single-file"), ("grid", "--to")):
        status, output = run(command, remote)
        assert (status, option in output) == (1, True), output


def test_a_report_of_shards_lies_beside_them(both: tuple[Path, Path]) -> None:
    shards = both[1]
    assert run("report", shards) == (0, f"{shards}/report.html\n")
    assert rows_of(shards / "report.html")


def test_refilter_judges_shards_as_the_folder(both: tuple[Path, Path], remote: Path, tmp_path: Path) -> None:
    folder, shards = both
    before = {file: file.read_bytes() for file in shards.rglob("*.tar")}
    plans = [run("refilter", place, *LIMITS, "--dry-run")[1] for place in (folder, shards, remote)]
    assert plans[0] == plans[1] == plans[2]
    assert len(plans[0].splitlines()) > 2
    for place in (folder, shards, remote):
        status, output = run("refilter", place, *LIMITS)
        assert (status, "--format webdataset --out NEW" in output) == (0, place != folder)
        assert run("export", place, "--format", "webdataset", "--out", tmp_path / f"new-{place.parent.name}")[0] == 0
    assert before == {file: file.read_bytes() for file in shards.rglob("*.tar")}
    first, *others = [tmp_path / f"new-{place.parent.name}" for place in (folder, shards, remote)]
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    for other in others:
        assert files == sorted(file.relative_to(other) for file in other.rglob("*") if file.is_file())
        unlike = [str(name) for name in files if (first / name).read_bytes() != (other / name).read_bytes()]
        assert unlike == ["build.json"]  # by the order of its entries alone
        assert json.loads((first / "build.json").read_text()) == json.loads((other / "build.json").read_text())
    assert open_dataset(shards).keys == open_dataset(folder).keys == open_dataset(remote).keys
    assert open_dataset(shards)[0].key == open_dataset(first)[0].key


def test_what_other_limits_bring_back_is_trained_with_its_film(both: tuple[Path, Path]) -> None:
    opened = open_dataset(both[1])
    labelled = Dataset(both[1], "labelled")
    assert {opened.part(index) for index in range(len(opened))} == {"train", "validation"}
    assert {labelled.part(index) for index in range(len(labelled))} == {"train", "validation"}


def test_the_review_of_shards_shows_and_decides_as_that_of_the_folder(both: tuple[Path, Path]) -> None:
    folder, shards = both
    source = Path(json.loads((folder / "build.json").read_text())["input"])
    ours, theirs = Session(shards, "ana", source), Session(folder, "ana", source)
    assert ours.samples() == theirs.samples()
    key = open_dataset(folder).rejected.keys[0]
    for kind in ("depth", "mask", "right"):
        assert ours.picture(kind, key) == theirs.picture(kind, key)
    assert ours.stored(key, "image") == theirs.stored(key, "image")
    assert ours.points(key) == theirs.points(key)
    ours.decide(key, "accept", None, "ana")
    height, width = open_dataset(folder).rejected[0].mask.shape
    ours.mark_unknown(key, [10, 20, height * width - 30], "ana")
    assert key in open_dataset(shards).keys
    assert (open_dataset(shards)[key].mask.ravel()[10:30] == 0).all()
    assert run("decisions", shards)[0] == 0


def test_decisions_about_a_remote_set_are_made_here_and_put_there(
    remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = Session(remote, "ana")
    key = open_dataset(remote).keys[0]
    assert len(session.decisions()) == 2  # those that were made before
    session.decide(key, "reject", "blurred", "ana")
    assert key in open_dataset(remote).keys
    status, output = run("decisions", remote, Path("set-review") / FILE)
    assert (status, "1 new lines merged" in output) == (0, True), output
    assert key not in open_dataset(remote).keys
    assert "0 new lines merged" in run("decisions", remote, Path("set-review") / FILE)[1]


@pytest.mark.parametrize("what", ["sound", "other bytes", "cut", "no index", "no row"])
def test_check_names_what_is_wrong(both: tuple[Path, Path], what: str) -> None:
    shards = both[1]
    tar = shards / "train-000000.tar"
    if what == "other bytes":
        content = bytearray(tar.read_bytes())
        content[pq.read_table(tar.with_suffix(".parquet"))["rd_at"][0].as_py() + 100] ^= 1
        tar.write_bytes(content)
    elif what == "cut":
        tar.write_bytes(tar.read_bytes()[:1000])
    elif what == "no index":
        tar.with_suffix(".parquet").unlink()
    elif what == "no row":
        rows = pq.read_table(shards / "manifest.parquet")
        pq.write_table(rows.slice(0, len(rows) - 8), shards / "manifest.parquet")
    expected = {
        "sound": "Nothing is wrong",
        "other bytes": "is not what was written (SHA-256)",
        "cut": "ends after 1000 bytes",
        "no index": "is in no shard",
        "no row": "has no label by manifest.parquet",
    }
    status, output = run("check", shards, "--read-data", "100%")
    assert (status, expected[what] in " ".join(output.split())) == (int(what != "sound"), True), output
    assert ("--format webdataset" in output) == (what != "sound")


def test_status_counts_and_upgrade_advises(both: tuple[Path, Path], remote: Path) -> None:
    folder, shards = both
    assert run("status", shards) == run("status", folder) == run("status", remote)
    build = json.loads((shards / "build.json").read_text())
    build["identity"]["method"] = 1
    (shards / "build.json").write_text(json.dumps(build))
    assert "then export it again" in run("upgrade", shards)[1]


def test_nothing_is_built_into_shards(both: tuple[Path, Path], built: Any) -> None:
    shards = both[1]
    before = {file: file.read_bytes() for file in shards.rglob("*") if file.is_file()}
    status, output = run("build-redweb", built.source, "--out", shards, "--flow", "dis", "--overwrite")
    assert (status, "not a data set of this program" in output) == (1, True), output
    assert run("merge", shards.parent / "whole", shards)[0] == 1
    assert before == {file: file.read_bytes() for file in shards.rglob("*") if file.is_file()}


def test_shards_of_another_export_in_the_way_are_named(remote: Path, folder: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/sets/set/train-000009.tar", b"")
    fsspec.filesystem("memory").pipe_file("/sets/set/train-000009.parquet", b"")
    status, output = run("export", folder, "--format", "webdataset", "--out", remote)
    assert (status, "train-000009, of another export" in output) == (1, True), output
