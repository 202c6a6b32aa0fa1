"""Shards: what was exported is read back, by one range a sample, from a folder and from remote storage."""

from __future__ import annotations

import pickle
import tarfile
from collections import Counter
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redweb_builder.builder.refilter import refilter
from redweb_builder.dataset.decisions import FILE as DECISIONS
from redweb_builder.dataset.decisions import append_decisions, decide, read_decisions
from redweb_builder.dataset.manifest import table_of
from redweb_builder.dataset.reader import Dataset, open_dataset
from redweb_builder.dataset.shard_integrity import check_shards
from redweb_builder.dataset.shards import ShardFiles
from redweb_builder.dataset.storage import Storage
from redweb_builder.dataset.writer import Store
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.export import webdataset
from redweb_builder.export.dataset import export_dataset
from redweb_builder.inputs import remote
from redweb_builder.inputs.remote import Remote, address_of
from tests.redweb_builder.dataset.test_writer import IDENTITY, label_like, picture_like, row

KEYS = ["a.b", "c", "größe", *(f"k{number}" for number in range(9))]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Twelve samples, a PNG and JPEGs among them."""
    folder = tmp_path_factory.mktemp("built") / "set"
    with Store(folder, IDENTITY) as store:
        for number, key in enumerate(KEYS):
            store.write_label(key, picture_like(), number % 2 == 0, label_like(), picture_like(), True)
        store.finish(table_of(row(key, agreement=number / 12) for number, key in enumerate(sorted(KEYS))), {})
    return open_dataset(folder)


@pytest.fixture
def shards(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The set in shards of at most five samples."""
    monkeypatch.setattr(webdataset, "SHARD", 5)
    export_dataset(dataset.folder, "webdataset", tmp_path / "shards")
    return tmp_path / "shards"


def assert_same(shards: Dataset, dataset: Dataset) -> None:
    assert sorted(shards.keys) == sorted(dataset.keys)
    for key in dataset.keys:
        ours, theirs = shards[key], dataset[key]
        for name in ("image", "disparity", "mask", "confidence"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        assert {name: ours.record[name] for name in theirs.record} == theirs.record
        assert shards.stored_picture(key) == dataset.stored_picture(key)
        assert shards.stored_maps(key) == dataset.stored_maps(key)


def test_the_samples_are_those_of_the_set(shards: Path, dataset: Dataset) -> None:
    opened = open_dataset(shards)
    assert isinstance(opened.files, ShardFiles)
    assert sorted(file.name for file in shards.glob("*.tar")) == [
        "train-000000.tar", "train-000001.tar", "validation-000000.tar",
    ]  # fmt: skip
    assert_same(opened, dataset)
    assert_same(pickle.loads(pickle.dumps(opened)), dataset)
    assert opened[2:4][1].key == opened.keys[3]
    assert Counter(map(opened.part, range(12))) == {"train": 10, "validation": 2}
    assert (
        np.isnan(open_dataset(shards, min_confidence=255)["c"].disparity).sum() > np.isnan(opened["c"].disparity).sum()
    )


def test_an_index_says_where_tar_has_the_files(shards: Path) -> None:
    """By another reader of tar: Python's own."""
    index = pq.read_table(shards / "train-000000.parquet").to_pylist()
    with tarfile.open(shards / "train-000000.tar") as tar:
        lies = {member.name.split(".", 1)[1].split(".")[0]: member for member in tar.getmembers()[:5]}
    for name in ("image", "rd", "mask", "confidence"):
        assert (index[0][f"{name}_at"], index[0][f"{name}_bytes"]) == (lies[name].offset_data, lies[name].size)


def test_shards_are_cut_by_their_size_too(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdataset, "SHARD_BYTES", 1)
    export_dataset(dataset.folder, "webdataset", tmp_path / "small")
    assert len(list((tmp_path / "small").glob("*.tar"))) == 12
    assert_same(open_dataset(tmp_path / "small"), dataset)


def test_shards_of_shards_are_the_same(shards: Path, tmp_path: Path) -> None:
    export_dataset(shards, "webdataset", tmp_path / "again")
    for file in shards.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_a_tar_without_its_index_is_no_shard(shards: Path) -> None:
    for file in shards.glob("train-*.parquet"):
        file.unlink()
    with pytest.raises(StoreError, match=r"no shard has files of 'a\.b'; export the set again"):
        open_dataset(shards)["a.b"]
    (shards / "manifest.parquet").unlink()
    assert len(open_dataset(shards)) == 2


def test_shards_of_an_earlier_version_are_read_and_not_filtered(shards: Path, dataset: Dataset) -> None:
    """They have an index of fewer columns, and no more."""
    for file in shards.glob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.drop_columns([c for c in table.column_names if c.startswith(("preview", "sha"))]), file)
    for name in ("manifest.parquet", "build.json"):
        (shards / name).unlink()
    assert_same(open_dataset(shards), dataset)
    with pytest.raises(StoreError, match=r"has no manifest.parquet; shards without it .* export the set again"):
        refilter(shards, {})


