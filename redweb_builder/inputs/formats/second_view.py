"""The second eye in the bit stream of the first: H.264 MVC and MV-HEVC, and what an Apple film states of its eyes.

Ordinary decoders pass over the NAL units of the second view (ITU-T H.264, Annexes B and H; H.265, Annexes B and G).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_DEPENDENT = {15, 20}  # H.264 NAL unit types: subset sequence parameter set, slice of another view
_PARAMETERS = 32  # H.265: from this NAL unit type on, units hold no slices
_LARGEST_MOOV = 1 << 26  # bytes of an MP4 index that are searched
_REVERSED = 8  # flag of a stri box


def holds_mvc(packets: Iterable[bytes], extradata: bytes) -> bool:
    """Whether some packets of H.264 streams hold a dependent view.

    packets: as the container has them. extradata: the stream's; an avcC record (ISO/IEC 14496-15) begins with 1 and
    says how many bytes a length has.
    """
    prefix = (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0
    return any(unit[0] & 31 in _DEPENDENT for packet in packets for unit in nal_headers(packet, prefix))


def holds_mv_hevc(packets: Iterable[bytes], extradata: bytes) -> bool:
    """Whether some packets of H.265 streams hold slices of a further layer: a second view, depth or transparency.

    packets: as the container has them. extradata: the stream's; an hvcC record begins with 1.
    """
    prefix = (extradata[21] & 3) + 1 if len(extradata) > 22 and extradata[0] == 1 else 0
    return any(
        (unit[0] & 1) << 5 | unit[1] >> 3 and unit[0] >> 1 & 63 < _PARAMETERS
        for packet in packets
        for unit in nal_headers(packet, prefix)
        if len(unit) == 2
    )


def nal_headers(packet: bytes, prefix: int) -> Iterator[bytes]:
    """The first 2 bytes of each NAL unit of a packet; fewer at its end.

    prefix: bytes of the length before each unit; 0 = start codes (Annex B).
    """
    if not prefix:
        for start in re.finditer(b"\0\0\1(?=.)", packet, re.DOTALL):
            yield packet[start.end() : start.end() + 2]
        return
    place = 0
    while place + prefix < len(packet):
        yield packet[place + prefix : place + prefix + 2]
        place += prefix + int.from_bytes(packet[place : place + prefix], "big")


@dataclass(frozen=True)
class SpatialBox:
    """What the vexu box of an Apple film states. right_first: the first view is the right eye. flat: no VR film."""

    right_first: bool
    flat: bool


def spatial_box(file: Path) -> SpatialBox | None:
    """The vexu box of a film (Apple, "Stereo Video: ISOBMFF Extensions"); None where it has none.

    Searched for in the index of the file, not parsed. Raises OSError.
    """
    index = _moov_of(file)
    start = index.find(b"vexu")
    if start < 4:
        return None
    box = index[start : start - 4 + int.from_bytes(index[start - 4 : start], "big")]
    eyes, projection = box.find(b"stri"), box.find(b"prji")
    flags = box[eyes + 8] if 0 <= eyes < len(box) - 8 else 0
    return SpatialBox(bool(flags & _REVERSED), projection < 0 or box[projection + 8 : projection + 12] == b"rect")


def _moov_of(file: Path) -> bytes:
    """The index of an MP4 file; empty where there is none, or a larger one than is searched."""
    with file.open("rb") as content:
        end = content.seek(0, 2)
        place = 0
        while place + 8 <= end:
            content.seek(place)
            head = content.read(16)
            size = int.from_bytes(head[:4], "big")
            if size == 1:
                size = int.from_bytes(head[8:], "big")
            if head[4:8] == b"moov":
                return content.read(size) if size <= _LARGEST_MOOV else b""
            if size < 8:
                break
            place += size
    return b""
