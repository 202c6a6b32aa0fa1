"""A data set as a Python library: parts, tables, least confidence, arrays for a DataLoader."""

from __future__ import annotations

import io
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import redweb_builder
from redweb_builder.colour import mask_picture
from redweb_builder.dataset import sample_rows
from redweb_builder.dataset.arrays import SampleArrays
from redweb_builder.dataset.decisions import decide, record_decision
from redweb_builder.dataset.manifest import SCHEMA, table_of
from redweb_builder.dataset.manifest_file import write_manifest
from redweb_builder.dataset.reader import Dataset, Sample, open_dataset
from redweb_builder.dataset.writer import Store
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.types import Mask
from tests.redweb_builder.dataset.test_writer import IDENTITY, label_like, picture_like, row

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four samples a, b, c, d of growing agreement; the confidence of a pixel is its column."""
    with Store(tmp_path / "set", IDENTITY) as store:
        for key in "abcd":
            store.write_label(key, picture_like(), True, label_like(), picture_like(), True)
        store.finish(table_of(row(key, agreement=number / 4) for number, key in enumerate("abcd")), {})
    return open_dataset(tmp_path / "set")


def test_parts_of_a_data_set(dataset: Dataset) -> None:
    assert dataset[1:3].keys == ["b", "c"]
    assert dataset[::-1][0].key == "d"
    good = dataset.filter(lambda record: record["agreement"] >= 0.5)
    assert [sample.key for sample in good] == ["c", "d"]
    assert len(dataset) == 4
    with pytest.raises(KeyError):
        good["a"]
    assert repr(good) == f"<Dataset {dataset.folder}: 2 kept samples (c, d)>"
    assert repr(dataset).endswith(": 4 kept samples (a, b, c, ...)>")


def test_a_large_set_is_as_a_small_one(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than MOST_CHECKED rows few columns are in memory, and the others are read when they are asked for."""
    record_decision(dataset.folder, decide("b", "reject", "ana", "wrong"))
    held, rejected = open_dataset(dataset.folder), open_dataset(dataset.folder).rejected
    monkeypatch.setattr(sample_rows, "MOST_CHECKED", 3)
    monkeypatch.setattr(sample_rows, "NEARBY", 2)
    large = open_dataset(dataset.folder)
    monkeypatch.setattr(sample_rows, "BLOCK_ROWS", 2)
    assert large.keys == held.keys == ["a", "c", "d"]
    assert large.table == held.table
    assert pa.concat_tables(large.manifest_blocks()) == pa.concat_tables(held.manifest_blocks())
    assert [dict(sample.record) for sample in large] == [sample.record for sample in held]
    assert large.record("d") == held.record("d")
    assert list(large.records(["d", "a"]).items()) == [(key, held.record(key)) for key in ("d", "a")]
    assert large.rejected.record("b") == rejected.record("b")
    assert large.rejected.record("b")["reason"] == "wrong"
    assert large.filter(lambda record: record["agreement"] >= 0.5)[::-1].table["key"].to_pylist() == ["d", "c"]
    for data in (large, held, large[1:], held[::-1]):
        agreement = dict(zip(data.keys, data.columns("agreement")["agreement"].to_pylist(), strict=True))
        assert agreement == {key: "abcd".index(key) / 4 for key in data.keys}
    assert large.rejected.columns("reason", "key").to_pylist() == [{"reason": "wrong", "key": "b"}]
    assert large.filter([("agreement", ">=", 0.5)]).keys == ["c", "d"]
    sent = pickle.loads(pickle.dumps(large["c"]))
    assert sent.record == held["c"].record
    for data in (large, held):
        with pytest.raises(KeyError):
            data.record("b")
        with pytest.raises(KeyError):
            data["b"]


