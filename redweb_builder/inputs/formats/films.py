"""Films: which frames to take, and one frame read.

Looked at are the key frames, which decode alone: a film is gone through without being decoded. Cuts lie where two of
them differ; only the frames in between are then decoded to find the place. PyAV reads the files
(`pip install 'redweb-builder[film]'`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.errors import InputError
from redweb_builder.inputs.content.mount import inside_margin
from redweb_builder.inputs.formats.packed import named_layout, on_a_screen, round_view, seen_layout
from redweb_builder.inputs.layout import Layout, NotPair
from redweb_builder.types import Picture

if TYPE_CHECKING:
    import av

EXTENSIONS = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".mpg", ".mpeg", ".mts", ".m2ts", ".ogv", ".3gp")
)
CUT = 0.45  # Bhattacharyya distance of two frames' colour histograms: above it, two scenes
JUMP = 27.0  # mean difference in grey levels: above it, two scenes as well
STILL = 1.5  # mean difference in grey levels: below it, the same picture again
LOOK_EVERY = 0.5  # s; key frames that follow closer are passed over
LONGEST_GAP = 12.0  # s between key frames; a cut may hide in a longer one
LONGEST_FILM = 48 * 3600.0  # s; a longer one lies
SAMPLES = 5  # frames that tell the layout and the bars
_THUMB = (64, 36)

# Matroska's StereoMode as FFmpeg names it -> layout, right eye first.
_STEREO_MODES = {
    "left_right": ("side-by-side", False),
    "right_left": ("side-by-side", True),
    "top_bottom": ("over-under", False),
    "bottom_top": ("over-under", True),
}


@dataclass(frozen=True)
class FilmFrame:
    """A frame worth taking. clip: number of the scene between two cuts, from 1. time: seconds from the start."""

    clip: int
    time: float


@dataclass(frozen=True)
class _Look:
    """What a frame looks like in small."""

    time: float
    grey: NDArray[np.float32]
    colours: NDArray[np.float32]


def are_readable() -> bool:
    """Whether the extra for films is installed."""
    return find_spec("av") is not None


def film_layout(file: Path) -> Layout | NotPair:
    """How a film holds two eyes: by its container, its name, or what some of its frames show.

    Raises InputError "corrupt" for a film that cannot be opened.
    """
    with _opened(file) as (container, stream):
        mode = str(stream.metadata.get("stereo_mode", ""))
        size = int(stream.codec_context.width), int(stream.codec_context.height)
        if mode in _STEREO_MODES:
            layout, right_first = _STEREO_MODES[mode]
            return Layout(layout, f"Matroska stereo mode {mode.replace('_', ' ')}", right_first)
        named = named_layout(file.stem)
        packed = _frame_packing(container, stream, size)
        if packed is not None:
            return packed
        if isinstance(named, NotPair):
            return named
        by_shape = round_view(file.stem, size, named) or (named and on_a_screen(named, size))
        if by_shape is not None:
            return by_shape
        frames = list(_spread(container, stream))
    if not frames:
        raise InputError("corrupt", f"{file}: no frame of the film can be decoded; copy it again")
    seen = [seen_layout(frame, size, file.stem) for frame in frames]
    pairs = [one for one in seen if isinstance(one, Layout)]
    for layout in {one.layout for one in pairs}:
        alike = [one for one in pairs if one.layout == layout]
        if 2 * len(alike) > len(seen):
            return alike[0]
    others = [one for one in seen if isinstance(one, NotPair)]
    return others[0] if others else NotPair("single", "the frames of the film do not agree on a layout")


def _frame_packing(container: Any, stream: Any, size: tuple[int, int]) -> Layout | None:
    """What the first frame's frame packing says (H.264 and H.265 SEI, MP4 st3d); None where it says nothing.

    FFmpeg gives it as an AVStereo3D: two 32-bit integers, the arrangement and flags (1: the right eye comes first).
    """
    from av.sidedata.sidedata import Type

    frame = next(_frames_from(container, stream, 0.0), None)
    data = frame.side_data.get(Type.STEREO3D) if frame is not None else None
    if data is None:
        return None
    arrangement, flags = struct.unpack("=ii", bytes(data)[:8])
    if arrangement not in (1, 2):
        return None
    shape = size[0] / size[1]
    layout, half = ("side-by-side", shape < 2.4) if arrangement == 1 else ("over-under", shape > 1.2)
    return Layout(f"{layout}-half" if half else layout, "frame packing", bool(flags & 1))


def film_bars(file: Path) -> tuple[int, int, int, int]:
    """What black bars leave of the frames: left, top, right, bottom in px; one box for the whole film.

    Told from the brightest values of several frames, so that a dark scene is not taken for a bar.
    """
    with _opened(file) as (container, stream):
        brightest: Picture | None = None
        for frame in _spread(container, stream):
            brightest = frame if brightest is None else np.maximum(brightest, frame)
    if brightest is None:
        raise InputError("corrupt", f"{file}: no frame of the film can be decoded; copy it again")
    box = inside_margin(brightest)
    return box.left, box.top, box.right, box.bottom


def film_frames(file: Path, rate: float) -> list[FilmFrame]:
    """The frames to take from a film, `rate` a second, none twice where the picture stands still.

    Raises InputError "corrupt".
    """
    with _opened(file) as (container, stream):
        looks, end = _key_looks(container, stream)
        if not looks:
            raise InputError("corrupt", f"{file}: no frame of the film can be decoded; copy it again")
        cuts: list[_Look] = []
        for one, two in pairwise(looks):
            if _differ(one, two) or two.time - one.time > LONGEST_GAP:
                cuts += _cuts_between(container, stream, one.time, two.time)
        if end - looks[0].time > LONGEST_FILM:
            raise InputError("corrupt", f"{file}: claims to last {end / 3600:.0f} hours; copy it again")
        if end - looks[-1].time > LONGEST_GAP:
            cuts += _cuts_between(container, stream, looks[-1].time, end)
    looks = sorted({look.time: look for look in (*looks, *cuts)}.values(), key=lambda look: look.time)
    keys, cut_times = np.array([look.time for look in looks]), [look.time for look in cuts]
    times = keys[0] + np.arange(int((end - keys[0]) * rate) + 1) / rate
    frames: list[FilmFrame] = []
    taken: tuple[int, int] | None = None  # clip and key frame of the last one
    for time in times[times < end + 1e-3]:
        clip = 1 + int(np.searchsorted(cut_times, time + 1e-3, side="right"))
        key = int(np.searchsorted(keys, time + 1e-3, side="right")) - 1
        if taken is not None and taken[0] == clip:
            next_key = key + 1 if taken[1] == key else key
            if next_key < len(looks) and _is_still(looks[taken[1]], looks[next_key]):
                continue
        frames.append(FilmFrame(clip, round(float(time), 3)))
        taken = clip, key
    return frames


def read_frame(file: Path, time: float) -> Picture:
    """The frame that is shown at a time, HxWx3 uint8 RGB. Raises InputError "corrupt"."""
    with _opened(file) as (container, stream):
        frame = next(_frames_from(container, stream, time), None)
    if frame is None:
        raise InputError("corrupt", f"{file}: has no frame at {time:.3f} s")
    return _pixels(frame)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[Any, Any]]:
    """PyAV's container and its video stream; what FFmpeg cannot read is an InputError."""
    import av

    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise InputError("not-an-image", f"{file}: a film file without pictures")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise InputError("unsupported", f"{file}: its pictures are coded in a way that FFmpeg does not know")
            yield container, stream
    except (av.FFmpegError, UnicodeError, ValueError) as error:
        raise InputError("corrupt", f"{file}: cannot be read as a film ({error}); copy it again") from error


