"""Data sets from elsewhere and damaged ones, by the command line: nothing outside is touched, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from cli import main
from redweb_builder.dataset import manifest_file
from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.paths import FOLDERS
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.errors import StoreError

Snapshot = Callable[[Path], dict[str, bytes]]
QUICK = ("--flow", "dis", "--segmenter", "builtin", "--device", "cpu")
READERS = (("report",), ("grid",), ("decisions",), ("check",))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A folder of the user beside the data set."""
    folder = tmp_path / "Pictures"
    for name in ("wedding.jpg", "RDs/wedding.png", ".bashrc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"the only copy of {name}".encode())
    return folder


@pytest.fixture
def dataset(built: Any, tmp_path: Path, canary: Path, snapshot: Snapshot) -> Any:
    """A copy of the built data set; the canary is the same at the end of the test."""
    before = snapshot(canary)
    yield shutil.copytree(built.out, tmp_path / built.out.name)  # pages show the name of the folder
    assert snapshot(canary) == before


def run(*arguments: object) -> Result:
    """A command; a bug fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code in (0, 1, 2, 3), result.output
    assert "Traceback" not in result.output
    assert not result.output.rstrip().endswith(":")  # an error without words
    return result


def build_again(built: Any, dataset: Path) -> Result:
    return run("build-redweb", built.source, "--out", dataset, *QUICK)


# columns that a command does not read, so that it has nothing to refuse
UNUSED = ("perceptual_hash", "film_crops", "homography")
NOT_READ = {"report": UNUSED, "grid": (*UNUSED, "left")}


def change_row(dataset: Path, name: str, value: Any, index: int = 0) -> None:
    """Another value in a row of the manifest."""
    rows = pq.read_table(dataset / "manifest.parquet").to_pylist()
    rows[index][name] = value
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), dataset / "manifest.parquet")


# --- S1: one check of every key and row -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "../../Pictures/wedding"),
        ("key", "../Pictures/RDs/wedding"),
        ("key", "/etc/passwd"),
        ("key", "a\nb"),
        ("key", "x" * 300),
        ("key", None),
        ("status", "maybe"),
        ("width", -5),
        ("quality", float("inf")),
        ("perceptual_hash", "not hexadecimal"),
        ("left", "../../Pictures/wedding.jpg"),
        ("film_crops", "[" * 100_000),
        ("homography", "[1, 0, 0, 0, 1, 0, 0, 0, NaN]"),
    ],
)
def test_a_bad_row_is_refused_with_its_number(dataset: Path, tmp_path: Path, name: str, value: Any) -> None:
    change_row(dataset, name, value, 2)
    refused = run("refilter", dataset, "--set", "max_vertical=off", "--set", "min_agreement=off")
    assert refused.exit_code == 1
    assert "manifest.parquet" in refused.output
    assert "row 3" in refused.output
    assert f"another row of {value}" not in refused.output
    for command in (("report", dataset), ("grid", dataset), ("export", dataset, "--format", "ply")):
        result = run(*command, *(("--out", tmp_path / "ply") if command[0] == "export" else ()))
        assert result.exit_code == 0
        assert ("row 3" in result.output) == (name not in NOT_READ.get(str(command[0]), ()))
    assert len(open_dataset(dataset).rejected) + len(open_dataset(dataset)) >= 4


def test_two_rows_of_one_key(dataset: Path, built: Any) -> None:
    keys = pq.read_table(dataset / "manifest.parquet")["key"].to_pylist()
    change_row(dataset, "key", keys[0], 1)
    assert "another row" in run("report", dataset).output


@pytest.mark.parametrize("content", ["other columns", "no columns", "words", "other types", "not UTF-8", "a name"])
def test_a_manifest_of_another_kind_is_one_sentence(dataset: Path, content: str) -> None:
    file = dataset / "manifest.parquet"
    tables = {
        "other columns": pa.table({"a": [1]}),
        "no columns": pa.table({}),
        "other types": pq.read_table(file).set_column(0, "key", pa.array([[1]] * pq.read_metadata(file).num_rows)),
        "not UTF-8": pa.table(
            {
                "key": pa.Array.from_buffers(
                    pa.string(), 1, [None, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")]
                ),
                "status": ["kept"],
            }
        ),
    }
    if content == "words":
        file.write_bytes(b"words")
    elif content == "a name":  # of a column, that is not UTF-8
        file.write_bytes(file.read_bytes().replace(b"perceptual_hash", b"perceptual\xffhash"))
    else:
        pq.write_table(tables[content], file)
    for command in (*READERS, ("refilter",)):
        result = run(command[0], dataset)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert result.output.count("\n") == 1
        assert "manifest" in result.output


@pytest.mark.parametrize("rows", [1, 100_000])
def test_a_manifest_that_unpacks_to_gigabytes_is_refused_unread(
    dataset: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One long text, stored once, may stand in every row."""
    file = dataset / "manifest.parquet"
    monkeypatch.setattr(manifest_file, "MAX_TEXT_BYTES", 4 << 20)
    long = "a" * ((16 << 20) // rows)
    pq.write_table(pa.table({"key": [str(row) for row in range(rows)], "status": [long] * rows}), file)
    assert file.stat().st_size < 2 << 20
    with pytest.raises(StoreError, match="at most 4194304 are read"):
        read_manifest(dataset)


@pytest.mark.parametrize(
    "line",
    [
        bytes(300),
        b"[" * 100_000,
        b'{"key": ' * 100_000,
        b"[1, 2]",
        b'{"key": "../../Pictures/wedding", "status": "kept", "width": 9}',
        b'{"key": "a", "status": "kept"}',
        b'{"key": "a", "status": "rejected", "stage": "read", "quality": NaN}',
        b'{"key": "a", "status": "rejected", "stage": "read", "quality": 1' + b"0" * 400 + b"}",
        b'{"key": "a", "status": "rejected", "stage": "read", "clip_frame": 4294967296}',
        b'{"key": "a", "status": "rejected", "stage": "read", "clip_frame": 2147483648}',
        b'{"key": "a", "status": "rejected", "stage": "read", "source_height": -2147483649}',
        b'{"key": "a\\ud800", "status": "rejected", "stage": "read"}',
        b'{"key": "a", "status": "rejected", "stage": "read", "detail": "\\ud800"}',
        b'{"key": "a", "status": "rejected", "stage": "read", "files": {"../../Pictures/wedding.jpg": [1, ""]}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_of_the_journal_is_dropped_and_counted(dataset: Path, built: Any, line: bytes) -> None:
    journal = dataset / "journal.jsonl"
    whole = journal.read_bytes()
    first, rest = whole.split(b"\n", 1)
    journal.write_bytes(first + b"\n" + line + b"\n" + rest)
    assert "line 2" in run("check", dataset).output
    result = build_again(built, dataset)
    assert "damaged: 1 line of journal.jsonl" in result.output
    assert journal.read_bytes() == whole
    assert run("check", dataset).exit_code == 0


def test_a_pair_whose_line_is_damaged_is_done_again(dataset: Path, built: Any, snapshot: Snapshot) -> None:
    journal, before = dataset / "journal.jsonl", snapshot(dataset)
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[1] = bytes(len(lines[1]) - 1) + b"\n"
    journal.write_bytes(b"".join(lines))
    build_again(built, dataset)
    after = snapshot(dataset)
    assert sorted(after["journal.jsonl"].splitlines()) == sorted(before["journal.jsonl"].splitlines())
    for names in (before, after):
        del names["journal.jsonl"], names["build.json"]
    assert after == before


# --- S2, S4, S10: nothing is written through a link ---------------------------------------------------------------


def test_links_under_names_that_were_once_temporary(dataset: Path, built: Any, canary: Path) -> None:
    for name in ("report.html", "grid.png", "build.json", "manifest.parquet", "journal.jsonl"):
        (dataset / f"{name}.part").symlink_to(canary / "wedding.jpg")
    (dataset / "report.html").unlink()
    (dataset / "report.html").symlink_to(canary / ".bashrc")
    (dataset / "grid.png").unlink()
    (dataset / "grid.png").symlink_to(canary / ".bashrc")
    for command in (("report",), ("grid",), ("refilter", "--set", "max_vertical=0.3")):
        assert run(command[0], dataset, *command[1:]).exit_code == 0
    assert build_again(built, dataset).exit_code == 0
    assert not (dataset / "report.html").is_symlink()


@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
def test_a_build_does_not_append_or_lock_through_a_link(
    dataset: Path, built: Any, canary: Path, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    journal = (dataset / "journal.jsonl").rename(tmp_path / "journal of another set")
    before = journal.read_bytes()
    plant(dataset / "journal.jsonl", journal)
    (dataset / "RDs" / f"{open_dataset(dataset).keys[0]}.png").unlink()
    result = build_again(built, dataset)
    assert result.exit_code == 1
    assert "journal.jsonl" in result.output
    assert journal.read_bytes() == before
    (dataset / ".lock").unlink(missing_ok=True)
    plant(dataset / ".lock", canary / ".bashrc")
    for result in (build_again(built, dataset), run("refilter", dataset)):
        assert result.exit_code == 1
        assert ".lock" in result.output


@pytest.mark.parametrize("name", ["decisions.jsonl", ".decisions.lock"])
def test_decisions_are_not_appended_through_a_link(dataset: Path, canary: Path, tmp_path: Path, name: str) -> None:
    (dataset / name).symlink_to(canary / ".bashrc")
    key = open_dataset(dataset).keys[0]
    theirs = tmp_path / "theirs.jsonl"
    theirs.write_text(
        json.dumps(
            {"id": "1", "key": key, "decision": "reject", "reviewer": "eve", "time": "2026-01-01T00:00:00.000000+00:00"}
        )
        + "\n"
    )
    result = run("decisions", dataset, theirs)
    assert result.exit_code == 1
    assert f"{name} is a link" in result.output


@pytest.mark.parametrize("name", ["Imgs", "previews", "rejected", "rejected/RDs"])
def test_a_folder_that_leads_out_is_refused(dataset: Path, built: Any, canary: Path, name: str) -> None:
    shutil.rmtree(dataset / name)
    (dataset / name).symlink_to(canary, target_is_directory=True)
    for result in (build_again(built, dataset), run("refilter", dataset, "--set", "max_vertical=off")):
        assert result.exit_code == 1
        assert name in result.output
        assert "leads out" in result.output


@pytest.mark.parametrize("name", ["report.html", "grid.png", "journal.jsonl", "decisions.jsonl"])
def test_a_folder_in_the_place_of_a_file_is_named(dataset: Path, name: str) -> None:
    (dataset / name).unlink(missing_ok=True)
    (dataset / name).mkdir()
    result = run("refilter", dataset)
    assert result.exit_code == 1
    assert f"Is a directory: {dataset / name}\n" in result.output


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["build.json", "journal.jsonl", "decisions.jsonl", "manifest.parquet", ".lock"])
def test_a_fifo_does_not_hang(dataset: Path, built: Any, name: str) -> None:
    (dataset / name).unlink(missing_ok=True)
    os.mkfifo(dataset / name)
    for command in (("report",), ("grid",), ("decisions",), ("check",), ("refilter",)):
        run(command[0], dataset)
    build_again(built, dataset)


# --- S8: what the journal says is checked against the folder ------------------------------------------------------


def test_pairs_whose_files_are_gone_are_done_again(dataset: Path, built: Any, snapshot: Snapshot) -> None:
    before = snapshot(dataset)
    keys = open_dataset(dataset).keys
    (dataset / "RDs" / f"{keys[0]}.png").unlink()
    (dataset / "masks" / f"{keys[1]}.png").write_bytes(b"")
    confidence = dataset / "confidence" / f"{keys[2]}.png"
    confidence.write_bytes(confidence.read_bytes()[:-1])
    checked = run("check", dataset)
    assert checked.exit_code == 1
    for text in (f"RDs/{keys[0]}.png", "missing", "empty", "bytes", f"build-redweb {quote(str(built.source))} --out"):
        assert text in checked.output
    result = build_again(built, dataset)
    assert "done again: 3 pairs, of which files were gone" in result.output
    after = snapshot(dataset)
    for names in (before, after):
        del names["journal.jsonl"], names["build.json"]
    assert after == before
    assert "done again" not in build_again(built, dataset).output
    assert run("check", dataset, "--read-data", "100%").exit_code == 0


def test_a_journal_without_sizes_asks_for_files_that_are_not_empty(dataset: Path, built: Any) -> None:
    records = [json.loads(line) for line in (dataset / "journal.jsonl").read_text().splitlines()]
    for record in records:
        record.pop("files", None)
    (dataset / "journal.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert "done again" not in build_again(built, dataset).output
    for folder in FOLDERS:
        shutil.rmtree(dataset / folder)
    kept = len(open_dataset(dataset).keys)
    assert f"done again: {kept} pairs" in build_again(built, dataset).output
    assert run("check", dataset, "--read-data", "100%").exit_code == 0


def test_a_pair_whose_photographs_are_gone_too_leaves_the_manifest(dataset: Path, built: Any, tmp_path: Path) -> None:
    key = open_dataset(dataset).keys[0]
    source = shutil.copytree(built.source, tmp_path / "in")
    for file in source.glob(f"{key.rsplit('-', 1)[0]}*"):
        file.unlink()
    (dataset / "RDs" / f"{key}.png").unlink()
    assert "lost files: 1 pair not" in run("build-redweb", source, "--out", dataset, *QUICK).output
    assert key not in open_dataset(dataset).keys
    assert len([sample.key for sample in open_dataset(dataset)]) > 1


# --- check --------------------------------------------------------------------------------------------------------


def test_check_compares_contents_where_it_is_asked_to(dataset: Path) -> None:
    assert run("check", dataset).exit_code == 0
    file = dataset / "RDs" / f"{open_dataset(dataset).keys[0]}.png"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert run("check", dataset).exit_code == 0
    result = run("check", dataset, "--read-data", "100%")
    assert result.exit_code == 1
    assert f"RDs/{file.name}" in result.output
    assert "SHA-256" in result.output


def test_check_names_strangers_links_and_damaged_decisions(dataset: Path, canary: Path) -> None:
    (dataset / "Imgs" / "holiday.jpg").write_bytes(b"mine")
    (dataset / "masks" / "link.png").symlink_to(canary / "wedding.jpg")
    (dataset / "decisions.jsonl").write_bytes(b"words\n")
    (dataset / "notes.txt").write_text("beside the folders of the program, files of others are welcome")
    result = run("check", dataset)
    assert result.exit_code == 1
    for text in ("Imgs/holiday.jpg", "masks/link.png", "is a link", "decisions.jsonl", "3 faults"):
        assert text in result.output
    assert "notes.txt" not in result.output
    assert (dataset / "Imgs" / "holiday.jpg").read_bytes() == b"mine"


@pytest.mark.parametrize("share", ["5", "0%", "101%", "x%", "-5%"])
def test_a_share_is_in_percent(dataset: Path, share: str) -> None:
    result = CliRunner().invoke(main, ["check", str(dataset), f"--read-data={share}"])
    assert result.exit_code == 2
    assert "no share" in result.output


# --- also ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"words", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_damaged_preview_blocks_nothing(dataset: Path, built: Any, content: bytes) -> None:
    for file in (dataset / "previews").iterdir():
        file.write_bytes(content)
    (dataset / "grid.png").unlink()
    assert "drawn without their pictures" in run("grid", dataset).output
    assert (dataset / "grid.png").stat().st_size > 0
    run("report", dataset)
    assert run("refilter", dataset, "--set", "max_vertical=0.3").exit_code == 0


def test_an_empty_preview_does_not_keep_a_build_from_going_on(dataset: Path, built: Any) -> None:
    preview = min((dataset / "previews").iterdir())
    preview.write_bytes(b"")
    assert build_again(built, dataset).exit_code == 0
    assert preview.stat().st_size > 0


def test_a_refilter_killed_between_two_renames_leaves_every_pair_readable(dataset: Path, built: Any) -> None:
    key = open_dataset(dataset).keys[0]
    before = open_dataset(dataset)[key]
    for folder, ending in (("Imgs", before_ending(dataset, key)), ("masks", ".png")):
        (dataset / folder / f"{key}{ending}").rename(dataset / "rejected" / folder / f"{key}{ending}")
    after = open_dataset(dataset)[key]
    assert (after.image == before.image).all()
    assert (after.mask == before.mask).all()
    assert run("check", dataset, "--read-data", "100%").exit_code == 0
    assert run("refilter", dataset).exit_code == 0
    assert (dataset / "masks" / f"{key}.png").is_file()


def test_counts_that_are_none_do_not_hinder_refilter(dataset: Path) -> None:
    file = dataset / "build.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"counts": float("nan")}))
    result = run("refilter", dataset)
    assert (result.exit_code, result.exception) == (0, None), result.output
    assert json.loads(file.read_text())["counts"]["kept"] > 0


def before_ending(dataset: Path, key: str) -> str:
    return open_dataset(dataset).image_path(key).suffix


def test_a_folder_whose_name_is_not_utf_8_is_refused_at_the_start(built: Any, tmp_path: Path) -> None:
    out = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    result = build_again(built, out)
    assert result.exit_code == 2
    assert "not UTF-8" in result.output
    assert not out.exists()
