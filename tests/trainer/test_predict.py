"""Photographs, folders and films to depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainer.data.eigen_transforms import as_frame
from trainer.eigen_geometry import MAP
from trainer.models.rednet import RedNet
from trainer.predict import Written, filled, predict_depth, predict_files, stretched
from trainer.types import DataError

CPU = torch.device("cpu")


def test_pictures_folders_and_films_are_predicted_at_their_own_size(network: RedNet, tmp_path: Path) -> None:
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (66, 90, 3), np.uint8)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray(picture).save(tmp_path / "in" / "deep" / "a.png")
    film = cv2.VideoWriter(str(tmp_path / "f.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (90, 66))
    for _ in range(3):
        film.write(picture)
    film.release()
    done = list(predict_files(network, tmp_path / "in", tmp_path / "out", 64, CPU, beside=True))
    assert [result.source for result in done if isinstance(result, Written)] == ["deep/a"]
    assert isinstance(done[0], Written)
    with Image.open(done[0].depth) as depth, Image.open(done[0].colour) as colour:
        values = np.asarray(depth)
        assert (values.shape, values.min(), values.max()) == ((66, 90), 0, 65535)
        assert colour.size == (180, 66)
    np.testing.assert_array_equal(values, stretched(predict_depth(network, picture, 64, CPU)))
    assert len(list(predict_files(network, tmp_path / "f.avi", tmp_path / "film", 64, CPU))) == 3
    camcorder = (tmp_path / "f.avi").rename(tmp_path / "f.MTS")  # an ending that the builder knows
    assert len(list(predict_files(network, camcorder, tmp_path / "film", 64, CPU))) == 3
    turned = Image.Exif()
    turned[0x0112] = 6  # a phone held upright
    Image.fromarray(picture).save(tmp_path / "in" / "phone.jpg", exif=turned)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    again = list(predict_files(network, tmp_path / "in", tmp_path / "in" / "depth", 64, CPU))
    assert [isinstance(result, Written) for result in again] == [False, True, True]
    assert "broken.jpg" in str(again[0])
    with Image.open(tmp_path / "in" / "depth" / "phone.png") as upright:
        assert upright.size == (66, 90)
    assert len(list(predict_files(network, tmp_path / "in", tmp_path / "in" / "depth", 64, CPU))) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        list(predict_files(network, tmp_path / "empty", tmp_path, 64, CPU))


def test_a_film_of_one_range_does_not_flicker(tmp_path: Path) -> None:
    """A still far corner keeps its value where something near comes into the picture."""

    class Brightness(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.mean(dim=1)

    (tmp_path / "in").mkdir()
    for number in range(2):
        picture = np.full((64, 64, 3), 100, np.uint8)
        picture[:16] = 20
        picture[40:, 40:] += np.uint8(100 * number)
        Image.fromarray(picture).save(tmp_path / "in" / f"{number}.png")
    corners = {}
    for one_range in (False, True):
        done = predict_files(Brightness(), tmp_path / "in", tmp_path / "out", 64, CPU, one_range=one_range)
        values = [np.asarray(Image.open(written.depth)) for written in done if isinstance(written, Written)]
        corners[one_range] = [int(value[30, 5]) for value in values]
    assert corners[False][0] > 2 * corners[False][1]
    assert corners[True][0] == corners[True][1]
    with Image.open(tmp_path / "out" / "0.png") as image:
        low, high = float(image.info["farthest"]), float(image.info["nearest"])
        assert image.info["polarity"] == "65535 = nearest"
    assert low + corners[True][0] / 65535 * (high - low) == pytest.approx(100 / 255, abs=1e-4)


def test_cells_are_filled_four_times_in_the_middle_of_the_frame() -> None:
    cells = np.arange(55 * 74, dtype=np.float32).reshape(MAP)
    whole = filled(cells, (240, 320))
    np.testing.assert_array_equal(whole[10:230:4, 12:308:4], cells)
    np.testing.assert_array_equal(whole[13:230:4, 15:308:4], cells)
    assert whole[0, 0] == cells[0, 0]
    assert whole[-1, -1] == cells[-1, -1]
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    np.testing.assert_array_equal(as_frame(image), image[1::2, 1::2])
    assert as_frame(image[:300, :200]).shape == (240, 320, 3)
