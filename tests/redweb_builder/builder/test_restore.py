"""A set that goes out without its pictures, and comes back whole from copies of the photographs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli import main
from redweb_builder import open_dataset
from redweb_builder.builder.refilter import refilter
from redweb_builder.builder.restore import Restored, restore
from redweb_builder.dataset.integrity import check_dataset
from redweb_builder.dataset.sources import read_sources
from redweb_builder.errors import StoreError, UnsafePath
from redweb_builder.export.dataset import export_dataset
from redweb_builder.inspect.report import write_report
from redweb_builder.inspect.show import write_grid

Snapshot = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def labels(built: Any, tmp_path: Path) -> Path:
    return export_dataset(built.out, "labels-only", tmp_path / "labels").out


def test_the_set_is_whole_again_byte_by_byte_whatever_the_copies_are_called(
    labels: Path, built: Any, tmp_path: Path, snapshot: Snapshot
) -> None:
    assert not (labels / "Imgs").exists()
    assert str(built.source) not in (labels / "build.json").read_text()
    for number, file in enumerate(sorted(built.source.iterdir())):
        if file.is_file():
            place = tmp_path / "copies" / str(number % 3) / f"IMG_{number}{file.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    before = snapshot(tmp_path / "copies")
    kept = built.summary.kept
    assert restore(labels, tmp_path / "copies") == Restored(kept, 0, [])
    assert snapshot(tmp_path / "copies") == before
    there = snapshot(labels)
    for folder in ("Imgs", "RDs", "masks", "confidence"):
        theirs = {name: content for name, content in snapshot(built.out).items() if name.startswith(f"{folder}/")}
        assert {name: content for name, content in there.items() if name.startswith(f"{folder}/")} == theirs
        assert len(theirs) == kept
    ours, original = open_dataset(labels), open_dataset(built.out)
    assert [sample.record for sample in ours] == [sample.record for sample in original]
    np.testing.assert_array_equal(ours[0].image, original[0].image)
    assert not check_dataset(labels, 1.0).faults
    assert not write_report(labels).damaged
    assert not write_grid(labels).damaged
    there = snapshot(labels)
    (next((labels / "Imgs").iterdir())).unlink()
    for place in (labels, labels / "Imgs", labels / "previews"):
        (place / ".redweb-0123456789abcdef.part").touch()  # a killed restore left it
    assert restore(labels, built.source) == Restored(1, kept - 1, [])  # names of its own: nothing is linked
    assert snapshot(labels) == there


def test_pictures_go_where_refilter_moved_their_labels(labels: Path, built: Any, snapshot: Snapshot) -> None:
    kept = built.summary.kept
    assert restore(labels, built.source) == Restored(kept, 0, [])
    assert not refilter(labels, {"min_agreement": 1}).kept
    there = snapshot(labels)
    assert restore(labels, built.source) == Restored(0, kept, [])
    assert snapshot(labels) == there
    shutil.rmtree(labels / "rejected" / "Imgs")
    assert restore(labels, built.source) == Restored(kept, 0, [])
    assert snapshot(labels) == there


def test_what_is_not_found_is_named_and_a_changed_photograph_is_none(labels: Path, built: Any, tmp_path: Path) -> None:
    copies = shutil.copytree(built.source, tmp_path / "copies")
    (copies / "good-hut_L.jpg").unlink()
    changed = bytearray((copies / "good-room_R.png").read_bytes())
    changed[-20] ^= 1
    (copies / "good-room_R.png").write_bytes(changed)
    result = CliRunner().invoke(main, ["restore", str(labels), "--from", str(copies)])
    assert result.exit_code == 1
    assert f"{built.summary.kept - 2} pictures made" in result.output
    for name in ("good-hut_L.jpg", "good-room_R.png"):
        assert f"{name} not found among the copies" in result.output
    shown = " ".join(fault.file for fault in check_dataset(labels).faults)
    assert "Imgs/good-hut" in shown
    assert "good-meadow" not in shown
    shutil.copy(built.source / "good-hut_L.jpg", copies)
    result = CliRunner().invoke(main, ["restore", str(labels), "--from", str(copies)])
    assert "1 picture made" in result.output
    assert "Error: 1 picture could not be made" in result.output


def test_a_set_that_lies_writes_nothing_elsewhere(labels: Path, built: Any, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (labels / "sources.jsonl").read_text().splitlines()]
    meadow = next(line for line in lines if line["key"].startswith("good-meadow"))
    stamp = meadow["picture"][1:]
    hostile = [
        meadow | {"key": "../evil"},
        meadow | {"picture": ["../evil.png", *stamp]},
        meadow | {"picture": [meadow["picture"][0], -1, stamp[1]]},
        meadow | {"files": {"../../etc/passwd": stamp}},
        meadow | {"files": {"/etc/passwd": stamp}},
        meadow | {"files": {}},
        meadow | {"files": {f"{number}.png": stamp for number in range(99)}},
        [],
    ]
    (labels / "sources.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in hostile) + "{\n")
    sources, faults = read_sources(labels)
    assert sources == {}
    assert len(faults) == len(hostile) + 1
    before = sorted(tmp_path.rglob("*"))
    assert restore(labels, built.source).made == 0
    assert [file for file in sorted(tmp_path.rglob("*")) if file not in before] == [labels / "Imgs"]
    # Another picture than it claims is not written.
    wrong = meadow | {"picture": [meadow["picture"][0], stamp[0], sha256(b"").hexdigest()]}
    (labels / "sources.jsonl").write_text(json.dumps(wrong))
    assert "another picture" in " ".join(restore(labels, built.source).missing)
    (labels / "Imgs").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (labels / "Imgs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePath):
        restore(labels, built.source)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_names_that_cannot_be_cost_their_own_pair(labels: Path, built: Any, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (labels / "sources.jsonl").read_text().splitlines()]
    names = (["x" * 300], ["/".join(["x" * 200] * 30)], ["x"], ["x/y"])
    for line, (name,) in zip(lines, names, strict=False):
        line["files"] = {name: next(iter(line["files"].values()))}
    (labels / "sources.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    place = labels / lines[-1]["picture"][0]
    place.mkdir(parents=True)
    done = restore(labels, built.source)
    assert done.made == len(lines) - 5
    assert len(done.missing) == 5
    assert f"a folder lies in the place of Imgs/{place.name}" in done.missing[-1]


def test_only_a_set_without_pictures_is_restored(built: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="labels-only"):
        restore(built.out, built.source)
    result = CliRunner().invoke(main, ["restore", str(built.out), "--from", str(tmp_path / "nowhere")])
    assert (result.exit_code, "no folder of photographs" in result.output) == (1, True)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_photographs_whose_names_are_no_utf8_go_out_and_come_back(built: Any, tmp_path: Path) -> None:
    folder, source = shutil.copytree(built.out, tmp_path / "set"), shutil.copytree(built.source, tmp_path / "photos")
    key = built.rows["good-hut"]["key"]
    table = pq.read_table(folder / "manifest.parquet")
    rows = table.to_pylist()
    row = next(row for row in rows if row["key"] == key)
    for eye in ("left", "right"):
        (source / row[eye]).rename(os.fsdecode(os.fsencode(source) + b"/\xe9_" + eye.encode()))
        row[eye] = rf"\xe9_{eye}"
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), folder / "manifest.parquet")
    done = export_dataset(folder, "labels-only", tmp_path / "labels", options={"source": source})
    assert done.damaged == []
    assert restore(tmp_path / "labels", source) == Restored(built.summary.kept, 0, [])
