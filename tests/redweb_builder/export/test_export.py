"""Every export, read back by a reader that is not ours, against the source."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import sys
import tarfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from cli import main
from redweb_builder import open_dataset
from redweb_builder.commands.status_line import StatusLine
from redweb_builder.dataset.decisions import append_decisions, decide
from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.splits import split
from redweb_builder.dataset.unknown import write_unknown
from redweb_builder.errors import StoreError, UserError
from redweb_builder.export import huggingface, rerun, webdataset
from redweb_builder.export.dataset import WITH_REJECTED, WRITERS, export_dataset
from redweb_builder.export.names import file_namer
from redweb_builder.export.points import FARTHEST, VIEW_DEGREES, points_of
from redweb_builder.export.redweb_v1 import to_8_bit
from redweb_builder.export.stereo_layouts import kitti_values
from redweb_builder.files import replacing_folder
from redweb_builder.inspect.report import write_report
from redweb_builder.types import Mask

Snapshot = Callable[[Path], dict[str, bytes]]


@pytest.fixture(scope="module")
def decided(built: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built set with one sample rejected and one rescued by a person."""
    folder: Path = shutil.copytree(built.out, tmp_path_factory.mktemp("decided") / "set")
    rows = built.rows
    append_decisions(folder, [decide(rows["good-room"]["key"], "reject", "ana", "wrong-sky")])
    append_decisions(folder, [decide(rows["torn"]["key"], "accept", "ana")])
    return folder


@pytest.fixture(scope="module")
def dataset(decided: Path) -> Dataset:
    return open_dataset(decided)


@pytest.fixture(autouse=True)
def rerun_is_installed(request: pytest.FixtureRequest) -> None:
    """Skip what writes recordings where rerun-sdk, which is large, is not installed."""
    if getattr(request.node, "callspec", None) and request.node.callspec.params.get("form") == "rerun":
        pytest.importorskip("rerun", reason="rerun-sdk is not installed")


def stored(folder: Path, kind: str, key: str) -> bytes:
    """The bytes of a stored file, wherever it lies."""
    return next(folder.rglob(f"{kind}/{key}.*")).read_bytes()


def grey(png: bytes) -> NDArray[np.int64]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image).astype(np.int64)


# --- ReDWeb_V1 ---------------------------------------------------------------------------------------------------


