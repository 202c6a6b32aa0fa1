"""Raw frames of NYU Depth v2, written here: numbers, bytes, times, and where points land by a formula of the test's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data.check import readable_samples
from trainer.data.nyu_convert import convert_nyu
from trainer.data.open import open_data
from trainer.data.readers.nyu_raw import raw_metres, registered_to_colour
from trainer.types import DataError

Save = Callable[..., Path]
PLANE = np.full((480, 640), 800, np.uint16)
GREY = np.full((480, 640, 3), 90, np.uint8)
PLANE_M = 351.3 / (1092.5 - 800)
COLOUR = (518.858, 519.470, 325.582, 253.736, 0.207966, -0.586138, 0.000722314, 0.00104796, 0.49857)
DEPTH = (582.624, 582.691, 313.045, 238.444, -0.0998972, 0.390653, 0.00192906, -0.0019422, -0.510317)


def record(
    save: Save,
    scene: Path,
    time: float = 1294886360.2,
    raw: NDArray[np.uint16] | None = PLANE,
    picture: NDArray[np.uint8] | None = None,
    order: str = "<",
) -> Path:
    """Write one depth frame and its picture, 10 ms later; of either only what is given. Returns the depth file."""
    scene.mkdir(parents=True, exist_ok=True)
    if picture is not None:
        save(picture, scene / f"r-{time + 0.01:.6f}-2996770081.ppm")
    depth = scene / f"d-{time:.6f}-2996770082.pgm"
    if raw is not None:
        depth.write_bytes(b"P5 640 480 65535\n" + raw.astype(f"{order}u2").tobytes())
    return depth


def distorted(x: float, y: float, lens: tuple[float, ...]) -> tuple[float, float]:
    """Where Brown's model puts the pixel (x, y) of a straight picture in the recorded one."""
    fx, fy, cx, cy, k1, k2, p1, p2, k3 = lens
    u, v = (x - cx) / fx, (y - cy) / fy
    r2 = u * u + v * v
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u, v = u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u), v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v
    return u * fx + cx, v * fy + cy


def landing(x: float, y: float, z: float) -> tuple[float, float]:
    """Where the colour camera, 25 mm beside, sees what the depth camera sees at (x, y), z metres away."""
    u, v = (x + 1 - DEPTH[2]) * z / DEPTH[0], (y + 1 - DEPTH[3]) * z / DEPTH[1]
    across = 0.999978 * u - 0.00503599 * v - 0.00431966 * z - 0.0250319
    down = 0.00505184 * u + 0.999981 * v + 0.00366624 * z + 0.000293423
    away = 0.00430112 * u - 0.00368798 * v + 0.999984 * z - 0.000662387
    return COLOUR[0] * across / away + COLOUR[2] - 1, COLOUR[1] * down / away + COLOUR[3] - 1


def test_a_plane_becomes_its_metres_inside_the_frame_that_both_cameras_see(tmp_path: Path, save: Save) -> None:
    record(save, tmp_path, picture=GREY)
    data = open_data(tmp_path)
    metres = 1 / data[0].disparity
    known = np.isfinite(metres)
    assert metres[known] == pytest.approx(PLANE_M, rel=1e-6)
    assert known[44:471, 40:601].mean() > 0.99
    assert known.sum() == known[44:471, 40:601].sum()
    assert (data.farthest, data.unit, data.evaluation_mask((480, 640)).sum()) == (10.0, "m", 426 * 560)


def test_numbers_outside_the_range_are_unknown_and_far_ones_ten_metres() -> None:
    metres = raw_metres(np.array([[0, 599, 600, 1000, 1092, 1093, 2047]], np.uint16))
    expected = [np.nan, np.nan, 351.3 / 492.5, 351.3 / 92.5, 10, np.nan, np.nan]
    np.testing.assert_allclose(metres[0], expected, rtol=1e-6)


