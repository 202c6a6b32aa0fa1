"""A film of pictures: H.264 in MP4, which every player and browser shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path

import numpy as np

from redweb_builder.errors import UserError
from redweb_builder.files import replacing
from redweb_builder.types import Picture

# crf, the constant rate factor: no loss that is seen. mbtree: with it x264 165 makes up to 7 different films in 10 runs
# of the same frames; without it films are larger, by 5 and by 30 %.
X264 = {"crf": "18", "mbtree": "0"}
# Of a film of any rate. bf: frames are decoded in the order in which they are shown, or MP4 states too short a film.
TIMED_X264 = {**X264, "bf": "0"}
TICKS = 360_000  # of its clock, a second: a frame of each usual rate, 24000/1001 too, lasts a whole number of them


class FilmError(UserError):
    """A film cannot be written; str() says what to do."""


@contextmanager
def film_writer(path: Path, rate: float) -> Iterator[Callable[[Picture], None]]:
    """A function that appends a frame, HxWx3 uint8 RGB, to the film at `path`; a frame at a time is in memory.

    The film takes its place when the block ends without an error, else nothing changes there. path: ends with .mp4.
    rate: frames a second. All frames have the size of the first; odd sides get a repeated last row or column, as H.264
    halves colours. Raises FilmError without the extra, and for a frame of another size; OSError.
    """
    exact, numbers = _fraction(rate), count()
    with _open_film(path, exact, 1 / exact, X264) as write:
        yield lambda picture: write(picture, next(numbers))


@contextmanager
def timed_film_writer(path: Path, rate: float) -> Iterator[Callable[[Picture, float], None]]:
    """A function that appends a frame and its moment: when it is shown, s, later than the frame before.

    path: as of `film_writer`, as is all the rest. rate: frames a second in the mean; the last frame lasts as long.
    """
    with _open_film(path, _fraction(rate), Fraction(1, TICKS), TIMED_X264) as write:
        yield lambda picture, moment: write(picture, round(moment * TICKS))


def _fraction(rate: float) -> Fraction:
    return Fraction(rate).limit_denominator(1001)


@contextmanager
def _open_film(
    path: Path, rate: Fraction, tick: Fraction, options: Mapping[str, str]
) -> Iterator[Callable[[Picture, int], None]]:
    """A function that appends a frame and when it is shown, in ticks of so many s. options: of x264."""
    try:
        import av
    except ImportError as error:
        raise FilmError(f"{path}: films need PyAV: pip install 'redweb-builder[film]'") from error
    with replacing(path) as file, av.open(file, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=rate)
        stream.pix_fmt, stream.options, stream.codec_context.time_base = "yuv420p", options, tick
        sizes: list[tuple[int, int]] = []

        def write(picture: Picture, ticks: int) -> None:
            height, width = picture.shape[:2]
            if not sizes:
                sizes.append((height, width))
                stream.height, stream.width = height + height % 2, width + width % 2
            if (height, width) != sizes[0]:
                raise FilmError(f"{path}: a frame of {width}x{height} px in a film of {sizes[0][1]}x{sizes[0][0]} px")
            whole = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(whole, format="rgb24")
            frame.pts, frame.time_base = ticks, tick
            for packet in stream.encode(frame):
                film.mux(packet)

        yield write
        for packet in stream.encode():
            film.mux(packet)
