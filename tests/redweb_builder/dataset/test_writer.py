"""The files of a data set, byte by byte, and a folder that is never half written or wrongly taken."""

from __future__ import annotations

import errno
import json
import math
import os
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from redweb_builder.config import Thresholds
from redweb_builder.dataset import manifest, manifest_file, verdicts, writer
from redweb_builder.dataset.codec import FARTHEST, SKY_VALUE, decode, encode, png_of_label
from redweb_builder.dataset.label_reader import read_label
from redweb_builder.dataset.manifest import SCHEMA, columns_of, source_of, table_of
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.dataset.writer import Store
from redweb_builder.errors import StoreError
from redweb_builder.types import Label, Mask, PairSource, Picture
from redweb_builder.version import FORMAT

IDENTITY = {"method": 1, "flow": "dis", "max_side": 768, "thresholds": {"max_vertical": 0.1}}


def label_like(near: float = 12.0, far: float = -5.0, height: int = 60, width: int = 90) -> Label:
    """Rows from far (top) to near (bottom); sky in the top 10 rows, unknown in the left 8 columns, filled beside it."""
    disparity = np.broadcast_to(np.linspace(far, near, height, dtype=np.float32)[:, None], (height, width)).copy()
    mask = np.full((height, width), Mask.MEASURED, np.uint8)
    mask[:, 8:20] = Mask.FILLED
    mask[:10] = Mask.SKY
    mask[:, :8] = Mask.UNKNOWN
    disparity[mask == Mask.SKY] = disparity[10, 0]
    disparity[mask == Mask.UNKNOWN] = np.nan
    confidence = np.where(mask == Mask.UNKNOWN, 0, np.arange(width) % 256).astype(np.uint8)
    return Label(disparity, mask, confidence)


def picture_like(height: int = 60, width: int = 90) -> Picture:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of every PNG chunk, checksums verified (PNG specification, section 5)."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + content),)
        yield kind, content
        at += 12 + length


def naive_16_bit(data: bytes) -> NDArray[np.int64]:
    """The samples of a 16-bit grey PNG, decoded from the bytes with nothing but zlib."""
    pieces = list(chunks(data))
    width, height = struct.unpack_from(">II", pieces[0][1])
    raw = zlib.decompress(b"".join(content for kind, content in pieces if kind == b"IDAT"))
    stride, before = 2 * width, bytearray(2 * width)
    rows = []
    for y in range(height):
        method, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride):
            a, b, c = (line[i - 2] if i >= 2 else 0), before[i], (before[i - 2] if i >= 2 else 0)
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, nearest)[method]) & 255
        rows.append(struct.unpack(f">{width}H", line))
        before = line
    return np.array(rows, np.int64)


# --- codec -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("near", "far"), [(12.0, -5.0), (40.0, 0.5), (-1.0, -9.0), (0.02, 0.01)])
def test_rd_bytes(near: float, far: float) -> None:
    label = label_like(near, far)
    data = png_of_label(label)
    pieces = list(chunks(data))
    kind, header = pieces[0]
    width, height, depth, colour, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
    assert kind == b"IHDR"
    assert (width, height) == (90, 60)
    assert (depth, colour) == (16, 0)
    assert (compression, filtering, interlace) == (0, 0, 0)
    text = {}
    for kind, content in pieces:
        if kind == b"tEXt":
            name, value = content.decode("latin-1").split("\0")
            text[name] = value
    assert set(text) == {"format", "polarity", "scale", "offset"}
    assert text["format"] == "redweb-builder/1"
    assert "0 = nearest" in text["polarity"]
    assert "65535 = sky" in text["polarity"]
    scale, offset = float(text["scale"]), float(text["offset"])
    assert scale < 0
    values = naive_16_bit(data)
    ground = (label.mask == Mask.MEASURED) | (label.mask == Mask.FILLED)
    recovered = offset + scale * values
    # Half a step, and what float32 holds of the disparity itself.
    bound = abs(scale) / 2 * (1 + 1e-6) + 1e-12
    assert np.abs(recovered - label.disparity.astype(np.float64))[ground].max() <= bound
    assert values[ground].min() == 0
    assert values[ground].max() < 65535
    assert np.array_equal(values == 65535, (label.mask == Mask.SKY) | (label.mask == Mask.UNKNOWN))
    assert values[59, 50] == 0  # the bottom row is nearest


