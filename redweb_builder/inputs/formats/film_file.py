"""An open film: its frames by time, upright, and what its container states of eyes and spheres.

FFmpeg reads the files, through PyAV (`pip install 'redweb-builder[film]'`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import SEEK_END
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from redweb_builder.errors import InputError
from redweb_builder.inputs.formats.vr180 import Sphere
from redweb_builder.inputs.picture import MAX_PIXELS, open_file
from redweb_builder.types import Picture

if TYPE_CHECKING:
    import av

# FFmpeg's demuxers that may see a file: containers of films. Others open further files and addresses (playlists).
CONTAINERS = "mov,mp4,matroska,webm,avi,asf,mpeg,mpegts,mpegvideo,flv,ogg,dv,mxf,h264,hevc,m4v,rm,swf,wtv"
STEPS_BACK = (0.0, 1.0, 4.0, 16.0)  # s; how much before its target a seek aims, one after the other
SAMPLES = 5  # frames that are looked at to learn about the whole
LONGEST_STILL = 3600.0  # s that one frame is shown
SAMPLE_RATE = 25.0  # frames a second where the container states none


@dataclass(frozen=True)
class Film:
    """An open film, one of its video streams.

    file: its path. container, stream: of PyAV.
    number: which of the streams with moving pictures, or of the views of an MV-HEVC stream. start: s, when the stream
    begins on the clock of the container; all other times count from there. slack: s, half the time of a frame.
    both_views: each time gives a frame of either view, of which the second is the wanted one. alternate: the frames
    belong to the two eyes in turn; number 0 are those of the first, and `slack` is half the time of two.
    """

    file: Path
    number: int
    container: Any
    stream: Any
    start: float
    slack: float
    both_views: bool = False
    alternate: bool = False

    @property
    def length(self) -> float:
        """How long the film lasts by its container, s; it may be wrong."""
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        return float(self.container.duration or 0) / 1e6


@dataclass(frozen=True)
class Stated:
    """What the side data of a frame states; from the container or the bit stream.

    packing: FFmpeg's AVStereo3DType, None where there is none. inverted: the right eye comes first. view: of which eye
    the frame is, 0 = the first, where the eyes alternate. sphere: what the picture of one eye covers of a sphere, where
    it is equirectangular. projection: FFmpeg's AVSphericalProjection.
    """

    packing: int | None = None
    inverted: bool = False
    view: int | None = None
    projection: int | None = None
    sphere: Sphere | None = None


@contextmanager
def open_film(file: Path, number: int = 0, alternate: bool = False) -> Iterator[Film]:
    """Open a film, or the stream of that number where it has several.

    file: its path. Number 1 of a film of one HEVC stream is its second view, which FFmpeg 7.1 and later decode
    (MV-HEVC). alternate: the frames of the only stream belong to the eyes in turn; number 0 are those of the first, 1
    those of the second. Raises InputError "corrupt" for what FFmpeg cannot read, "not-an-image" for a film without such
    a stream, "unsupported" for an unknown codec, "too-large", "unreadable", "empty-file".
    """
    import av

    with open_file(file) as handle:
        if not handle.seek(0, SEEK_END):
            raise InputError("empty-file", f"{file}: is an empty file; copy it again")
    only = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        with av.open(f"file:{file}", container_options=only) as container:
            streams = moving_streams(container)
            view = number == 1 and not alternate and len(streams) == 1 and _is_hevc(streams[0])
            if number >= len(streams) and not (view or (alternate and streams)):
                raise InputError("not-an-image", f"{file}: a film file without pictures")
            stream = streams[0 if view or alternate else number]
            if stream.codec_context is None:
                raise InputError("unsupported", f"{file}: its pictures are coded in a way that FFmpeg does not know")
            if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
                raise InputError("too-large", f"{file}: its frames have more than {MAX_PIXELS // 1_000_000} megapixels")
            if view:
                stream.codec_context.options = {"view_ids": "-1"}  # all views, whatever their ids
            start = float((stream.start_time or 0) * stream.time_base)
            slack = (1.0 if alternate else 0.5) / float(stream.average_rate or SAMPLE_RATE)
            yield Film(file, number, container, stream, start, slack, view, alternate)
    except (av.FFmpegError, UnicodeError, ValueError) as error:
        stated = getattr(error, "strerror", None) or error  # without the number and the path that FFmpeg adds
        why = "it is cut, or damaged" if isinstance(error, OSError) else stated  # it could be opened: see above
        raise InputError("corrupt", f"{file}: cannot be read as a film ({why}); copy it again") from error


def _is_hevc(stream: Any) -> bool:
    return stream.codec_context is not None and stream.codec_context.name == "hevc"


def moving_streams(container: Any) -> list[Any]:
    """The video streams of a container, without cover pictures and thumbnails."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & still]


