"""NYU Depth v2 in every form: the .mat in miniature, folders, file lists, the converter; wrong and broken files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.io import savemat

from cli import main
from trainer.data.nyu_convert import convert_nyu
from trainer.data.open import open_data
from trainer.data.readers.file_lists import is_list
from trainer.data.splits import split
from trainer.types import DataError

Save = Callable[..., Path]
SCENES = ("kitchen_0001", "kitchen_0001", "office_0002", "office_0003")


def labelled_mat(folder: Path, count: int = 4) -> Path:
    """The published file in its own order of axes: images Nx3xWxH, depths NxWxH, scenes as references to characters."""
    generator = np.random.default_rng(0)
    file = folder / "nyu_depth_v2_labeled.mat"
    with h5py.File(file, "w") as mat:
        mat["images"] = generator.integers(0, 256, (count, 3, 640, 480), np.uint8)
        mat["depths"] = generator.uniform(0.7, 9.9, (count, 640, 480)).astype(np.float32)
        metres = np.asarray(mat["depths"]).copy()
        metres[:, 100:110] = 0  # columns that the camera did not measure
        mat["rawDepths"] = metres
        references = []
        for at, scene in enumerate(SCENES[:count]):
            mat[f"#refs#/{at}"] = np.array([[ord(letter)] for letter in scene], np.uint16)
            references.append(mat[f"#refs#/{at}"].ref)
        mat.create_dataset("scenes", data=np.array([references], object), dtype=h5py.ref_dtype)
    savemat(folder / "splits.mat", {"trainNdxs": np.array([[1], [2], [4]]), "testNdxs": np.array([[3]])})
    return file


@pytest.fixture(scope="module")
def mat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_mat(tmp_path_factory.mktemp("mat"))


def test_the_labelled_mat_is_upright_in_metres_and_masked(mat: Path) -> None:
    for path in (mat, mat.parent):
        data = open_data(path)
        assert len(data) == 4
    sample = data[3]
    with h5py.File(mat) as opened:
        np.testing.assert_array_equal(sample.image[200, 300], opened["images"][3, :, 300, 200])
        assert 1 / sample.disparity[200, 300] == pytest.approx(float(opened["depths"][3, 300, 200]), rel=1e-6)
    known = np.isfinite(sample.disparity)
    assert not known[:, 100:110].any()
    assert not known[:8].any()
    assert not known[:, -8:].any()
    assert known.sum() == (480 - 16) * (640 - 16 - 10)
    assert data.evaluation_mask((480, 640)).sum() == 426 * 560


@pytest.mark.parametrize("name", ["images", "rawDepths", "scenes"])
def test_arrays_that_lie_in_other_files_are_not_read(mat: Path, tmp_path: Path, name: str) -> None:
    file = shutil.copytree(mat.parent, tmp_path / "set") / mat.name
    with h5py.File(file, "r+") as opened:
        del opened[name]
        opened[name] = h5py.ExternalLink(str(mat), name)
    with pytest.raises(DataError, match=f"no array called {name} of its own"):
        open_data(file)


def test_arrays_of_another_kind_and_names_that_are_no_text_are_refused(mat: Path, tmp_path: Path) -> None:
    file = shutil.copytree(mat.parent, tmp_path / "set") / mat.name
    with h5py.File(file, "a") as opened:
        opened["#refs#/0"][...] = 0xD800  # half of a letter
    with pytest.raises(DataError, match=r"is not nyu_depth_v2_labeled\.mat.*surrogate"):
        open_data(file)
    with h5py.File(file, "a") as opened:
        del opened["images"]
        opened.create_dataset("images", (4, 3, 640, 480), h5py.string_dtype())
    with pytest.raises(DataError, match="images is object"):
        open_data(file)


def test_a_small_list_that_unpacks_to_gigabytes_is_not_unpacked(mat: Path, tmp_path: Path) -> None:
    file = shutil.copytree(mat.parent, tmp_path / "set") / mat.name
    file.with_name("splits.mat").write_bytes(bytes(65_537))  # what is compressed has a thousand times as much at most
    with pytest.raises(DataError, match="at most 65536 are read"):
        open_data(file)


def test_the_official_split_and_the_scenes_are_kept(mat: Path) -> None:
    data = open_data(mat)
    assert [data.part(index) for index in range(4)] == [None, None, "test", None]
    assert [data.group(index) for index in range(4)] == list(SCENES)
    train, validation = split(data, 0.3)
    assert 2 not in train + validation
    assert len({0, 1} & set(train)) in (0, 2)


def test_a_broken_or_wrong_mat_is_a_sentence(mat: Path, tmp_path: Path) -> None:
    whole = mat.read_bytes()
    for content, message in (
        (whole[: len(whole) // 2], r"cut off.*2\.8 GB"),
        (b"<html>404</html>", "no MATLAB 7.3 file"),
    ):
        (tmp_path / mat.name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            open_data(tmp_path)
    (tmp_path / mat.name).write_bytes(whole)
    with pytest.raises(DataError, match=r"splits\.mat is missing"):
        open_data(tmp_path)
    (tmp_path / "splits.mat").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"cannot be read as NYU's splits\.mat"):
        open_data(tmp_path)
    savemat(tmp_path / "splits.mat", {"trainNdxs": np.array([[1], [9]]), "testNdxs": np.array([[3]])})
    with pytest.raises(DataError, match="does not belong to a set of 4 frames"):
        open_data(tmp_path)
    savemat(tmp_path / "old.mat", {"images": np.zeros(3)})
    with pytest.raises(DataError, match="old MATLAB file; in MATLAB save it with save -v7"):
        open_data(tmp_path / "old.mat")
    with h5py.File(tmp_path / "other.mat", "w") as other:
        other["x"] = np.zeros(3)
    with pytest.raises(DataError, match="has no images, depths, scenes"):
        open_data(tmp_path / "other.mat")
    with pytest.raises(DataError, match="there is no file"):
        open_data(tmp_path / "none.mat")


def frame(save: Save, rgb: Path, depth: Path, values: Any = 2000, dtype: Any = np.uint16) -> None:
    save(np.zeros((240, 320, 3), np.uint8), rgb)
    map_of = np.full((240, 320), values, dtype)
    map_of[:10] = 0
    if depth.suffix == ".npy":
        depth.parent.mkdir(parents=True, exist_ok=True)
        np.save(depth, map_of)
    elif depth.suffix == ".tif":
        depth.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(map_of).save(depth)
    else:
        save(map_of, depth)


@pytest.mark.parametrize(
    ("ending", "values", "dtype"), [("png", 2000, np.uint16), ("npy", 2, np.float64), ("tif", 2, np.float32)]
)
def test_folders_of_millimetres_or_metres(tmp_path: Path, save: Save, ending: str, values: Any, dtype: Any) -> None:
    for stem in "ab":
        frame(save, tmp_path / "rgb" / f"{stem}.jpg", tmp_path / "depth" / f"{stem}.{ending}", values, dtype)
    data = open_data(tmp_path)
    assert [data.key(index) for index in range(len(data))] == ["a", "b"]
    np.testing.assert_allclose(data[0].disparity[10:], 0.5, rtol=1e-6)
    assert np.isnan(data[0].disparity[:10]).all()


def test_bts_lists(tmp_path: Path, save: Save) -> None:
    for part, scene, line in (
        ("train", "kitchen_0028b", "/kitchen_0028b/rgb_00045.jpg /kitchen_0028b/sync_depth_00045.png 518.8579"),
        ("test", "bathroom", "bathroom/rgb_00045.jpg bathroom/sync_depth_00045.png 518.8579"),
    ):
        frame(save, tmp_path / scene / "rgb_00045.jpg", tmp_path / scene / "sync_depth_00045.png")
        (tmp_path / f"nyudepthv2_{part}_files_with_gt.txt").write_text(line + "\n")
    data = open_data(tmp_path)
    assert [data.part(index) for index in range(2)] == [None, "test"]
    assert data.group(0) == "kitchen_0028"  # with kitchen_0028a
    assert data[0].disparity[100, 100] == pytest.approx(0.5)
    assert len(open_data(tmp_path / "nyudepthv2_test_files_with_gt.txt")) == 1


def test_densedepth_lists_have_8_bits_for_training_and_16_for_test(tmp_path: Path, save: Save) -> None:
    scene = "data/nyu2_train/living_room_0038_out"
    frame(save, tmp_path / scene / "37.jpg", tmp_path / scene / "37.png", 51, np.uint8)
    frame(save, tmp_path / "data/nyu2_test/00000_colors.png", tmp_path / "data/nyu2_test/00000_depth.png")
    (tmp_path / "data" / "nyu2_train.csv").write_text(f"{scene}/37.jpg,{scene}/37.png\n")
    (tmp_path / "data" / "nyu2_test.csv").write_text("data/nyu2_test/00000_colors.png,data/nyu2_test/00000_depth.png\n")
    data = open_data(tmp_path)
    assert data.group(0) == "living_room_0038"
    for index in range(2):
        assert data[index].disparity[100, 100] == pytest.approx(0.5)
    assert [data.part(index) for index in range(2)] == [None, "test"]
    assert is_list(tmp_path / "data" / "nyu2_test.csv")
    diw = tmp_path / "diw.csv"
    diw.write_text("./DIW_test/a.jpg\n1,1,80,100,>,100,80\n")
    assert not is_list(diw)


def test_wrong_files_are_a_sentence(tmp_path: Path, save: Save) -> None:
    frame(save, tmp_path / "rgb" / "a.jpg", tmp_path / "depth" / "a.png", 20)
    with pytest.raises(DataError, match=r"0\.02 m: is it in another unit"):
        open_data(tmp_path)
    frame(save, tmp_path / "eight" / "rgb" / "a.jpg", tmp_path / "eight" / "depth" / "a.png", 5, np.uint8)
    with pytest.raises(DataError, match="has 8 bits"):
        open_data(tmp_path / "eight")[0]
    frame(save, tmp_path / "rgb" / "b.jpg", tmp_path / "b.png")
    with pytest.raises(DataError, match="no partner of the same name"):
        open_data(tmp_path)
    (tmp_path / "list.txt").write_text("c/rgb.jpg c/depth.png 1\n")
    with pytest.raises(DataError, match="not below its folder"):
        open_data(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("hello\n")
    with pytest.raises(DataError, match="is no list"):
        open_data(tmp_path / "list.txt")


def test_the_converter_keeps_depth_masks_parts_and_scenes(mat: Path, tmp_path: Path, save: Save) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["convert-nyu", str(mat), str(out)], catch_exceptions=False)
    assert "4 frames" in result.output
    before, after = open_data(mat), open_data(out)
    assert [after.part(index) for index in range(4)] == [before.part(index) for index in range(4)]
    assert split(after, 0.3) == split(before, 0.3)
    for index in (0, 2):
        np.testing.assert_array_equal(after[index].image, before[index].image)
        np.testing.assert_array_equal(np.isnan(after[index].disparity), np.isnan(before[index].disparity))
        known = np.isfinite(before[index].disparity)
        error = 1 / after[index].disparity[known] - 1 / before[index].disparity[known]
        assert float(np.abs(error).max()) < 0.0006  # half a millimetre
    (out / "depth" / "00001.png").unlink()
    kept = (out / "depth" / "00000.png").stat().st_mtime_ns
    convert_nyu(mat, out)
    assert (out / "depth" / "00001.png").is_file()
    assert (out / "depth" / "00000.png").stat().st_mtime_ns == kept
    said = (out / "depth.json").read_bytes()
    save(np.zeros((8, 8), np.uint8), out / "rgb" / "of-another-set.png")
    with pytest.raises(DataError, match=r"of-another-set\.png is no frame of .*: name a new folder"):
        convert_nyu(mat, out)
    assert (out / "depth.json").read_bytes() == said
    for folder in ("Imgs", "RDs"):
        save(np.zeros((8, 8), np.uint8), tmp_path / folder / "a.png")
    with pytest.raises(DataError, match="not in metres"):
        convert_nyu(tmp_path, tmp_path / "x")


def test_a_converted_set_of_another_camera_is_not_judged_in_nyus_crop(tmp_path: Path, save: Save) -> None:
    tum = tmp_path / "tum"  # judged up to 10 m, as NYU is
    for folder, values in (("rgb", np.zeros((480, 640, 3), np.uint8)), ("depth", np.full((480, 640), 9000, np.uint16))):
        save(values, tum / folder / "0.png")
        (tum / f"{folder}.txt").write_text(f"0.0 {folder}/0.png\n")
    convert_nyu(tum, tmp_path / "out")
    assert open_data(tmp_path / "out").evaluation_mask((480, 640)).all()


def test_depth_that_millimetres_of_16_bits_do_not_hold_is_unknown(tmp_path: Path, save: Save) -> None:
    save(np.zeros((8, 8, 3), np.uint8), tmp_path / "far" / "rgb" / "a.png")
    (tmp_path / "far" / "depth").mkdir()
    metres = np.full((8, 8), 20, np.float32)
    metres[0, :4] = 65.535, 65.536, 80, np.nan
    np.save(tmp_path / "far" / "depth" / "a.npy", metres)
    convert_nyu(tmp_path / "far", tmp_path / "out")
    converted = 1 / open_data(tmp_path / "out")[0].disparity[0]
    np.testing.assert_allclose(converted, [65.535, *[np.nan] * 3, *[20] * 4], rtol=1e-6)
