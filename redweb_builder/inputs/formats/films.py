"""Films: how they hold two eyes, which frames to take, and the eyes of one frame.

Looked at are the key frames, which decode alone: a film is gone through without being decoded. Cuts lie where two of
them differ; only the frames in between are then decoded to find the place.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from redweb_builder.errors import InputError
from redweb_builder.inputs.content.agreement import AGREEMENT, agreement
from redweb_builder.inputs.content.mount import inside_margin
from redweb_builder.inputs.formats.film_file import (
    Film,
    Stated,
    all_frames,
    frames_from,
    moment,
    moving_streams,
    open_film,
    spread,
    stated,
    upright,
)
from redweb_builder.inputs.formats.interleaved import alternates
from redweb_builder.inputs.formats.packed import (
    is_squeezed,
    name_words,
    named_layout,
    round_view,
    seen_layout,
    split,
)
from redweb_builder.inputs.formats.second_view import holds_mv_hevc, holds_mvc, spatial_box
from redweb_builder.inputs.formats.vr180 import WIDEST, Sphere
from redweb_builder.inputs.layout import Layout, NotPair
from redweb_builder.inputs.picture import MIN_SIDE
from redweb_builder.types import Picture

if TYPE_CHECKING:
    import av

EXTENSIONS = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mkv", ".mk3d", ".webm", ".avi", ".divx"),
        *(".wmv", ".asf", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".mod", ".tod", ".mts", ".m2ts", ".m2t", ".ts"),
        *(".ssif", ".flv", ".ogv", ".ogm", ".dv", ".mxf"),
    )
)
CUT = 0.45  # Bhattacharyya distance of two frames' colour histograms: above it, two scenes
JUMP = 27.0  # mean difference in grey levels: above it, two scenes as well
STILL = 1.5  # mean difference in grey levels: below it, the same picture again
LOOK_EVERY = 0.5  # s; key frames that follow closer are passed over
LONGEST_GAP = 12.0  # s between key frames; a cut may hide in a longer one
VIEW_PACKETS = 16  # packets of a film's beginning that are searched for a second view
ALTERNATING_FRAMES = 6  # that are compared with each other
LONGEST_FILM = 48 * 3600.0  # s; a longer one lies
_THUMB = (64, 36)

# Matroska's StereoMode as FFmpeg names it -> layout, right eye first.
_STEREO_MODES = {
    "left_right": ("side-by-side", False),
    "right_left": ("side-by-side", True),
    "top_bottom": ("over-under", False),
    "bottom_top": ("over-under", True),
    "row_interleaved_lr": ("row-interleaved", False),
    "row_interleaved_rl": ("row-interleaved", True),
    "col_interleaved_lr": ("column-interleaved", False),
    "col_interleaved_rl": ("column-interleaved", True),
}
# FFmpeg's AVStereo3DType -> layout.
_PACKINGS = {1: "side-by-side", 2: "over-under", 3: "frame-sequential", 6: "row-interleaved", 7: "column-interleaved"}
_SEQUENTIAL_NAMES = (
    "frame sequential",
    "framesequential",
    "frame alternate",
    "alternate frame",
    "page flip",
    "pageflip",
)
_CONVERT = "convert it to side by side (with Stereoscopic Player, BD3D2MK3D or the like)"
# What holds two eyes in a way that cannot be read -> reason, words.
_MVC = f"H.264 MVC (both eyes in one block, as in 3D Blu-ray): only one eye can be decoded; {_CONVERT}"
_UNREAD = {
    4: ("interlaced", f"the eyes are mixed in a checkerboard; {_CONVERT}"),
    5: ("interlaced", f"the eyes are sampled in a quincunx side by side; {_CONVERT}"),
    8: (
        "unsupported",
        "an Apple spatial film (MV-HEVC, vexu box: both eyes) whose second view is missing or cannot be decoded; "
        "convert it to side by side (with Spatialify, the `spatial` tool or the like)",
    ),
}
_ALTERNATING = (
    "its frames alternate between two pictures; if these are the eyes, and the left one comes first, name the file "
    "-frame-sequential"
)
_ROUND = "a VR film in MV-HEVC (vexu box): export it as VR180, side by side"


@dataclass(frozen=True)
class FilmFrame:
    """A frame worth taking. clip: number of the scene between two cuts, from 1. time: seconds from the start."""

    clip: int
    time: float


@dataclass(frozen=True)
class Shot:
    """One frame read. picture: HxWx3 uint8 RGB, upright. time: s from the start of the film. duration: s.

    sphere: what an eye's picture covers of a sphere, as the film states it; a half-sphere where it states nothing.
    """

    picture: Picture
    time: float
    duration: float
    sphere: Sphere


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

    file: the film. Spheres come before packings: eyes that cover a half-sphere are VR180, whatever their packing; whole
    spheres and single eyes are left. Raises InputError as open_film does, "corrupt" where no frame can be decoded,
    "too-small".
    """
    with open_film(file) as film:
        first = next(frames_from(film, 0.0), None)
        if first is None:
            raise InputError("corrupt", f"{file}: no frame of the film can be decoded; copy it again")
        facts, frame = stated(first), upright(first)
        if min(frame.shape[:2]) < MIN_SIDE:
            raise InputError(
                "too-small",
                f"{file}: its frames have {frame.shape[1]} x {frame.shape[0]} px; at least {MIN_SIDE} are needed",
            )
        aspect = float(film.stream.sample_aspect_ratio or 1)
        named = _named_sequential(file.stem) or named_layout(file.stem)
        beyond_packing = _two_views(film) or _refused(film, facts)
        if beyond_packing is not None:
            return beyond_packing
        packing = _stated_packing(film, facts) or (named if isinstance(named, Layout) else None)
        if facts.projection not in (None, 4):
            return _spherical(facts, packing)
        if isinstance(named, NotPair) and packing is None:
            return named
        size = frame.shape[1], frame.shape[0]
        by_shape = round_view(file.stem, size, packing)
        if by_shape is not None:
            return by_shape
        if packing is not None:
            return _with_squeeze(packing, frame, aspect)
        frames = [picture for picture in map(upright, spread(film)) if picture.shape == frame.shape]
        two = _two_streams(film, frames)
    layout = two or _layout_of_frames(frames or [frame], file.stem, aspect)
    if isinstance(layout, NotPair) and layout.reason == "single" and _alternates(file):
        return NotPair("unsupported", _ALTERNATING)
    return layout


