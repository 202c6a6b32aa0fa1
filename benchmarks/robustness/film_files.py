"""Small films of every form that says by itself how it holds the two eyes; none where PyAV is missing."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.robustness.mv_hevc import write_mv_hevc
from redweb_builder.types import Picture

SAMPLE_ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v")
HEADS = {b"stsd": 8, b"mp4v": 78}  # bytes before the boxes in a box


def films(left: Picture, right: Picture) -> dict[str, bytes]:
    """Films of three frames, by name with extension. left, right: the eyes of the first frame, HxWx3 uint8."""
    if find_spec("av") is None:
        return {}
    packed = np.concatenate([left, right], axis=1)
    mp4 = film("mp4", packed)
    return {
        "film-sbs.mp4": mp4,
        "film-sbs.mkv": film("mkv", packed),
        "film-sbs.ts": film("ts", packed, codec="mpeg2video"),
        "film-sbs.avi": film("avi", packed),
        "tagged.mkv": film("mkv", packed, stereo_mode="left_right"),
        "two-streams.avi": film("avi", left, right),
        "stereo-3d.mp4": with_box(mp4, SAMPLE_ENTRY, box(b"st3d", b"\0\0\0\0\x02")),
        "sphere.mp4": with_box(
            with_box(mp4, SAMPLE_ENTRY, box(b"sv3d", _sphere())), SAMPLE_ENTRY, box(b"st3d", b"\0\0\0\0\x02")
        ),
        **_two_views(left, right),
        "spatial.mov": with_box(mp4, SAMPLE_ENTRY, box(b"vexu", box(b"eyes", box(b"stri", b"\0\0\0\0\x03")))),
    }


def film(kind: str, *pictures: Picture, codec: str = "mpeg4", stereo_mode: str | None = None) -> bytes:
    """A film of three frames, a video stream a picture; the picture moves down by 3 px a frame."""
    import av

    with TemporaryDirectory() as folder:
        path = Path(folder) / f"film.{kind}"
        always_alike = {"fflags": "+bitexact"}  # Matroska's numbers are drawn at random otherwise
        form = "mpegts" if kind == "ts" else None
        with av.open(str(path), "w", format=form, container_options=always_alike) as container:
            streams: list[Any] = [container.add_stream(codec, rate=25 if kind == "ts" else 2) for _ in pictures]
            for stream, picture in zip(streams, pictures, strict=True):
                stream.height, stream.width, stream.pix_fmt = picture.shape[0], picture.shape[1], "yuv420p"
                if stereo_mode:
                    stream.metadata["stereo_mode"] = stereo_mode
            for shift in (0, 3, 6):
                for stream, picture in zip(streams, pictures, strict=True):
                    frame = np.ascontiguousarray(np.roll(picture, shift, axis=0))
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            for stream in streams:
                container.mux(stream.encode())
        return path.read_bytes()


def _two_views(left: Picture, right: Picture) -> dict[str, bytes]:
    """None where FFmpeg was built without x265."""
    import av

    if "libx265" not in av.codecs_available:
        return {}
    with TemporaryDirectory() as folder:
        path = write_mv_hevc(Path(folder) / "two-views.mov", [left] * 3, [right] * 3, rate=2)
        return {path.name: path.read_bytes()}


def box(kind: bytes, content: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_box(mp4: bytes, path: tuple[bytes, ...], new: bytes) -> bytes:
    """A film with one more box at the end of the box that `path` leads to. The media data lies before `moov`."""
    content = bytearray(mp4)
    start, end = 0, len(content)
    for kind in path:
        place = start
        while content[place + 4 : place + 8] != kind:
            place += struct.unpack_from(">I", content, place)[0]
            if place >= end:
                raise ValueError(f"there is no box {kind!r}")
        size = struct.unpack_from(">I", content, place)[0]
        struct.pack_into(">I", content, place, size + len(new))
        start, end = place + 8 + HEADS.get(kind, 0), place + size
    content[end:end] = new
    return bytes(content)


def _sphere() -> bytes:
    """An equirectangular projection of the whole sphere, as Google's Spherical Video V2 writes it."""
    head = box(b"svhd", b"\0\0\0\0fuzz\0")
    pose = box(b"prhd", bytes(16))
    return head + box(b"proj", pose + box(b"equi", bytes(20)))
