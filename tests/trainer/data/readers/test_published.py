"""The layouts of published data sets in miniature: units, masks, caps, groups and parts; known answers in each."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from trainer.data.depth_set import DepthSet, in_metres, judged_pixels
from trainer.data.open import open_data
from trainer.types import DataError

Save = Callable[..., Path]
PICTURE = np.zeros((4, 6, 3), np.uint8)
METRES = np.array([[2.0, 4.0, 0.0, 8.0, 90.0, 3.0]] * 4, np.float32)  # the third is unknown


def depth_of(data: DepthSet, index: int = 0) -> Any:
    """The first row of a sample's depth, 0 where unknown."""
    return np.nan_to_num(1 / data[index].disparity[0])


def put(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def put_npy(file: Path, values: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, values)


def eth3d(folder: Path, save: Save, rgb: str = "", depth: str = "") -> Path:
    save(PICTURE, folder / rgb / "office/images/dslr_images/DSC_1.JPG")
    raw = np.where(METRES == 0, np.inf, METRES).astype("<f4")
    put(folder / depth / "office/ground_truth_depth/dslr_images/DSC_1.JPG", raw.tobytes())
    return folder


@pytest.mark.parametrize(("rgb", "depth"), [("", ""), ("rgb", "depth/office_dslr_depth")])
def test_eth3d_is_raw_metres_judged_up_to_72(tmp_path: Path, save: Save, rgb: str, depth: str) -> None:
    data = open_data(eth3d(tmp_path, save, rgb, depth))
    assert depth_of(data) == pytest.approx(METRES[0], rel=1e-5)
    assert (data.key(0), data.group(0), in_metres(data)) == ("office/DSC_1", "office", True)
    assert judged_pixels(data, data[0])[0].tolist() == [True, True, False, True, False, True]
    next(tmp_path.rglob("ground_truth_depth/dslr_images/*.JPG")).write_bytes(b"short")
    with pytest.raises(DataError, match="not 6x4 float32"):
        data[0]


def dpt(metres: Any) -> bytes:
    height, width = metres.shape
    return struct.pack("<fii", 202021.25, width, height) + bytes(metres.astype("<f4").tobytes())


def test_sintel_has_its_own_unit_and_its_final_pass(tmp_path: Path, save: Save) -> None:
    for name in ("clean", "final"):
        save(PICTURE, tmp_path / f"training/{name}/alley_1/frame_0001.png")
    file = put(tmp_path / "training/depth/alley_1/frame_0001.dpt", dpt(METRES))
    for folder in (tmp_path, tmp_path / "training"):
        data = open_data(folder)
        assert depth_of(data) == pytest.approx(METRES[0], rel=1e-5)
        assert data.files(0)[0].parent.parent.name == "final"
        assert (in_metres(data), data.farthest, data.group(0)) == (False, 72.0, "alley_1")
    file.write_bytes(b"HEIP" + dpt(METRES)[4:])
    with pytest.raises(DataError, match=r"no \.dpt file of 6x4"):
        data[0]


def test_diode_is_masked_and_its_val_is_validation(tmp_path: Path, save: Save) -> None:
    for part, number in (("train", 1), ("val", 2)):
        scan = tmp_path / part / f"indoors/scene_0000{number}/scan_00001"
        save(PICTURE, scan / "a.png")
        put_npy(scan / "a_depth.npy", METRES[..., None])
        put_npy(scan / "a_depth_mask.npy", (np.arange(24).reshape(4, 6) > 0).astype(np.float32))
    data = open_data(tmp_path)
    assert [data.part(index) for index in range(2)] == [None, "val"]
    assert depth_of(data) == pytest.approx([0, *METRES[0, 1:]], rel=1e-5)
    assert data.group(0) == "scene_00001"
    assert open_data(tmp_path / "val").part(0) == "val"
    assert open_data(tmp_path / "val" / "indoors").part(0) == "val"


def test_ibims_is_no_folder_of_millimetres(tmp_path: Path, save: Save) -> None:
    """Its rgb/ and depth/ alone would be read as millimetres: 20 % too near, without a word."""
    stored = np.rint(METRES[:, :4] * 65535 / 50).astype(np.uint16)
    hidden = np.full(stored.shape, 255, np.uint8)
    hidden[:, 1] = 0
    save(PICTURE[:, :4], tmp_path / "rgb/a.png")
    save(stored, tmp_path / "depth/a.png")
    save(np.full(stored.shape, 255, np.uint8), tmp_path / "mask_invalid/a.png")
    save(hidden, tmp_path / "mask_transp/a.png")
    data = open_data(tmp_path)
    assert depth_of(data) == pytest.approx([2, 0, 0, 8], abs=1e-3)
    assert data.part(0) == "test"
    save(hidden[:, :3], tmp_path / "mask_transp/a.png")
    with pytest.raises(DataError, match=r"the mask is \(4, 3\), its depth map \(4, 4\)"):
        data[0]


@pytest.mark.parametrize(("rgb", "depth"), [("", ""), ("rgb", "depth"), ("vkitti_2.0.3_rgb", "vkitti_2.0.3_depth")])
def test_virtual_kitti_is_centimetres_without_its_sky(tmp_path: Path, save: Save, rgb: str, depth: str) -> None:
    stored = (100 * METRES).astype(np.uint16)
    stored[:, 0] = 65535
    for variant in ("clone", "fog"):
        save(PICTURE, tmp_path / rgb / f"Scene01/{variant}/frames/rgb/Camera_0/rgb_00000.jpg")
        save(stored, tmp_path / depth / f"Scene01/{variant}/frames/depth/Camera_0/depth_00000.png")
    data = open_data(tmp_path)
    assert len(data) == 2
    assert depth_of(data, 1) == pytest.approx([0, *METRES[0, 1:]], rel=1e-5)
    assert {data.group(0), data.group(1)} == {"Scene01"}
    assert judged_pixels(data, data[0])[0].sum() == 3  # neither sky, nor unknown, nor 90 m


def test_megadepth_knows_no_metres_and_leaves_ordinal_pictures_without_a_label(tmp_path: Path, save: Save) -> None:
    h5py = pytest.importorskip("h5py")
    home = tmp_path / "phoenix/S6/zl548/MegaDepth_v1/0001/dense0"
    (home / "depths").mkdir(parents=True)
    for name, values in (("a", METRES), ("b", np.where(METRES == 2, -1, METRES))):
        save(PICTURE, home / f"imgs/{name}.jpg")
        with h5py.File(home / f"depths/{name}.h5", "w") as file:
            file["depth"] = values
    data = open_data(tmp_path)
    assert depth_of(data) == pytest.approx(METRES[0], rel=1e-5)
    assert not depth_of(data, 1).any()
    assert (in_metres(data), data.group(0)) == (False, "0001")


def test_arkit_takes_the_lasers_depth_or_what_its_confidence_allows(tmp_path: Path, save: Save) -> None:
    sure = np.full((4, 6), 2, np.uint8)
    sure[:, 0] = 0
    low, high = tmp_path / "Training/1", tmp_path / "Validation/2"
    for home, rgb, depths in (
        (low, "lowres_wide", ("lowres_depth",)),
        (high, "wide", ("highres_depth", "lowres_depth")),
    ):
        save(PICTURE, home / rgb / "1_0.5.png")
        for name in (*depths, "confidence"):
            save(
                sure if name == "confidence" else (1000 * METRES[:, :]).clip(0, 60_000).astype(np.uint16),
                home / name / "1_0.5.png",
            )
    data = open_data(tmp_path)
    by_key = {data.key(index): index for index in range(len(data))}
    assert len(data) == 2
    assert depth_of(data, by_key["1/1_0.5"])[:2] == pytest.approx([0, 4])
    assert depth_of(data, by_key["2/1_0.5"])[:2] == pytest.approx([2, 4])
    assert data.part(by_key["2/1_0.5"]) == "val"


def test_stray_scanner_wants_the_frames_of_its_film(tmp_path: Path, save: Save) -> None:
    save((1000 * METRES[:, :4]).astype(np.uint16), tmp_path / "depth/000000.png")
    save(np.array([[0, 1, 2, 2]] * 4, np.uint8), tmp_path / "confidence/000000.png")
    put(tmp_path / "camera_matrix.csv", b"1,0,0\n0,1,0\n0,0,1\n")
    with pytest.raises(DataError, match=r"ffmpeg -i .*rgb.mp4 -start_number 0"):
        open_data(tmp_path)
    save(np.zeros((40, 40, 3), np.uint8), tmp_path / "rgb/000000.jpg")  # depth is smaller than the picture
    assert np.nan_to_num(1 / open_data(tmp_path)[0].disparity[0, ::10]) == pytest.approx([0, 4, 0, 8])


def test_moge_is_logarithmic_and_in_metres_where_people_say_so(tmp_path: Path, save: Save) -> None:
    save(PICTURE[:, :4], tmp_path / "house/1/image.jpg")
    text = PngInfo()
    text.add_text("near", "2.0")
    text.add_text("far", "32.0")
    values = np.array([[1, 65534, 0, 65535]] * 4, np.uint16)
    values[0, 3] = 1 + 65533 // 2  # halfway in the logarithm
    Image.fromarray(values).save(tmp_path / "house/1/depth.png", pnginfo=text)
    put(tmp_path / ".index.txt", b"house/1\n")
    data = open_data(tmp_path)
    assert depth_of(data) == pytest.approx([2, 32, 0, 8], rel=1e-3)
    assert np.isnan(data[0].disparity[1, 3])  # infinitely far
    assert not in_metres(data)
    from trainer.data.depth_scale import DepthScale

    assert in_metres(open_data(tmp_path, DepthScale(1.0)))
    save(values, tmp_path / "house/1/depth.png")
    with pytest.raises(DataError, match="no near and far"):
        data[0]


def test_marigolds_lists_are_read_as_the_sets_they_list(tmp_path: Path, save: Save) -> None:
    eth3d(tmp_path, save, "rgb", "depth/office_dslr_depth")
    scan = "indoors/scene_00021/scan_00189/a"
    lines = {
        "eth3d": "rgb/office/images/dslr_images/DSC_1.JPG "
        "depth/office_dslr_depth/office/ground_truth_depth/dslr_images/DSC_1.JPG",
        "diode": f"{scan}.png {scan}_depth.npy {scan}_depth_mask.npy",
        "vkitti": "rgb/Scene01/clone/frames/rgb/Camera_0/r.png depth/Scene01/clone/frames/depth/Camera_0/d.png",
        "nyu": "test/kitchen_0004/rgb_0001.png test/kitchen_0004/depth_0001.png test/kitchen_0004/filled_0001.png",
    }
    for name, scale in (("vkitti", 100), ("nyu", 1000)):
        rgb, depth = (tmp_path / part for part in lines[name].split()[:2])
        shape = (480, 640) if name == "nyu" else (4, 6)
        save(np.zeros((*shape, 3), np.uint8), rgb)
        save(np.full(shape, 3 * scale, np.uint16), depth)
    save(PICTURE, tmp_path / f"{scan}.png")
    put_npy(tmp_path / f"{scan}_depth.npy", METRES[..., None])
    put_npy(tmp_path / f"{scan}_depth_mask.npy", METRES > 2)
    sets = {name: open_data(put(tmp_path / f"{name}_list.txt", line.encode() + b"\n")) for name, line in lines.items()}
    assert {name: data.farthest for name, data in sets.items()} == {
        "eth3d": 72,
        "diode": 350,
        "vkitti": 80,
        "nyu": 10,
    }
    assert {name: data.group(0) for name, data in sets.items()} == {
        "eth3d": "office",
        "diode": "scene_00021",
        "vkitti": "Scene01",
        "nyu": "kitchen_0004",
    }
    assert depth_of(sets["eth3d"]) == pytest.approx(METRES[0], rel=1e-5)
    assert depth_of(sets["diode"])[0] == 0
    assert depth_of(sets["vkitti"])[0] == depth_of(sets["nyu"])[0] == pytest.approx(3)
    assert sets["nyu"].evaluation_mask((480, 640)).sum() == 426 * 560