@pytest.mark.parametrize(("x", "y"), [(120, 90), (520, 90), (320, 240), (540, 400)])
def test_a_point_lands_where_the_colour_camera_sees_it(tmp_path: Path, save: Save, x: int, y: int) -> None:
    raw = np.full((480, 640), 2047, np.uint16)
    column, row = (round(at) for at in distorted(x, y, DEPTH))
    raw[row - 2 : row + 3, column - 2 : column + 3] = 900
    record(save, tmp_path, raw=raw, picture=GREY)
    metres = 1 / open_data(tmp_path)[0].disparity
    rows, columns = np.nonzero(np.isfinite(metres))
    assert metres[rows, columns] == pytest.approx(351.3 / 192.5, rel=1e-6)
    assert (columns.mean(), rows.mean()) == pytest.approx(landing(x, y, 351.3 / 192.5), abs=0.75)
    assert 9 <= len(rows) <= 36


def test_the_nearer_of_two_depths_in_a_pixel_counts() -> None:
    depth = np.full((480, 640), 4, np.float32)
    depth[200:240, 300:340] = 1
    left, top = landing(300, 200, 1)
    right, bottom = landing(339, 239, 1)
    near = registered_to_colour(depth)[
        round(top) + 1 : round(bottom), round(left) + 1 : round(right)
    ]  # the edge is oblique
    assert near.size > 1000
    assert (near == 1).all()


@pytest.mark.parametrize(("x", "y"), [(60, 60), (580, 440)])
def test_the_picture_is_straightened(tmp_path: Path, save: Save, x: int, y: int) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    column, row = (round(at) for at in distorted(x, y, COLOUR))
    assert max(abs(column - x), abs(row - y)) >= 2
    picture[row - 1 : row + 2, column - 1 : column + 2] = (250, 0, 0)
    record(save, tmp_path, picture=picture)
    rows, columns = np.nonzero(open_data(tmp_path)[0].image[..., 0] > 100)
    assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=0.8)


def test_bytes_of_the_other_order_and_other_sizes_are_refused(tmp_path: Path, save: Save) -> None:
    record(save, tmp_path, picture=GREY, order=">")
    with pytest.raises(DataError, match=r"d-.*\.pgm: is no raw depth frame .* low byte first"):
        open_data(tmp_path)[0]
    record(save, tmp_path, picture=GREY[:240])
    with pytest.raises(DataError, match=r"r-.*\.ppm: is 640x240; frames of NYU Depth v2 are 640x480"):
        open_data(tmp_path)[0]


def test_frames_without_a_partner_are_counted_and_broken_ones_left_out(tmp_path: Path, save: Save) -> None:
    for time in (1.0, 1.03, 1.06):
        record(save, tmp_path, time, picture=GREY)
    record(save, tmp_path, 2.0)
    (tmp_path / "a-1.000000-1.dump").write_bytes(b"")
    (tmp_path / "INDEX.txt").write_text("a-1.000000-1.dump\nd-1.000000-2996770082.pgm\n")
    data = open_data(tmp_path)
    assert [path.name.split("-")[1] for path in data.files(1)] == ["1.040000", "1.030000"]
    assert len(data) == 3
    assert "1 of 4 depth frames have no picture of their own within 0.1 s" in data.notes[0]
    whole = data.files(1)[1].read_bytes()
    data.files(1)[1].write_bytes(whole[: len(whole) // 2])
    faults: list[str] = []
    assert [index for index, _ in readable_samples(data, range(3), faults)] == [0, 2]
    assert "d-1.030000" in faults[0]
    for _ in ("at first", "again"):
        assert convert_nyu(tmp_path, tmp_path / "out") == (2, [*data.notes, *faults])
    assert len(open_data(tmp_path / "out")) == 2
    for picture in tmp_path.glob("r-*"):
        picture.unlink()
    with pytest.raises(DataError, match="4 of 4 depth frames have no picture"):
        open_data(tmp_path)


def test_scenes_stay_together_and_those_of_the_official_test_part_apart(tmp_path: Path, save: Save) -> None:
    for scene in ("kitchen_0028a", "kitchen_0028b", "kitchen_0001", "my_desk"):
        record(save, tmp_path / "part" / scene, picture=GREY)
    for folder in (tmp_path, tmp_path / "part"):
        data = open_data(folder)
        groups = {data.group(index): data.part(index) for index in range(len(data))}
        assert groups == {"kitchen_0001": "test", "kitchen_0028": None, "my_desk": None}
    assert open_data(tmp_path / "part" / "kitchen_0028b").group(0) == "kitchen_0028"
    assert data.key(0) == "kitchen_0001/r-1294886360.210000-2996770081"
