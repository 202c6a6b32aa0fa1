"""Films that are written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from redweb_builder.inspect.film import FilmError, film_writer, timed_film_writer


def test_a_film_has_its_frames_rate_and_colours(tmp_path: Path) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    with film_writer(tmp_path / "a.mp4", 12.5) as write:
        for colour in colours:
            write(np.full((33, 47, 3), colour, np.uint8))
        assert not (tmp_path / "a.mp4").exists()
    film = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    for colour in colours:
        there, frame = film.read()
        assert there
        assert frame.shape == (34, 48, 3)
        np.testing.assert_allclose(frame[10, 10, ::-1], colour, atol=8)
    assert not film.read()[0]


def test_each_frame_is_shown_at_its_moment(tmp_path: Path) -> None:
    """Also the first, later than at 0; the last lasts as long as one does in the mean."""
    av = pytest.importorskip("av")
    moments = [0.5, 1, 1.02, 3, 3.01, 3.5, 7, 7.1]
    with timed_film_writer(tmp_path / "a.mp4", 4) as write:
        for number, moment in enumerate(moments):
            write(np.full((33, 47, 3), 25 * number, np.uint8), moment)
    with av.open(tmp_path / "a.mp4") as film:
        assert [frame.time for frame in film.decode(video=0)] == pytest.approx(moments, abs=1e-5)
        stream = film.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(7.1 - 0.5 + 0.25, abs=1e-5)


def test_an_error_leaves_the_film_before_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"before")

    def write_two_sizes() -> None:
        with film_writer(tmp_path / "a.mp4", 25) as write:
            write(np.zeros((30, 20, 3), np.uint8))
            write(np.zeros((30, 40, 3), np.uint8))

    with pytest.raises(FilmError, match="40x30 px in a film of 20x30"):
        write_two_sizes()
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 256, (144, 25, 3), np.uint8).repeat(8, axis=1) for _ in range(15)]
    films = set()
    for run in range(6):
        memory = [np.full((144 + run, 200, 3), 40 * run, np.uint8) for _ in range(20)]  # other leftovers each time
        del memory
        with film_writer(tmp_path / "film.mp4", 5.0) as write:
            for frame in frames:
                write(frame)
        films.add((tmp_path / "film.mp4").read_bytes())
    assert len(films) == 1