def test_nearer_is_smaller_everywhere() -> None:
    label = label_like()
    values, _, _ = encode(label)
    column = values[10:, 50].astype(int)
    assert np.all(np.diff(column) < 0)


def test_the_whole_range_of_values_is_used() -> None:
    values, scale, offset = encode(label_like(12.0, -5.0))
    assert values.dtype == np.uint16
    assert (FARTHEST, SKY_VALUE) == (65534, 65535)
    ground = values[10:, 20:]
    assert (ground.min(), ground.max()) == (0, 65534)
    assert offset == 12
    assert scale == pytest.approx(-(12 - float(label_like().disparity[10, 50])) / 65534)


def test_decode_undoes_encode() -> None:
    label = label_like()
    values, scale, offset = encode(label)
    back = decode(values, label.mask, scale, offset)
    assert back.dtype == np.float32
    assert np.array_equal(np.isnan(back), label.mask == Mask.UNKNOWN)
    ground = (label.mask == Mask.MEASURED) | (label.mask == Mask.FILLED)
    assert np.abs(back - label.disparity)[ground].max() < 17 / 65534
    assert back[label.mask == Mask.SKY].max() < back[ground].min()  # sky lies beyond the farthest ground
    assert back[label.mask == Mask.SKY].max() == pytest.approx(back[ground].min(), abs=1e-3)


@pytest.mark.parametrize("kind", ["one value", "only sky", "only unknown", "two values"])
def test_labels_with_nothing_to_scale(kind: str) -> None:
    mask = np.full((4, 6), Mask.MEASURED, np.uint8)
    disparity = np.full((4, 6), 3.25, np.float32)
    if kind == "only sky":
        mask[:] = Mask.SKY
    elif kind == "only unknown":
        mask[:], disparity[:] = Mask.UNKNOWN, np.nan
    elif kind == "two values":
        disparity[0, 0] = np.nextafter(np.float32(3.25), np.float32(4))
    values, scale, offset = encode(Label(disparity, mask, mask))
    assert scale < 0
    assert math.isfinite(scale)
    assert math.isfinite(offset)
    back = decode(values, mask, scale, offset)
    if kind.endswith(("value", "values")):
        assert np.abs(back - disparity).max() < 1e-6
        assert values.max() < SKY_VALUE
    else:
        assert np.all(values == SKY_VALUE)


def test_a_naive_redweb_reader_sees_the_right_order() -> None:
    """ReDWeb_V1 as its users read it: Pillow, larger = farther, and the largest value is the sky."""
    label = label_like()
    with Image.open(BytesIO(png_of_label(label))) as image:
        assert image.mode in ("I;16", "I")
        relative = np.asarray(image).astype(np.int64)
    ground = label.mask == Mask.MEASURED
    disparity, depth = label.disparity[ground], relative[ground]
    order = np.argsort(disparity)
    assert np.all(np.diff(depth[order]) <= 0)
    assert relative[label.mask == Mask.SKY].min() == relative.max() == 65535
    assert depth.max() < 65535


def test_same_label_same_bytes() -> None:
    assert png_of_label(label_like()) == png_of_label(label_like())


def stored_label(home: Path) -> Label:
    """label_like() as the files of key "a" below `home`."""
    label = label_like()
    for folder in ("RDs", "masks", "confidence"):
        (home / folder).mkdir()
    (home / "RDs" / "a.png").write_bytes(png_of_label(label))
    Image.fromarray(label.mask).save(home / "masks" / "a.png")
    Image.fromarray(label.confidence).save(home / "confidence" / "a.png")
    return label