def _named_sequential(stem: str) -> Layout | None:
    """The frames of a film belong to the eyes in turn by its name; None for other names."""
    words = " ".join(name_words(stem))
    named = next((name for name in _SEQUENTIAL_NAMES if name in words), None)
    return Layout("frame-sequential", f"name tag '{named}'", guessed=True) if named else None


def _alternates(file: Path) -> bool:
    """Whether the frames in the middle of a film differ more from their neighbours than from those two apart."""
    with open_film(file) as film:
        frames = islice(frames_from(film, film.length / 2), ALTERNATING_FRAMES)
        grey = [cv2.cvtColor(upright(frame), cv2.COLOR_RGB2GRAY) for frame in frames]
    return len(grey) == ALTERNATING_FRAMES and alternates(np.array(grey, np.int16))


def _refused(film: Film, facts: Stated) -> NotPair | None:
    """Why a film cannot be read though it holds two eyes, by what it states; None where nothing speaks against it."""
    mode = str(film.stream.metadata.get("stereo_mode", ""))
    if mode.startswith("anaglyph"):
        return NotPair("anaglyph", "Matroska stereo mode anaglyph: the colours of the eyes are lost")
    if mode.startswith("block"):
        return NotPair("unsupported", _MVC)
    if facts.packing in _UNREAD:
        return NotPair(*_UNREAD[facts.packing])
    if film.stream.codec_context.name == "h264" and _has_second_view(film.file, holds_mvc):
        return NotPair("unsupported", _MVC)
    return None


def _has_second_view(file: Path, holds: Callable[[Iterable[bytes], bytes], bool]) -> bool:
    with open_film(file) as film:
        packets = islice(film.container.demux(*moving_streams(film.container)), VIEW_PACKETS)
        return holds(map(bytes, packets), bytes(film.stream.codec_context.extradata or b""))


