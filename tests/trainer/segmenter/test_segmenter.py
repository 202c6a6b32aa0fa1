"""Training of the built-in segmenter: what is known of pictures and kept back, that it learns and can be shipped."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from cli import main
from redweb_builder.errors import UnsafePath
from redweb_builder.segmentation.segmenters import BuiltinSegmenter
from redweb_builder.segmentation.sky_network import CLASSES, THINGS
from trainer.config import FOLDS
from trainer.data.sample_stream import Source
from trainer.segmenter.augment import augmented, geometry
from trainer.segmenter.pictures import RegionSample, find, in_fold, prepare
from trainer.segmenter.teacher import Teacher, skyline
from trainer.segmenter.train import THINGS_SHARE, RegionStream, cross_entropy, parse_set
from trainer.types import DataError, RegionBatch

CPU = torch.device("cpu")
Make = Callable[[Path], Path]


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Six pictures, their upper part blue and sky."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for number in range(6):
        image = np.full((48, 64, 3), (70, 50, 30), np.uint8)
        image[: 10 + 4 * number] = (90, 140, 220)
        Image.fromarray(image).save(folder / f"{number}.png")
        Image.fromarray(np.uint8(255 * (image[..., 2] > 100))).convert("1").save(folder / f"{number}_sky.png")
    return folder


def test_masks_become_regions_and_are_read_once(masks: Path, tmp_path: Path) -> None:
    data, problems = prepare("masks", masks, None, tmp_path / "cache", None, lambda *_: None)
    assert (len(data), problems, data.held_out) == (6, [], [])
    sample = data[2]
    assert sample.regions[:18].tolist() == np.full((18, 64, 3), (255, 0, 0)).tolist()
    assert sample.regions[18:].tolist() == np.full((30, 64, 3), (0, 0, 255)).tolist()
    shutil.rmtree(masks)
    masks.mkdir()
    with pytest.raises(DataError, match="no pictures of kind masks"):
        find("masks", masks, None)
    assert data[2].image.shape == (48, 64, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_folder_of_any_name_is_read(masks: Path, tmp_path: Path) -> None:
    for name in ("0.png", "0_sky.png"):
        (masks / name).rename(os.fsdecode(os.fsencode(masks / name).replace(b"/0", b"/\xff")))
    assert len(prepare("masks", masks, None, tmp_path / "cache", 0, lambda *_: None)[0]) == 6


@pytest.mark.parametrize("linked", ["cache", "its set"])
def test_nothing_is_prepared_through_a_link(masks: Path, tmp_path: Path, linked: str) -> None:
    elsewhere, cache = tmp_path / "elsewhere", tmp_path / "run" / "cache"
    elsewhere.mkdir()
    prepare("masks", masks, None, cache, None, lambda *_: None)
    place = cache if linked == "cache" else next(cache.iterdir())
    shutil.rmtree(place)
    place.symlink_to(elsewhere)
    with pytest.raises(UnsafePath, match="nothing is written there"):
        prepare("masks", masks, None, cache, None, lambda *_: None)
    assert list(elsewhere.iterdir()) == []


def test_a_prepared_picture_that_is_none_is_refused(masks: Path, tmp_path: Path) -> None:
    data, _ = prepare("masks", masks, None, tmp_path / "cache", None, lambda *_: None)
    good = dict(np.load(data.files[0]))
    for wrong in ({"image": good["image"][:5]}, {"regions": good["regions"] / 255}, {"things": good["things"] - 100}):
        np.savez(data.files[0], **{**good, **wrong})
        with pytest.raises(DataError, match="prepared anew"):
            data[0]


def test_camvid_knows_its_classes_and_keeps_back_whole_drives(tmp_path: Path) -> None:
    """Sky 0, building 1, road 3, tree 5, unlabelled 11: thin trees between sky and road are far, a house not."""
    for folder in ("train", "trainannot"):
        (tmp_path / folder).mkdir()
    label = np.zeros((96, 96), np.uint8)
    label[60:] = 3
    label[56:60] = 5
    label[20:60, 70:] = 1
    label[90:] = 11
    for drive in ("0001TP", "0006R0", "0016E5"):
        for frame in range(2):
            Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(tmp_path / "train" / f"{drive}_{frame}.jpg")
            Image.fromarray(label).save(tmp_path / "trainannot" / f"{drive}_{frame}.png")
    pictures = find("camvid", tmp_path, None)
    regions = pictures[0].read().regions
    assert regions[10, 10].tolist() == [255, 0, 0]
    assert regions[58, 30].tolist() == [0, 255, 0]
    assert regions[40, 80].tolist() == [0, 0, 255]
    assert regions[70, 30].tolist() == [0, 0, 255]
    assert not regions[92].any()
    kept = [in_fold(pictures, fold) for fold in range(FOLDS)]
    assert np.sum(kept, axis=0).tolist() == [1] * 6
    for fold in range(FOLDS):
        assert len({picture.group for picture, held in zip(pictures, kept[fold], strict=True) if held}) == 1
    assert not any(in_fold(pictures, None))


def test_only_what_is_thin_and_stands_on_the_ground_is_far() -> None:
    sky, tall, ground = (np.zeros((160, 90), bool) for _ in range(3))
    ground[100:] = True
    sky[:92, :30] = sky[:60, 30:60] = sky[:92, 60:] = True
    tall[92:100, :30] = tall[60:100, 30:60] = True  # 8 px, 40 px; beside them a car, which is neither
    far = skyline(sky, tall, ground)
    assert far[92:100, :22].all()
    assert not far[:, 30:].any()
    assert not far[:92].any()
    assert not skyline(sky, tall, np.zeros_like(ground)).any()


def test_unlabelled_pictures_need_a_teacher(masks: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--teacher"):
        find("photographs", masks, None)
    code = tmp_path / "teacher.py"
    code.write_text("class DeepLabMNV2:\n    def __init__(self): raise OSError('no such thing')\n")
    with pytest.raises(DataError, match=r"teacher\.py with .* no such thing"):
        Teacher(code, code)
    with pytest.raises(ValueError, match="KIND:FOLDER"):
        parse_set("somewhere")
    with pytest.raises(DataError, match="no kind"):
        find("drawings", masks, None)


def test_picture_and_regions_move_together_whatever_else_changes() -> None:
    """Sky is white and the ground black: over all changes the brighter side of a picture stays the sky's."""
    image, regions = np.zeros((80, 100, 3), np.uint8), np.zeros((80, 100, 3), np.uint8)
    image[:40], regions[:40, :, 0], regions[40:, :, 2] = 255, 255, 255
    things = np.full((80, 100), 4, np.uint8)
    brighter = compared = 0
    for seed in range(60):
        torch.manual_seed(seed)
        batch = augmented(RegionSample("a", image, regions, things), geometry(64))
        assert batch.image.shape == (1, 3, 64, 64)
        assert batch.image.dtype == torch.uint8
        known = batch.known[0] > 0
        assert torch.allclose(batch.regions[0].sum(0)[known], torch.ones(()), atol=1e-4)
        assert not batch.regions[0].sum(0)[~known].any()
        light = batch.image[0].float().mean(0)
        assert bool(torch.isin(batch.things, torch.tensor([-1, 4])).all())
        sky, rest = (batch.regions[0, index] > 0.9 for index in (0, 2))
        if sky.sum() > 200 and rest.sum() > 200:
            compared += 1
            brighter += int(light[sky].mean() > light[rest].mean())
    assert compared > 30
    assert brighter > 0.85 * compared  # night skies and light cards may be otherwise