def test_redweb_v1_is_the_published_layout(decided: Path, dataset: Dataset, tmp_path: Path) -> None:
    export_dataset(decided, "redweb-v1", tmp_path / "out")
    kinds = ["Imgs", "RDs", "README.md", "confidence", "masks"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(kinds)
    images = {file.stem: file for file in (tmp_path / "out" / "Imgs").glob("*.jpg")}
    labels = {file.stem: file for file in (tmp_path / "out" / "RDs").glob("*.png")}
    assert sorted(images) == sorted(labels) == dataset.keys
    for key, file in labels.items():
        with Image.open(file) as label, Image.open(images[key]) as image:
            assert (label.mode, label.format, image.mode, image.format) == ("L", "PNG", "RGB", "JPEG")
            assert label.size == image.size
            values, picture = np.asarray(label).astype(float), np.asarray(image).astype(float)
        fine, mask = grey(stored(decided, "RDs", key)), grey(stored(decided, "masks", key))
        ground = (mask == Mask.MEASURED) | (mask == Mask.FILLED)
        assert np.abs(values / 254 - fine / 65534)[ground].max() <= 0.5 / 254 + 1e-9
        assert values[ground].min() == 0
        assert values[ground].max() == 254
        assert (values[~ground] == 255).all()
        for kind in ("masks", "confidence"):
            assert (tmp_path / "out" / kind / file.name).read_bytes() == stored(decided, kind, key)
        assert np.abs(picture - dataset[key].image).mean() < 4  # a JPEG of it
    hut = next(key for key in dataset.keys if key.startswith("good-hut"))
    assert images[hut].read_bytes() == stored(decided, "Imgs", hut)  # a JPEG is not packed twice


def test_8_bit_keeps_order_and_sky_apart() -> None:
    values = np.arange(65536, dtype=np.uint16)
    coarse = to_8_bit(values).astype(int)
    assert (np.diff(coarse) >= 0).all()
    assert coarse[[0, 65534, 65535]].tolist() == [0, 254, 255]


# --- WebDataset --------------------------------------------------------------------------------------------------


def test_webdataset_is_read_by_webdataset(
    decided: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = pytest.importorskip("webdataset", reason="webdataset is not installed")
    monkeypatch.setattr(webdataset, "SHARD", 2)
    export_dataset(decided, "webdataset", tmp_path / "out")
    shards = sorted(str(file) for file in (tmp_path / "out").glob("*.tar"))
    assert [Path(shard).name for shard in shards][-1] == "validation-000000.tar"
    assert len(shards) == -(-(len(dataset) - 1) // 2) + 1
    samples = {sample["__key__"]: sample for sample in reader.WebDataset(shards, shardshuffle=False)}
    assert sorted(samples) == dataset.keys
    for key, sample in samples.items():
        row = json.loads(sample["json"])
        assert row == json.loads(json.dumps(dataset.record(key)))
        assert sample["rd.png"] == stored(decided, "RDs", key)
        assert sample["mask.png"] == stored(decided, "masks", key)
        assert sample["confidence.png"] == stored(decided, "confidence", key)
        assert sample[f"image{dataset.image_path(key).suffix}"] == stored(decided, "Imgs", key)


def code_of_readme(form: str, decided: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Export, and run the code of the README there; its variables."""
    export_dataset(decided, form, out)
    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(out)
    variables: dict[str, Any] = {}
    exec(code, variables)
    return variables


def test_the_readme_of_webdataset_keeps_16_bits(
    decided: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("webdataset", reason="webdataset is not installed")
    samples = list(code_of_readme("webdataset", decided, tmp_path / "out", monkeypatch)["samples"])
    trained = dataset.keys.take(split(dataset.table, dataset.keys)["train"])
    assert len(trained) == len(dataset) - 1
    for read, sample in zip(samples, (dataset[key] for key in trained), strict=True):
        np.testing.assert_array_equal(read["disparity"].astype(np.float32), sample.disparity)
        np.testing.assert_array_equal(read["image"], sample.image)
        np.testing.assert_array_equal(read["confidence"], sample.confidence)


def test_the_readmes_of_8_bits_and_of_points_read_the_last_picture(
    decided: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = dataset[dataset.keys[-1]]
    nearness = code_of_readme("redweb-v1", decided, tmp_path / "v1", monkeypatch)["nearness"]
    np.testing.assert_array_equal(np.isnan(nearness), last.mask == Mask.UNKNOWN)
    ground = (last.mask == Mask.MEASURED) | (last.mask == Mask.FILLED)
    assert np.corrcoef(nearness[ground], last.disparity[ground])[0, 1] > 0.999
    distance = code_of_readme("ply", decided, tmp_path / "ply", monkeypatch)["distance"]
    assert len(distance) == ground.sum()
    assert distance.min() == pytest.approx(1)


def renamed(folder: Path, names: dict[str, str]) -> Path:
    """The data set with other keys, in manifest and files. names: old key -> new key."""
    table = pq.read_table(folder / "manifest.parquet")
    rows = [row | {"key": names.get(row["key"], row["key"])} for row in table.to_pylist()]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), folder / "manifest.parquet")
    for old, new in names.items():
        for file in list(folder.rglob(f"{old}.*")):
            file.rename(file.with_name(new + file.suffix))
    return folder


def test_dots_in_keys_neither_cut_samples_apart_nor_make_two_one(
    decided: Path, dataset: Dataset, tmp_path: Path
) -> None:
    reader = pytest.importorskip("webdataset", reason="webdataset is not installed")
    odd = ["v1.2.scene-00000000", "v1_2_scene-00000000", "V1_2_SCENE-00000000"]
    folder = renamed(shutil.copytree(decided, tmp_path / "set"), dict(zip(dataset.keys, odd, strict=False)))
    export_dataset(folder, "webdataset", tmp_path / "out", odd)
    shards = [str(tmp_path / "out" / f"{part}-000000.tar") for part in ("train", "validation")]
    samples = list(reader.WebDataset(shards, shardshuffle=False))
    keys = [json.loads(sample["json"])["key"] for sample in samples]
    assert sorted(keys) == sorted(odd)
    assert [sample["rd.png"] for sample in samples] == [stored(folder, "RDs", key) for key in keys]
    assert len({sample["__key__"].casefold() for sample in samples}) == len(odd)


def test_keys_that_differ_in_case_alone_are_files_of_their_own(decided: Path, dataset: Dataset, tmp_path: Path) -> None:
    from trainer.data.readers.redweb_v1 import RedwebV1

    odd = ["hut-00000000", "HUT-00000000"]
    folder = renamed(shutil.copytree(decided, tmp_path / "set"), dict(zip(dataset.keys, odd, strict=False)))
    export_dataset(folder, "redweb-v1", tmp_path / "out", odd)
    data = RedwebV1(tmp_path / "out")
    assert len(data) == 2
    assert len({data.key(index).casefold() for index in range(2)}) == 2
    for index in range(2):
        assert data[index].image.shape[:2] == dataset[dataset.keys[index]].mask.shape


# --- Hugging Face ------------------------------------------------------------------------------------------------


@pytest.fixture
def hub_folder(decided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface, "FILE_SAMPLES", 3)
    monkeypatch.setattr(huggingface, "GROUP", 2)
    return export_dataset(decided, "huggingface", tmp_path / "hub").out


def test_hugging_face_is_read_by_datasets(hub_folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    loaded = datasets.load_dataset(str(hub_folder), cache_dir=str(tmp_path / "cache"))
    parts = split(dataset.table, dataset.keys)
    assert {part: rows["key"] for part, rows in loaded.items()} == {
        part: dataset.keys.take(places) for part, places in parts.items()
    }
    for row in (row for rows in loaded.values() for row in rows):
        sample = dataset[row["key"]]
        np.testing.assert_array_equal(np.asarray(row["image"].convert("RGB")), sample.image)
        np.testing.assert_array_equal(np.asarray(row["mask"]), sample.mask)
        disparity = row["offset"] + row["scale"] * np.asarray(row["rd"], np.float64)
        disparity[np.asarray(row["mask"]) == 0] = np.nan
        np.testing.assert_allclose(disparity, sample.disparity, atol=1e-4)
        assert row["agreement"] == sample.record["agreement"]


def test_another_export_in_a_folder_of_the_same_name_does_not_come_from_the_cache(
    hub_folder: Path, decided: Path, dataset: Dataset, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    some = [dataset.keys[places[0]] for places in split(dataset.table, dataset.keys).values()]
    other = export_dataset(decided, "huggingface", tmp_path / "b" / hub_folder.name, some).out
    cache = str(tmp_path / "cache")
    for folder, samples in ((hub_folder, len(dataset)), (other, len(some))):
        assert sum(datasets.load_dataset(str(folder), cache_dir=cache).num_rows.values()) == samples


def test_hugging_face_files_are_plain_parquet(hub_folder: Path, decided: Path, dataset: Dataset) -> None:
    files = sorted((hub_folder / "data").iterdir())
    assert files[0].name == f"train-00000-of-{len(files) - 1:05}.parquet"
    assert files[-1].name == "validation-00000-of-00001.parquet"
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert sorted(row["key"] for row in rows) == dataset.keys
    assert all(row["rd"]["bytes"] == stored(decided, "RDs", row["key"]) for row in rows)


def test_the_card_tells_what_the_set_is(hub_folder: Path, dataset: Dataset, built: Any) -> None:
    card = (hub_folder / "README.md").read_text()
    head = card.split("---")[1]
    assert "task_categories:\n- depth-estimation" in head
    assert "configs" not in head
    assert f"{len(dataset)} photographs" in card
    assert "DIS optical flow" in card
    assert "| textureless | 1 |" in card
    assert "| agreement | at least 50 % |" in card
    assert str(built.source) not in card  # no path of the machine


def test_the_card_of_a_single_sample_counts_it_in_the_singular(decided: Path, dataset: Dataset, tmp_path: Path) -> None:
    card = (export_dataset(decided, "huggingface", tmp_path / "one", dataset.keys[:1]).out / "README.md").read_text()
    assert re.search(r"\d+ pairs were found, 1 is here", card)


@pytest.mark.parametrize("form", ["huggingface", "webdataset", "labels-only"])
def test_no_copy_for_others_names_a_folder_of_this_machine(form: str, built: Any, tmp_path: Path) -> None:
    """build.json says where the weights were found, or not found: that is for whoever built the set."""
    folder = Path(shutil.copytree(built.out, tmp_path / "set"))
    build = json.loads((folder / "build.json").read_text())
    build |= {"flow": "raft-small (float32; weights from /home/ana/raft.pth)", "segmentation": "smp (from /home/ana)"}
    (folder / "build.json").write_text(json.dumps(build))
    export_dataset(folder, form, tmp_path / "out")
    write_report(folder, tmp_path / "out" / "mail.html")
    texts = [file.read_text() for file in (tmp_path / "out").iterdir() if file.suffix in (".md", ".json", ".html")]
    assert len(texts) >= 2
    assert not any("/home/ana" in text or str(built.source) in text for text in texts)
    assert any("raft-small" in text for text in texts)


class Hub:
    """A stand-in for huggingface_hub.HfApi that notes what it is asked for."""

    asked: ClassVar[list[tuple[str, dict[str, Any]]]] = []
    refuses = ""

    def __getattr__(self, name: str) -> Callable[..., str]:
        def ask(*arguments: Any, **options: Any) -> str:
            self.asked.append((name, options))
            if name == self.refuses:
                raise ConnectionError("no such door\nand more")
            return f"https://hub.example/datasets/{arguments[0] if arguments else ''}"

        return ask


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[Hub]:
    import huggingface_hub

    monkeypatch.setattr(Hub, "asked", [])
    monkeypatch.setattr(Hub, "refuses", "")
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    return Hub


def pushed(decided: Path, out: Path, repository: str, *more: str) -> Any:
    arguments = ["export", str(decided), "--format", "huggingface", "--out", str(out), "--push", repository, *more]
    return CliRunner().invoke(main, arguments)


def test_an_export_is_uploaded_where_it_is_asked_for_and_private(
    decided: Path, dataset: Dataset, tmp_path: Path, hub: type[Hub]
) -> None:
    key = ("--keys", dataset.keys[0])
    result = pushed(decided, tmp_path / "out", "ana/streets", *key)
    assert result.exit_code == 0, result.output
    assert "uploaded to https://hub.example/datasets/ana/streets" in result.output
    asked = dict(hub.asked)
    assert list(asked) == ["whoami", "create_repo", "upload_folder"]
    assert asked["create_repo"]["private"]
    assert asked["upload_folder"]["folder_path"] == tmp_path / "out"
    hub.refuses = "upload_folder"
    result = pushed(decided, tmp_path / "late", "ana/streets", *key)
    assert result.exit_code == 1
    assert f"hf upload ana/streets {tmp_path / 'late'} --repo-type dataset" in result.output
    assert (tmp_path / "late" / "README.md").is_file()


def test_a_hub_that_will_refuse_is_asked_before_the_export(decided: Path, tmp_path: Path, hub: type[Hub]) -> None:
    for wrong in ("streets", "ana/str eets", "a/b/c"):
        result = pushed(decided, tmp_path / "out", wrong)
        assert (result.exit_code, hub.asked) == (2, [])
        assert f"--push {wrong}: " in result.output
    hub.refuses = "whoami"
    result = pushed(decided, tmp_path / "out", "ana/streets")
    assert result.exit_code == 1
    assert "(no such door). `hf auth login`" in result.output
    assert not (tmp_path / "out").exists()
    assert CliRunner().invoke(main, ["export", str(decided), "--format", "ply", "--push", "a/b"]).exit_code == 2


# --- points ------------------------------------------------------------------------------------------------------


def read_ply(content: bytes) -> NDArray[np.void]:
    """A PLY of float and uchar properties, by its header alone."""
    head, body = content.split(b"end_header\n", 1)
    lines = head.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [(name, kinds[kind]) for _, kind, name in (line.split() for line in lines if line.startswith("property"))]
    points = np.frombuffer(body, np.dtype(fields))
    assert f"element vertex {len(points)}" in lines
    return points


def test_points_lie_on_the_pixels_rays_in_the_order_of_the_label(
    decided: Path, dataset: Dataset, tmp_path: Path
) -> None:
    key = next(key for key in dataset.keys if key.startswith("good-meadow"))
    export_dataset(decided, "ply", tmp_path / "out", [key])
    points, sample = read_ply((tmp_path / "out" / f"{key}.ply").read_bytes()), dataset[key]
    height, width = sample.mask.shape
    rows, columns = np.nonzero(np.isin(sample.mask, [Mask.MEASURED, Mask.FILLED]))
    assert len(points) == len(rows)
    np.testing.assert_array_equal(points["confidence"], sample.confidence[rows, columns])
    focal = width / 2 / np.tan(np.radians(VIEW_DEGREES / 2))
    depth = -points["z"].astype(float)
    np.testing.assert_allclose(points["x"] / depth * focal + (width - 1) / 2, columns, atol=0.01)
    np.testing.assert_allclose((height - 1) / 2 - points["y"] / depth * focal, rows, atol=0.01)
    assert depth.min() == pytest.approx(1)
    assert depth.max() == pytest.approx(FARTHEST)
    disparity = sample.disparity[rows, columns].astype(float)
    assert np.corrcoef(1 / depth, disparity)[0, 1] > 0.999999  # depth runs as one over disparity
    np.testing.assert_array_equal(
        np.stack([points[c] for c in ("red", "green", "blue")], 1), sample.image[rows, columns]
    )


def test_a_flat_or_empty_label_gives_points_or_none() -> None:
    picture, flat = np.zeros((2, 3, 3), np.uint8), np.full((2, 3), 7, np.float32)
    assert (points_of(picture, flat, np.full((2, 3), Mask.MEASURED, np.uint8))["z"] == -FARTHEST).all()
    assert len(points_of(picture, flat, np.full((2, 3), Mask.SKY, np.uint8))) == 0


# --- FiftyOne ----------------------------------------------------------------------------------------------------


def test_fiftyone_has_kept_and_rejected_pairs_and_every_map(
    decided: Path, dataset: Dataset, built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = code_of_readme("fiftyone", decided, tmp_path / "out", monkeypatch)
    samples = {sample["key"]: sample for sample in json.loads(Path("samples.json").read_text())["samples"]}
    labelled = [*dataset.keys, *dataset.rejected.keys]
    assert sorted(samples) == sorted(labelled)
    assert len(labelled) > len(dataset) > 0
    assert samples[built.rows["torn"]["key"]]["tags"] == ["kept"]  # a person rescued it
    assert samples[built.rows["good-room"]["key"]]["tags"] == ["rejected", "wrong-sky"]
    last = Dataset(decided, "labelled")[read["sample"]["key"]]
    np.testing.assert_array_equal(read["disparity"].astype(np.float32), last.disparity)
    np.testing.assert_array_equal(read["confidence"], last.confidence)
    shown = np.asarray(Image.open(read["sample"]["nearness"]["map_path"])).astype(int)
    ground = (last.mask == Mask.MEASURED) | (last.mask == Mask.FILLED)
    assert (shown.max(), shown[ground].min(), shown[~ground].max(initial=0)) == (255, 1, 0)
    assert np.corrcoef(shown[ground], last.disparity[ground])[0, 1] > 0.999


def test_fiftyone_knows_the_type_of_every_field(decided: Path, dataset: Dataset, tmp_path: Path) -> None:
    out = export_dataset(decided, "fiftyone", tmp_path / "out", dataset.keys[:1]).out
    fields = {field["db_field"]: field for field in json.loads((out / "metadata.json").read_text())["sample_fields"]}
    (sample,) = json.loads((out / "samples.json").read_text())["samples"]
    assert sample.keys() - {"_media_type", "_rand"} <= fields.keys()
    types = {"StringField": str, "BooleanField": bool, "IntField": int, "FloatField": float}
    for name, value in sample.items():
        if value is not None and (kind := fields.get(name, {}).get("ftype", "").split(".")[-1]) in types:
            assert isinstance(value, types[kind]), name
    assert {file.relative_to(out).as_posix() for file in out.rglob("*.png")} >= {
        sample["nearness"]["map_path"],
        sample["confidence"]["map_path"],
        sample["mask"]["mask_path"],
        sample["rd"],
    }


# --- Rerun -------------------------------------------------------------------------------------------------------


def test_the_readme_of_rerun_reads_the_disparity_back(
    decided: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not installed")
    monkeypatch.setattr(rerun, "FILE_SAMPLES", 4)
    read = code_of_readme("rerun", decided, tmp_path / "out", monkeypatch)["disparities"]
    for number, sample in enumerate(dataset):
        np.testing.assert_array_equal(read.pop(number), sample.disparity)
    assert not read
    assert sorted(file.name for file in Path().glob("*.rrd")) == ["samples-00000.rrd", "samples-00001.rrd"]


def test_points_of_a_recording_are_those_of_the_cloud(dataset: Dataset) -> None:
    steps, points = (
        rerun.plausible_steps(dataset[0]),
        points_of(dataset[0].image, dataset[0].disparity, dataset[0].mask),
    )
    np.testing.assert_allclose(steps[steps > 0] / rerun.STEPS, -points["z"], atol=0.51 / rerun.STEPS)


def test_a_full_disk_ends_an_export_of_recordings(
    decided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rerun's own writer of files waits for ever there."""
    pytest.importorskip("rerun", reason="rerun-sdk is not installed")

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(rerun, "write_atomic", full)
    result = CliRunner().invoke(main, ["export", str(decided), "--format", "rerun", "--out", str(tmp_path / "out")])
    assert (result.exit_code, "no space left" in result.output) == (1, True), result.output
    assert not (tmp_path / "out").exists()


def test_without_rerun_the_export_says_what_to_install(
    decided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    arguments = ["export", str(decided), "--format", "rerun", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "pip install 'redweb-builder[rerun]'" in result.output
    assert not (tmp_path / "out").exists()


# --- all of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", sorted(WRITERS.keys() - {"rerun"}))  # Rerun numbers what it writes by the clock
def test_the_same_set_gives_the_same_bytes(form: str, decided: Path, tmp_path: Path, snapshot: Snapshot) -> None:
    for name in ("one", "two"):
        export_dataset(decided, form, tmp_path / name)
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")


@pytest.mark.parametrize("form", ["redweb-v1", "labels-only", "rectified"])
def test_a_least_confidence_makes_doubtful_labels_unknown(form: str, built: Any, tmp_path: Path) -> None:
    key = built.rows["good-hut"]["key"]
    out = tmp_path / "out"
    arguments = [str(built.out), "--format", form, "--keys", key, "--out", str(out), "--min-confidence", "180"]
    result = CliRunner().invoke(main, ["export", *arguments])
    assert result.exit_code == 0, result.output
    sample, sure = open_dataset(built.out)[key], open_dataset(built.out, min_confidence=180)[key]
    assert 0 < (sample.confidence < 180).mean() < 0.9
    place = "trainingF/000000/mask.png" if form == "rectified" else f"masks/{key}.png"
    mask = grey((out / place).read_bytes())
    np.testing.assert_array_equal(mask, sure.mask[:, : mask.shape[1]])
    np.testing.assert_array_equal(mask == Mask.UNKNOWN, (sample.confidence < 180)[:, : mask.shape[1]])
    if form == "redweb-v1":
        assert (grey((out / "RDs" / f"{key}.png").read_bytes())[mask == Mask.UNKNOWN] == 255).all()


def test_an_export_says_what_it_made_unknown(built: Any, tmp_path: Path) -> None:
    """Its rows speak of the labels before: a reader who finds less must find the reason beside it."""
    for form in ("redweb-v1", "huggingface"):
        for least in (0, 180):
            out = export_dataset(built.out, form, tmp_path / f"{form}-{least}", min_confidence=least).out
            assert ("confidence is below 180 are unknown" in (out / "README.md").read_text()) == (least == 180)


def test_a_missing_package_is_told_before_any_file_is_checked(
    decided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(UserError, match=r"needs rerun-sdk: pip install 'redweb-builder\[rerun\]'"):
        export_dataset(decided, "rerun", tmp_path / "out", watch=lambda *_: pytest.fail("files were checked"))
    assert not list(tmp_path.iterdir())


def test_an_interrupted_export_leaves_nothing(decided: Path, tmp_path: Path) -> None:
    def interrupt(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_dataset(decided, "redweb-v1", tmp_path / "out", watch=interrupt)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_export_says_that_it_begins_anew(
    decided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StatusLine, "show", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    arguments = ["export", str(decided), "--format", "ply", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 130
    assert f"Interrupted. Nothing was written to {tmp_path / 'out'}: the same command begins anew." in result.output
    assert not list(tmp_path.iterdir())


def test_a_killed_export_leaves_nothing_that_the_next_does_not_remove(
    decided: Path, tmp_path: Path, snapshot: Snapshot
) -> None:
    def die(done: int, _: int) -> None:
        if done:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        export_dataset(decided, "ply", tmp_path / "out", watch=die)
    os.waitpid(child, 0)
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.iterdir())) == 1
    with replacing_folder(tmp_path / "running"):
        export_dataset(decided, "ply", tmp_path / "out")
        assert len(list(tmp_path.iterdir())) == 2
    assert {entry.name for entry in tmp_path.iterdir()} == {"out", "running"}
    export_dataset(decided, "ply", tmp_path / "undisturbed")
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "undisturbed")


def test_a_linked_target_is_refused(decided: Path, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    for name in ("documents", "nowhere"):
        (tmp_path / "out").symlink_to(tmp_path / name)
        with pytest.raises(StoreError, match="choose another --out"):
            export_dataset(decided, "ply", tmp_path / "out")
        (tmp_path / "out").unlink()
    assert not list((tmp_path / "documents").iterdir())


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_a_damaged_sample_is_left_out_and_named(form: str, decided: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(decided, tmp_path / "set")
    torn, empty, gone, *sound = Dataset(folder, "labelled" if form in WITH_REJECTED else "kept").keys
    label = next(folder.rglob(f"RDs/{torn}.png"))
    label.write_bytes(label.read_bytes()[:500])
    next(folder.rglob(f"Imgs/{empty}.*")).write_bytes(b"")
    next(folder.rglob(f"masks/{gone}.png")).unlink()
    result = CliRunner().invoke(main, ["export", str(folder), "--format", form, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert f"{len(sound)} samples in" in result.output
    assert "3 samples were left out" in result.output
    for key in (torn, empty, gone):
        assert key in result.output
    export_dataset(decided, form, tmp_path / "sound", sound)
    names = [sorted(file.name for file in (tmp_path / out).rglob("*")) for out in ("out", "sound")]
    assert names[0] == names[1]
    result = CliRunner().invoke(
        main, ["export", str(folder), "--format", form, "--out", str(tmp_path / "none"), "--keys", torn]
    )
    assert result.exit_code == 1
    assert not (tmp_path / "none").exists()


# --- rectified pairs ---------------------------------------------------------------------------------------------


def pairs_of(out: Path) -> list[dict[str, str]]:
    """The lines of pairs.csv."""
    return list(csv.DictReader((out / "pairs.csv").read_text().splitlines()))


@pytest.fixture(params=["middlebury", "kitti", "sceneflow"])
def rectified(request: pytest.FixtureRequest, built: Any, tmp_path: Path) -> tuple[str, Path]:
    """A layout, and an export in it of a converged pair, a parallel one, and one whose right view was aligned."""
    keys = [built.rows[name]["key"] for name in ("good-room", "good-meadow", "raised")]
    names = {"kitti": "Kitti2015", "sceneflow": "SceneFlow/FlyingThings3D"}  # as torchvision calls the folders
    out = tmp_path / names.get(request.param, request.param)
    return request.param, export_dataset(built.out, "rectified", out, keys, options={"layout": request.param}).out


def test_rectified_pairs_have_the_true_disparity_and_rows_that_match(
    rectified: tuple[str, Path], built: Any, rendered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.findall(r"```python\n(.*?)```", (rectified[1] / "README.md").read_text(), re.DOTALL)[0]
    monkeypatch.chdir(rectified[1])
    variables: dict[str, Any] = {}
    exec(code, variables)
    rows = pairs_of(rectified[1])
    truths = [rendered(3, "indoor", convergence=10), rendered(0), None]
    for row, scene in zip(rows, truths, strict=True):
        left, right, disparity = variables["read_pair"](row["name"])
        height, width = disparity.shape
        shift = int(row["shift_px"])
        assert left.shape == right.shape == (height, width, 3)
        known = np.isfinite(disparity)
        assert disparity[known].min() > 0
        sample = open_dataset(built.out)[row["key"]]
        stored_label = np.where(sample.mask == Mask.SKY, np.nan, sample.disparity)[:, :width]
        np.testing.assert_array_equal(known, np.isfinite(stored_label))
        np.testing.assert_allclose(disparity[known] - shift, stored_label[known], atol=1 / 256)
        # The right view at the label's disparity is the left view: its rows match, and so does the shift.
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        warped = cv2.remap(right, x - np.where(known, disparity, 0).astype(np.float32), y, cv2.INTER_LINEAR)
        measured = sample.mask[:, :width] == Mask.MEASURED
        assert np.median(np.abs(warped.astype(int) - left)[measured]) <= 3
        if scene is not None:
            assert np.median(np.abs(disparity - shift - scene.disparity[:, :width])[measured]) < 0.2
    assert [int(row["shift_px"]) for row in rows] == [5, 0, 0]


def test_rectified_pairs_are_read_by_torchvision_and_by_the_builder(
    rectified: tuple[str, Path], built: Any, tmp_path: Path
) -> None:
    from torchvision.datasets import Kitti2015Stereo, SceneFlowStereo

    from redweb_builder.inputs.discover import discover
    from redweb_builder.inputs.read import read_pair

    layout, out = rectified
    found = discover(out)
    assert len(found.sources) == 3
    assert not found.left_out
    if layout == "middlebury":  # a scene of torchvision's has one of Middlebury's own names
        left, right = (np.asarray(getattr(read_pair(found.sources[0], 768), eye)) for eye in ("left", "right"))
        np.testing.assert_array_equal(left, np.asarray(Image.open(out / "trainingF/000000/im0.png")))
        np.testing.assert_array_equal(right, np.asarray(Image.open(out / "trainingF/000000/im1.png")))
        nocc = np.asarray(Image.open(out / "trainingF/000000/mask0nocc.png"))
        mask = open_dataset(built.out)[built.rows["good-room"]["key"]].mask[:, : nocc.shape[1]]
        np.testing.assert_array_equal(nocc == 255, mask == Mask.MEASURED)
        return
    for here in list(out.rglob("disp_occ_0")) + list((out / "disparity").rglob("left")):  # torchvision wants two
        shutil.copytree(here, here.with_name({"disp_occ_0": "disp_occ_1", "left": "right"}[here.name]))
    data = Kitti2015Stereo(tmp_path) if layout == "kitti" else SceneFlowStereo(tmp_path)
    assert len(data) == 3
    if layout == "kitti":
        with Image.open(out / "training/disp_occ_0/000000_10.png") as image:
            assert (image.info["polarity"], image.info["unit"]) == ("larger = nearer", "px / 256")
    left, right, disparity = data[0][:3]
    assert left.size == right.size == disparity.shape[-1:0:-1]
    known = np.isfinite(disparity) & (disparity > 0)
    assert known.mean() > 0.8


def test_a_calibration_goes_along_and_the_shift_is_in_it(built: Any, tmp_path: Path) -> None:
    from redweb_builder.inputs.formats.calibration_forms import middlebury

    key = built.rows["good-room"]["key"]
    folder = shutil.copytree(built.out, tmp_path / "set")
    table = pq.read_table(folder / "manifest.parquet")
    geometry = {"fx_px": 300.0, "baseline_m": 0.12, "doffs_px": 10.0}
    rows = [row | geometry if row["key"] == key else row for row in table.to_pylist()]
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), folder / "manifest.parquet")
    out = export_dataset(folder, "rectified", tmp_path / "out", [key]).out
    rig = middlebury((out / "trainingF/000000/calib.txt").read_text())
    (row,) = pairs_of(out)
    assert rig.right.matrix[0, 2] - rig.left.matrix[0, 2] == pytest.approx(10 - int(row["shift_px"]))
    assert (rig.left.matrix[0, 0], rig.translation[0]) == (300, pytest.approx(-0.12))


def test_kitti_has_no_place_for_large_disparities_and_no_zero_for_small_ones() -> None:
    values = kitti_values(np.array([[0.001, 1, 255.9, 300, np.nan]], np.float32))
    assert values.tolist() == [[1, 256, 65510, 0, 0]]


def test_pairs_without_photographs_are_left_out_and_named(built: Any, tmp_path: Path) -> None:
    arguments = ["export", str(built.out), "--format", "rectified", "--out", str(tmp_path / "out")]
    (tmp_path / "elsewhere").mkdir()
    result = CliRunner().invoke(main, [*arguments, "--source", str(tmp_path / "elsewhere")])
    assert result.exit_code == 1
    assert "no sample" in result.output
    source = shutil.copytree(built.source, tmp_path / "moved")
    shutil.copy(source / "good-hut_L.jpg", source / "good-hut_R.jpg")
    result = CliRunner().invoke(main, [*arguments, "--source", str(source)])
    assert result.exit_code == 1
    assert "good-hut" in result.output
    assert "have changed" in result.output
    assert len(pairs_of(tmp_path / "out")) == built.summary.kept - 1
    assert CliRunner().invoke(main, ["export", "set", "--format", "ply", "--layout", "kitti"]).exit_code == 2


def test_a_pair_of_which_nothing_is_known_is_no_rectified_one(built: Any, tmp_path: Path) -> None:
    """It is left out, and neither its shift nor a file is blamed."""
    folder, key = shutil.copytree(built.out, tmp_path / "set"), built.rows["good-room"]["key"]
    mask = open_dataset(folder)[key].mask
    write_unknown(folder, key, np.ones(mask.shape, bool), "ana")
    arguments = ["export", str(folder), "--format", "rectified", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*arguments, "--source", str(built.source)])
    assert result.exit_code == 1
    assert f"{key}: nothing of its label is known" in result.output
    assert "missing or of no use in this form" in " ".join(result.output.split())
    assert key not in [row["key"] for row in pairs_of(tmp_path / "out")]


# --- names -------------------------------------------------------------------------------------------------------


def names_of(keys: list[str], dots: bool = True) -> dict[str, str]:
    name_of = file_namer(keys, dots)
    return {key: name_of(key) for key in keys}


def test_names_are_keys_where_every_system_can_hold_them() -> None:
    keys = ["meadow-0a1b2c3d", "ключ-0a1b2c3d", "v1.2_x-00000000", "console", "a" * 160]
    assert names_of(keys) == {key: key for key in keys}


def test_no_two_names_are_one_on_any_disk() -> None:
    keys = ["a_b", "a.b", "A_B", "e\u0301", "\u00e9", "STRASSE", "straße"]
    for dots in (True, False):
        names = names_of(keys, dots)
        assert list(names) == keys
        folded = {unicodedata.normalize("NFC", name.casefold()) for name in names.values()}
        assert len(folded) == len(keys)
        assert names == names_of(keys, dots)


def test_no_key_takes_a_name_that_was_made() -> None:
    made = names_of(["a?"])["a?"]
    assert len(set(names_of(["a?", made, made.upper()]).values())) == 3
    assert len({name.lower() for name in names_of([made.upper(), made, "a?"]).values()}) == 3


@pytest.mark.parametrize(
    "key",
    [
        *("con", "NUL", "aux.jpg", "COM1.tar-00000000", "lpt¹", "", ".", "..", "../up", "a/b", "a\\b", "c:x", "end."),
        *(
            "end ",
            "tab\t",
            "esc\x1b",
            "line\nfeed",
            "nul\0",
            "what?",
            "st*r",
            "\u202egnp",
            "\udcff",
            "x" * 255,
            "東" * 85,
        ),
    ],
)
def test_a_key_that_some_system_cannot_hold_gets_another_name(key: str) -> None:
    name = names_of([key])[key]
    assert name != key
    assert re.fullmatch(r"[^<>:\"/\\|?*\x00-\x1f\u202e\udcff]+[^. ]", name)
    assert name.split(".")[0].lower() not in ("con", "nul", "aux", "com1", "lpt¹")
    assert len(f"{name}.confidence.png".encode()) <= 255


def test_a_folder_named_like_a_part_is_not_ours_to_remove(decided: Path, dataset: Dataset, tmp_path: Path) -> None:
    mine = tmp_path / "out.part" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("x")
    export_dataset(decided, "redweb-v1", tmp_path / "out", dataset.keys[:1])
    assert mine.read_text() == "x"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "out.part"]
    assert (tmp_path / "out").stat().st_mode == mine.parent.stat().st_mode  # others may read it as far as any folder


def test_a_key_named_twice_is_written_once(decided: Path, dataset: Dataset, tmp_path: Path) -> None:
    keys = [dataset.keys[1], dataset.keys[0], dataset.keys[1]]
    assert export_dataset(decided, "webdataset", tmp_path / "out", keys).samples == 2
    for shard in ("train", "validation"):
        with tarfile.open(tmp_path / "out" / f"{shard}-000000.tar") as tar:
            assert len(set(tar.getnames())) == len(tar.getnames()) == 6


@pytest.mark.parametrize(
    ("form", "kind"), [*((form, "Imgs") for form in sorted(WRITERS)), ("webdataset", "masks"), ("ply", "confidence")]
)
def test_a_link_cannot_lead_an_export_out_of_the_set(decided: Path, tmp_path: Path, form: str, kind: str) -> None:
    """A set from elsewhere must not carry this machine's files into what is given to others."""
    folder = shutil.copytree(decided, tmp_path / "set")
    key = open_dataset(folder).keys[0]
    file = next((folder / kind).glob(f"{key}.*"))
    (tmp_path / "private").write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(tmp_path / "private")
    with pytest.raises(StoreError, match=f"has no {file.name} in {kind}"):
        export_dataset(folder, form, tmp_path / "out", [key])
    with pytest.raises(StoreError):
        open_dataset(folder)[key]
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_named(decided: Path, tmp_path: Path, built: Any) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(StoreError, match="not an empty folder"):
        export_dataset(decided, "ply", tmp_path / "full")
    with pytest.raises(StoreError, match="rescued by `review`"):
        export_dataset(decided, "ply", tmp_path / "out", [built.rows["good-room"]["key"]])
    (tmp_path / "net.pt").write_bytes(b"")
    for path in (tmp_path / "net.pt", tmp_path / "nowhere", tmp_path):
        result = CliRunner().invoke(main, ["export", str(path), "--format", "ply", "--out", str(tmp_path / "out")])
        assert result.exit_code == 1
        assert "is not a data set" in result.output
    assert not (tmp_path / "out").exists()


def test_export_command(decided: Path, dataset: Dataset) -> None:
    result = CliRunner().invoke(main, ["export", str(decided), "--format", "redweb-v1"])
    assert result.exit_code == 0, result.output
    out = decided.with_name("set-redweb-v1")
    assert f"{len(dataset)} samples in {out}" in result.output
    assert len(list((out / "RDs").iterdir())) == len(dataset)


def test_an_export_lies_beside_a_folder_that_is_typed_as_dots(
    decided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(decided, tmp_path / "mine")
    for form, here, typed in (("ply", folder, "."), ("redweb-v1", folder / "Imgs", "..")):
        monkeypatch.chdir(here)
        result = CliRunner().invoke(main, ["export", typed, "--format", form])
        assert result.exit_code == 0, result.output
        assert (tmp_path / f"mine-{form}" / "README.md").is_file()


def test_options_of_a_data_set_are_none_of_a_network(tmp_path: Path) -> None:
    for option in (("--keys", "a"), ("--min-confidence", "9")):
        result = CliRunner().invoke(
            main, ["export", "builtin", "--format", "safetensors", "--out", str(tmp_path / "net"), *option]
        )
        assert result.exit_code == 2
        assert f"{option[0]} belongs to a data set" in result.output
    assert not any(tmp_path.iterdir())
