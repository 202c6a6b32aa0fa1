"""Reading a manifest: the test of whole columns lets nothing pass that the rules for a row refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redweb_builder.dataset import manifest_file
from redweb_builder.dataset.manifest import DICTIONARY, SCHEMA, index_in, table_of
from redweb_builder.dataset.manifest_file import (
    CATEGORICAL,
    _wanted_in,
    encoded_blocks,
    read_manifest,
    read_rows,
    write_manifest,
)
from redweb_builder.dataset.parquet_pages import PlainPage
from redweb_builder.dataset.rows import fault_of, surely_usable
from redweb_builder.errors import StoreError

GOOD: dict[str, Any] = {
    "key": "a", "left": "x/a_L.jpg", "status": "kept", "width": 640, "height": 480, "perceptual_hash": "00ff" * 4,
    "homography": json.dumps([1.0, -0.0012, 2.5e-07, 0.0, 1.0, 41.0, 1e-08, 0.0, 1.0]), "agreement": 0.5,
}  # fmt: skip
ODD: list[dict[str, Any]] = [
    {"key": key} for key in ("", ".a", "a/b", "a\n", "a b", "é", "a" * 251, "日本" * 42, "\u0301", None)
]
ODD += [{"left": path} for path in ("/etc/passwd", "a/../../b", "..", "a..b", "")]
ODD += [
    {"homography": text} for text in ("[1]", "[01, 0, 0, 0, 0, 0, 0, 0, 0]", f"[{'9, ' * 8}1e999]", "null", "[" * 99)
]
ODD += [{"homography": f"[{', '.join(['1'] * 9)}]\n"}, {"perceptual_hash": "00ff" * 4 + "\n"}]
ODD += [{"perceptual_hash": "00FF" * 4}, {"film_crops": "[]"}, {"width": None}, {"width": 0}, {"width": 65_536}]
ODD += [{"status": "maybe"}, {"status": "left-out"}, {"status": "rejected"}, {"status": "rejected", "width": None}]
ODD += [{"status": "rejected", "stage": "read", "width": None}, {"agreement": 1e300}, {"agreement": float("nan")}]
ODD += [{"detail": "a\0b"}, {"clip_frame": -(2**31)}, {"height": -1}]


@pytest.mark.parametrize("change", ODD, ids=str)
def test_nothing_passes_that_a_row_is_refused_for(change: dict[str, Any]) -> None:
    rows = [GOOD, GOOD | change]
    usable = surely_usable(table_of(rows))
    assert not usable[1] or fault_of(rows[1]) is None
    assert surely_usable(table_of([GOOD])).all()
    coded = [field.with_type(DICTIONARY) if field.name in CATEGORICAL else field for field in SCHEMA]
    assert surely_usable(table_of(rows).cast(pa.schema(coded))).tolist() == usable.tolist()


@pytest.mark.parametrize("path", ["C:/x_L.png", r"\\server\share\x_L.png"])
def test_paths_that_lead_out_on_another_system_get_a_closer_look(path: str) -> None:
    """What one of them names is another machine on Windows, and a file of the set here."""
    assert surely_usable(table_of([GOOD, GOOD | {"right": path}])).tolist() == [True, False]


def manifest_of(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pq.write_table(table_of(rows), folder / "manifest.parquet", row_group_size=3, **options)
    return folder


@pytest.mark.parametrize("columns", [None, ("height",)], ids=["all columns", "few columns"])
def test_odd_rows_are_passed_over_and_named_by_their_number(
    columns: tuple[str, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys stop growing in the third block; row 4 is broken, so that its key is free for row 6."""
    for name in ("BLOCK_ROWS", "WIDE_ROWS"):
        monkeypatch.setattr(manifest_file, name, 2)
    keys = ["a", "b", "c", "d", "b", "d", "e", "a"]
    rows = [GOOD | {"key": key, "height": number + 1} for number, key in enumerate(keys)]
    rows[3]["status"] = "maybe"
    manifest = read_manifest(manifest_of(tmp_path, rows), columns)
    assert manifest.table["height"].to_pylist() == [1, 2, 3, 6, 7]
    assert [fault.split(":")[0] for fault in manifest.refused] == ["row 4", "row 5", "row 8"]
    assert "another row of b" in manifest.refused[1]