def test_a_row_of_a_large_set_that_cannot_be_used_is_refused_when_it_is_read(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = dataset.table.to_pylist()
    rows[1]["homography"] = "[1, 2]"
    with (dataset.folder / "manifest.parquet").open("wb") as file:
        write_manifest(file, [table_of(rows)])
    assert open_dataset(dataset.folder).keys == ["a", "c", "d"]
    monkeypatch.setattr(sample_rows, "MOST_CHECKED", 3)
    large = open_dataset(dataset.folder)
    assert large.keys == ["a", "b", "c", "d"]
    assert large.label("b").mask.shape == (60, 90)
    with pytest.raises(StoreError, match="the row of b cannot be used"):
        large.record("b")
    with pytest.raises(StoreError, match="the row of b cannot be used"):
        large.records(["a", "b"])
    assert large.filter(lambda record: True).keys == ["a", "c", "d"]
    assert large.columns("key", "homography", "width").to_pylist()[1] == {
        "key": "b",
        "homography": None,
        "width": None,
    }
    assert large.columns("key", "width")["width"].to_pylist() == [90] * 4
    assert large.filter([("homography", "!=", "")]).keys == large.filter([("homography", "==", "")]).keys == []


def test_rows_of_a_manifest_that_is_another_now(dataset: Dataset) -> None:
    """`refilter` in another terminal: the samples stay those that were opened, their rows are the new ones."""
    rows = dataset.table.to_pylist()
    opened = open_dataset(dataset.folder)
    rows[1] |= {"status": "rejected", "stage": "filter", "reason": "exposure", "agreement": 0.9}
    with (dataset.folder / "manifest.parquet").open("wb") as file:
        write_manifest(file, [table_of(rows)])
    assert opened.columns("agreement")["agreement"].to_pylist() == [0.0, 0.9, 0.5, 0.75]
    assert opened.record("b")["reason"] == "exposure"
    assert opened["b"].record["status"] == "rejected"
    assert open_dataset(dataset.folder).keys == ["a", "c", "d"]


def test_filters_by_conditions(dataset: Dataset) -> None:
    assert dataset.filter([("agreement", ">", 0.25)]).keys == ["c", "d"]
    assert dataset.filter([("agreement", ">", 0.25), ("key", "!=", "d")]).keys == ["c"]
    assert dataset.filter([[("agreement", "<", 0.25)], [("key", "in", ["d"])]]).keys == ["a", "d"]
    assert dataset.filter([("clip", "==", "x")]).keys == []  # null fulfils nothing
    with pytest.raises(SettingsError, match="'agrement': the columns of a manifest are key, left"):
        dataset.filter([("agrement", ">", 0.25)])
    conditions: list[Any] = [[], [[]], ["agreement > 0.25"], [("agreement", "above", 1)], [("agreement", ">", "much")]]
    for condition in [*conditions, [("agreement", ">")], [(1, ">", 2)], [("key", "in", 3)]]:
        with pytest.raises(SettingsError, match=r"agreement|conditions are such as"):
            dataset.filter(condition)


def test_the_worst_by_a_measurement(dataset: Dataset) -> None:
    """Samples in any order are a part, too."""
    order = np.argsort(-dataset.columns("agreement")["agreement"].to_numpy())
    assert dataset.take(order[:2]).keys == ["d", "c"]
    assert dataset.take([2, 0]).table["key"].to_pylist() == ["c", "a"]
    assert dataset.take([]).keys == []
    for outside in (4, -1):
        with pytest.raises(IndexError):
            dataset.take([outside])
    assert dataset[order[0]].key == "d"  # a number of NumPy's
    for wrong in (["d"], dataset.keys, [0.5], [[0]], 2, slice(2)):
        none: Any = wrong
        with pytest.raises(SettingsError, match="take wants indices"):
            dataset.take(none)
    agreement = dataset.columns("agreement")["agreement"].to_numpy()
    assert dataset.take(agreement > 0.3).keys == ["c", "d"]
    with pytest.raises(IndexError, match="mask"):
        dataset[1:].take(agreement > 0.3)


def test_whether_a_sample_is_there_is_told_without_reading_it(dataset: Dataset) -> None:
    for file in (dataset.folder / "RDs").iterdir():
        file.unlink()
    assert "b" in dataset
    assert "b" in dataset[::-1]
    assert "b" not in dataset[2:]
    assert "aa" not in dataset
    assert 1 not in dataset


def test_what_a_notebook_shows(dataset: Dataset) -> None:
    sample = dataset[0]
    with Image.open(io.BytesIO(sample._repr_png_())) as shown:
        picture = np.asarray(shown)
    assert picture.shape == (60, 3 * 90, 3)
    np.testing.assert_array_equal(picture[:, :90], sample.image)
    np.testing.assert_array_equal(picture[:, 180:], mask_picture(sample.mask))
    near, far = picture[59, 90 + 40].sum(), picture[15, 90 + 40].sum()
    assert near > far
    html = dataset._repr_html_()
    assert html.count("<img ") == 4
    assert "&lt;Dataset " in html
    assert repr(sample) == "<Sample a: 90 x 60 px, 91% labelled>"


def test_a_notebook_shows_a_set_with_a_damaged_sample(dataset: Dataset) -> None:
    (dataset.folder / "RDs" / "b.png").write_bytes(b"torn")
    html = dataset._repr_html_()
    assert html.count("<img ") == 3
    assert "b.png: " in html


def test_a_picture_that_is_gone_is_not_called_a_label(dataset: Dataset) -> None:
    """As in `labels-only`, whose labels are there; a picture may be of either form."""
    for picture in (dataset.folder / "Imgs").glob("b.*"):
        picture.unlink()
    with pytest.raises(StoreError, match=r"has no picture of 'b': Imgs/b\.png or Imgs/b\.jpg is missing"):
        dataset["b"]


def test_a_set_stays_the_same_where_the_program_goes_to_another_folder(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened = open_dataset("set")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert opened["a"].record["key"] == "a"


def test_samples_are_kept_in_lists_and_sets(dataset: Dataset) -> None:
    first, second = dataset[:2]
    assert first != second
    assert [first, second].index(second) == len({first}) == 1


def test_completion_offers_what_is_public() -> None:
    assert {"build", "open_dataset", "BuildConfig", "Thresholds", "SampleArrays"} <= set(dir(redweb_builder))


def test_the_blocks_of_the_readme_read_a_set(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.folder.rename(dataset.folder.with_name("redweb"))
    monkeypatch.chdir(dataset.folder.parent)
    loop, loader = re.findall(r"```python\n(.*?)```", (DOCS / ".." / "README.md").read_text(), re.DOTALL)
    variables: dict[str, Any] = {"__name__": "__main__"}
    exec(loop, variables)
    assert variables["sample"].key == "d"
    exec(loader, variables)
    assert variables["batch"]["image"].shape == (4, 3, 384, 384)


def test_the_page_of_the_data_set_has_every_column() -> None:
    page = (DOCS / "data-set.md").read_text(encoding="utf-8")
    table = page[page.index("## Manifest") : page.index("## Films in sequence")]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall("`([a-z0-9_]+)`", "".join(rows))) == set(SCHEMA.names)


def test_the_notebook_runs(dataset: Dataset) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat")
    dataset.folder.rename(dataset.folder.with_name("redweb"))
    notebook = nbformat.read(DOCS / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    place = {"metadata": {"path": str(dataset.folder.parent)}}
    nbclient.NotebookClient(notebook, timeout=100, kernel_name="python3", resources=place).execute()
    shown = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in data for data in shown) == 2  # two samples
    assert sum("text/html" in data for data in shown) == 3  # the data set and two tables


def test_rows_as_a_table(dataset: Dataset) -> None:
    pytest.importorskip("pandas", reason="pandas is no dependency")
    table = dataset[1:].to_pandas()
    assert table["agreement"].to_dict() == {"b": 0.25, "c": 0.5, "d": 0.75}
    for rows in (table, dataset[:0].to_pandas()):  # flicker_px, of films alone, is empty in all rows
        assert [rows[name].dtype.kind for name in ("agreement", "flicker_px")] == ["f", "f"]


def test_a_least_confidence(dataset: Dataset) -> None:
    whole, sure = dataset[0], open_dataset(dataset.folder, min_confidence=30)[0]
    assert (sure.mask[:, :30] == Mask.UNKNOWN).all()
    assert np.isnan(sure.disparity[:, :30]).all()
    for name in ("mask", "disparity", "confidence"):
        np.testing.assert_array_equal(getattr(sure, name)[:, 30:], getattr(whole, name)[:, 30:])
    with pytest.raises(SettingsError, match="from 0 to 255"):
        open_dataset(dataset.folder, min_confidence=256)


def test_arrays_for_a_data_loader(dataset: Dataset) -> None:
    arrays = SampleArrays(dataset, 32)
    (batch,) = torch.utils.data.DataLoader(pickle.loads(pickle.dumps(arrays)), batch_size=4)
    assert len(torch.utils.data.DataLoader(arrays, batch_size=4)) == 1  # mypy takes it for a Dataset
    assert batch["key"] == list("abcd")
    assert batch["image"].shape == (4, 3, 32, 32)
    assert batch["image"].dtype == torch.float32
    assert 0 <= batch["image"].min() < 0.2 < 0.8 < batch["image"].max() <= 1
    assert set(batch["mask"].unique().tolist()) == {0, 1, 2, 3}
    assert torch.equal(batch["disparity"].isnan(), batch["mask"] == Mask.UNKNOWN)
    int_of_numpy: Any = np.int64(32)
    assert SampleArrays(dataset, int_of_numpy)[0]["mask"].shape == (32, 32)
    assert SampleArrays(dataset, 32, lambda sample: sample["key"])[2] == "c"


@pytest.mark.parametrize("size", [0, -4, 384.0, "384", (384, 384)])
def test_arrays_have_a_size(dataset: Dataset, size: Any) -> None:
    with pytest.raises(SettingsError, match="a whole number of px, 1 or more"):
        SampleArrays(dataset, size)


def test_arrays_of_a_label_lie_where_the_picture_does() -> None:
    ramp = np.tile(np.arange(96, dtype=np.float32), (96, 1))
    one = np.ones(ramp.shape, np.uint8)
    sample = Sample("a", np.repeat(ramp[..., None], 3, 2).astype(np.uint8), ramp, one, one, {})
    arrays = SampleArrays([sample], 32)[0]
    np.testing.assert_allclose(arrays["disparity"], 255 * arrays["image"][0], atol=1e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_a_folder_whose_name_is_no_utf8(dataset: Dataset) -> None:
    """Arrow cannot open a file there by itself."""
    rows = dataset.table
    assert open_dataset(dataset.folder.rename(dataset.folder.with_name("\udcff"))).table == rows
