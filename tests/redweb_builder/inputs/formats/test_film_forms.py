"""Every form of film that people have, on small films written here: its layout, and that the right frames are read."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.robustness.mv_hevc import write_mv_hevc
from redweb_builder.errors import InputError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.formats.film_file import displayed, upright
from redweb_builder.inputs.formats.films import read_shot
from redweb_builder.inputs.formats.second_view import holds_mvc, nal_headers
from redweb_builder.inputs.read import read_pair
from redweb_builder.types import LeftOut, PairSource, Picture
from tests.redweb_builder.inputs.formats.test_films import FPS, HEIGHT, WIDTH, eyes_of, moving, near
from tests.redweb_builder.inputs.formats.test_picture_forms import columns, rows
from tests.redweb_builder.inputs.test_discover import over_under, side_by_side

av = pytest.importorskip("av", reason="needs the extra: pip install 'redweb-builder[film]'")

Frames = Sequence[Picture]
Eyes = list[tuple[Picture, Picture]]
Arrange = Callable[[Picture, Picture], Picture]


def film(
    path: Path,
    *streams: Frames,
    codec: str = "mpeg4",
    form: str | None = None,
    start: float = 0.0,
    gop: int = 5,
    aspect: Fraction | None = None,
    stereo_mode: str = "",
    add: bytes = b"",
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Write a film. streams: the frames of each; start: s, of its first frame; add: bytes behind every packet."""
    with av.open(str(path), "w", format=form) as container:
        tracks = []
        for frames in streams:
            track = container.add_stream(codec, rate=FPS)
            track.height, track.width = frames[0].shape[:2]
            track.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            track.bit_rate, track.codec_context.gop_size = 8_000_000, gop
            track.options = codec_options or {}
            if aspect is not None:
                track.codec_context.sample_aspect_ratio = aspect
            if stereo_mode:
                track.metadata["stereo_mode"] = stereo_mode
            tracks.append(track)
        for track, frames in zip(tracks, streams, strict=True):
            for number, picture in enumerate((*frames, None)):
                frame = None
                if picture is not None:
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                    frame.pts, frame.time_base = number + round(start * FPS), Fraction(1, FPS)
                for packet in track.encode(frame):
                    container.mux(longer(packet, add) if add else packet)
    return path


def longer(packet: Any, add: bytes) -> Any:
    new = av.Packet(bytes(packet) + add)
    for name in ("pts", "dts", "time_base", "stream", "is_keyframe"):
        setattr(new, name, getattr(packet, name))
    return new


def box(kind: bytes, content: bytes, full: bool = False) -> bytes:
    return struct.pack(">I", 8 + len(content) + 4 * full) + kind + bytes(4 * full) + content


def with_boxes(path: Path, boxes: bytes, entry_kind: bytes = b"mp4v") -> Path:
    """Put boxes at the end of the only video sample entry of an MP4 file whose moov lies behind its pictures."""
    content = bytearray(path.read_bytes())
    entry = content.index(entry_kind, content.index(b"stsd")) - 4
    end = entry + struct.unpack_from(">I", content, entry)[0]
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry_kind):
        place = content.index(kind, content.index(b"moov")) - 4
        struct.pack_into(">I", content, place, struct.unpack_from(">I", content, place)[0] + len(boxes))
    path.write_bytes(content[:end] + boxes + content[end:])
    return path


def turned(path: Path, matrix: Sequence[int]) -> Path:
    """Write a display matrix (a b c d, in whole numbers) into the track header of an MP4 file."""
    content = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", content, content.index(b"tkhd") + 4 + 40, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def spherical(mode: int, *, left: float = 0.25, right: float = 0.25) -> bytes:
    """st3d and sv3d (Google, Spherical Video V2): a stereo mode and an equirectangular projection with bounds."""
    bounds = struct.pack(">4I", 0, 0, round(left * 2**32), round(right * 2**32))
    projection = box(b"prhd", bytes(12), full=True) + box(b"equi", bounds, full=True)
    stereo = box(b"st3d", bytes([mode]), full=True) if mode else b""
    return stereo + box(b"sv3d", box(b"svhd", b"\0", full=True) + box(b"proj", projection))


def vexu(flags: int = 3, projection: bytes = b"") -> bytes:
    """Apple's box of a spatial film. flags: 3 = both eyes, 8 more = the right one first. projection: as of prji."""
    kind = box(b"proj", box(b"prji", projection, full=True)) if projection else b""
    return box(b"vexu", box(b"eyes", box(b"stri", bytes([flags]), full=True)) + kind)


