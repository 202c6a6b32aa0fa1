"""RGB-D of any camera: the scale of its numbers, sizes, pictures of every form, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import OpenEXR
import pytest
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.dataset.codec import png_of_label
from redweb_builder.dataset.depth_png import IN_MILLIMETRES, depth_png, range_text
from redweb_builder.errors import SettingsError
from redweb_builder.types import Label
from trainer.data.depth_files import read_depth
from trainer.data.depth_scale import DepthScale, parse_scale
from trainer.data.depth_set import judged_pixels
from trainer.data.open import open_data
from trainer.data.splits import three_parts
from trainer.evaluation.stored import open_stored
from trainer.types import DataError

Save = Callable[..., Path]
SHAPE = (48, 64)
METRES = np.repeat(np.linspace(3.4, 0.9, SHAPE[0])[:, None], SHAPE[1], axis=1)  # a room of 2.15 m, nearer downwards


def room(save: Save, folder: Path, per_metre: float = 1000, count: int = 3, known: float = 1.0) -> Path:
    """rgb/ and depth/ of a camera that stores `per_metre` units a metre in 16 bits."""
    generator = np.random.default_rng(0)
    for number in range(count):
        stored = np.rint(METRES * per_metre).astype(np.uint16)
        stored[generator.random(SHAPE) > known] = 0
        save(generator.integers(0, 256, (*SHAPE, 3), np.uint8), folder / "rgb" / f"{number}.png")
        save(stored, folder / "depth" / f"{number}.png")
    return folder


@pytest.mark.parametrize(("per_metre", "typical"), [(5000, "10.8 m"), (256, "0.551 m")])
def test_a_scale_that_nobody_states_must_look_like_a_room(
    save: Save, tmp_path: Path, per_metre: float, typical: str
) -> None:
    folder = room(save, tmp_path, per_metre)
    with pytest.raises(DataError, match=rf"read as millimetres.*{typical}.*--depth-scale.*{per_metre} \(.*: 2.15 m\)"):
        open_data(folder)
    for data in (open_data(folder, DepthScale(per_metre)), _with_json(folder, {"scale": per_metre})):
        np.testing.assert_allclose(1 / data[0].disparity, METRES, atol=0.002)


@pytest.mark.parametrize("row", ["{key},{part},", "{key},{part}"])
def test_frames_without_a_scene_stand_by_themselves(save: Save, tmp_path: Path, row: str) -> None:
    """In one scene of no name nothing of them could be held out; a row that ends early was no sentence."""
    folder = room(save, tmp_path, count=10)
    rows = [row.format(key=number, part="test" if number < 2 else "train") for number in range(10)]
    (folder / "split.csv").write_text("\n".join(["key,part,scene", *rows]) + "\n")
    parts = {part: len(own) for part, own in three_parts(open_data(folder), 0.2, 0.0).items()}
    assert parts == {"train": 6, "val": 2, "test": 2}


def _with_json(folder: Path, content: Any) -> Any:
    (folder / "depth.json").write_text(json.dumps(content))
    return open_data(folder)


def test_millimetres_of_any_size_are_read_and_judged_everywhere(save: Save, tmp_path: Path) -> None:
    data = open_data(room(save, tmp_path))
    np.testing.assert_allclose(1 / data[0].disparity, METRES, atol=0.001)
    assert judged_pixels(data, data[0]).all()  # no crop and no 10 m of NYU
    assert data.farthest is None
    assert data[0].true_zero


def test_sparse_depth_without_a_scale_is_refused(save: Save, tmp_path: Path) -> None:
    folder = room(save, tmp_path, known=0.05)
    with pytest.raises(DataError, match="only 5 % of its pixels are known, as of LiDAR"):
        open_data(folder)
    assert len(open_data(folder, DepthScale(1000))) == 3


def test_a_folder_and_the_command_line_must_agree(save: Save, tmp_path: Path) -> None:
    folder = room(save, tmp_path, 5000)
    assert len(_with_json(folder, {"scale": 5000})) == 3
    with pytest.raises(DataError, match=r"says depth scale 5000, --depth-scale says 1000"):
        open_data(folder, DepthScale(1000))
    wrongs: list[Any] = [{"scale": 0}, {"scale": "1000"}, {"scale": True}, {"scale": 1, "inverse": 1}, [], {"x": 1}]
    for wrong in wrongs:
        with pytest.raises(DataError, match=r"depth\.json: must be like"):
            _with_json(folder, wrong)
    (folder / "depth.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"depth\.json: must be like"):
        open_data(folder)


def test_inverse_depth(save: Save, tmp_path: Path) -> None:
    room(save, tmp_path)
    for number in range(3):
        save(np.rint(10_000 / METRES).astype(np.uint16), tmp_path / "depth" / f"{number}.png")
    data = open_data(tmp_path, parse_scale("inverse:10000"))
    np.testing.assert_allclose(1 / data[0].disparity, METRES, rtol=1e-3)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "feet", "inverse:x", "5000 inverse"])
def test_a_scale_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--depth-scale"):
        parse_scale(text)


def test_the_words_of_scales() -> None:
    words = {"metres": 1, "millimetres": 1000, "5000": 5000, "0.5": 0.5}
    assert {text: parse_scale(text).per_metre for text in words} == words
    assert parse_scale("inverse") == DepthScale(1, inverse=True)


def test_depth_smaller_than_its_picture_is_brought_to_it(save: Save, tmp_path: Path) -> None:
    folder = room(save, tmp_path)
    for number in range(3):
        save(np.rint(1000 * METRES[::2, ::2]).astype(np.uint16), folder / "depth" / f"{number}.png")
    sample = open_data(folder)[0]
    np.testing.assert_allclose(1 / sample.disparity, METRES[::2, ::2].repeat(2, 0).repeat(2, 1), atol=0.001)
    save(np.full((30, 64), 2000, np.uint16), folder / "depth" / "0.png")
    with pytest.raises(DataError, match=r"0\.png: is 64x30, its picture 64x48"):
        open_data(folder)[0]


def write_pfm(file: Path, values: NDArray[Any]) -> None:
    header = f"Pf\n{values.shape[1]} {values.shape[0]}\n-1.0\n".encode()
    file.write_bytes(header + values[::-1].astype("<f4").tobytes())


def write_h5(file: Path, values: NDArray[Any]) -> None:
    with h5py.File(file, "w") as opened:
        opened["depth"], opened["rgb"] = values, np.zeros((3, *values.shape), np.uint8)


def write_exr(file: Path, values: NDArray[Any], channels: str = "Z") -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {name: values.astype(np.float32) for name in channels}).write(str(file))


WRITERS: dict[str, Callable[[Path, NDArray[Any]], Any]] = {
    ".npy": np.save,
    ".npz": lambda file, values: np.savez_compressed(file, depth=values),
    ".tif": lambda file, values: Image.fromarray(values.astype(np.float32)).save(file),
    ".pfm": write_pfm,
    ".h5": write_h5,
    ".exr": write_exr,
}


@pytest.mark.parametrize("ending", WRITERS)
def test_depth_in_metres_in_every_form(save: Save, tmp_path: Path, ending: str) -> None:
    folder = room(save, tmp_path)
    for number in range(3):
        (folder / "depth" / f"{number}.png").unlink()
        WRITERS[ending](folder / "depth" / f"{number}{ending}", METRES)
    np.testing.assert_allclose(1 / open_data(folder)[0].disparity, METRES, rtol=1e-4)


def test_a_form_that_is_not_read_is_named(save: Save, tmp_path: Path) -> None:
    folder = room(save, tmp_path)
    for number in range(3):
        (folder / "depth" / f"{number}.png").rename(folder / "depth" / f"{number}.mat")
    with pytest.raises(DataError, match=r"depth must be PNG or TIFF, \.npy, .*; \.mat found"):
        open_data(folder)


def hostile_files(folder: Path) -> dict[str, Path]:
    """Depth files that lie about their size, lead elsewhere or want to run code."""
    header = b"\x93NUMPY\x01\x00"
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + b"\n"
    huge = folder / "huge.npy"
    huge.write_bytes(header + len(text).to_bytes(2, "little") + text + bytes(64))
    np.save(folder / "objects.npy", np.array([{}, 1], object), allow_pickle=True)
    (folder / "huge.pfm").write_bytes(b"Pf\n99999 99999\n-1.0\n" + bytes(64))
    (folder / "negative.pfm").write_bytes(b"Pf\n-4 -4\n-1.0\n" + bytes(64))
    (folder / "nothing.npz").write_bytes(b"PK")
    np.savez(folder / "several.npz", a=METRES, b=METRES)
    (folder / "x.h5").write_bytes(b"no HDF5")
    np.save(folder / "secret.npy", METRES)
    with h5py.File(folder / "other.h5", "w") as other:
        other["depth"] = METRES
    with h5py.File(folder / "link.h5", "w") as opened:
        opened["depth"] = h5py.ExternalLink(str(folder / "other.h5"), "depth")
    with h5py.File(folder / "external.h5", "w") as opened:
        opened.create_dataset("depth", (4, 4), np.float32, external=[(str(folder / "secret.npy"), 128, 64)])
    (folder / "words.npy").write_bytes(b"words")
    write_exr(folder / "cut.exr", METRES)
    whole = (folder / "cut.exr").read_bytes()
    (folder / "cut.exr").write_bytes(whole[: len(whole) - 40])
    width = b"dataWindow\0box2i\0" + (16).to_bytes(4, "little") + bytes(8)
    at = whole.index(width) + len(width)
    (folder / "huge.exr").write_bytes(whole[:at] + (2**30).to_bytes(4, "little") * 2 + whole[at + 8 :])
    write_exr(folder / "colours.exr", METRES, "GB")
    return {file.name: file for file in folder.iterdir() if file.name not in ("secret.npy", "other.h5")}


def test_hostile_depth_files_are_a_sentence(tmp_path: Path) -> None:
    for name, file in hostile_files(tmp_path).items():
        with pytest.raises(DataError, match=name):
            read_depth(file)


def test_things_that_are_marked_come_with_the_sample(save: Save, tmp_path: Path) -> None:
    data = open_data(room(save, tmp_path))
    marked = np.zeros(SHAPE, np.uint16)
    marked[10:20] = 300
    save(marked, tmp_path / "instances" / "0.png")
    save(marked[:9], tmp_path / "instances" / "1.png")
    np.testing.assert_array_equal(data[0].instances, marked)
    with pytest.raises(DataError, match=r"instances/1\.png.*64x9"):
        data[1]
    assert data[2].instances is None


def test_tum_is_taken_together_by_time(save: Save, tmp_path: Path) -> None:
    times = {"rgb": (1.000, 1.033, 1.066, 2.000), "depth": (1.005, 1.050, 1.064, 3.000)}
    for name, stamps in times.items():
        lines = "".join(f"{stamp:.6f} {name}/{stamp:.6f}.png\n" for stamp in stamps)
        (tmp_path / f"{name}.txt").write_text(f"# {name} maps\n{lines}")
    for stamp in times["rgb"]:
        save(np.zeros((*SHAPE, 3), np.uint8), tmp_path / "rgb" / f"{stamp:.6f}.png")
    for stamp in times["depth"]:
        save(np.rint(5000 * METRES * stamp).astype(np.uint16), tmp_path / "depth" / f"{stamp:.6f}.png")
    data = open_data(tmp_path)
    assert [data.key(index).rpartition("/")[2] for index in range(len(data))] == ["1.000000", "1.033000", "1.066000"]
    for index, stamp in enumerate((1.005, 1.050, 1.064)):
        np.testing.assert_allclose(1 / data[index].disparity, METRES * stamp, atol=0.001)
    assert {data.group(index) for index in range(3)} == {tmp_path.name}
    assert data.farthest == 10
    with pytest.raises(DataError, match="says depth scale 5000, --depth-scale says 1000"):
        open_data(tmp_path, DepthScale(1000))
    (tmp_path / "rgb.txt").write_text("nonsense\n")
    with pytest.raises(DataError, match=r"rgb\.txt: is no list of time stamps"):
        open_data(tmp_path)


def test_the_h5_copy_of_nyu(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    picture, metres = generator.integers(0, 256, (3, 480, 640), np.uint8), generator.uniform(1, 9, (480, 640))
    for place in ("train/kitchen_0028a/00001", "train/kitchen_0028b/00001", "val/official/00002"):
        (tmp_path / place).parent.mkdir(parents=True)
        with h5py.File(tmp_path / f"{place}.h5", "w") as file:
            file["rgb"], file["depth"] = picture, metres.astype(np.float32)
    data = open_data(tmp_path)
    assert [data.part(index) for index in range(3)] == [None, None, "test"]
    assert [data.group(index) for index in range(3)] == ["kitchen_0028", "kitchen_0028", "official"]
    np.testing.assert_allclose(1 / data[0].disparity, metres, rtol=1e-5)
    np.testing.assert_array_equal(data[0].image, picture.transpose(1, 2, 0))
    assert judged_pixels(data, data[0]).sum() == 426 * 560


# ---- pictures ---------------------------------------------------------------------------------------------------


def test_pictures_are_upright_and_of_eight_bits(save: Save, tmp_path: Path) -> None:
    """EXIF rotation, 16-bit grey, palette, CMYK and alpha, as the builder and predict see them."""
    folder = room(save, tmp_path, count=5)
    rgb = folder / "rgb"
    picture = np.zeros((*SHAPE, 3), np.uint8)
    picture[: SHAPE[0] // 2] = 200  # bright above
    turned = Image.Exif()
    turned[0x0112] = 3
    Image.fromarray(picture[::-1, ::-1]).save(rgb / "0.png", exif=turned)
    Image.fromarray(picture[..., 0].astype(np.uint16) * 257).save(rgb / "1.png")
    Image.fromarray(picture).quantize(8).save(rgb / "2.png")
    (rgb / "3.png").unlink()
    Image.fromarray(picture).convert("CMYK").save(rgb / "3.tif")
    opaque = np.concatenate([picture, np.full((*SHAPE, 1), 255, np.uint8)], axis=2)
    Image.fromarray(opaque).save(rgb / "4.png")
    data = open_data(folder)
    for index in range(5):
        np.testing.assert_allclose(data[index].image, picture, atol=4, err_msg=data.key(index))


def test_only_photographs_are_decoded(save: Save, tmp_path: Path) -> None:
    """An EPS file named x.png would start Ghostscript."""
    folder = room(save, tmp_path)
    (folder / "rgb" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n")
    (folder / "depth" / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n")
    data = open_data(folder)
    for index in (0, 1):
        with pytest.raises(DataError, match="is not a picture in a known format"):
            data[index]


def test_files_that_say_they_are_relative_are_no_metres_and_labels_no_predictions(tmp_path: Path, save: Save) -> None:
    label = Label(np.ones((6, 8), np.float32), np.ones((6, 8), np.uint8), np.ones((6, 8), np.uint8))
    values = np.full((6, 8), 2000, np.uint16)
    save(np.zeros((6, 8, 3), np.uint8), tmp_path / "rgb" / "a.png")
    (tmp_path / "depth").mkdir()
    file = tmp_path / "depth" / "a.png"
    for content in (depth_png(values, range_text((0.0, 1.0))), png_of_label(label)):
        file.write_bytes(content)
        with pytest.raises(DataError, match="relative depth"):
            open_data(tmp_path)[0]
    with pytest.raises(DataError, match="a label of a data set"):
        open_stored(tmp_path / "depth", "near").read("a", np.zeros((6, 8, 3), np.uint8))
    file.write_bytes(depth_png(values, IN_MILLIMETRES))
    assert 1 / open_data(tmp_path)[0].disparity[0, 0] == pytest.approx(2)
    assert open_stored(tmp_path / "depth").read("a", np.zeros((6, 8, 3), np.uint8))[1] == "metres"
