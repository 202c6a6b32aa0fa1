"""Every layout in miniature, polarity and masks checked by hand; and sets that are not as they should be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from redweb_builder.dataset.codec import png_of_label
from redweb_builder.dataset.depth_png import depth_png
from redweb_builder.types import Label, Mask
from trainer.data.check import check_samples
from trainer.data.open import open_data
from trainer.data.readers.built import LabelUse
from trainer.data.readers.diw import on_picture, read_diw
from trainer.data.sample_stream import SampleStream, Source, batch_iterator
from trainer.data.splits import samples_of, split
from trainer.data.transforms import augmentation
from trainer.types import DataError

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
Save = Callable[..., Path]


def grey(rows: list[list[int]], dtype: Any = np.uint8) -> Any:
    return np.repeat(np.repeat(np.array(rows, dtype), 3, axis=0), 4, axis=1)


def redweb_v1(folder: Path, save: Save, stems: tuple[str, ...] = ("a", "b"), dtype: Any = np.uint8) -> Path:
    top = np.iinfo(dtype).max
    for stem in stems:
        save(PICTURE, folder / "Imgs" / f"{stem}.jpg")
        save(grey([[top, top], [0, 100]], dtype), folder / "RDs" / f"{stem}.png")
    return folder


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_redweb_v1_is_near_at_0_and_sky_at_the_top(tmp_path: Path, save: Save, dtype: Any) -> None:
    data = open_data(redweb_v1(tmp_path, save, dtype=dtype))
    sample = data[0]
    assert len(data) == 2
    assert sample.disparity[5, 0] > sample.disparity[5, 7] > sample.disparity[0, 0] == 0
    assert sample.sky.sum() == 24
    assert sample.sky[0].all()


def test_what_an_export_says_is_unknown_is_no_sky(tmp_path: Path, save: Save) -> None:
    redweb_v1(tmp_path, save)
    save(grey([[Mask.SKY, Mask.UNKNOWN], [Mask.MEASURED, Mask.FILLED]]), tmp_path / "masks" / "a.png")
    data = open_data(tmp_path)
    np.testing.assert_array_equal(data[0].sky, grey([[1, 0], [0, 0]]))
    np.testing.assert_array_equal(np.isnan(data[0].disparity), grey([[0, 1], [0, 0]]))
    assert [len(data.files(index)) for index in range(2)] == [3, 2]


def test_hrwsi_is_near_at_the_top_keeps_its_parts_and_its_masks(tmp_path: Path, save: Save) -> None:
    for part in ("train", "val"):
        save(PICTURE, tmp_path / part / "imgs" / "x.jpg")
        save(grey([[0, 10], [200, 250]]), tmp_path / part / "gts" / "x.png")
        save(grey([[255, 0], [255, 255]]), tmp_path / part / "valid_masks" / "x.png")
    save(grey([[0, 1], [2, 3]]), tmp_path / "val" / "instances" / "x.png")
    data = open_data(tmp_path)
    assert split(data, 0.5) == ([0], [1])
    assert data[0].instances is None
    np.testing.assert_array_equal(data[1].instances, grey([[0, 1], [2, 3]]))
    sample = data[0]
    assert sample.disparity[5, 7] > sample.disparity[5, 0] > sample.disparity[0, 0]
    assert np.isnan(sample.disparity[0, 7])
    assert samples_of(data, "auto", 0.1) == [1]
    with pytest.raises(DataError, match="no samples of part 'test'"):
        samples_of(data, "test", 0.1)


def test_nyu_frames_are_inverse_metres_without_their_border(tmp_path: Path, save: Save) -> None:
    rows = ["frame0,nyu_index1,official_split,dmax_m"]
    parts = ["train", "train", "test", "train", "test", "train"]
    for frame, part in enumerate(parts):
        rows.append(f"{frame},{frame + 1},{part},5.1")
        save(np.zeros((240, 320, 3), np.uint8), tmp_path / "rgb" / f"{frame:05d}.jpg")
        depth = np.full((240, 320), 50 + frame, np.uint8)
        save(depth, tmp_path / "depth_u8_framemax" / f"{frame:05d}.png")
    (tmp_path / "frames.csv").write_text("\n".join(rows) + "\n")
    data = open_data(tmp_path)
    sample = data[3]
    assert 1 / sample.disparity[100, 100] == pytest.approx(53.5 / 255 * 5.1, rel=1e-5)
    assert np.isfinite(sample.disparity).sum() == (240 - 8) * (320 - 8)
    assert data.evaluation_mask((240, 320)).sum() == 213 * 280  # 426 x 560 of the full frame
    assert data.evaluation_mask((480, 640)).sum() == 426 * 560
    train, validation = split(data, 0.3)  # whole runs: {0, 1}, {3}, {5}; test frames 2 and 4 nowhere
    assert sorted(train + validation) == [0, 1, 3, 5]
    assert len({0, 1} & set(train)) in (0, 2)
    assert samples_of(data, "auto", 0.3) == [2, 4]


def test_stereo_truth_reads_scale_and_what_is_unknown(tmp_path: Path, save: Save) -> None:
    for name, ending in (("kitti", "png"), ("middlebury", "pfm")):
        scene = tmp_path / name / "one"
        save(PICTURE, scene / "left.png")
        (scene / "meta.json").write_text(json.dumps({"scale": 0.5}))
        values = grey([[0, 20], [30, 40]], np.uint16 if ending == "png" else np.float32)
        if ending == "pfm":
            values[values == 0] = np.inf
        cv2.imwrite(str(scene / f"disp_left.{ending}"), values)
    data = open_data(tmp_path)
    assert [data.key(index) for index in range(2)] == ["kitti/one", "middlebury/one"]
    for index in range(2):
        assert np.isnan(data[index].disparity[0, 0])
        assert data[index].disparity[5, 7] == 20
    assert data.has_true_zero


def test_rows_of_a_built_set_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"key": ["k", "../letter"], "status": ["kept", "kept"], "width": [8, 8]}
    pq.write_table(pa.table(rows), tmp_path / "manifest.parquet")
    (note,) = open_data(tmp_path).notes
    assert "1 of 2 rows cannot be used" in note


def test_a_built_set_knows_sky_and_unknown(tmp_path: Path, save: Save) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    mask = grey([[Mask.SKY, Mask.UNKNOWN], [Mask.MEASURED, Mask.FILLED]])
    disparity = np.where(mask == Mask.UNKNOWN, np.nan, grey([[0, 0], [9, 5]], np.float32)).astype(np.float32)
    save(PICTURE, tmp_path / "Imgs" / "k.png")
    (tmp_path / "RDs").mkdir()
    (tmp_path / "RDs" / "k.png").write_bytes(png_of_label(Label(disparity, mask, mask)))
    save(mask, tmp_path / "masks" / "k.png")
    save(mask, tmp_path / "confidence" / "k.png")
    save(mask, tmp_path / "instances" / "k.png")
    pq.write_table(pa.table({"key": ["k"], "status": ["kept"], "width": [8]}), tmp_path / "manifest.parquet")
    assert open_data(tmp_path).notes == ()
    sample = open_data(tmp_path)[0]
    assert sample.disparity[5, 0] == pytest.approx(9, abs=1e-3)
    assert sample.sky.sum() == np.isnan(sample.disparity).sum() == 12
    assert np.nanmin(sample.disparity) == sample.disparity[0, 0]
    assert sample.noise > 0
    assert sample.confidence is None
    np.testing.assert_array_equal(sample.instances, mask)

    def used(**use: Any) -> Any:
        sample = open_data(tmp_path, use=LabelUse(**use))[0]
        known = np.isfinite(sample.disparity)
        assert not sample.sky[~known].any()
        return {Mask(value).name for value in np.unique(mask[known])}, sample.confidence

    assert used(measured_only=True)[0] == {"SKY", "MEASURED"}
    assert used(min_confidence=2)[0] == {"SKY", "FILLED"}  # the stored confidence is the mask's number here
    np.testing.assert_allclose(used(weighted=True)[1], mask / 255, atol=1e-6)


@pytest.mark.parametrize("folder", ["Imgs", "RDs", "masks", "confidence"])
def test_a_quick_check_looks_at_every_file_of_a_built_set(built: Any, tmp_path: Path, folder: str) -> None:
    shutil.copytree(built.out, tmp_path / "set")
    data = open_data(tmp_path / "set")
    everyone = range(len(data))
    assert check_samples(data, everyone, "quick") == []
    file = next(file for file in data.files(1) if file.parent.name == folder)
    file.write_bytes(file.read_bytes()[:10])
    (fault,) = check_samples(data, everyone, "quick")
    assert fault.startswith(str(file))
    file.unlink()
    (fault,) = check_samples(data, everyone, "quick")
    assert f"{folder}/{data.key(1)}" in fault


def test_diw_is_y_first_from_1_and_greater_is_farther(tmp_path: Path, save: Save) -> None:
    save(PICTURE, tmp_path / "DIW_test" / "x.jpg")
    file = tmp_path / "DIW_test.csv"
    file.write_text("./DIW_test/x.jpg\n2,3,6,8,>,8,6\n")
    (judgement,) = read_diw(file)
    assert (judgement.first, judgement.second, judgement.farther) == ((1, 2), (5, 7), ">")
    assert judgement.image.is_file()
    for bad in ("./x.jpg\n", "./x.jpg\n2,3,6\n", "./x.jpg\n2,3,6,8,=\n", "./x.jpg\n0,3,6,8,>\n"):
        file.write_text(bad)
        with pytest.raises(DataError, match=r"DIW_test\.csv"):
            read_diw(file)


@pytest.mark.parametrize("factor", [2, 0.5])
def test_points_of_a_resized_picture_are_scaled(tmp_path: Path, save: Save, factor: float) -> None:
    listed = read_diw(_diw(tmp_path, "41,21,120,160,>,160,120"))[0]
    shape = (int(120 * factor), int(160 * factor))
    judged, moved = on_picture(listed, shape)
    assert (judged.first, judged.second) == (((80, 40), (238, 318)) if factor == 2 else ((20, 10), (60 - 1, 80 - 1)))
    assert not moved
    with pytest.raises(DataError, match="another picture"):
        on_picture(listed, (120, 120))


def test_a_point_outside_its_picture_is_moved_to_the_edge(tmp_path: Path) -> None:
    listed = read_diw(_diw(tmp_path, "121,1,120,160,>,160,120"))[0]
    judged, moved = on_picture(listed, (120, 160))
    assert (judged.first, moved) == ((119, 0), True)
    for bad in ("1e9,1,1,1,>", "nan,1,1,1,>", "1,1,1,1,>,0,5", "1,1,1,1,>,x,5"):
        with pytest.raises(DataError, match="line 2"):
            read_diw(_diw(tmp_path, bad))


def _diw(folder: Path, pair: str) -> Path:
    file = folder / "DIW.csv"
    file.write_text(f"./x.jpg\n{pair}\n")
    return file


def test_a_prediction_as_a_label_says_which_end_is_near(tmp_path: Path, save: Save) -> None:
    folder = redweb_v1(tmp_path, save, dtype=np.uint16)
    for name, text in (("a", {"polarity": "65535 = nearest"}), ("b", {"unit": "millimetres"})):
        (folder / "RDs" / f"{name}.png").write_bytes(depth_png(grey([[65535, 65535], [0, 100]], np.uint16), text))
    data = open_data(folder)
    assert data[0].disparity[0, 0] > data[0].disparity[5, 7] > data[0].disparity[5, 0]
    assert not data[0].sky.any()
    with pytest.raises(DataError, match=r"b\.png: holds millimetres, not relative depth"):
        data[1]


def test_names_that_do_not_match_are_named_not_guessed(tmp_path: Path, save: Save) -> None:
    redweb_v1(tmp_path, save)
    (tmp_path / "RDs" / "b.png").rename(tmp_path / "RDs" / "c.png")
    with pytest.raises(DataError, match=r"2 files have no partner .*b, c"):
        open_data(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: file.write_bytes(b"no picture"), "not a picture"),
        (lambda file: Image.fromarray(np.zeros((5, 5), np.uint8)).save(file), "5x5"),
    ],
)
def test_a_damaged_depth_map_is_named(tmp_path: Path, save: Save, make: Callable[[Path], None], message: str) -> None:
    data = open_data(redweb_v1(tmp_path, save))
    make(tmp_path / "RDs" / "b.png")
    with pytest.raises(DataError, match=rf"b\.png.*{message}"):
        data[1]
    stream = SampleStream([Source(data, range(2))], augmentation("none", 64), 0)
    for workers in (0, 1):
        faults: list[str] = []
        (batch,) = batch_iterator(stream, range(2), 2, workers, pin=False, on_fault=faults.append)
        assert len(batch.image) == 2  # "a" stands in for "b"
        assert len(faults) == 1
        assert "b.png" in faults[0]


def test_a_folder_that_is_no_set_is_answered_with_what_one_looks_like(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ReDWeb_V1"):
        open_data(tmp_path)
    with pytest.raises(DataError, match="build-redweb"):
        open_data(tmp_path / "nowhere")