@pytest.mark.parametrize(
    ("column", "value"),
    [("rd_at", None), ("rd_at", -1), ("mask_bytes", 1 << 40), ("image_at", 1 << 40), ("rd_at", 700)],
)
def test_a_row_of_an_index_that_lies_is_refused(shards: Path, column: str, value: Any) -> None:
    file = shards / "train-000000.parquet"
    table = pq.read_table(file)
    field, at = table.schema.field(column), table.schema.get_field_index(column)
    liar, *others = table["key"].to_pylist()
    values = pa.array([value, *table[column].to_pylist()[1:]], field.type)
    pq.write_table(table.set_column(at, field, values), file)
    opened = open_dataset(shards)
    sentence = f"1 of 12 rows cannot be used and are passed over ({file.name} does not say where the files of {liar}"
    assert sentence in str(opened.refusal)
    with pytest.raises(StoreError, match=f"no shard has files of '{liar}'"):
        opened[liar]
    assert opened[others[0]].key == others[0]
    assert [fault.file for fault in check_shards(shards).faults] == ["indices", "manifest.parquet"]


def test_a_sample_that_two_shards_have_is_that_of_the_first(shards: Path) -> None:
    for ending in (".tar", ".parquet"):
        copyfile(shards / f"train-000001{ending}", shards / f"validation-000000{ending}")
    twice = pq.read_table(shards / "train-000001.parquet")["key"].to_pylist()
    opened = open_dataset(shards)
    assert f"there is another row of {min(twice)}" in str(opened.refusal)
    assert [opened.files.part(key) for key in twice] == ["train"] * len(twice)
    assert [opened[key].key for key in twice] == twice


def test_a_file_in_no_place_of_a_shard_is_not_looked_for(shards: Path) -> None:
    files = open_dataset(shards).files
    for key in ("../c", "/etc/passwd", "none"):
        with pytest.raises(StoreError, match="no shard has files"):
            files.stored(key, "image")


def test_a_tar_that_was_cut_names_the_shard(shards: Path) -> None:
    opened = open_dataset(shards)
    (shards / "train-000000.tar").write_bytes(b"")
    with pytest.raises(StoreError, match=r"train-000000.tar: it ends before byte"):
        opened[0]


def test_a_damaged_index_costs_its_own_samples(shards: Path) -> None:
    of_validation = pq.read_table(shards / "validation-000000.parquet")["key"].to_pylist()
    (shards / "validation-000000.parquet").write_bytes(b"PAR1")
    opened = open_dataset(shards)
    assert "validation-000000.parquet cannot be read" in str(opened.refusal)
    assert opened[next(key for key in opened.keys if key not in of_validation)].mask.any()
    with pytest.raises(StoreError, match="no shard has files"):
        opened[of_validation[0]]
    faults = [f"{fault.file}: {fault.what}" for fault in check_shards(shards).faults]
    assert any("validation-000000.parquet cannot be read" in fault for fault in faults)
    assert any(f"{of_validation[0]} is in no shard" in fault for fault in faults)
    for index in shards.glob("train-*.parquet"):
        index.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="export the set again"):
        open_dataset(shards)


def test_addresses() -> None:
    assert address_of("s3://bucket/a/b/") == address_of(Path("s3://bucket/a/b")) == "s3://bucket/a/b"
    assert address_of(Path("https://host/x")) == "https://host/x"
    assert address_of("file:///data/set") == address_of(Path("file:///data/set")) == "file:///data/set"
    assert address_of("C:/photographs") is address_of("folder/s3:/x") is address_of("redweb") is None


@pytest.mark.parametrize("address", ["https://eve:secret@host/x", "s3://KEY:secret@bucket/x", "ssh://:secret@host"])
def test_a_password_in_an_address_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(SettingsError, match="no password") as refused:
        Storage(Path(address))
    assert "secret" not in str(refused.value)