def _two_views(film: Film) -> Layout | NotPair | None:
    """What an HEVC film of two layers holds: two views (MV-HEVC), as Apple's devices write them; None for others."""
    if film.stream.codec_context.name != "hevc" or not _has_second_view(film.file, holds_mv_hevc):
        return None
    box = spatial_box(film.file)
    if box is not None and not box.flat:
        return NotPair("panorama", _ROUND)
    with open_film(film.file) as first:
        frames = [upright(frame) for frame in spread(first)]
    score = _agreement_with_second(film.file, frames)
    if score is None:
        return NotPair(*_UNREAD[8]) if box else None
    if score < AGREEMENT:
        return None
    rule = f"MV-HEVC, two views that agree ({score:.2f})"
    return Layout("two-streams", rule, box is not None and box.right_first, guessed=True, order_stated=box is not None)


def _stated_packing(film: Film, facts: Stated) -> Layout | None:
    """The packing that Matroska's stereo mode, an MP4 box or the frame packing of the bit stream states."""
    mode = str(film.stream.metadata.get("stereo_mode", ""))
    if mode in _STEREO_MODES:
        layout, right_first = _STEREO_MODES[mode]
        return Layout(layout, f"Matroska stereo mode {mode.replace('_', ' ')}", right_first)
    if facts.packing in _PACKINGS:
        return Layout(_PACKINGS[facts.packing], "frame packing", facts.inverted)
    return None


def _spherical(facts: Stated, packing: Layout | None) -> Layout | NotPair:
    """What a film with a stated spherical projection holds."""
    if facts.sphere is None:
        return NotPair("panorama", "a VR film of a projection that cannot be read (cube map or fisheye)")
    if packing is None:
        return NotPair("panorama", "a VR film (sv3d) that states no packing of two eyes: one eye only")
    if facts.sphere.width > WIDEST:
        return NotPair("panorama", "a 360-degree film: no flat pair can be cut from it")
    plain = packing.layout.removesuffix("-half")
    if plain not in ("side-by-side", "over-under"):
        return NotPair("panorama", f"a VR film whose eyes are {plain}; {_CONVERT}")
    return replace(packing, layout=f"vr180-{plain}", rule=f"{packing.rule}, VR180 by its spherical projection")


def _with_squeeze(packing: Layout, frame: Picture, aspect: float) -> Layout:
    """A packing with half width or height, where the shape of the frame says so; see packed.is_squeezed."""
    if packing.layout not in ("side-by-side", "over-under"):
        return packing
    size = frame.shape[1], frame.shape[0]
    if not is_squeezed(packing.layout, size, split(frame, packing.layout)[0], pixel_aspect=aspect, film=True):
        return packing
    return replace(packing, layout=f"{packing.layout}-half", rule=f"{packing.rule}, half by frame size")


def _two_streams(film: Film, frames: Sequence[Picture]) -> Layout | None:
    """A film whose two video streams are the eyes, the first one left, as 3D cameras write AVI files (Fuji W3)."""
    if len(moving_streams(film.container)) != 2:
        return None
    score = _agreement_with_second(film.file, frames)
    if score is None or score < AGREEMENT:
        return None
    return Layout("two-streams", f"two video streams that agree ({score:.2f})", guessed=True, order_stated=True)


def _agreement_with_second(file: Path, frames: Sequence[Picture]) -> float | None:
    """How far some frames of a film agree with those of its second stream or view; None where it has no such frames."""
    with open_film(file, 1) as other:
        others = [upright(frame) for frame in spread(other)]
    if not frames or [first.shape for first in frames] != [second.shape for second in others]:
        return None
    return float(np.median([agreement(first, second) for first, second in zip(frames, others, strict=True)]))


def _layout_of_frames(frames: Sequence[Picture], stem: str, aspect: float) -> Layout | NotPair:
    """What most of some frames show."""
    size = frames[0].shape[1], frames[0].shape[0]
    layouts = [seen_layout(frame, size, stem, pixel_aspect=aspect, film=True) for frame in frames]
    pairs = [layout for layout in layouts if isinstance(layout, Layout)]
    for kind in {layout.layout for layout in pairs}:
        alike = [layout for layout in pairs if layout.layout == kind]
        if 2 * len(alike) > len(layouts):
            return alike[0]
    others = [layout for layout in layouts if isinstance(layout, NotPair)]
    return others[0] if others else NotPair("single", "the frames of the film do not agree on a layout")


