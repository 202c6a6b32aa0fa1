"""Photographs, folders and films to files of depth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from redweb_builder.dataset.depth_png import stretched
from redweb_builder.errors import SettingsError
from redweb_builder.inspect.film import timed_film_writer
from redweb_builder.monocular.network import RedNet
from trainer.data.depth_files import read_depth
from trainer.prediction.predict import predict_depth
from trainer.prediction.predict_files import Forms, Written, predict_files
from trainer.prediction.smoothing import Smoothed
from trainer.types import DataError

CPU = torch.device("cpu")


class Brightness(torch.nn.Module):
    """A network for which bright is near."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The mean of the colours."""
        return image.mean(dim=1)


def test_pictures_folders_and_films_are_predicted_at_their_own_size(network: RedNet, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (66, 90, 3), np.uint8)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray(picture).save(tmp_path / "in" / "deep" / "a.png")
    film = cv2.VideoWriter(str(tmp_path / "f.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (90, 66))
    for _ in range(3):
        film.write(picture)
    film.release()
    done = list(predict_files(network, tmp_path / "in", tmp_path / "out", 64, CPU, Forms(side_by_side=True)))
    assert [result.source for result in done if isinstance(result, Written)] == ["deep/a"]
    assert isinstance(done[0], Written)
    with Image.open(done[0].files[0]) as depth, Image.open(done[0].files[1]) as colour:
        values = np.asarray(depth)
        assert (values.shape, values.min(), values.max()) == ((66, 90), 0, 65535)
        assert colour.size == (180, 66)
    np.testing.assert_array_equal(values, stretched(predict_depth(network, picture, 64, CPU)))
    assert len(list(predict_files(network, tmp_path / "f.avi", tmp_path / "film", 64, CPU))) == 3
    camcorder = (tmp_path / "f.avi").rename(tmp_path / "f.MTS")  # an ending that the builder knows
    assert len(list(predict_files(network, camcorder, tmp_path / "camcorder", 64, CPU))) == 3
    turned = Image.Exif()
    turned[0x0112] = 6  # a phone held upright
    Image.fromarray(picture).save(tmp_path / "in" / "phone.jpg", exif=turned)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    again = list(predict_files(network, tmp_path / "in", tmp_path / "in" / "depth", 64, CPU))
    assert [isinstance(result, Written) for result in again] == [False, True, False, True]
    assert "broken.jpg" in str(again[0])
    assert "loop.png" in str(again[2])
    with Image.open(tmp_path / "in" / "depth" / "phone.png") as upright:
        assert upright.size == (66, 90)
    assert len(list(predict_files(network, tmp_path / "in", tmp_path / "in" / "depth", 64, CPU))) == 4
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        list(predict_files(network, tmp_path / "empty", tmp_path, 64, CPU))


def test_no_picture_of_a_folder_takes_the_files_of_another(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = ("a.jpg", "a_colour.jpg", "b.jpg", "b.png", "b.jpg.png", "C.jpg", "c.png", "d_colour.jpg")
    for name in names:
        Image.new("RGB", (64, 64)).save(tmp_path / "in" / name)
    done = list(predict_files(Brightness(), tmp_path / "in", tmp_path / "out", 64, CPU))
    written = [file.name.lower() for result in done if isinstance(result, Written) for file in result.files]
    assert len(written) == len(set(written)) == 2 * len(names)
    assert {"a.png", "a_colour.png", "a_colour.jpg.png", "d_colour.png"} <= set(written)


def test_results_may_lie_in_the_folder_that_holds_the_source_and_take_no_place_of_a_picture(tmp_path: Path) -> None:
    """`predict photographs --out .`: earlier results are replaced, a photograph of their name is not."""
    (tmp_path / "in").mkdir()
    for place in ("in/a.jpg", "in/b.jpg", "b.png"):
        Image.new("RGB", (64, 64), "red").save(tmp_path / place)
    photograph = (tmp_path / "b.png").read_bytes()
    for _ in range(2):
        results = predict_files(Brightness(), tmp_path / "in", tmp_path, 64, CPU)
        assert next(results) == Written("a", (tmp_path / "a.png", tmp_path / "a_colour.png"))
        with pytest.raises(SettingsError, match=r"b\.png is a picture and no depth"):
            next(results)
    assert (tmp_path / "b.png").read_bytes() == photograph


def test_results_are_no_photographs_wherever_they_lie(tmp_path: Path) -> None:
    """A photograph beside the depth of its name is one, and so is what has the name of a result and is none."""
    for name in ("a.jpg", "b.png", "c_colour.png"):
        Image.fromarray(bright_box()).save(tmp_path / name)
    for form in ("sbs", "anaglyph", "parallax"):
        list(predict_files(Brightness(), tmp_path / "a.jpg", tmp_path / "depth", 64, CPU, Forms(stereo=form)))
    assert len(list((tmp_path / "depth").iterdir())) == 5
    Image.fromarray(bright_box()).save(tmp_path / "depth" / "a.jpg")
    done = predict_files(Brightness(), tmp_path, tmp_path / "other", 64, CPU)
    names = [result.source for result in done if isinstance(result, Written)]
    assert names == ["a", "b", "c_colour", "depth/a"]


def test_the_depth_of_another_photograph_is_not_replaced(tmp_path: Path) -> None:
    """Cameras begin to count anew. A photograph itself, also one that was changed, has its depth replaced."""
    out = tmp_path / "out"
    for card in ("card-1", "card-2"):
        (tmp_path / card).mkdir()
        Image.fromarray(bright_box()).save(tmp_path / card / "a.png")
    for picture in (bright_box(), bright_box()[:, ::-1]):
        Image.fromarray(picture).save(tmp_path / "card-1" / "a.png")
        assert len(list(predict_files(Brightness(), tmp_path / "card-1" / "a.png", out, 64, CPU))) == 1
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    for source in (tmp_path / "card-2" / "a.png", tmp_path / "card-2"):
        with pytest.raises(SettingsError, match=r"a\.png is the depth of another file.*--out"):
            list(predict_files(Brightness(), source, out, 64, CPU))
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert len(list(predict_files(Brightness(), tmp_path / "card-1", out, 64, CPU))) == 1


@pytest.mark.parametrize("white", [np.nan, 3e38])
def test_depth_that_is_not_finite_is_one_sentence(tmp_path: Path, white: float) -> None:
    """Of weights from anywhere: each number of the second is finite, and their range is not."""
    network, picture = Brightness(), np.zeros((64, 64, 3), np.uint8)
    picture[:32] = 255
    Image.fromarray(picture).save(tmp_path / "a.png")
    network.register_forward_hook(lambda _, __, bright: (bright - 0.5).sign() * white)
    with pytest.raises(DataError, match="a: the network gives values that are not finite"):
        list(predict_files(network, tmp_path / "a.png", tmp_path / "out", 64, CPU))


def test_a_film_of_one_range_does_not_flicker(tmp_path: Path) -> None:
    """A still far corner keeps its value where something near comes into the picture."""
    (tmp_path / "in").mkdir()
    for number in range(2):
        picture = np.full((64, 64, 3), 100, np.uint8)
        picture[:16] = 20
        picture[40:, 40:] += np.uint8(100 * number)
        Image.fromarray(picture).save(tmp_path / "in" / f"{number}.png")
    corners = {}
    for one_range in (False, True):
        done = predict_files(Brightness(), tmp_path / "in", tmp_path / "out", 64, CPU, Forms(one_range=one_range))
        values = [np.asarray(Image.open(written.files[0])) for written in done if isinstance(written, Written)]
        corners[one_range] = [int(value[30, 5]) for value in values]
    assert corners[False][0] > 2 * corners[False][1]
    assert corners[True][0] == corners[True][1]
    with Image.open(tmp_path / "out" / "0.png") as image:
        low, high = float(image.info["farthest"]), float(image.info["nearest"])
        assert image.info["polarity"] == "65535 = nearest"
    assert low + corners[True][0] / 65535 * (high - low) == pytest.approx(100 / 255, abs=1e-4)


def bright_box() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A grey picture, 64x96, with a bright box."""
    picture = np.full((64, 96, 3), 60, np.uint8)
    picture[20:40, 30:60] = 200
    return picture


def test_a_film_becomes_a_film(tmp_path: Path) -> None:
    """--film and --stereo of a film are films of its rate; raw numbers are what the network said."""
    film = cv2.VideoWriter(str(tmp_path / "f.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 64))
    for _ in range(3):
        film.write(bright_box())
    film.release()
    out, forms = tmp_path / "out", Forms(side_by_side=True, film=True, stereo="anaglyph", raw="pfm")
    assert len(list(predict_files(Brightness(), tmp_path / "f.avi", out, 64, CPU, forms))) == 3
    pictures = [f"f_{number:06d}.{ending}" for number in range(3) for ending in ("pfm", "png")]
    assert sorted(file.name for file in out.iterdir()) == [*pictures, "f_anaglyph.mp4", "f_colour.mp4"]
    made = cv2.VideoCapture(str(out / "f_colour.mp4"))
    wanted = {cv2.CAP_PROP_FRAME_COUNT: 3, cv2.CAP_PROP_FPS: 5, cv2.CAP_PROP_FRAME_WIDTH: 192}
    assert {name: made.get(name) for name in wanted} == wanted
    raw = read_depth(out / "f_000001.pfm").astype(float)
    assert raw[:5].mean() == pytest.approx(60 / 255, abs=0.02)
    assert raw[25:35, 40:50].mean() == pytest.approx(200 / 255, abs=0.02)


def test_a_film_of_a_variable_rate_keeps_its_moments(tmp_path: Path) -> None:
    """Both films that come of it."""
    av = pytest.importorskip("av")
    moments = [0.0, 0.1, 0.5, 0.54, 2.0, 2.1]
    with timed_film_writer(tmp_path / "f.mp4", 3) as write:
        for moment in moments:
            write(bright_box(), moment)
    forms = Forms(film=True, stereo="sbs", smooth=0.5)
    assert len(list(predict_files(Brightness(), tmp_path / "f.mp4", tmp_path / "out", 64, CPU, forms))) == 6
    for kind in ("colour", "sbs"):
        with av.open(tmp_path / "out" / f"f_{kind}.mp4") as film:
            assert [frame.time for frame in film.decode(video=0)] == pytest.approx(moments, abs=1e-4)


def test_a_film_of_many_frames_a_second_is_not_slowed(tmp_path: Path) -> None:
    film = cv2.VideoWriter(str(tmp_path / "f.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 240, (96, 64))
    for _ in range(8):
        film.write(bright_box())
    film.release()
    assert len(list(predict_files(Brightness(), tmp_path / "f.avi", tmp_path / "out", 64, CPU, Forms(film=True)))) == 8
    made = cv2.VideoCapture(str(tmp_path / "out" / "f_colour.mp4"))
    assert (made.get(cv2.CAP_PROP_FRAME_COUNT), made.get(cv2.CAP_PROP_FPS)) == (8, 240)


@pytest.mark.parametrize("content", ["ffconcat version 1.0\nfile f.avi\n", "#EXTM3U\n#EXTINF:1,\nf.avi\n", "words"])
def test_a_film_that_names_other_files_is_not_read(tmp_path: Path, content: str) -> None:
    """FFmpeg would open the files and addresses of a list of films, whatever the list is called."""
    film = cv2.VideoWriter(str(tmp_path / "f.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 64))
    film.write(bright_box())
    film.release()
    (tmp_path / "list.mp4").write_text(content)
    with pytest.raises(DataError, match=r"list\.mp4"):
        list(predict_files(Brightness(), tmp_path / "list.mp4", tmp_path / "out", 64, CPU))


def test_raw_numbers_as_exr_are_the_same_as_in_numpys_form(tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    Image.fromarray(bright_box()).save(tmp_path / "p.png")
    for form in ("npy", "exr"):
        list(predict_files(Brightness(), tmp_path / "p.png", tmp_path / "out", 64, CPU, Forms(raw=form)))
    np.testing.assert_array_equal(read_depth(tmp_path / "out" / "p.exr"), np.load(tmp_path / "out" / "p.npy"))


def test_what_is_for_films_and_shares_are_checked(tmp_path: Path) -> None:
    Image.fromarray(bright_box()).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="this is none"):
        list(predict_files(Brightness(), tmp_path / "a.png", tmp_path / "out", 64, CPU, Forms(film=True)))
    with pytest.raises(SettingsError, match="smooth"):
        Forms(smooth=1.0)


@pytest.mark.parametrize(
    ("form", "name", "size", "frames"),
    [
        ("sbs", "a_sbs.png", (192, 64), 1),
        ("anaglyph", "a_anaglyph.png", (96, 64), 1),
        ("parallax", "a_parallax.gif", (96, 64), 12),
    ],
)
def test_a_made_second_view_is_written(
    form: str, name: str, size: tuple[int, int], frames: int, tmp_path: Path
) -> None:
    Image.fromarray(bright_box()).save(tmp_path / "a.png")
    (written,) = predict_files(Brightness(), tmp_path / "a.png", tmp_path / "out", 64, CPU, Forms(stereo=form))
    assert isinstance(written, Written)
    with Image.open(written.files[-1]) as image:
        assert (written.files[-1].name, image.size, getattr(image, "n_frames", 1)) == (name, size, frames)


def test_a_view_that_sways_as_a_film(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    Image.fromarray(bright_box()).save(tmp_path / "a.png")
    forms = Forms(stereo="parallax-mp4")
    (written,) = predict_files(Brightness(), tmp_path / "a.png", tmp_path / "out", 64, CPU, forms)
    assert isinstance(written, Written)
    with av.open(written.files[-1]) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 60
    assert frames[0].shape == (64, 96, 3)
    ends, again = (int(abs(frames[3].astype(int) - frames[at]).max()) for at in (9, 15))
    assert ends > 20 > 2 * again  # the edge of the box, at the two ends of the way and a loop later


def test_smoothing_takes_out_scale_and_noise_and_starts_anew_at_a_cut() -> None:
    generator = np.random.default_rng(0)
    scene, other = generator.random((2, 60, 80)).astype(np.float32)
    noises = generator.normal(0, 0.05, (20, *scene.shape))
    pictures = generator.integers(0, 256, (3, 60, 80, 3), np.uint8)
    smooth = Smoothed(0.8)
    for number, noise in enumerate(noises):
        frame = ((scene + noise) * (1 + number) - number).astype(np.float32)  # another scale each
        last = smooth(frame, pictures[0])
    assert np.abs(last - scene).mean() < 0.5 * np.abs(noises).mean()
    assert np.array_equal(smooth(other, pictures[1]), other)
    metres = Smoothed(0.5, affine=False)
    metres(scene, pictures[0])
    np.testing.assert_allclose(metres(np.float32(1.1) * scene, pictures[0]), 1.05 * scene, rtol=1e-6)


def test_what_comes_into_a_still_picture_does_not_move_the_rest() -> None:
    """A board over 40 % of the frame, by which the network stretches everything behind it anew."""
    generator = np.random.default_rng(0)
    scene = generator.random((60, 80)).astype(np.float32)
    picture = generator.integers(0, 256, (60, 80, 3), np.uint8)
    board = np.zeros(scene.shape, bool)
    board[12:, 20:60] = True
    with_board, covered = np.where(board, np.float32(30), 0.2 * scene - 1), picture.copy()
    covered[board] = 255 - covered[board]
    smooth = Smoothed(0.7)
    smooth(scene, picture)
    after = smooth(with_board.astype(np.float32), covered)
    np.testing.assert_allclose(after[~board], scene[~board], atol=1e-3)
    assert after[board].mean() > 10
