"""Every layout in miniature, polarity and masks told by hand; splits; draws; transforms."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from redweb_builder.store import png_of_label
from redweb_builder.types import Label, Mask
from trainer.data.depth_set import DepthSetBase
from trainer.data.open import open_data
from trainer.data.readers.diw import read_diw
from trainer.data.sample_stream import SampleStream, Source, batch_iterator
from trainer.data.splits import samples_of, split
from trainer.data.transforms import augmentation, fitting_size, resize_only, transformed
from trainer.evaluation.sanity import check_labels
from trainer.types import DataError, DepthSample

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


def test_hrwsi_is_near_at_the_top_keeps_its_parts_and_its_masks(tmp_path: Path, save: Save) -> None:
    for part in ("train", "val"):
        save(PICTURE, tmp_path / part / "imgs" / "x.jpg")
        save(grey([[0, 10], [200, 250]]), tmp_path / part / "gts" / "x.png")
        save(grey([[255, 0], [255, 255]]), tmp_path / part / "valid_masks" / "x.png")
    data = open_data(tmp_path)
    assert split(data, 0.5) == ([0], [1])
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
    pq.write_table(pa.table({"key": ["k"], "status": ["kept"], "width": [8]}), tmp_path / "manifest.parquet")
    sample = open_data(tmp_path)[0]
    assert sample.disparity[5, 0] == pytest.approx(9, abs=1e-3)
    assert sample.sky.sum() == np.isnan(sample.disparity).sum() == 12
    assert np.nanmin(sample.disparity) == sample.disparity[0, 0]
    assert sample.noise > 0


def test_diw_is_y_first_from_1_and_greater_is_farther(tmp_path: Path, save: Save) -> None:
    save(PICTURE, tmp_path / "DIW_test" / "x.jpg")
    file = tmp_path / "DIW_test.csv"
    file.write_text("./DIW_test/x.jpg\n2,3,6,8,>,8,6\n")
    (one,) = read_diw(file)
    assert (one.first, one.second, one.farther) == ((1, 2), (5, 7), ">")
    assert one.image.is_file()
    for bad in ("./x.jpg\n", "./x.jpg\n2,3,6\n", "./x.jpg\n2,3,6,8,=\n", "./x.jpg\n0,3,6,8,>\n"):
        file.write_text(bad)
        with pytest.raises(DataError, match=r"DIW_test\.csv"):
            read_diw(file)


# ---- bad sets ---------------------------------------------------------------------------------------------------


def test_names_that_do_not_match_are_told_not_guessed(tmp_path: Path, save: Save) -> None:
    redweb_v1(tmp_path, save)
    (tmp_path / "RDs" / "b.png").rename(tmp_path / "RDs" / "c.png")
    with pytest.raises(DataError, match=r"2 files have no partner .*b, c"):
        open_data(tmp_path)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda file: file.write_bytes(b"no picture"), "cannot be read"),
        (lambda file: Image.fromarray(np.zeros((5, 5), np.uint8)).save(file), "5x5"),
    ],
)
def test_a_damaged_depth_map_is_named(tmp_path: Path, save: Save, make: Callable[[Path], None], told: str) -> None:
    data = open_data(redweb_v1(tmp_path, save))
    make(tmp_path / "RDs" / "b.png")
    with pytest.raises(DataError, match=rf"b\.png.*{told}"):
        data[1]
    stream = SampleStream([Source(data, range(2))], resize_only(64), 0)
    for workers in (0, 1):
        with pytest.raises(DataError, match=r"^\S*b\.png") as caught:
            list(batch_iterator(stream, range(2), 2, workers, pin=False))
        assert "Traceback" not in str(caught.value)


def test_a_folder_that_is_no_set_is_told_what_one_looks_like(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ReDWeb_V1"):
        open_data(tmp_path)
    with pytest.raises(DataError, match="build-redweb"):
        open_data(tmp_path / "nowhere")


class Given(DepthSetBase):
    """Labels from memory."""

    def __init__(self, labels: list[Any]) -> None:
        self.name, self.labels = "given", labels

    def __len__(self) -> int:
        return len(self.labels)

    def key(self, index: int) -> str:
        return f"{index:03d}"

    def __getitem__(self, index: int) -> DepthSample:
        label = np.asarray(self.labels[index], np.float32)
        picture = np.repeat(np.nan_to_num(label)[..., None], 3, axis=2).astype(np.uint8)
        return DepthSample(self.key(index), picture, label, label == 0, 0.0)


RAMP = np.repeat(np.arange(1, 97, dtype=np.float32)[:, None], 80, axis=1)


def test_looking_over_a_set_tells_empty_flat_and_upside_down() -> None:
    assert check_labels(Given([RAMP] * 6), range(6)) == []
    notes = check_labels(Given([RAMP[::-1]] * 6 + [np.full_like(RAMP, np.nan), np.ones_like(RAMP)]), range(8))
    assert ["no known pixel" in notes[0], "all one value" in notes[1], "polarity looks inverted" in notes[2]] == [
        True
    ] * 3


# ---- splits and streams -----------------------------------------------------------------------------------------


def test_a_split_is_stable_and_leaves_something_on_either_side() -> None:
    train, validation = split(Given([RAMP] * 50), 0.1)
    assert len(validation) == 5
    assert sorted(train + validation) == list(range(50))
    assert validation == split(Given([RAMP] * 50), 0.1)[1]
    assert len(set(split(Given([RAMP] * 60), 0.1)[1]) & set(train)) <= 2  # ten more samples hardly move it
    assert split(Given([RAMP]), 0.1) == ([0], [])
    assert [len(side) for side in split(Given([RAMP] * 2), 0.1)] == [1, 1]
    assert split(Given([RAMP] * 5), 0)[1] == []


def test_an_epoch_holds_every_sample_as_often_as_its_weight_says() -> None:
    one, other = Given([RAMP] * 4), Given([RAMP] * 10)
    stream = SampleStream([Source(one, range(4), 2.5), Source(other, range(10), 0.5)], resize_only(64), seed=3)
    assert stream.epoch_length == 15
    rows = np.concatenate([stream._order(epoch) for epoch in range(40)])
    times = np.bincount(rows[rows[:, 0] == 0, 1])
    assert times.sum() == 400
    assert all(80 <= count <= 120 for count in times)
    assert len(np.unique(stream._order(0)[stream._order(0)[:, 0] == 1, 1])) == 5
    assert not (stream._order(0) == stream._order(1)).all()


def test_a_draw_depends_on_its_number_alone() -> None:
    data = Given([RAMP + shift for shift in range(6)])
    stream = SampleStream([Source(data, range(6))], augmentation(64), seed=1)
    forth = [stream[n] for n in range(8)]
    torch.manual_seed(99)
    back = {n: SampleStream([Source(data, range(6))], augmentation(64), seed=1)[n] for n in reversed(range(8))}
    for n, one in enumerate(forth):
        assert torch.equal(one.image, back[n].image)  # type: ignore[union-attr]
        assert torch.equal(one.disparity, back[n].disparity)  # type: ignore[union-attr]
    assert not torch.equal(forth[0].image, forth[6].image)  # type: ignore[union-attr]


def test_draws_can_be_sent_to_worker_processes() -> None:
    """As they are where workers are spawned, not forked."""
    stream = SampleStream([Source(Given([RAMP] * 4), range(4))], augmentation(64), seed=1)
    first = stream[2]
    assert torch.equal(pickle.loads(pickle.dumps(stream))[2].image, first.image)  # type: ignore[union-attr]


# ---- transforms -------------------------------------------------------------------------------------------------


def test_photograph_and_label_move_together_and_no_value_is_made_up() -> None:
    label = np.full((96, 80), 40, np.float32)
    label[30:60, 20:50] = 200
    label[70:, :] = np.nan
    sample = Given([label])[0]
    torch.manual_seed(5)
    geometry = augmentation(64).transforms[:3]
    seen = 0
    for _ in range(20):
        image, disparity, valid, _ = transformed(sample, v2.Compose(geometry))
        assert set(disparity[valid].tolist()) <= {40.0, 200.0}
        assert not disparity[~valid].any()
        sharp = valid & ((image[0] == 40) | (image[0] == 200))
        agree = (image[0][sharp] == disparity[sharp]).float().mean()
        assert agree > 0.97
        seen += int((~valid).any())
    assert seen > 5


def test_full_augmentation_gives_what_the_network_takes() -> None:
    sample = Given([RAMP])[0]
    torch.manual_seed(0)
    image, disparity, valid, sky = transformed(sample, augmentation(96))
    assert (image.shape, image.dtype) == ((3, 96, 96), torch.uint8)
    assert disparity.shape == valid.shape == sky.shape == (96, 96)
    assert disparity.isfinite().all()


@pytest.mark.parametrize(
    ("shape", "fitted"), [((480, 640), (320, 448)), ((375, 1242), (224, 704)), ((384, 384), (384, 384))]
)
def test_pictures_are_predicted_in_their_own_shape(shape: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitting_size(*shape, 384) == fitted