def film_bars(file: Path, stream: int = 0) -> tuple[int, int, int, int]:
    """What black bars leave of the frames: left, top, right, bottom in px; one box for the whole film.

    file: the film. stream: which of the film's video streams. Measured on the brightest values of several frames, so
    that a dark scene is not taken for a bar.
    """
    with open_film(file, stream) as film:
        brightest: Picture | None = None
        for frame in map(upright, spread(film)):
            brightest = frame if brightest is None else np.maximum(brightest, frame)
    if brightest is None:
        raise InputError("corrupt", f"{file}: no frame of the film can be decoded; copy it again")
    box = inside_margin(brightest)
    return box.left, box.top, box.right, box.bottom


def film_rate(file: Path) -> float:
    """Frames a second that a film has. file: the film. Raises InputError as open_film does."""
    with open_film(file) as film:
        return 0.5 / film.slack


def film_frames(file: Path, rate: float, alternate: bool = False) -> list[FilmFrame]:
    """The frames to take from a film, `rate` a second, none twice where the picture stands still.

    file: the film. alternate: two frames, of an eye each, are taken as one. Raises InputError "corrupt".
    """
    with open_film(file) as film:
        looks, shown = _key_looks(film)
        if not looks:
            raise InputError("corrupt", f"{file}: no frame of the film can be decoded; copy it again")
        end = float(shown[-1])
        if end - looks[0].time > LONGEST_FILM:
            raise InputError("corrupt", f"{file}: claims to last {end / 3600:.0f} hours; copy it again")
        cuts: list[_Look] = []
        for earlier, later in pairwise(looks):
            if _differ(earlier, later) or later.time - earlier.time > LONGEST_GAP:
                cuts += _cuts_between(film, earlier.time, later.time)
        if end - looks[-1].time > LONGEST_GAP:
            cuts += _cuts_between(film, looks[-1].time, end)
    looks = sorted({look.time: look for look in (*looks, *cuts)}.values(), key=lambda look: look.time)
    shown = shown[::2] if alternate else shown
    return _taken(looks, [look.time for look in cuts], _times(looks[0].time, shown, rate, film.slack))


def _times(start: float, shown: NDArray[np.float64], rate: float, slack: float) -> list[float]:
    """The times from `start` on at which a frame is taken, `rate` a second; no frame twice.

    shown: s, when the frames are shown, ascending: a film that claims hours but has few frames gives few.
    """
    end = float(shown[-1])
    if (end - start) * rate <= 4 * shown.size:
        times = start + np.arange(int((end - start) * rate) + 1) / rate
    else:
        times = start + np.unique(np.floor((shown[shown >= start] - start) * rate)) / rate
    times = times[times < end + 1e-3]
    frames = np.searchsorted(shown, times - slack)
    _, first = np.unique(frames, return_index=True)
    return [float(time) for time in times[first]]


def _taken(looks: Sequence[_Look], cut_times: Sequence[float], times: Sequence[float]) -> list[FilmFrame]:
    """The frames at these times, but those that look as the one before in the same clip."""
    keys = np.array([look.time for look in looks])
    frames: list[FilmFrame] = []
    taken: tuple[int, int] | None = None  # clip and key frame of the last one
    for time in times:
        clip = 1 + int(np.searchsorted(cut_times, time + 1e-3, side="right"))
        key = int(np.searchsorted(keys, time + 1e-3, side="right")) - 1
        if taken is not None and taken[0] == clip:
            next_key = key + 1 if taken[1] == key else key
            if next_key < len(looks) and _is_still(looks[taken[1]], looks[next_key]):
                continue
        frames.append(FilmFrame(clip, round(time, 3)))
        taken = clip, key
    return frames