@pytest.mark.parametrize("block", [1, 3, 5, 20])
def test_groups_of_rows_do_not_depend_on_how_rows_come(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in (("BLOCK_ROWS", 4), ("SMALL_GROUP", 2), ("IN_SMALL_GROUPS", 4)):
        monkeypatch.setattr(manifest_file, name, rows)
    table = table_of([GOOD | {"key": f"key-{number:02}"} for number in range(19)])
    with (tmp_path / "manifest.parquet").open("wb") as file:
        write_manifest(file, (table.slice(start, block) for start in range(0, 19, block)))
    metadata = pq.read_metadata(tmp_path / "manifest.parquet")
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert groups == [2, 2, 4, 4, 4, 3]
    assert read_manifest(tmp_path).table == table
    with (tmp_path / "at once.parquet").open("wb") as file:
        write_manifest(file, [table])
    assert (tmp_path / "at once.parquet").read_bytes() == (tmp_path / "manifest.parquet").read_bytes()


def test_blocks_without_rows_are_written(tmp_path: Path) -> None:
    table = table_of([GOOD])
    nothing = pa.table([pa.chunked_array([], field.type) for field in table.schema], schema=table.schema)
    for blocks, rows in (([nothing], 0), ([table.slice(1)], 0), ([nothing, table, table.slice(1)], 1), ([], 0)):
        with (tmp_path / "manifest.parquet").open("wb") as file:
            write_manifest(file, blocks)
        assert len(read_manifest(tmp_path).table) == rows


@pytest.mark.parametrize("values", [("kept", "rejected"), ("rejected", None), (None,), ("maybe",), ()], ids=str)
def test_which_of_some_values_a_text_is(values: tuple[str | None, ...]) -> None:
    texts = ["kept", None, "rejected", "kept", "left-out"]
    places = [values.index(text) if text in values else -1 for text in texts]
    whole = pa.chunked_array([texts], pa.string())
    assert index_in(whole, values).tolist() == index_in(whole.dictionary_encode(), values).tolist() == places
    nothing = pa.chunked_array([[None, None]], DICTIONARY)
    assert index_in(nothing, values).tolist() == [values.index(None) if None in values else -1] * 2


def test_rows_with_texts_as_in_the_file_are_the_same_rows(tmp_path: Path) -> None:
    rejected = {"status": "rejected", "stage": "filter", "reason": "exposure"}
    rows = [GOOD, GOOD | {"key": "b"} | rejected, GOOD | {"key": "c", "clip": "k"}, {"status": "left-out"}]
    folder = manifest_of(tmp_path, [*rows, GOOD | {"key": "d", "status": "maybe"}])
    refused: list[str] = []
    blocks = list(encoded_blocks(folder, ("reason", "clip"), refused))
    assert all(block[name].type == DICTIONARY for block in blocks for name in CATEGORICAL)
    plain = read_manifest(folder, ("reason", "clip"))
    assert [row for block in blocks for row in block.to_pylist()] == plain.rows
    assert refused == plain.refused != []


def test_a_dictionary_of_more_texts_than_rows_is_not_kept(tmp_path: Path) -> None:
    """A damaged file may have one of millions, and what is asked of a dictionary is asked of each of its texts."""
    reasons = pa.DictionaryArray.from_arrays(pa.array([7, None], pa.int32()), [f"reason {n}" for n in range(1000)])
    columns = {"key": ["a", "b"], "status": ["kept", "kept"], "width": pa.array([9, 9], pa.int32()), "reason": reasons}
    pq.write_table(pa.table(columns), tmp_path / "manifest.parquet")
    block = next(encoded_blocks(tmp_path, ("reason",), []))
    assert block["reason"].to_pylist() == ["reason 7", None]
    assert len(block["reason"].chunk(0).dictionary) == 1


def test_only_the_columns_that_were_asked_for(tmp_path: Path) -> None:
    folder = manifest_of(tmp_path, [GOOD, GOOD | {"key": "b", "agreement": 1e300}])
    manifest = read_manifest(folder, ("quality",))
    assert set(manifest.table.column_names) == {"key", "status", "stage", "width", "quality"}
    assert len(manifest.table) == 2
    assert len(read_manifest(folder, ("agreement",)).table) == 1


def test_the_rows_of_some_pairs(tmp_path: Path) -> None:
    out = [{"left": f"{number}.txt", "status": "left-out"} for number in range(4)]
    folder = manifest_of(tmp_path, [GOOD, GOOD | {"key": "b"}, GOOD | {"key": "c"}, *out])
    some = read_rows(read_manifest(folder, ()), pa.array(["c", "a"]), left_out=2).table
    assert some.schema == SCHEMA
    assert some["key"].to_pylist() == ["a", "c", None, None]


def test_of_some_pairs_a_refused_row_has_its_number_in_the_file(tmp_path: Path) -> None:
    """Rows 2 and 4 are refused when they are first read, row 5 for a column that is read later."""
    rows = [GOOD | {"key": key} for key in "abcdef"]
    rows[1]["status"], rows[3]["width"], rows[4]["agreement"] = "maybe", -1, 1e300
    manifest = read_manifest(manifest_of(tmp_path, rows), ())
    some = read_rows(manifest, pa.array(["a", "e", "f"]), ("agreement",))
    assert some.table["key"].to_pylist() == ["a", "f"]
    assert sorted(sentence.split(":")[0] for sentence in some.refused) == ["row 2", "row 4", "row 5"]


@pytest.mark.parametrize("plain", [True, False])
def test_row_groups_without_a_wanted_row_are_counted_and_not_read(tmp_path: Path, plain: bool) -> None:
    rows = [GOOD | {"key": key, "detail": "first" if key in "abc" else ""} for key in "abcdefghi"]
    rows += [{"left": "x.txt", "status": "left-out"}]
    rows[7]["agreement"] = 1e300
    file = manifest_of(tmp_path, rows, use_dictionary=not plain, compression="none") / "manifest.parquet"
    manifest = read_manifest(tmp_path, ())
    raw = file.read_bytes()
    pages, index = raw[: (end := len(raw) - 8 - int.from_bytes(raw[-8:-4], "little"))], raw[end:]
    file.write_bytes(pages.replace(b"first", b"\xff" * 5) + index)  # no text, where it is read
    if not plain:
        with pytest.raises(StoreError, match="cannot be read"):
            read_rows(manifest, pa.array(["h", "i"]), ("agreement", "detail"), left_out=1)
        return
    some = read_rows(manifest, pa.array(["h", "i"]), ("agreement", "detail"), left_out=1)
    assert (some.table["key"].to_pylist(), some.refused[0].split(":")[0]) == (["i", None], "row 8")


def test_which_keys_pages_may_hold() -> None:
    pages = [PlainPage(b"c", b"e", 0), PlainPage(b"f", b"h", 0)]

    def found(pages: list[PlainPage] | None, *wanted: str | None) -> list[str | None]:
        keys: list[str | None] = _wanted_in(
            pages, pa.array(wanted, pa.string()), [key.encode() for key in wanted if key]
        ).to_pylist()
        return keys

    assert found(pages, "a", "c", "f", "h", "i", None) == ["c", "f", "h"]
    assert found(pages, "a", "b", None) == []
    assert found([*pages, PlainPage(b"i", b"i", 2)], "a", "b", None) == [None]
    for unknown in ([*pages, PlainPage(None, None, 1)], [*pages, PlainPage(None, None, None)], None):
        assert found(unknown, "a", "b", None) == ["a", "b", None]


def test_what_a_file_says_of_its_columns_ends_no_process(tmp_path: Path) -> None:
    """Arrow's reader refuses a column of another type or with other sizes than it can have; pyarrow, asked for what the
    file says of that column, ends the process. Every byte about the keys is changed.
    """
    write_manifest((tmp_path / "manifest.parquet").open("wb"), [table_of([GOOD | {"key": key} for key in "abc"])])
    script = (
        "import io, sys, pyarrow as pa\n"
        "from redweb_builder.dataset.manifest import SCHEMA; from redweb_builder.dataset.manifest_file import *\n"
        "raw = open(sys.argv[1], 'rb').read(); refused = 0\n"
        "schema = pa.schema([SCHEMA.field(name) for name in ('key', 'status', 'stage', 'width')])\n"
        "at = raw.index(b'key', raw.index(b'seconds', len(raw) - 8 - int.from_bytes(raw[-8:-4], 'little')))\n"
        "for place in range(at - 20, at + 120):\n"
        "    for value in {0, 1, 127, 128, 255, raw[place] ^ 1, raw[place] ^ 2}:\n"
        "        for wanted in (None, pa.array(['b', None])):\n"
        "            changed = io.BytesIO(raw[:place] + bytes([value]) + raw[place + 1:])\n"
        "            try: list(table_blocks(changed, 'F', schema, wanted))\n"
        "            except StoreError: refused += 1\n"
        "print(refused)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "manifest.parquet"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) > 100