def tall(left: Picture, right: Picture) -> Picture:
    """Two square eyes."""
    return side_by_side(*(np.asarray(cv2.resize(eye, (192, 192))) for eye in (left, right)))


def squeezed(left: Picture, right: Picture, size: tuple[int, int]) -> Picture:
    return np.asarray(cv2.resize(side_by_side(left, right), size), np.uint8)


@dataclass(frozen=True)
class Form:
    """A form of film. expected: its layout, or the reason it is left out; words: part of the rule or the detail.

    turn: by how many right angles the frames are turned when they are shown. rate: pairs of eyes a second.
    """

    name: str
    make: Callable[[Path, Eyes], Any]
    expected: str
    words: str = ""
    right_first: bool = False
    turn: int = 0
    rate: int = FPS


def packed(arrange: Arrange = side_by_side, **options: Any) -> Callable[[Path, Eyes], Path]:
    return lambda path, eyes: film(path, [arrange(*pair) for pair in eyes], **options)


def boxed(boxes: bytes, arrange: Arrange = tall) -> Callable[[Path, Eyes], Path]:
    return lambda path, eyes: with_boxes(film(path, [arrange(*pair) for pair in eyes]), boxes)


def screen(size: tuple[int, int], **options: Any) -> Callable[[Path, Eyes], Path]:
    return lambda path, eyes: film(path, [squeezed(*pair, size) for pair in eyes[::10]], **options)


def in_turn(x264: int | None = None, **options: Any) -> Callable[[Path, Eyes], Path]:
    """Frames of the two eyes in turn, left first. x264: the frame packing to state."""

    def make(path: Path, eyes: Eyes) -> Path:
        frames = [eye for pair in eyes for eye in pair]
        more = {"codec": "libx264", "codec_options": {"x264-params": f"frame-packing={x264}"}} if x264 else {}
        return film(path, frames, **(options | more))

    return make


def two_streams(path: Path, eyes: Eyes) -> Path:
    return film(path, [left for left, _ in eyes], [right for _, right in eyes], codec="mjpeg")


def other_streams(path: Path, eyes: Eyes) -> Path:
    return film(path, [left for left, _ in eyes], [right for _, right in moving(5, 2)], codec="mjpeg")


def needs_x265() -> None:
    if "libx265" not in av.codecs_available:
        pytest.skip("FFmpeg was built without x265")


def spatial(boxes: bytes = b"", matrix: Sequence[int] = (1, 0, 0, 1)) -> Callable[[Path, Eyes], Path]:
    def make(path: Path, eyes: Eyes) -> Path:
        needs_x265()
        write_mv_hevc(path, [left for left, _ in eyes], [right for _, right in eyes], FPS)
        return turned(with_boxes(path, boxes, b"hev1"), matrix)

    return make


