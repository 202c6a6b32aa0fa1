"""Lists of files: names with spaces, absolute paths, scenes, parts, and KITTI's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trainer.data.depth_set import judged_pixels
from trainer.data.nyu_convert import convert_nyu
from trainer.data.open import open_data
from trainer.data.readers.file_lists import part_of, scene_of
from trainer.types import DataError

Save = Callable[..., Path]


def frame(save: Save, rgb: Path, depth: Path, value: int = 2000) -> str:
    """A picture and its depth; a CSV line of both."""
    save(np.zeros((24, 32, 3), np.uint8), rgb)
    save(np.full((24, 32), value, np.uint16), depth)
    return f"{rgb},{depth}\n"


def test_a_csv_is_split_at_its_commas_and_its_rooms_are_scenes(save: Save, tmp_path: Path) -> None:
    rows = []
    for name in ("my room", "room B"):
        for number in ("000", "001"):
            paths = tmp_path / name / "rgb" / f"{number}.png", tmp_path / name / "depth" / f"{number}.png"
            frame(save, *paths)
            rows.append(",".join(path.relative_to(tmp_path).as_posix() for path in paths) + "\n")
    (tmp_path / "train.csv").write_text("".join(rows))
    data = open_data(tmp_path / "train.csv")
    assert [data.group(index) for index in range(4)] == ["my room", "my room", "room B", "room B"]
    assert 1 / data[3].disparity[0, 0] == pytest.approx(2)


def test_two_frames_that_would_be_one_file_are_refused(save: Save, tmp_path: Path) -> None:
    rows = [frame(save, tmp_path / "rgb" / name, tmp_path / "depth" / name) for name in ("a/b_0.png", "a_b/0.png")]
    (tmp_path / "train.csv").write_text("".join(rows).replace(f"{tmp_path}/", ""))
    with pytest.raises(DataError, match=r"would be one file"):
        convert_nyu(tmp_path / "train.csv", tmp_path / "out")


def test_absolute_paths_are_where_they_say(save: Save, tmp_path: Path) -> None:
    line = frame(save, tmp_path / "a" / "rgb" / "0.png", tmp_path / "a" / "depth" / "0.png")
    for name, content in (("train.csv", line), ("train.txt", line.replace(",", " "))):
        (tmp_path / "lists").mkdir(exist_ok=True)
        (tmp_path / "lists" / name).write_text(content)
        assert 1 / open_data(tmp_path / "lists" / name)[0].disparity[0, 0] == pytest.approx(2)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, None) for name in ("latest_train", "interval", "contest", "carnival", "train_test_split")),
        *(("eigen_test_files", "test"), ("nyu2-test", "test"), ("my.val", "val"), ("Validation", "val")),
    ],
)
def test_the_part_of_a_list_is_a_word_of_its_name(name: str, part: str | None) -> None:
    assert part_of(Path(f"{name}.txt")) == part


@pytest.mark.parametrize(
    ("rgb", "scene"),
    [
        ("roomA/rgb/000.png", "roomA"),
        ("/kitchen_0028b/rgb_00045.jpg", "kitchen_0028"),
        ("data/nyu2_train/living_room_0038_out/37.jpg", "living_room_0038"),
        ("2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png", "2011_09_26_drive_0002_sync"),
        ("rgb/000.png", "the key"),
    ],
)
def test_a_scene_is_the_last_folder_that_names_a_place(rgb: str, scene: str) -> None:
    assert scene_of(rgb, "the key") == scene


def test_kittis_list_has_its_own_scale_crop_and_drives(save: Save, tmp_path: Path) -> None:
    lines = []
    for drive in ("0001", "0002"):
        rgb = f"2011_09_26/2011_09_26_drive_{drive}_sync/image_02/data/0000000069.png"
        depth = f"2011_09_26_drive_{drive}_sync/proj_depth/groundtruth/image_02/0000000069.png"
        save(np.zeros((375, 1242, 3), np.uint8), tmp_path / rgb)
        sparse = np.zeros((375, 1242), np.uint16)
        sparse[::3, ::5] = 2611  # 10.2 m
        sparse[::3, ::50] = 90 * 256
        save(sparse, tmp_path / depth)
        lines.append(f"{rgb} {depth} 721.5377\n")
    (tmp_path / "eigen_train_files_with_gt.txt").write_text("".join(lines))
    data = open_data(tmp_path / "eigen_train_files_with_gt.txt")
    assert [data.group(index) for index in range(2)] == [f"2011_09_26_drive_{drive}_sync" for drive in ("0001", "0002")]
    sample = data[0]
    assert 1 / sample.disparity[150, 5] == pytest.approx(10.2, abs=0.01)
    judged = judged_pixels(data, sample)
    assert judged[165, 105]
    assert not judged[165, 100]  # beyond 80 m
    assert not judged[150, 105]  # above Garg's crop, which begins at row 153


def test_a_list_whose_files_are_not_there_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("rgb/0.png,depth/0.png\n")
    with pytest.raises(DataError, match="not below its folder"):
        open_data(tmp_path / "train.csv")
    for content in ("a.png," + "b" * 200_000, "a.png,b.png\x00\n", '"a.png'):
        (tmp_path / "train.csv").write_text(content)
        with pytest.raises(DataError, match=r"train\.csv: (is no list|a\.png is not below)"):
            open_data(tmp_path / "train.csv")
