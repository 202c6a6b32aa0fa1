"""Films: layout, bars, the frames that are taken, and one frame read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.robustness.film_files import film as film_of
from redweb_builder.config import BuildConfig, InputOptions
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.formats.film_offset import time_offset
from redweb_builder.inputs.formats.films import film_bars, film_frames, film_layout, film_picture
from redweb_builder.inputs.layout import Layout
from redweb_builder.inputs.read import read_pair
from redweb_builder.pipeline import Prepared, prepare
from redweb_builder.rectification.clip_alignment import with_clip_alignments
from redweb_builder.rectification.film_order import with_film_orders
from redweb_builder.types import Picture
from samples.scenes import Scene
from tests.redweb_builder.inputs.test_discover import over_under, reasons, scene, side_by_side

av = pytest.importorskip("av", reason="needs the extra: pip install 'redweb-builder[film]'")

FPS = 10
WIDTH, HEIGHT = 160, 128


def write(path: Path, frames: Sequence[Picture], codec: str = "mpeg4", gop: int = 12, **options: Any) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.height, stream.width = frames[0].shape[:2]
        stream.bit_rate, stream.codec_context.gop_size = 8_000_000, gop
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = options.pop("codec_options", {})
        stream.metadata.update(options)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path


def eyes_of(seed: int) -> tuple[Picture, Picture]:
    """Two views; every seed has its own brightness, so that clips differ."""
    left, right = scene(seed, WIDTH, HEIGHT)
    scale = 0.35 + 0.3 * (seed % 3)
    return (left * scale).astype(np.uint8), (right * scale).astype(np.uint8)


def moving(seed: int, seconds: float) -> list[tuple[Picture, Picture]]:
    left, right = eyes_of(seed)
    return [(np.roll(left, 3 * n, axis=1), np.roll(right, 3 * n, axis=1)) for n in range(round(FPS * seconds))]


def near(first: Picture, second: Picture) -> bool:
    return float(np.abs(first.astype(int) - second).mean()) < 16


@pytest.mark.parametrize("arrange", [side_by_side, over_under])
@pytest.mark.parametrize("name", ["unclear", "tagged"])
def test_layout_and_frames_of_a_film(tmp_path: Path, arrange: Any, name: str) -> None:
    eyes = moving(1, 4)
    stem = name if name == "unclear" else ("trip-sbs" if arrange is side_by_side else "trip-tb")
    write(tmp_path / f"{stem}.mp4", [arrange(*pair) for pair in eyes])
    discovery = discover(tmp_path)
    assert discovery.left_out == []
    layout = "side-by-side" if arrange is side_by_side else "over-under"
    assert {source.layout for source in discovery.sources} == {layout}
    assert [source.time for source in discovery.sources] == [0.0, 1.0, 2.0, 3.0]
    assert discovery.sources[2].key.startswith(f"{stem}-c001-t00002.000-")
    pair = read_pair(discovery.sources[2], 1000)
    assert near(pair.left, eyes[20][0])
    assert near(pair.right, eyes[20][1])
    assert len(discover(tmp_path, InputOptions(film_rate=2)).sources) == 8


@pytest.mark.parametrize(("codec", "gop"), [("mpeg4", 12), ("mpeg4", 600)])
def test_cuts_and_still_pictures(tmp_path: Path, codec: str, gop: int) -> None:
    """Three clips; the second one stands still and gives one frame."""
    still = [eyes_of(2)] * 40
    frames = [side_by_side(*pair) for pair in (*moving(1, 2.5), *still, *moving(3, 2.5))]
    taken = film_frames(write(tmp_path / "a.mp4", frames, codec, gop), 1.0)
    clips = [frame.clip for frame in taken]
    assert clips == sorted(clips)
    if gop == 12:  # a film with one key frame is not seen to stand still
        expected = [(1, 0.0), (1, 1.0), (1, 2.0), (2, 3.0), (3, 7.0), (3, 8.0)]
        assert [(frame.clip, frame.time) for frame in taken] == expected


def test_frames_do_not_straddle_a_cut(tmp_path: Path) -> None:
    frames = [side_by_side(*pair) for pair in (*moving(1, 1.5), *moving(2, 1.5))]
    write(tmp_path / "a-lr.mp4", frames)
    first, second, third = (read_pair(source, 1000) for source in discover(tmp_path).sources)
    assert near(second.left, frames[10][:, :WIDTH])
    assert near(third.left, frames[20][:, :WIDTH])
    assert first.digest != second.digest != third.digest


def test_two_films_of_one_eye_each(tmp_path: Path) -> None:
    eyes = moving(4, 2)
    write(tmp_path / "walk_L.mp4", [left for left, _ in eyes])
    write(tmp_path / "walk_R.mp4", [right for _, right in eyes])
    discovery = discover(tmp_path)
    assert discovery.left_out == []
    assert [(source.layout, source.time) for source in discovery.sources] == [("files", 0.0), ("files", 1.0)]
    pair = read_pair(discovery.sources[1], 1000)
    assert near(pair.left, eyes[10][0])
    assert near(pair.right, eyes[10][1])


def unsteady(seed: int, frames: int, period: int | None = None) -> list[tuple[Picture, Picture]]:
    """Two views that move by another distance from frame to frame; period: frames after which the distances repeat."""
    left, right = eyes_of(seed)
    speeds = np.random.default_rng(seed).integers(0, 9, period or frames)
    places = np.cumsum(np.resize(speeds, frames))
    return [(np.roll(left, place, axis=1), np.roll(right, place, axis=1)) for place in places]


@pytest.mark.parametrize("late", [0, 4, -7])
def test_an_offset_in_time_of_two_films_is_undone(tmp_path: Path, late: int) -> None:
    """`late`: frames, how much later the right film shows what the left one shows."""
    eyes = unsteady(6, 50)
    write(tmp_path / "walk_L.mp4", [left for left, _ in eyes[max(0, late) :][:40]])
    write(tmp_path / "walk_R.mp4", [right for _, right in eyes[max(0, -late) :][:40]])
    sources = discover(tmp_path).sources
    assert [source.offset for source in sources] == [late / FPS] * len(sources)
    pair = read_pair(sources[2], 1000)
    number = round(FPS * (sources[2].time or 0)) + max(0, late)
    assert near(pair.left, eyes[number][0])
    assert near(pair.right, eyes[number][1])


def test_no_offset_is_guessed(tmp_path: Path) -> None:
    """A motion that repeats fits several offsets; one of two scenes none."""
    eyes, others = unsteady(4, 50, period=6), unsteady(5, 50)
    files = [
        write(tmp_path / "periodic_L.mp4", [left for left, _ in eyes[2:42]]),
        write(tmp_path / "periodic_R.mp4", [right for _, right in eyes[:40]]),
        write(tmp_path / "other_R.mp4", [right for _, right in others[:40]]),
    ]
    assert time_offset(files[0], files[1]) == 0
    assert time_offset(files[0], files[2]) == 0


def test_black_bars_are_found_in_the_whole_film(tmp_path: Path) -> None:
    """A dark scene in between changes nothing: all frames have one size."""
    bright = [cv2.copyMakeBorder(side_by_side(*pair), 20, 20, 0, 0, cv2.BORDER_CONSTANT) for pair in moving(5, 3)]
    dark = [(frame * 0.04).astype(np.uint8) for frame in bright[:10]]
    file = write(tmp_path / "a-lr.mp4", [np.asarray(frame) for frame in (*bright, *dark)])
    left, top, right, bottom = film_bars(file)
    assert (left, right) == (0, 2 * WIDTH)
    assert 20 <= top <= 23
    assert HEIGHT + 17 <= bottom <= HEIGHT + 20
    pairs = [read_pair(source, 1000) for source in discover(tmp_path).sources[:3]]
    assert {pair.left.shape for pair in pairs} == {(bottom - top, WIDTH, 3)}
    assert pairs[0].crop == f"left {WIDTH}x{bottom - top}+0+{top}, right {WIDTH}x{bottom - top}+{WIDTH}+{top}"


def test_one_film_that_is_named_is_asked_whatever_eye_its_name_speaks_of(tmp_path: Path) -> None:
    file = write(tmp_path / "beach right.mp4", [side_by_side(*pair) for pair in moving(1, 2)])
    assert {source.layout for source in discover(file).sources} == {"side-by-side"}
    assert reasons(discover(tmp_path)) == [(file.name, "one-eye")]


def test_the_container_states_the_layout(tmp_path: Path) -> None:
    frames = [side_by_side(right, left) for left, right in moving(6, 1)]
    file = write(tmp_path / "cross.mkv", frames, stereo_mode="right_left")
    assert film_layout(file) == Layout("side-by-side", "Matroska stereo mode right left", right_first=True)
    if "libx264" in av.codecs_available:
        packed = write(tmp_path / "p.mp4", frames, "libx264", codec_options={"x264-params": "frame-packing=3"})
        assert film_layout(packed) == Layout("side-by-side", "frame packing")


def test_films_that_are_no_pair(tmp_path: Path) -> None:
    write(tmp_path / "single.mp4", [left for left, _ in moving(7, 1)])
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(300))
    (tmp_path / "empty.mkv").write_bytes(b"")
    write(tmp_path / "flat.avi", [np.zeros((2, 96, 3), np.uint8)] * 3, "mjpeg")
    whole = write(tmp_path / "cut-lr.mkv", [side_by_side(*pair) for pair in moving(8, 2)]).read_bytes()
    (tmp_path / "cut-lr.mkv").write_bytes(whole[: len(whole) // 2])
    discovery = discover(tmp_path)
    left_out = [
        ("broken.mp4", "corrupt"),
        ("empty.mkv", "empty-file"),
        ("flat.avi", "too-small"),
        ("single.mp4", "single"),
    ]
    assert reasons(discovery) == left_out
    assert "Errno" not in str(discovery.left_out)
    assert {source.left.name for source in discovery.sources} == {"cut-lr.mkv"}
    for source in discovery.sources:
        read_pair(source, 1000)


def test_one_eye_order_for_a_whole_film(tmp_path: Path, rendered: Callable[..., Scene]) -> None:
    """Frames that say nothing, or the wrong thing, follow the rest of their film."""
    scene = rendered(3)
    blank = np.full_like(scene.left, 90)
    clear, unclear = side_by_side(scene.right, scene.left), side_by_side(blank, blank)
    file = write(tmp_path / "trip.mkv", [frame for frame in (clear, unclear, clear) for _ in range(12)], gop=6)
    sources = with_film_orders(discover(tmp_path, InputOptions(layout="side-by-side", film_rate=2)).sources)
    assert file.exists()
    assert len({source.film_order for source in sources}) == 1
    assert (sources[0].film_order or 0) < 0
    assert all(f"film's eye order {source.film_order:+.2f}" in source.rule for source in sources)
    prepared = [prepare(source, BuildConfig()) for source in sources]
    assert len(prepared) >= 3
    assert all(isinstance(pair, Prepared) and pair.eyes_swapped and pair.eye_order > 0 for pair in prepared)


def test_one_alignment_for_the_frames_of_a_clip(tmp_path: Path, rendered: Callable[..., Scene]) -> None:
    """Noise in every frame does not move the right view."""
    scene = rendered(3)
    height, width = scene.left.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 1.5, 1.0)
    rng = np.random.default_rng(0)
    frames = []
    for number in range(20):
        left, right = (np.roll(eye, 3 * number, axis=0) for eye in (scene.left, scene.right))
        right = np.asarray(cv2.warpAffine(right, turn, (width, height), borderMode=cv2.BORDER_REPLICATE))
        packed = side_by_side(left, right).astype(np.int16)
        frames.append(np.clip(packed + rng.integers(-20, 21, packed.shape), 0, 255).astype(np.uint8))
    write(tmp_path / "trip-lr.mkv", frames, gop=5)
    config = BuildConfig(inputs=InputOptions(film_rate=5))
    sources = with_film_orders(discover(tmp_path, config.inputs).sources)
    clips = {source.clip for source in sources if source.clip}
    prepared = [prepare(source, config) for source in with_clip_alignments(sources, config, clips)]
    homographies = {source.clip: set[bytes]() for source in sources}
    for pair in prepared:
        assert isinstance(pair, Prepared)
        homographies[pair.source.clip].add(pair.alignment.homography.tobytes())
        assert abs(abs(pair.alignment.roll_deg) - 1.5) < 0.2
    assert len(prepared) > 4 * len(homographies)
    assert all(len(of_clip) == 1 for of_clip in homographies.values())


def test_a_named_film_of_broadcast_size_is_squeezed(tmp_path: Path) -> None:
    frame = np.asarray(cv2.resize(side_by_side(*eyes_of(1)), (1280, 720)))
    file = write(tmp_path / "Trip.3D.SBS.mkv", [frame] * 2)
    assert film_layout(file) == Layout("side-by-side-half", "name tag 'sbs', half by frame size", guessed=True)


def test_films_a_number_apart_are_a_pair_only_if_they_show_one_scene(tmp_path: Path) -> None:
    for name, seed in (("same", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "MVI_1.mp4", [left for left, _ in moving(1, 2)])
        write(tmp_path / name / "MVI_2.mp4", [right for _, right in moving(seed, 2)])
    discovery = discover(tmp_path)
    assert {(source.left.parent.name, source.right.name, source.guessed) for source in discovery.sources} == {
        ("same", "MVI_2.mp4", True)
    }
    assert reasons(discovery) == [("MVI_1.mp4", "single"), ("MVI_2.mp4", "single")]


def test_every_frame_by_its_number(tmp_path: Path) -> None:
    """In order, again from the beginning, and behind the end; a packet that is no picture costs itself, and others keep
    their moments.
    """
    levels, file = range(20, 220, 20), tmp_path / "a.avi"
    film = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (64, 64))
    for level in levels:
        film.write(np.full((64, 64, 3), level, np.uint8))
    film.release()

    def seen(*numbers: int) -> list[float | None]:
        frames = [film_picture(file, number) for number in numbers]
        return [None if frame is None else round(float(frame[1].mean()), -1) for frame in frames]

    everything = range(len(levels) + 1)
    assert seen(*everything) == seen(*everything) == [*levels, None]
    assert seen(7) == [levels[7]]
    content = bytearray(file.read_bytes())
    at = content.index(b"\xff\xd8\xff", content.index(b"\xff\xd8\xff") + 3)  # of the second frame
    content[at : at + 200] = bytes(200)
    file.write_bytes(content)
    assert seen(0, 1) == [levels[0], levels[2]]
    moments = [frame[0] for frame in map(partial(film_picture, file), range(3)) if frame is not None]
    assert moments == pytest.approx([0, 2 / FPS, 3 / FPS])


def test_moments_ascend_where_the_clock_of_a_film_starts_anew(tmp_path: Path) -> None:
    """As in transport streams that were put behind one another."""
    film = tmp_path / "a.ts"
    film.write_bytes(film_of("ts", np.zeros((64, 64, 3), np.uint8), codec="mpeg2video") * 2)
    moments: list[float] = []
    while frame := film_picture(film, len(moments)):
        moments.append(frame[0])
    assert len(moments) == 6
    assert [later - earlier for earlier, later in pairwise(moments)] == pytest.approx([1 / 25] * 5, abs=1e-3)