def test_the_loss_looks_only_where_something_is_known() -> None:
    """Sky above, unknown below; then the rest above, half of which is said to be a ceiling."""
    regions = torch.zeros(1, 3, 4, 4)
    regions[:, 0] = 1
    known = torch.zeros(1, 4, 4)
    known[:, :2] = 1
    things = torch.full((1, 4, 4), -1)
    picture = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    batch = RegionBatch(picture, regions * known[:, None], known, things)
    logits = torch.zeros(1, len(CLASSES), 4, 4)
    assert cross_entropy(logits, batch, logits)[0].item() == pytest.approx(np.log(len(CLASSES)), abs=1e-5)
    logits[:, 0, :2], logits[:, 1, 2:] = 50, 50
    assert cross_entropy(logits, batch, logits)[0].item() == pytest.approx(0, abs=1e-5)

    things[:, :2, :2] = THINGS.index("ceiling")
    batch = RegionBatch(picture, regions.flip(1) * known[:, None], known, things)
    logits = torch.zeros(1, len(CLASSES), 4, 4)
    rest, what = np.log(len(CLASSES) / len(THINGS)), np.log(len(THINGS))
    assert cross_entropy(logits, batch, logits)[0].item() == pytest.approx(rest + THINGS_SHARE * what, abs=1e-5)
    logits[:, CLASSES.index("ceiling")] = 50
    assert cross_entropy(logits, batch, logits)[0].item() == pytest.approx(0, abs=1e-5)


def test_other_skies_are_of_the_sets_that_are_trained_on(masks: Path, tmp_path: Path) -> None:
    data, _ = prepare("masks", masks, None, tmp_path / "cache", None, lambda *_: None)
    sources = [Source(data, data.training), Source(data, [])]  # a fold keeps all of the second back
    stream = RegionStream(sources, geometry(32), 0)
    assert all(stream[number].image.shape == (1, 3, 32, 32) for number in range(12))


def test_a_damaged_picture_costs_one_sample_and_not_the_run(masks: Path, tmp_path: Path) -> None:
    data, _ = prepare("masks", masks, None, tmp_path / "cache", None, lambda *_: None)
    data.files[0].write_bytes(b"cut off")
    stream = RegionStream([Source(data, data.training)], geometry(32), 0)
    faults = [stream.draw(number).faults for number in range(12)]  # two epochs
    assert sum(map(len, faults)) == 2


def test_a_run_leaves_what_the_segmenter_loads(masks: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["train-segmenter", "--data", f"masks:{masks}=4", "--out", str(out), "--encoder-weights", "none"]
    command += ["--size", "64", "--batch", "8", "--epochs", "1", "--fold", "0", "--device", "cpu"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    losses = [line for line in (out / "log.jsonl").read_text().splitlines() if '"train"' in line]
    assert len(losses) == 2
    shipped = out / "segmenter.safetensors"
    assert shipped.stat().st_size < 8e6
    assert {str(tensor.dtype) for tensor in load_file(shipped).values()} <= {"torch.float16", "torch.int64"}
    regions = BuiltinSegmenter(CPU, shipped)(np.zeros((50, 70, 3), np.uint8))
    assert regions.sky.shape == (50, 70)

    if sys.platform == "linux":  # a finished run whose weights are no file that ends
        (out / "last.safetensors").unlink()
        os.mkfifo(out / "last.safetensors")
        again = CliRunner().invoke(main, command)
        assert (again.exit_code, "last.safetensors: its weights cannot be read" in again.output) == (1, True)