DAMAGES = ["cut", "words", "gone", "no mask", "no confidence", "other format", "no text", "plain", "broken"]
DAMAGES += ["NaN scale", "scale of the other sign", "no scale", "infinite offset", "mask value 77", "colour mask"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_label_files(tmp_path: Path, damage: str) -> None:
    label = stored_label(tmp_path)
    rd = tmp_path / "RDs" / "a.png"
    data = rd.read_bytes()
    read = read_label(tmp_path, "a")
    assert np.array_equal(read.mask, label.mask)
    assert np.array_equal(read.confidence, label.confidence)
    if damage == "cut":
        rd.write_bytes(data[: len(data) // 2])
    elif damage == "words":
        rd.write_bytes(b"words")
    elif damage == "gone":
        rd.unlink()
    elif damage == "no mask":
        (tmp_path / "masks" / "a.png").unlink()
    elif damage == "no confidence":
        (tmp_path / "confidence" / "a.png").unlink()
    elif damage == "other format":
        rd.write_bytes(data.replace(b"redweb-builder/1", b"redweb-builder/9"))
    elif damage in ("no text", "plain"):
        values, _, _ = encode(label)
        Image.fromarray(values if damage == "no text" else label.mask).save(rd)
    elif damage in ("NaN scale", "scale of the other sign", "no scale", "infinite offset"):
        words = {"format": FORMAT, "scale": "-0.001", "offset": "9"}
        words |= {"NaN scale": {"scale": "nan"}, "infinite offset": {"offset": "inf"}}.get(damage, {"scale": "0.001"})
        if damage == "no scale":
            del words["scale"]
        text = PngInfo()
        for name, value in words.items():
            text.add_text(name, value)
        Image.fromarray(encode(label)[0]).save(rd, pnginfo=text)
    elif damage == "mask value 77":
        Image.fromarray(np.full_like(label.mask, 77)).save(tmp_path / "masks" / "a.png")
    elif damage == "colour mask":
        Image.fromarray(np.zeros((*label.mask.shape, 3), np.uint8)).save(tmp_path / "masks" / "a.png")
    elif damage == "broken":
        at = data.index(b"IDAT") + 40
        rd.write_bytes(data[:at] + bytes(60) + data[at + 60 :])
    with pytest.raises(StoreError, match=r"a\.png"):
        read_label(tmp_path, "a")


@pytest.mark.parametrize("folder", ["masks", "confidence"])
def test_a_map_of_another_size_is_damage(tmp_path: Path, folder: str) -> None:
    label = stored_label(tmp_path)
    Image.fromarray(label.mask[:-1]).save(tmp_path / folder / "a.png")
    with pytest.raises(StoreError, match=r"a\.png"):
        read_label(tmp_path, "a")


# --- a folder ----------------------------------------------------------------------------------------------------


def row(key: str, status: str = "kept", **more: Any) -> dict[str, Any]:
    return {"key": key, "status": status, "width": 90, **more}


def unread(key: str, **more: Any) -> dict[str, Any]:
    """The row of a pair that could not be read, and so has no files."""
    return {"key": key, "status": "rejected", "stage": "read", "reason": "corrupt", **more}


def fill(out: Path, identity: dict[str, Any] | None = None) -> None:
    """A finished data set of a kept and a rejected pair."""
    with Store(out, identity or IDENTITY) as store:
        for key, kept in (("good", True), ("bad", False)):
            files = store.write_label(key, picture_like(), True, label_like(), picture_like(), kept)
            store.record(row(key, "kept" if kept else "rejected", files=files))
        store.finish(table_of(store.records[key] for key in sorted(store.records)), {"finished": True})


def test_layout_and_masks(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "set"
    fill(out)
    files = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file()} - {".lock"}
    assert files == {
        "Imgs/good.png",
        "RDs/good.png",
        "masks/good.png",
        "confidence/good.png",
        "rejected/Imgs/bad.png",
        "rejected/RDs/bad.png",
        "rejected/masks/bad.png",
        "rejected/confidence/bad.png",
        "previews/good.jpg",
        "previews/bad.jpg",
        "journal.jsonl",
        "manifest.parquet",
        "build.json",
    }
    data = (out / "masks" / "good.png").read_bytes()
    _, header = next(chunks(data))
    assert struct.unpack(">IIBB", header[:10]) == (90, 60, 8, 0)
    mask = np.asarray(Image.open(out / "masks" / "good.png"))
    assert np.array_equal(mask, label_like().mask)
    assert set(np.unique(mask)) == {0, 1, 2, 3}
    assert (Mask.UNKNOWN, Mask.MEASURED, Mask.SKY, Mask.FILLED) == (0, 1, 2, 3)
    build = json.loads((out / "build.json").read_text())
    assert build["format"] == FORMAT == "redweb-builder/1"
    assert build["identity"] == IDENTITY


def test_lossy_sources_are_stored_as_jpeg_lossless_ones_as_png(tmp_path: Path) -> None:
    with Store(tmp_path / "set", IDENTITY) as store:
        store.write_label("soft", picture_like(), False, label_like(), picture_like(), True)
        store.write_label("exact", picture_like(), True, label_like(), picture_like(), True)
    images = tmp_path / "set" / "Imgs"
    assert sorted(file.name for file in images.iterdir()) == ["exact.png", "soft.jpg"]
    assert np.array_equal(np.asarray(Image.open(images / "exact.png")), picture_like())
    with Image.open(images / "soft.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (90, 60))


def test_open_dataset_gives_back_what_was_stored(tmp_path: Path) -> None:
    fill(tmp_path / "set")
    dataset = open_dataset(tmp_path / "set")
    assert dataset.keys == ["good"]
    assert len(dataset) == 1
    sample = dataset[0]
    assert sample.key == dataset["good"].key == "good"
    assert np.array_equal(sample.image, picture_like())
    truth = label_like()
    assert np.array_equal(sample.mask, truth.mask)
    assert np.array_equal(np.isnan(sample.disparity), truth.mask == Mask.UNKNOWN)
    ground = (truth.mask == Mask.MEASURED) | (truth.mask == Mask.FILLED)
    assert np.abs(sample.disparity - truth.disparity)[ground].max() < 17 / 65534
    assert sample.record["status"] == "kept"
    assert [sample.key for sample in dataset] == ["good"]
    assert [sample.key for sample in dataset.rejected] == ["bad"]
    with pytest.raises(KeyError):
        dataset["bad"]
    with pytest.raises(IndexError):
        dataset[1]
    (tmp_path / "set" / "RDs" / "good.png").write_bytes(b"damaged")
    with pytest.raises(StoreError, match=r"good\.png"):
        open_dataset(tmp_path / "set")[0]


def test_open_dataset_refuses_other_folders(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not a data set"):
        open_dataset(tmp_path)
    with pytest.raises(StoreError, match="not a data set"):
        open_dataset(tmp_path / "nowhere")
    with Store(tmp_path / "begun", IDENTITY):
        pass
    with pytest.raises(StoreError, match=f"not finished.* `python cli.py status {tmp_path / 'begun'}` tells"):
        open_dataset(tmp_path / "begun")
    fill(tmp_path / "set")
    (tmp_path / "set" / "manifest.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(StoreError, match=r"manifest\.parquet"):
        open_dataset(tmp_path / "set")


@pytest.mark.parametrize("tear", [1, 10, 40])
def test_a_torn_journal_line_is_done_again(tmp_path: Path, tear: int) -> None:
    out = tmp_path / "set"
    with Store(out, IDENTITY) as store:
        store.record(unread("first", detail="größe\nzwei"))
        store.record(unread("second"))
    whole = (out / "journal.jsonl").read_bytes()
    (out / "journal.jsonl").write_bytes(whole[:-tear])
    with Store(out, IDENTITY) as store:
        assert list(store.records) == ["first"]
        assert store.records["first"]["detail"] == "größe\nzwei"
        store.record(unread("second"))
    assert (out / "journal.jsonl").read_bytes() == whole
    assert not list(out.glob("*.part"))


def test_a_journal_torn_within_a_letter(tmp_path: Path) -> None:
    out = tmp_path / "set"
    with Store(out, IDENTITY) as store:
        store.record(unread("first"))
    whole = (out / "journal.jsonl").read_bytes()
    (out / "journal.jsonl").write_bytes(whole + '{"key": "ü'.encode()[:-1])
    with Store(out, IDENTITY) as store:
        assert list(store.records) == ["first"]
    assert (out / "journal.jsonl").read_bytes() == whole


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    out = tmp_path / "set"
    fill(out)
    before = (out / "build.json").read_bytes()
    other = {**IDENTITY, "max_side": 512, "thresholds": {"max_vertical": 0.2}}
    with pytest.raises(StoreError) as caught:
        Store(out, other)
    message = str(caught.value)
    assert "max_side: 768 there, 512 now" in message
    assert "thresholds.max_vertical: 0.1 there, 0.2 now" in message
    assert "flow" not in message
    assert "--overwrite" in message
    assert (out / "build.json").read_bytes() == before
    assert len(open_dataset(out)) == 1
    with Store(out, IDENTITY) as store:  # the refusal let go of the lock
        assert set(store.records) == {"good", "bad"}


def test_a_folder_begun_and_killed_before_its_first_file_is_taken(tmp_path: Path) -> None:
    out = tmp_path / "set"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".redweb-0123456789abcdef.part").write_text('{"form')
    fill(out)
    assert len(open_dataset(out)) == 1
    assert not (out / ".redweb-0123456789abcdef.part").exists()


def test_what_a_worker_that_was_killed_left_half_written_is_gone_at_the_end(tmp_path: Path) -> None:
    with Store(tmp_path, IDENTITY) as store:
        left = tmp_path / "masks" / ".redweb-0123456789abcdef.part"
        left.touch()
        store.finish(table_of([]), {"finished": True})
        assert not left.exists()


def test_rows_of_several_blocks_are_judged_as_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pairs look alike, each in another block."""
    with Store(tmp_path, IDENTITY) as store:
        for number in reversed(range(7)):
            alike = f"{0 if number % 3 == 0 else number:02x}" * 8
            store.record(row(f"{number}", quality=number / 7, agreement=0.9, perceptual_hash=alike))
        at_once = store.judge(Thresholds())
        for module in (writer, manifest, verdicts):
            monkeypatch.setattr(module, "BLOCK_ROWS", 2)
        monkeypatch.setattr(manifest_file, "SMALL_GROUP", 2)
        rows = store.judge(Thresholds())
        assert rows.equals(at_once)
        assert rows["reason"].to_pylist() == ["duplicate", None, None, "duplicate", None, None, None]
        store.finish(rows, {})
    assert pq.ParquetFile(tmp_path / "manifest.parquet").num_row_groups == 4
    assert pq.read_table(tmp_path / "manifest.parquet").equals(at_once)
    assert not list(tmp_path.glob("*scratch*"))


def test_overwrite_leaves_what_others_put_into_the_folder(tmp_path: Path) -> None:
    """Such as the photographs that the data set is made from."""
    out = tmp_path / "set"
    fill(out)
    (out / "stereo").mkdir()
    (out / "stereo" / "photo_L.jpg").write_bytes(b"the only copy")
    (out / "notes.txt").write_text("words")
    others = [
        out / "rejected" / "Imgs" / "notes.txt",
        out / ".review" / "photo.jpg",
        out / "previews" / "mine" / "a.jpg",
    ]
    for file in others:
        file.parent.mkdir(exist_ok=True)
        file.write_text("words")
    cached = out / ".review" / ("0" * 32)
    cached.write_bytes(b"a picture of the review page")
    with Store(out, IDENTITY, overwrite=True) as store:
        assert not store.records
    assert (out / "stereo" / "photo_L.jpg").read_bytes() == b"the only copy"
    assert all(file.read_text() == "words" for file in (out / "notes.txt", *others))
    assert not cached.exists()


def test_overwrite_replaces_a_data_set(tmp_path: Path) -> None:
    out = tmp_path / "set"
    fill(out)
    with Store(out, {**IDENTITY, "max_side": 512}, overwrite=True) as store:
        assert not store.records
        store.write_label("new", picture_like(), True, label_like(), picture_like(), True)
    assert [file.name for file in (out / "RDs").iterdir()] == ["new.png"]
    assert not list((out / "rejected" / "RDs").iterdir())
    assert not (out / "manifest.parquet").exists()
    assert json.loads((out / "build.json").read_text())["identity"]["max_side"] == 512


def test_an_overwrite_that_fails_on_the_way_can_be_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, new = tmp_path / "set", {**IDENTITY, "max_side": 512}
    fill(out)
    (out / "decisions.jsonl").write_text("")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            Store(out, new, overwrite=True)
    with pytest.raises(StoreError, match="other settings"):
        Store(out, new)
    with Store(out, new, overwrite=True) as store:
        assert not store.records
    with Store(out, new):
        pass


def test_overwrite_does_not_follow_links(tmp_path: Path) -> None:
    out, precious = tmp_path / "set", tmp_path / "precious"
    fill(out)
    precious.mkdir()
    (precious / "photo.jpg").write_bytes(b"the only copy")
    (out / "link").symlink_to(precious, target_is_directory=True)
    with Store(out, IDENTITY, overwrite=True):
        pass
    assert (precious / "photo.jpg").read_bytes() == b"the only copy"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_no_data_set_is_never_touched(
    tmp_path: Path, overwrite: bool, snapshot: Callable[[Path], dict[str, bytes]]
) -> None:
    out = tmp_path / "photos"
    (out / "Imgs").mkdir(parents=True)
    (out / "Imgs" / "me.jpg").write_bytes(b"a picture")
    before = snapshot(tmp_path)
    with pytest.raises(StoreError, match="not a data set"):
        Store(out, IDENTITY, overwrite)
    assert snapshot(tmp_path) == before
    assert sorted(file.name for file in out.iterdir()) == ["Imgs"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", ['{"name": "my web app", "version": 2}', "[1, 2]", "not even json"])
def test_a_build_json_of_another_program_protects_its_folder(tmp_path: Path, overwrite: bool, content: str) -> None:
    """Many programs write a build.json."""
    out = tmp_path / "app"
    (out / "src").mkdir(parents=True)
    (out / "src" / "main.c").write_text("int main;")
    (out / "build.json").write_text(content)
    with pytest.raises(StoreError, match="not a data set"):
        Store(out, IDENTITY, overwrite)
    assert (out / "src" / "main.c").read_text() == "int main;"
    assert (out / "build.json").read_text() == content


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_as_out(tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "file"
    out.write_bytes(b"content")
    with pytest.raises(StoreError, match="is a file"):
        Store(out, IDENTITY, overwrite)
    with pytest.raises(StoreError, match="cannot create"):
        Store(out / "below", IDENTITY, overwrite)
    assert out.read_bytes() == b"content"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    fill(tmp_path)
    assert len(open_dataset(tmp_path)) == 1


def test_two_builds_at_once(tmp_path: Path, python: str) -> None:
    """Within one process and from another one."""
    out = tmp_path / "set"
    with Store(out, IDENTITY) as store:
        store.record(unread("first"))
        with pytest.raises(StoreError, match="another build is writing"):
            Store(out, IDENTITY)
        with pytest.raises(StoreError, match="another build is writing"):
            Store(out, IDENTITY, overwrite=True)
        code = "import sys, filelock; filelock.FileLock(sys.argv[1]).acquire(timeout=0)"
        other = subprocess.run([python, "-c", code, str(out / ".lock")], capture_output=True, check=False)
        assert b"Timeout" in other.stderr
        assert list(store.records) == ["first"]
    with Store(out, IDENTITY) as store:
        assert list(store.records) == ["first"]
    lock = FileLock(out / ".lock")
    lock.acquire(timeout=0)
    lock.release()


def test_settle_moves_every_file_once(tmp_path: Path) -> None:
    out = tmp_path / "set"
    with Store(out, IDENTITY) as store:
        store.write_label("twin", picture_like(), False, label_like(), picture_like(), True)
        for _ in range(2):
            store.move_to_final_place([], ["twin"])
            assert not any((out / folder / "twin.png").exists() for folder in ("Imgs", "RDs", "masks", "confidence"))
            assert not (out / "Imgs" / "twin.jpg").exists()
            rejected = {file.parent.name + "/" + file.name for file in (out / "rejected").rglob("*.*")}
            assert rejected == {"Imgs/twin.jpg", "RDs/twin.png", "masks/twin.png", "confidence/twin.png"}
        store.move_to_final_place(["twin"], [])
        assert (out / "Imgs" / "twin.jpg").exists()


def test_the_manifest_holds_the_numbers_as_they_are(tmp_path: Path) -> None:
    """A column whose first value is whole must not cut the fractions of the others."""
    rows: list[dict[str, Any]] = [
        {"key": "a", "status": "rejected", "threshold": 4, "width": 90, "aligned": True, "value": None},
        {"key": "b", "status": "rejected", "threshold": 0.35, "width": None, "aligned": None, "value": 0.25},
        {"key": None, "status": "left-out", "detail": "größe", "sky_share": None},
    ]
    with Store(tmp_path / "set", IDENTITY) as store:
        store.finish(table_of(rows), {})
    table = pq.read_table(tmp_path / "set" / "manifest.parquet")
    back = table.to_pylist()
    assert [row["threshold"] for row in back] == [4, 0.35, None]
    assert [row["value"] for row in back] == [None, 0.25, None]
    assert [row["width"] for row in back] == [90, None, None]
    assert back[0]["aligned"] is True
    assert back[2]["detail"] == "größe"
    assert table.schema.equals(SCHEMA)  # also where a column has no value at all


@pytest.mark.parametrize(
    "source",
    [
        PairSource("a", Path("/in/l.png"), Path("/in/r.png"), "files", "folders", right_first=True, guessed=True),
        PairSource(
            "b", Path("/in/f.mkv"), Path("/in/f.mkv"), "side-by-side", "film", time=1.5, crops=((0, 2, 8, 6),) * 2
        ),
        PairSource("c", Path("/in/v.jpg"), Path("/in/v.jpg"), "vr180", "XMP", fov=75.0),
        PairSource(
            "e", Path("/in/l.mp4"), Path("/in/r.mp4"), "files", "films", time=2.0, offset=-0.4, clip="c1", clip_frame=2
        ),
        PairSource("d", Path("/in/l.png"), Path("/in/r.png"), "files", "", calibration=(Path("/in/calib, 1.txt"),)),
    ],
)
def test_a_row_leads_back_to_its_source(source: PairSource) -> None:
    row = columns_of(source) | {"left": source.left.name, "right": source.right.name}
    row["calibration"] = json.dumps([file.name for file in source.calibration]) if source.calibration else None
    assert set(row) <= set(SCHEMA.names)
    assert source_of(row, Path("/in")) == source


def test_overwrite_through_a_linked_folder_leaves_nothing_of_the_old_set(tmp_path: Path) -> None:
    """The user's own link to the data set is followed; one within it is not."""
    fill(tmp_path / "set")
    (tmp_path / "link").symlink_to(tmp_path / "set", target_is_directory=True)
    with Store(tmp_path / "link", IDENTITY, overwrite=True):
        pass
    assert not [file for file in (tmp_path / "set").rglob("*.png") if file.is_file()]