def _frames_from(container: Any, stream: Any, time: float) -> Iterator[av.VideoFrame]:
    """The frames of a film from the one that is shown at `time` on."""
    base = float(stream.time_base)
    container.seek(max(0, int(time / base)), stream=stream, backward=True)
    slack = 0.5 / float(stream.average_rate or 25)
    for frame in container.decode(stream):
        if frame.time is not None and frame.time >= time - slack:
            yield frame


def _spread(container: Any, stream: Any) -> Iterator[Picture]:
    """Some frames from all over a film."""
    length = (container.duration or 0) / 1e6
    for number in range(SAMPLES):
        frame = next(_frames_from(container, stream, length * (number + 0.5) / SAMPLES), None)
        if frame is not None:
            yield _pixels(frame)


def _key_looks(container: Any, stream: Any) -> tuple[list[_Look], float]:
    """How the key frames look, in their order, and the time of the last frame; nothing else is decoded."""
    context, base = stream.codec_context, float(stream.time_base)
    looks: list[_Look] = []
    last, end = -LOOK_EVERY, 0.0
    for packet in container.demux(stream):
        if packet.pts is not None:
            end = max(end, packet.pts * base)
            if not packet.is_keyframe or packet.pts * base < last + LOOK_EVERY:
                continue
            last = packet.pts * base
        looks += [_look(frame) for frame in context.decode(packet)]
    return looks, end


def _cuts_between(container: Any, stream: Any, start: float, stop: float) -> list[_Look]:
    """The first frames behind the cuts between two times, told frame by frame."""
    cuts: list[_Look] = []
    before: _Look | None = None
    for frame in _frames_from(container, stream, start):
        look = _look(frame)
        if before is not None and _differ(before, look):
            cuts.append(look)
        before = look
        if look.time >= stop:
            break
    return cuts


def _look(frame: av.VideoFrame) -> _Look:
    small = np.asarray(cv2.resize(_pixels(frame), _THUMB, interpolation=cv2.INTER_AREA))
    colours = cv2.calcHist([small], [0, 1, 2], None, [6, 6, 6], [0, 256] * 3)
    colours = cv2.GaussianBlur(colours.reshape(36, 6), (3, 3), 0)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)
    return _Look(float(frame.time or 0.0), grey, np.asarray(colours, np.float32))


def _differ(one: _Look, two: _Look) -> bool:
    """Whether there is a cut between two frames, if they follow each other; may be, if they do not."""
    colours = cv2.compareHist(one.colours, two.colours, cv2.HISTCMP_BHATTACHARYYA)
    return bool(colours > CUT or np.abs(one.grey - two.grey).mean() > JUMP)


def _is_still(one: _Look, two: _Look) -> bool:
    return float(np.abs(one.grey - two.grey).mean()) < STILL


def _pixels(frame: av.VideoFrame) -> Picture:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