def read_shot(file: Path, time: float, stream: int = 0, alternate: bool = False) -> Shot:
    """The frame that is shown at a time, in s from the start of the film. Raises InputError "corrupt".

    file: the film. stream, alternate: which of the film's video streams, views or alternating frames, as of open_film.
    """
    shot = shot_at(file, time, stream, alternate)
    if shot is None:
        raise InputError("corrupt", f"{file}: has no frame at {time:.3f} s")
    return shot


def shot_at(file: Path, time: float, stream: int = 0, alternate: bool = False) -> Shot | None:
    """The frame that is shown at a time, in s from the start of the film; None where the film ends before it.

    file, stream, alternate: as of read_shot.
    """
    with open_film(file, stream, alternate) as film:
        frame = next(frames_from(film, time), None)
        if frame is None:
            return None
        return Shot(upright(frame), moment(film, frame), 2 * film.slack, stated(frame).sphere or Sphere())


def film_picture(file: Path, number: int) -> tuple[float, Picture] | None:
    """A frame of a film by its number from 0: when it is shown, s, and itself, as of all_frames; None behind the last.

    file: the film, which stays open for the frame that follows: asked for in order, each is decoded once. Raises
    InputError as open_film does, "corrupt" where no frame can be decoded.
    """
    global _running
    if _running is None or (_running.file, _running.number) != (file, number):
        _running = _Running(file, number, islice(_every_frame(file), number, None))
    timed = next(_running.frames, None)
    _running.number += 1
    if timed is None:
        _running = None
        if not number:
            raise InputError("corrupt", f"{file}: no frame of the film can be decoded; copy it again")
    return timed


@dataclass
class _Running:
    """A film that is gone through. number: of the next of its frames."""

    file: Path
    number: int
    frames: Iterator[tuple[float, Picture]]


_running: _Running | None = None


@atexit.register
def _close() -> None:
    """Close the film while the interpreter still can."""
    global _running
    _running = None


def _every_frame(file: Path) -> Iterator[tuple[float, Picture]]:
    with open_film(file) as film:
        yield from all_frames(film)


def _key_looks(film: Film) -> tuple[list[_Look], NDArray[np.float64]]:
    """How the key frames look, in their order, and when all frames are shown; nothing else is decoded."""
    context, base = film.stream.codec_context, float(film.stream.time_base)
    looks: list[_Look] = []
    shown: list[float] = []
    last = -LOOK_EVERY
    for packet in film.container.demux(film.stream):
        if packet.size:  # an empty one flushes the decoder
            if packet.pts is None:
                continue
            time = packet.pts * base - film.start
            shown.append(time)
            if not packet.is_keyframe or time < last + LOOK_EVERY:
                continue
            last = time
        looks += [_look(film, frame) for frame in context.decode(packet)]
    shown += [look.time for look in looks]
    return looks, np.unique(shown)


def _cuts_between(film: Film, start: float, stop: float) -> list[_Look]:
    """The first frames behind the cuts between two times, found frame by frame."""
    cuts: list[_Look] = []
    before: _Look | None = None
    for frame in frames_from(film, start):
        look = _look(film, frame)
        if before is not None and _differ(before, look):
            cuts.append(look)
        before = look
        if look.time >= stop:
            break
    return cuts


def _look(film: Film, frame: av.VideoFrame) -> _Look:
    small = np.asarray(cv2.resize(upright(frame), _THUMB, interpolation=cv2.INTER_AREA))
    colours = cv2.calcHist([small], [0, 1, 2], None, [6, 6, 6], [0, 256] * 3)
    colours = cv2.GaussianBlur(colours.reshape(36, 6), (3, 3), 0)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)
    return _Look(moment(film, frame), grey, np.asarray(colours, np.float32))


def _differ(earlier: _Look, later: _Look) -> bool:
    """Whether there is a cut between two frames, if they follow each other; may be, if they do not."""
    colours = cv2.compareHist(earlier.colours, later.colours, cv2.HISTCMP_BHATTACHARYYA)
    return bool(colours > CUT or np.abs(earlier.grey - later.grey).mean() > JUMP)


def _is_still(earlier: _Look, later: _Look) -> bool:
    return float(np.abs(earlier.grey - later.grey).mean()) < STILL
