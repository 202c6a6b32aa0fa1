"""The ray-cast scenes are exact, and the sample folder made from them is what it says."""

from __future__ import annotations

import struct
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from samples.depths import WORLDS
from samples.generate import fault_truncated, jps, mpo, write_scene_folder
from samples.scenes import Kind, Scene, render, stereo_pair
from samples.textures import printed

STEREO = Path(__file__).resolve().parent.parent.parent / "samples" / "stereo"
SIZE = (192, 144)


@cache
def scene(seed: int, kind: Kind = "outdoor", convergence: float = 0.0) -> Scene:
    return render(seed, *SIZE, max_disparity=20, kind=kind, convergence=convergence)


def sampled(values: NDArray[np.uint8] | NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Linear interpolation along rows: values HxWxC at columns x (HxW)."""
    x0 = np.clip(np.floor(x).astype(int), 0, x.shape[1] - 2)
    share = np.clip(x - x0, 0, 1)[..., None]
    row = np.arange(x.shape[0])[:, None]
    out: NDArray[np.float64] = values[row, x0] * (1.0 - share) + values[row, x0 + 1] * share
    return out


def warp_error(pair: Scene, wrong_by: float = 0.0) -> NDArray[np.float64]:
    """Absolute grey-level differences of the left view and the right view warped onto it, visible pixels."""
    columns = np.arange(SIZE[0], dtype=np.float32)
    warped = sampled(pair.right, columns - pair.disparity - np.float32(wrong_by))
    difference: NDArray[np.float64] = np.abs(warped - pair.left).mean(axis=2)[~pair.occluded]
    return difference


@pytest.mark.parametrize(
    ("seed", "kind", "convergence"), [(0, "outdoor", 0.0), (3, "outdoor", 0.0), (5, "outdoor", 6.5), (1, "indoor", 0.0)]
)
def test_disparity_warps_right_view_onto_left(seed: int, kind: Kind, convergence: float) -> None:
    pair = scene(seed, kind, convergence)
    exact = warp_error(pair)
    assert np.median(exact) < 1
    assert exact.mean() < 4  # mixed pixels along edges, which no single disparity explains
    for wrong_by in (-1.0, 1.0):
        assert warp_error(pair, wrong_by).mean() > 2 * exact.mean()
    assert 0.01 < pair.occluded.mean() < 0.25


@pytest.mark.parametrize(("of", "seed"), [("still-lifes", 0), ("still-lifes", 1), ("still-lifes", 2), ("streets", 1)])
def test_worlds_with_pictures_as_textures_are_exact(of: str, seed: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    pair = stereo_pair(WORLDS[of](np.random.default_rng(seed), [picture]), *SIZE, 0.0, 20.0)
    exact = warp_error(pair)
    assert exact.mean() < 4
    assert warp_error(pair, 1.0).mean() > 2 * exact.mean()


def test_a_printed_picture_is_mirrored_where_it_ends() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (2, 3, 3)).astype(np.uint8)
    middles = np.arange(-1, 5, dtype=np.float32) + np.float32(0.5)  # of its columns, and of those beside it
    found = printed(picture, 3.0)(middles, np.full(6, 2.5, np.float32), np.zeros(6, np.float32))
    np.testing.assert_allclose(found * 255, picture[1, [0, 0, 1, 2, 2, 1]], atol=1e-3)


def test_arrays_have_the_stated_types() -> None:
    pair = scene(0)
    assert pair.left.shape == pair.right.shape == (SIZE[1], SIZE[0], 3)
    assert pair.left.dtype == pair.right.dtype == np.uint8
    assert pair.disparity.dtype == pair.right_disparity.dtype == np.float32
    assert pair.sky.dtype == pair.occluded.dtype == np.bool_
    assert pair.disparity.shape == pair.right_disparity.shape == pair.sky.shape == pair.occluded.shape


def test_left_and_right_disparity_agree_where_both_eyes_see() -> None:
    pair = scene(0)
    columns = np.arange(SIZE[0], dtype=np.float32)
    difference = sampled(pair.right_disparity[..., None], columns - pair.disparity)[..., 0] - pair.disparity
    assert np.mean(np.abs(difference[~pair.occluded]) < 0.25) > 0.95
    hidden = pair.occluded & (columns - pair.disparity >= 0)
    assert np.median(difference[hidden]) > 0.5


@pytest.mark.parametrize("convergence", [0.0, 6.5])
def test_sky_is_farthest_and_at_infinity(convergence: float) -> None:
    pair = scene(5, convergence=convergence)
    assert 0.05 < pair.sky.mean() < 0.6
    assert np.all(pair.disparity[pair.sky] == np.float32(-convergence))
    assert pair.disparity[~pair.sky].min() > -convergence
    assert pair.disparity.max() <= 20 - convergence


def test_convergence_gives_both_signs() -> None:
    flat, converged = scene(5), scene(5, convergence=6.5)
    assert converged.disparity.min() < 0 < converged.disparity.max()
    assert np.array_equal(flat.left, converged.left)
    np.testing.assert_allclose(converged.disparity, flat.disparity - 6.5, atol=1e-4)


def test_scenes_without_sky() -> None:
    assert not scene(1, "indoor").sky.any()
    assert not render(1, 96, 72, sky=False).sky.any()


def test_same_seed_same_bytes_other_seed_other_scene() -> None:
    scene_2, again, scene_3 = (render(seed, 96, 72) for seed in (2, 2, 3))
    assert all(np.array_equal(getattr(scene_2, name), getattr(again, name)) for name in Scene.__dataclass_fields__)
    assert np.abs(scene_2.left.astype(int) - scene_3.left).mean() > 10


@pytest.mark.parametrize("seed", [1, 4, 6, 7])
def test_nothing_is_nearer_than_the_nearest_depth(seed: int) -> None:
    pair = render(seed, 48, 64, max_disparity=8)
    assert pair.disparity.min() >= 0
    assert pair.disparity.max() <= 8


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="underwater"):
        render(0, kind="underwater")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="8x72"):
        render(0, 8, 72)


def test_sample_folder_is_small() -> None:
    files = [path for path in STEREO.rglob("*") if path.is_file()]
    assert len(files) == 32
    assert sum(path.stat().st_size for path in files) < 3_000_000


def test_sample_folder_is_fresh(tmp_path: Path) -> None:
    write_scene_folder(tmp_path)
    for name in ("scenes/autumn/left.png", "scenes/autumn/right.png"):
        stored, written = (np.asarray(Image.open(folder / name)).astype(int) for folder in (STEREO, tmp_path))
        assert np.abs(stored - written).mean() < 0.1, "run python samples/generate.py"


def test_same_pictures_same_bytes() -> None:
    pair = scene(0)
    assert jps(pair.left, pair.right) == jps(pair.left, pair.right)
    assert mpo(pair.left, pair.right, 0.175) == mpo(pair.left, pair.right, 0.175)


def test_jps_says_side_by_side_right_view_first() -> None:
    pair = scene(0)
    data = jps(pair.left, pair.right)
    at = data.index(b"_JPSJPS_")
    marker, length = struct.unpack_from(">HH", data, at - 4)
    size, separation, flags, layout, kind, comment = struct.unpack_from(">HBBBBH", data, at + 8)
    assert (marker, size, separation, flags, layout, kind) == (0xFFE3, 4, 0, 0, 2, 1)
    assert length == 2 + 8 + 2 + 4 + 2 + comment
    both = np.asarray(Image.open(BytesIO(data))).astype(int)
    assert np.abs(both[:, : SIZE[0]] - pair.right).mean() < 6
    assert np.abs(both[:, SIZE[0] :] - pair.left).mean() < 6


def test_mpo_has_two_disparity_frames_left_first() -> None:
    pair = scene(0)
    data = mpo(pair.left, pair.right, 0.175)
    with Image.open(BytesIO(data)) as image:
        assert image.format == "MPO"
        index = image.mpinfo  # type: ignore[attr-defined]
        frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(image)]
    assert index[0xB000] == b"0100"
    assert index[0xB001] == len(frames) == 2
    entries = index[0xB002]
    assert [entry["Attribute"]["MPType"] for entry in entries] == ["Multi-Frame Image: (Disparity)"] * 2
    assert [entry["Attribute"]["RepresentativeImageFlag"] for entry in entries] == [True, False]
    start = data.index(b"MPF\0") + 4
    types = [struct.unpack_from("<L", data, data.index(struct.pack("<LL", flags, entry["Size"])))[0] & 0xFFFFFF
             for flags, entry in zip((0x20020002, 0x00020002), entries, strict=True)]  # fmt: skip
    assert types == [0x020002, 0x020002]
    second = start + entries[1]["DataOffset"]
    assert second == entries[0]["Size"]
    assert data[second : second + 2] == b"\xff\xd8"
    assert len(data) == second + entries[1]["Size"]
    assert data[second - 2 : second] == data[-2:] == b"\xff\xd9"
    for frame, view in zip(frames, (pair.left, pair.right), strict=True):
        assert np.abs(frame - view).mean() < 6


def test_truncated_sample_cannot_be_decoded(tmp_path: Path) -> None:
    fault_truncated(tmp_path)
    with Image.open(tmp_path / "truncated_R.jpg") as image, pytest.raises(OSError, match="truncated"):
        image.load()
