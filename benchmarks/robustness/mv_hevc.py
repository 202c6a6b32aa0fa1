"""Films of two views in one HEVC stream (MV-HEVC), as Apple's devices write them: x265 encodes each view for itself.

The slices of the second view get another layer number, and a parameter set says that the layers are views (ITU-T H.265,
Annexes F and G). The second view is not predicted from the first, which the standard allows.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from redweb_builder.types import Picture

_START = b"\0\0\0\1"
_VPS, _SPS, _PPS, _CRA = 32, 33, 34, 21  # types of NAL units
_GROUP = 2  # frames from one key frame to the next
_X265 = (
    f"keyint={_GROUP}:min-keyint={_GROUP}:ref=1:bframes=0:scenecut=0:open-gop=1:repeat-headers=1:info=0:"
    "log-level=none:wpp=0:pools=none:frame-threads=1:crf=12"
)


def write_mv_hevc(path: Path, left: Sequence[Picture], right: Sequence[Picture], rate: int) -> Path:
    """Write a film of two views; the container by the extension of `path`.

    left, right: HxWx3 uint8 RGB, of even width and height, equal in size; left is the base view. rate: frames a second.
    """
    import av

    height, width = left[0].shape[:2]
    views = [_units([eye[0]] * _GROUP + list(eye)) for eye in (left, right)]
    sets = {_type(unit): unit for unit in views[0] if _VPS <= _type(unit) <= _PPS}
    sets[_VPS] = _parameter_set(sets[_VPS], width, height)
    head = b"".join(_START + sets[kind] for kind in (_VPS, _SPS, _PPS))
    # A stream begins with a CRA picture here: an IDR picture is written otherwise in a second layer.
    slices = [[unit for unit in view if _type(unit) < _VPS][_GROUP:] for view in views]
    second = [bytes([unit[0], unit[1] | 1 << 3]) + unit[2:] for unit in slices[1]]
    packets = [
        (head if _type(base) == _CRA else b"") + _START + base + _START + other
        for base, other in zip(slices[0], second, strict=True)
    ]
    with av.open(io.BytesIO(b"".join(packets)), format="hevc") as stream, av.open(str(path), "w") as film:
        track = film.add_stream_from_template(stream.streams.video[0])
        for number, content in enumerate(packets):
            packet = av.Packet(content)
            packet.stream, packet.time_base, packet.duration = track, Fraction(1, rate), 1
            packet.pts = packet.dts = number
            packet.is_keyframe = content.startswith(head)
            film.mux(packet)
    return path


def _units(frames: Sequence[Picture]) -> list[bytes]:
    """The NAL units of a view."""
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="hevc") as film:
        track = film.add_stream("libx265", rate=25)
        track.height, track.width = frames[0].shape[:2]
        track.pix_fmt, track.options = "yuv420p", {"x265-params": _X265}
        for frame in frames:
            film.mux(track.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        film.mux(track.encode())
    return [unit for unit in re.split(b"\0\0\0?\1", content.getvalue()) if unit]


def _type(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _parameter_set(single: bytes, width: int, height: int) -> bytes:
    """A video parameter set of two layers that are views. single: the one of a stream of one layer."""
    profile = single.replace(b"\0\0\3", b"\0\0")[6:18]
    bits = _Bits()
    bits.put((4, 0), (2, 3), (6, 1), (3, 0), (1, 1), (16, 0xFFFF))  # two layers
    bits.put(*((8, byte) for byte in profile))
    bits.put((1, 1)).codes(4, 0, 0)  # pictures held
    bits.put((6, 1)).codes(1).put((1, 1), (1, 1), (1, 0))  # a set of both layers; no timing
    bits.put((1, 1)).fill("1")  # the extension
    bits.put((8, profile[-1]), (1, 0), (16, 1 << 14), (3, 0), (1, 0), (1, 1))  # the layers are views
    bits.put((4, 1), (1, 0), (1, 1), (1, 1), (1, 0), (1, 0), (1, 1))  # number of each view; the second needs the first
    bits.codes(1, 0).put((2, 0), (1, 1), (1, 1))  # profiles; both layers are shown
    bits.codes(0).put((16, width), (16, height), (1, 1), (2, 1), (4, 0), (4, 0), (1, 0))
    bits.put((1, 1), (1, 0), (1, 0)).codes(4, 4, 0, 0)  # pictures held of each layer
    bits.codes(0).put((1, 1), (2, 2)).codes(0).put((1, 0), (1, 0), (1, 1)).fill("0")
    return single[:2] + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", bits.content())


class _Bits:
    """A bit stream that is being written."""

    def __init__(self) -> None:
        self._bits = ""

    def put(self, *fields: tuple[int, int]) -> _Bits:
        """Numbers, each as (bits, value)."""
        self._bits += "".join(format(value, f"0{length}b") for length, value in fields)
        return self

    def codes(self, *values: int) -> _Bits:
        """Numbers as Exp-Golomb codes."""
        for value in values:
            text = format(value + 1, "b")
            self._bits += "0" * (len(text) - 1) + text
        return self

    def fill(self, bit: str) -> _Bits:
        """Bits up to a whole byte."""
        self._bits += bit * (-len(self._bits) % 8)
        return self

    def content(self) -> bytes:
        """The bytes so far."""
        return int(self._bits, 2).to_bytes(len(self._bits) // 8, "big")