def test_a_shard_that_was_half_replaced_is_written_again(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tar of another export, beside an index of this one, was taken for this one's."""
    address = Path("memory://sets/half-replaced")
    write = Remote.write

    def cut_off(self: Remote, name: str, content: bytes | Path) -> None:
        write(self, name, content)
        if name == "train-000000.tar":
            raise KeyboardInterrupt

    export_dataset(dataset.folder, "webdataset", address)
    with monkeypatch.context() as patched:
        patched.setattr(Remote, "write", cut_off)
        with pytest.raises(KeyboardInterrupt):
            export_dataset(dataset.folder, "webdataset", address, min_confidence=255)
    export_dataset(dataset.folder, "webdataset", address)
    assert_same(open_dataset(address), dataset)


def test_decisions_that_were_put_beside_shards_stay_when_the_set_is_exported_again(
    dataset: Dataset, tmp_path: Path
) -> None:
    """The file of the set took their place."""
    folder, address = copytree(dataset.folder, tmp_path / "set"), Path("memory://sets/decided")
    ours, theirs = (decide(key, "reject", name) for key, name in (("c", "Ada"), ("a.b", "Bo")))
    append_decisions(folder, [ours])
    export_dataset(folder, "webdataset", address)
    append_decisions(address, [theirs])
    export_dataset(folder, "webdataset", address)
    assert read_decisions(address / DECISIONS) == ([ours, theirs], 0)
    assert {"a.b", "c"}.isdisjoint(open_dataset(address).keys)


def test_storage_that_is_gone_ends_an_export(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sample was called damaged, after all the attempts that a storage is given."""
    fsspec = pytest.importorskip("fsspec", reason="needs the extra: pip install 'redweb-builder[remote]'")
    store = type(fsspec.filesystem("memory"))
    address = export_dataset(dataset.folder, "webdataset", Path("memory://sets/gone")).out

    def gone(*_: object, **__: object) -> Any:
        raise ConnectionError("no answer")

    monkeypatch.setattr(remote, "FIRST_PAUSE_S", 0.0)
    for moment in (0, 1):  # before the files are checked; while they are written
        with monkeypatch.context() as patched:

            def watch(done: int, _: int, moment: int = moment, patched: pytest.MonkeyPatch = patched) -> None:
                if done == moment:
                    patched.setattr(store, "cat_file", gone)
                    patched.setattr(store, "info", gone)

            with pytest.raises(StoreError, match=r"^memory://sets/gone: cannot .*, tried 6 times"):
                export_dataset(address, "webdataset", tmp_path / "out", watch=watch)
        assert not (tmp_path / "out").exists()


def test_to_memory_and_back(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that was cut off goes on: what is recorded there is not written again."""
    monkeypatch.setattr(webdataset, "SHARD", 5)
    address = Path("memory://sets/redweb")
    written: list[str] = []
    write = Remote.write

    def interrupted(self: Remote, name: str, content: bytes | Path) -> None:
        if name == "train-000001.parquet" and len(written) == 3:
            raise KeyboardInterrupt
        write(self, name, content)
        written.append(name)

    monkeypatch.setattr(Remote, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_dataset(dataset.folder, "webdataset", address)
    assert written == ["train-000000.tar", "train-000000.parquet", "train-000001.tar"]
    assert len(open_dataset("memory://sets/redweb")) == 5
    written.append("the export goes on")
    assert export_dataset(dataset.folder, "webdataset", address).samples == 12
    assert "train-000000.tar" not in written[4:]
    assert_same(open_dataset("memory://sets/redweb"), dataset)
    del written[:]
    export_dataset(dataset.folder, "webdataset", address)
    assert written == ["build.json", "manifest.parquet", "README.md"]
    export_dataset(dataset.folder, "webdataset", address, min_confidence=255)  # other labels by the same keys
    sure, there = open_dataset(dataset.folder, min_confidence=255), open_dataset("memory://sets/redweb")
    assert [np.array_equal(mine.mask, theirs.mask) for mine, theirs in zip(sure, there, strict=True)] == [True] * 12
    with pytest.raises(SettingsError, match="webdataset"):
        export_dataset(dataset.folder, "ply", address)
    with pytest.raises(StoreError, match="holds no shards"):
        open_dataset("memory://sets/nothing")