FORMS = (
    # containers: asked, not named
    Form("a-lr.mts", packed(codec="mpeg2video", form="mpegts", start=1.4), "side-by-side"),
    Form("a.m2ts", packed(codec="mpeg2video", form="mpegts", start=600.0), "side-by-side", "content"),
    Form("a-lr.mpg", packed(codec="mpeg2video", form="mpeg", start=0.5), "side-by-side"),
    Form("a-lr.vob", packed(codec="mpeg2video", form="vob"), "side-by-side"),
    Form("a-lr.ts", packed(codec="mpeg2video", form="mpegts"), "side-by-side"),
    Form("a-lr.flv", packed(codec="flv"), "side-by-side"),
    Form("a-lr.asf", packed(codec="wmv2"), "side-by-side"),
    Form("a-rl.mk3d", packed(form="matroska"), "side-by-side", right_first=True),
    Form("a-tb.mp4", packed(over_under), "over-under"),
    # Matroska
    Form("a.mkv", packed(stereo_mode="right_left"), "side-by-side", "stereo mode", right_first=True),
    Form("a.mkv", screen((1920, 1080), stereo_mode="left_right"), "side-by-side-half", "half"),
    Form("a.mkv", packed(stereo_mode="block_lr"), "unsupported", "MVC"),
    Form("a.mkv", packed(rows, stereo_mode="row_interleaved_lr"), "row-interleaved", "stereo mode"),
    Form("a.mkv", packed(columns, stereo_mode="col_interleaved_rl"), "column-interleaved", right_first=True),
    Form("a.mkv", packed(stereo_mode="checkerboard_lr"), "interlaced", "checkerboard"),
    Form("a.mkv", packed(stereo_mode="anaglyph_cyan_red"), "anaglyph", "colours"),
    # half width
    Form("a-sbs.mp4", screen((1280, 720)), "side-by-side-half", "half"),
    Form("a-sbs.mp4", screen((1920, 800)), "side-by-side-half", "half"),
    Form("a-sbs.mp4", screen((2560, 720)), "side-by-side"),
    Form("a-sbs.mp4", packed(aspect=Fraction(2, 1)), "side-by-side-half", "half"),
    Form("a-tb.mp4", packed(over_under, aspect=Fraction(1, 2)), "over-under-half", "half"),
    # spheres: projection before packing
    Form("a.mp4", boxed(spherical(2)), "vr180-side-by-side", "projection"),
    Form("a_180_sbs.mp4", boxed(spherical(2)), "vr180-side-by-side"),
    Form("a.mp4", boxed(spherical(1), lambda *eyes: over_under(*np.hsplit(tall(*eyes), 2))), "vr180-over-under"),
    Form("a.mp4", boxed(spherical(2, left=0.0, right=0.0)), "panorama", "360"),
    Form("a.mp4", boxed(spherical(0)), "panorama", "one eye"),
    Form("trip_180_LR.mp4", packed(tall), "vr180-side-by-side", "name"),
    # Apple
    Form("a.mov", boxed(vexu()), "unsupported", "MV-HEVC"),
    Form("a.mov", spatial(), "two-streams", "MV-HEVC"),
    Form("a.mov", spatial(vexu()), "two-streams", "MV-HEVC"),
    Form("a.mov", spatial(vexu(11), (-1, 0, 0, -1)), "two-streams", "MV-HEVC", right_first=True, turn=2),
    Form("a.mov", spatial(vexu(3, b"rect")), "two-streams", "MV-HEVC"),
    Form("a.mov", spatial(vexu(3, b"hequ")), "panorama", "MV-HEVC"),
    # eyes in turn
    Form("a-row-interleaved.mkv", packed(rows), "row-interleaved", "name"),
    Form("a_frame_sequential.mkv", in_turn(), "frame-sequential", "name", rate=FPS // 2),
    Form("a pageflip.m2ts", in_turn(codec="mpeg2video", form="mpegts", start=600.0), "frame-sequential", rate=FPS // 2),
    Form("a.mkv", in_turn(), "unsupported", "frame-sequential"),
    Form("a.mkv", in_turn(x264=5), "frame-sequential", "frame packing", rate=FPS // 2),
    # two streams
    Form("DSCF0001.AVI", two_streams, "two-streams", "two video streams"),
    Form("two.avi", other_streams, "single"),
    # no film at all
    Form("a.ts", lambda path, _: path.write_text("export const left = 1;\n" * 50), "corrupt"),
    Form("a.mp4", lambda path, _: path.write_text("#EXTM3U\n#EXTINF:1,\nother.ts\n"), "corrupt"),
)


def test_a_film_of_two_layers_that_are_no_eyes_is_one_view(tmp_path: Path) -> None:
    """As films with transparency or depth in a second layer."""
    needs_x265()
    others = [left for left, _ in moving(5, 1)]
    write_mv_hevc(tmp_path / "a.mov", [left for left, _ in moving(1, 1)], others, FPS)
    assert [file.reason for file in discover(tmp_path).left_out] == ["single"]


@pytest.mark.parametrize("form", FORMS, ids=[f"{number}-{form.name}" for number, form in enumerate(FORMS)])
def test_forms_of_film(tmp_path: Path, form: Form) -> None:
    eyes = moving(1, 2)
    form.make(tmp_path / form.name, eyes)
    discovery = discover(tmp_path)
    result: list[PairSource | LeftOut] = [*discovery.sources, *discovery.left_out]
    kinds = {item.layout if isinstance(item, PairSource) else item.reason for item in result}
    assert kinds == {form.expected}
    texts = [item.rule if isinstance(item, PairSource) else item.detail for item in result]
    assert all(form.words in text for text in texts)
    if discovery.sources:
        assert [source.time for source in discovery.sources][:2] == ([0.0, 1.0] if len(eyes) // 10 > 1 else [0.0])[
            : len(discovery.sources)
        ]
        assert {source.right_first for source in discovery.sources} == {form.right_first}
        for source in discovery.sources:
            pair = read_pair(source, 1000)
            if "half" not in source.layout and "vr180" not in source.layout and pair.left.shape[1] == WIDTH:
                left, right = eyes[round(form.rate * (source.time or 0.0))][:: -1 if form.right_first else 1]
                if "interleaved" in form.expected:  # half of each eye is there
                    left, right = (cv2.GaussianBlur(eye, (0, 0), 2) for eye in (left, right))
                    pair = replace(
                        pair, left=cv2.GaussianBlur(pair.left, (0, 0), 2), right=cv2.GaussianBlur(pair.right, (0, 0), 2)
                    )
                assert near(pair.left, np.rot90(left, form.turn))
                assert near(pair.right, np.rot90(right, form.turn))


@pytest.mark.skipif("libx264" not in av.codecs_available, reason="FFmpeg was built without x264")
@pytest.mark.parametrize(
    ("arrangement", "expected"),
    [
        (3, "side-by-side"),
        (4, "over-under"),
        (0, "interlaced"),
        (1, "column-interleaved"),
        (2, "row-interleaved"),
        (5, "frame-sequential"),
    ],
)
def test_frame_packing_of_the_bit_stream(tmp_path: Path, arrangement: int, expected: str) -> None:
    arrange = over_under if arrangement == 4 else side_by_side
    options = {"x264-params": f"frame-packing={arrangement}"}
    film(tmp_path / "a.mp4", [arrange(*pair) for pair in moving(1, 1)], codec="libx264", codec_options=options)
    discovery = discover(tmp_path)
    assert {source.layout for source in discovery.sources} | {file.reason for file in discovery.left_out} == {expected}


@pytest.mark.skipif("libx264" not in av.codecs_available, reason="FFmpeg was built without x264")
@pytest.mark.parametrize("name", ["a.mkv", "a.mts"])
def test_a_second_view_that_ffmpeg_passes_over_is_named(tmp_path: Path, name: str) -> None:
    """MVC: NAL units of type 20 behind those of the eye that is decoded."""
    form = "mpegts" if name == "a.mts" else None
    film(
        tmp_path / name,
        [left for left, _ in moving(1, 1)],
        codec="libx264",
        form=form,
        add=b"\0\0\0\1\x74" + b"\x55" * 40,
    )
    (left_out,) = discover(tmp_path).left_out
    assert left_out.reason == "unsupported"
    assert "MVC" in left_out.detail


def test_types_of_nal_units() -> None:
    assert list(nal_headers(b"\0\0\0\1\x67ab\0\0\1\x74cd\0\0\1", 0)) == [b"\x67a", b"\x74c"]
    assert list(nal_headers(b"\0\0\0\3\x67ab\0\0\0\2\x6fc", 4)) == [b"\x67a", b"\x6fc"]
    assert list(nal_headers(b"\xff\xff\xff\xff\x65ab", 4)) == [b"\x65a"]
    assert not holds_mvc([b"", b"\0\0", b"\0\0\1"], b"\1\2\3\4\xff")


@pytest.mark.parametrize(("codec", "form"), [("mpeg2video", "mpegts"), ("mpeg2video", "mpeg"), ("mpeg4", "mp4")])
@pytest.mark.parametrize("start", [0.0, 0.7, 600.0])
@pytest.mark.parametrize("gop", [1, 5, 30])
def test_every_frame_is_found_by_its_time(tmp_path: Path, codec: str, form: str, start: float, gop: int) -> None:
    """In streams without an index a seek may land behind its target."""
    noise = np.random.default_rng(0).integers(-25, 26, (36, 96, 128, 1))  # frames of some size, each with its own stamp
    frames = [(30 + 5 * number + noise[number].repeat(3, axis=2)).astype(np.uint8) for number in range(36)]
    path = film(tmp_path / "a.film", frames, codec=codec, form=form, start=start, gop=gop)
    for number in (0, 1, 4, 5, 17, 29, 30, 35):
        shot = read_shot(path, number / FPS)
        assert abs(float(shot.picture.mean()) - 30 - 5 * number) < 2.5
        assert shot.time == pytest.approx(number / FPS, abs=0.02)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [((1, 0, 0, 1), 0), ((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
)
def test_a_film_is_turned_as_its_display_matrix_says(tmp_path: Path, matrix: Sequence[int], turn: int) -> None:
    """As phones write it: held upright, on its side, upside down."""
    eyes = moving(1, 1)
    for number, name in enumerate(("walk_L.mp4", "walk_R.mp4")):
        turned(film(tmp_path / name, [pair[number] for pair in eyes]), matrix)
    (source,) = discover(tmp_path).sources
    pair = read_pair(source, 1000)
    assert near(pair.left, np.rot90(eyes[0][0], turn))
    assert near(pair.right, np.rot90(eyes[0][1], turn))


def test_a_mirrored_film_is_mirrored_back() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    matrix = struct.pack("=9i", -(1 << 16), 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    np.testing.assert_array_equal(displayed(picture, matrix), picture[:, ::-1])
    matrix = struct.pack("=9i", 0, 1 << 16, 0, 1 << 16, 0, 0, 0, 0, 1 << 30)
    np.testing.assert_array_equal(displayed(picture, matrix), picture.transpose(1, 0, 2))


def test_two_films_that_begin_at_other_times_are_one_rig(tmp_path: Path) -> None:
    eyes = moving(1, 3)
    film(tmp_path / "a_L.mts", [left for left, _ in eyes], codec="mpeg2video", form="mpegts", start=3.0)
    film(tmp_path / "a_R.mts", [right for _, right in eyes], codec="mpeg2video", form="mpegts", start=90.0)
    sources = discover(tmp_path).sources
    assert [source.time for source in sources] == [0.0, 1.0, 2.0]
    pair = read_pair(sources[2], 1000)
    assert near(pair.left, eyes[20][0])
    assert near(pair.right, eyes[20][1])


def test_eyes_of_different_moments_are_refused(tmp_path: Path) -> None:
    """The right film has a hole of two seconds: its next frame is no partner."""
    eyes = moving(1, 4)
    film(tmp_path / "a_L.mkv", [left for left, _ in eyes])
    with av.open(str(tmp_path / "a_R.mkv"), "w") as container:
        track = container.add_stream("mpeg4", rate=FPS)
        track.height, track.width, track.pix_fmt, track.bit_rate = HEIGHT, WIDTH, "yuv420p", 8_000_000
        for number in [*range(8), *range(30, 40)]:
            frame = av.VideoFrame.from_ndarray(eyes[number][1], format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    sources = discover(tmp_path).sources
    assert [source.time for source in sources] == [0.0, 1.0, 2.0, 3.0]
    for source, good in zip(sources, (True, False, False, True), strict=True):
        if good:
            read_pair(source, 1000)
        else:
            with pytest.raises(InputError, match=r"s apart at \d\.000 s") as caught:
                read_pair(source, 1000)
            assert caught.value.reason == "not-a-pair"


def test_the_film_of_one_eye_may_end_first(tmp_path: Path) -> None:
    eyes = moving(1, 3)
    film(tmp_path / "a_L.mkv", [left for left, _ in eyes])
    film(tmp_path / "a_R.mkv", [right for _, right in eyes[:15]])
    sources = discover(tmp_path).sources
    assert [source.time for source in sources] == [0.0, 1.0, 2.0]
    assert near(read_pair(sources[1], 1000).right, eyes[10][1])
    with pytest.raises(InputError, match=r"a_R\.mkv: has no frame of the second eye at 2\.000 s") as caught:
        read_pair(sources[2], 1000)
    assert caught.value.reason == "not-a-pair"


def test_few_frames_that_claim_many_hours_are_few_pairs(tmp_path: Path) -> None:
    left, right = eyes_of(1)
    with av.open(str(tmp_path / "a-lr.mkv"), "w") as container:
        track = container.add_stream("mpeg4", rate=FPS)
        track.height, track.width, track.pix_fmt = HEIGHT, 2 * WIDTH, "yuv420p"
        track.codec_context.gop_size = 1
        for number, time in enumerate((0, 1, 2, 40 * 3600)):
            picture = np.roll(side_by_side(left, right), 20 * number, axis=0)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time * FPS, Fraction(1, FPS)
            container.mux(track.encode(frame))
        container.mux(track.encode())
    sources = discover(tmp_path).sources
    assert [source.time for source in sources] == [0.0, 1.0, 2.0, pytest.approx(40 * 3600.0)]


class SideData(list[Any]):
    """As of PyAV 19, a mapping by type: to iterate gives the types; earlier ones gave the entries."""

    def __iter__(self) -> Iterator[Any]:
        return (data.type for data in super().__iter__())


def test_side_data_is_read_whatever_it_gives_when_iterated() -> None:
    class Matrix(bytes):
        type = SimpleNamespace(name="DISPLAYMATRIX")

    quarter = struct.pack("=9i", 0, 1, 0, -1, 0, 0, 0, 0, 1)
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    frame: Any = SimpleNamespace(side_data=SideData([Matrix(quarter)]), to_ndarray=lambda **_: picture)
    assert np.array_equal(upright(frame), displayed(picture, quarter))
    assert upright(frame).shape == (4, 2, 3)
