"""Spatial photographs: a HEIC file of two pictures and a stereo pair group, made box by box."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.robustness.broken_files import with_cameras, with_entity_group
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.rectification.calibrated import calibrate
from redweb_builder.types import Picture
from tests.redweb_builder.inputs.test_discover import only, reasons, scene, side_by_side

pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra: pip install 'redweb-builder[heic]'")


def heic(path: Path, *pictures: Picture) -> Path:
    file = pillow_heif.HeifFile()
    for picture in pictures:
        file.add_from_pillow(Image.fromarray(picture))
    file.save(path, quality=95, chroma=444)
    return path


def add_group(path: Path, kind: bytes, entities: tuple[int, ...]) -> None:
    path.write_bytes(with_entity_group(path.read_bytes(), kind, entities))


def mean_error(first: Picture, second: Picture) -> float:
    return float(np.abs(first.astype(int) - second).mean())


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_spatial_photograph(tmp_path: Path, order: tuple[int, int]) -> None:
    """The first picture of the group is the left one, wherever it lies in the file."""
    eyes = scene(0, 192, 128)
    file = heic(tmp_path / "IMG_1.HEIC", *(eyes if order == (1, 2) else eyes[::-1]))
    add_group(file, b"ster", order)
    source = only(discover(tmp_path))
    assert (source.layout, source.right_first, source.guessed) == ("spatial", False, False)
    pair = read_pair(source, 1000)
    assert mean_error(pair.left, eyes[0]) < 8 < mean_error(pair.left, eyes[1])
    assert mean_error(pair.right, eyes[1]) < 8


def test_other_heic_files(tmp_path: Path) -> None:
    left, right = scene(1, 160, 128)
    heic(tmp_path / "single.heic", left)
    add_group(heic(tmp_path / "burst.heic", left, right), b"altr", (1, 2))
    heic(tmp_path / "packed-lr.heic", side_by_side(left, right))
    broken = heic(tmp_path / "broken.heic", left)
    broken.write_bytes(broken.read_bytes()[:200])
    discovery = discover(tmp_path)
    assert [source.left.name for source in discovery.sources] == ["packed-lr.heic"]
    assert mean_error(read_pair(discovery.sources[0], 1000).right, right) < 8
    assert reasons(discovery) == [("broken.heic", "corrupt"), ("burst.heic", "single"), ("single.heic", "single")]


def test_a_spatial_photograph_is_no_eye_of_the_next_one(tmp_path: Path) -> None:
    left, right = scene(3, 192, 128)
    add_group(heic(tmp_path / "IMG_1.HEIC", left, right), b"ster", (1, 2))
    heic(tmp_path / "IMG_2.HEIC", right)
    discovery = discover(tmp_path)
    assert [source.layout for source in discovery.sources] == ["spatial"]
    assert reasons(discovery) == [("IMG_2.HEIC", "single")]


def test_an_eye_a_file(tmp_path: Path) -> None:
    left, right = scene(2)
    heic(tmp_path / "a_L.heic", left)
    heic(tmp_path / "a_R.heic", right)
    assert mean_error(read_pair(only(discover(tmp_path)), 1000).left, left) < 8


def lens(focal: float, x: float, y: float, size: tuple[int, int]) -> bytes:
    """A camera intrinsic matrix property: px over the width, the y of the principal point over the height, 16.16."""
    numbers = focal / size[0], x / size[0], y / size[1]
    return struct.pack(">I4sI3i", 24, b"cmin", 16 << 8, *(round(number * 65536) for number in numbers))


def position(metres: float) -> bytes:
    """A camera extrinsic matrix property with an x, micrometres."""
    return struct.pack(">I4sIi", 16, b"cmex", 1, round(metres * 1e6))


@pytest.mark.parametrize(("positions", "place"), [((0.0, 0.019), ""), (None, ""), ((0.0, 0.019), "file://")])
def test_spatial_photographs_state_their_cameras(
    tmp_path: Path, positions: tuple[float, float] | None, place: str
) -> None:
    """Focal length, baseline and principal points, in px of the picture as it is stored; in remote storage, too."""
    if place:
        pytest.importorskip("fsspec", reason="needs the extra: pip install 'redweb-builder[remote]'")
    size = (192, 128)
    file = heic(tmp_path / "IMG_1.HEIC", *scene(0, *size))
    eyes = [[lens(150, x, 64, size)] for x in (96, 99)]
    for eye, x in zip(eyes, positions or (), strict=False):
        eye.append(position(x))
    file.write_bytes(with_cameras(file.read_bytes(), eyes))
    add_group(file, b"ster", (1, 2))
    source = only(discover(Path(f"{place}{tmp_path}")))
    geometry = calibrate(source, read_pair(source, 96))[1].geometry
    assert geometry is not None
    assert (geometry.fx_px, geometry.doffs_px) == pytest.approx((75, 1.5), abs=0.01)
    assert geometry.baseline_m == (pytest.approx(0.019) if positions else None)