def frames_from(film: Film, time: float) -> Iterator[av.VideoFrame]:
    """The frames of a film from the one that is shown at `time`, in s from its beginning, on.

    In transport and program streams FFmpeg finds a time by searching the bytes and may land behind it: then it is
    asked for an earlier one, and at last the film is read from its beginning.
    """
    for back in STEPS_BACK:
        film.container.seek(_stamp(film, max(0.0, time - back)), stream=film.stream, backward=True)
        frames = _timed(film, film.container)
        first = next(frames, None)
        if first is not None and moment(film, first) <= time + film.slack:
            yield from _behind(film, first, frames, time)
            return
        if time <= back:
            break
    with open_film(film.file, film.number, film.alternate) as fresh:
        frames = _timed(fresh, fresh.container)
        first = next(frames, None)
        if first is not None:
            yield from _behind(fresh, first, frames, time)


def all_frames(film: Film) -> Iterator[tuple[float, Picture]]:
    """Every frame of a film in its order: its moment, and itself upright. What cannot be decoded is passed over, as
    players do.

    Moments ascend: a frame without one, before the last one, or more than LONGEST_STILL behind it follows at the mean
    rate, as in films whose clock starts anew.
    """
    import av

    last = -2 * film.slack
    for packet in film.container.demux(film.stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in frames:
            time = moment(film, frame)
            last = time if last < time < last + LONGEST_STILL else last + 2 * film.slack
            yield last, upright(frame)


def moment(film: Film, frame: av.VideoFrame) -> float:
    """When a frame is shown, s from the beginning of its film."""
    return float(frame.time or 0.0) - film.start


def spread(film: Film) -> Iterator[av.VideoFrame]:
    """SAMPLES frames from all over a film; fewer where it is shorter than it says."""
    for number in range(SAMPLES):
        frame = next(frames_from(film, film.length * (number + 0.5) / SAMPLES), None)
        if frame is not None:
            yield frame


def upright(frame: av.VideoFrame) -> Picture:
    """A frame as it is to be shown, HxWx3 uint8 RGB: turned and mirrored as its display matrix says."""
    picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    data = _side_data(frame)
    if data is None:
        return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
    return displayed(picture, data["DISPLAYMATRIX"]) if "DISPLAYMATRIX" in data else picture


def displayed(picture: Picture, matrix: bytes) -> Picture:
    """A picture moved as a display matrix says (ISO/IEC 14496-12, 6.2.2), as far as that is a turn by right angles.

    matrix: nine 32-bit integers a b u, c d v, x y w in the byte order of the machine: the point (x, y) is shown at
    (a x + c y, b x + d y).
    """
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if abs(b) > abs(a):
        picture, across, down = picture.transpose(1, 0, 2), c, b
    else:
        across, down = a, d
    return np.ascontiguousarray(picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


def stated(frame: av.VideoFrame) -> Stated:
    """What the side data of a frame says of eyes and spheres (libavutil/stereo3d.h, spherical.h)."""
    data = _side_data(frame) or {}
    packing, flags, view = struct.unpack_from("=iii", data["STEREO3D"]) if "STEREO3D" in data else (None, 0, 0)
    projection, sphere = _sphere(data["SPHERICAL"]) if "SPHERICAL" in data else (None, None)
    return Stated(packing or None, bool(flags & 1), view - 1 if view in (1, 2) else None, projection, sphere)


def _side_data(frame: av.VideoFrame) -> dict[str, bytes] | None:
    """What is attached to a frame, by the name of its type; None where one is of a type that PyAV does not know.

    Frames of MV-HEVC have the number of their view attached, which PyAV 18 does not know.
    """
    found: dict[str, bytes] = {}
    try:
        with suppress(IndexError):  # behind the last one
            for number in count():  # to iterate gives types from PyAV 19 on, and gave the data before
                data = frame.side_data[number]
                found[data.type.name] = bytes(data)
    except ValueError:
        return None
    return found


def _sphere(data: bytes) -> tuple[int, Sphere | None]:
    """The projection, and the part of the sphere where it is equirectangular: 0 whole, 2 a tile, 3 a half."""
    projection, _, _, _, *bounds = struct.unpack_from("=4i4I", data)
    left, top, right, bottom = (bound / 2**32 for bound in bounds)
    if projection == 3:
        return projection, Sphere()
    if projection not in (0, 2) or left + right >= 1 or top + bottom >= 1:
        return projection, None
    return projection, Sphere(360 * (1 - left - right), 180 * (1 - top - bottom), 360 * left, 180 * top)


def _stamp(film: Film, time: float) -> int:
    return int((time + film.start) / float(film.stream.time_base))


def _timed(film: Film, container: Any) -> Iterator[av.VideoFrame]:
    last: float | None = None
    for frame in container.decode(film.stream):
        if frame.time is None:
            continue
        wanted = frame.time == last if film.both_views else not film.alternate or _eye_of(film, frame) == film.number
        if wanted:
            yield frame
        last = frame.time


def _eye_of(film: Film, frame: av.VideoFrame) -> int:
    """Which eye a frame of alternating eyes belongs to, 0 or 1: as it states, else by its place in the film."""
    view = stated(frame).view
    return round(moment(film, frame) / film.slack) % 2 if view is None else view


def _behind(film: Film, first: av.VideoFrame, rest: Iterator[av.VideoFrame], time: float) -> Iterator[av.VideoFrame]:
    """The frames that are not over at `time`."""
    if moment(film, first) >= time - film.slack:
        yield first
    yield from (frame for frame in rest if moment(film, frame) >= time - film.slack)
