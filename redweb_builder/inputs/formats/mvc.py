"""H.264 MVC: the second eye lies in NAL units that ordinary decoders pass over (ITU-T H.264, Annexes B and H)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DEPENDENT = {15, 20}  # NAL unit types: subset sequence parameter set, slice of another view


def holds_mvc(packets: Iterable[bytes], extradata: bytes) -> bool:
    """Whether some packets of H.264 streams hold a dependent view.

    packets: as the container has them. extradata: the stream's; an avcC record (ISO/IEC 14496-15) begins with 1 and
    says how many bytes a length has.
    """
    prefix = (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0
    return any(_DEPENDENT & nal_types(packet, prefix) for packet in packets)


def nal_types(packet: bytes, prefix: int) -> set[int]:
    """The types of a packet's NAL units. prefix: bytes of the length before each; 0 = start codes (Annex B)."""
    if not prefix:
        return {packet[found.end()] & 31 for found in re.finditer(b"\0\0\1(?=.)", packet, re.DOTALL)}
    types, place = set(), 0
    while place + prefix < len(packet):
        types.add(packet[place + prefix] & 31)
        place += prefix + int.from_bytes(packet[place : place + prefix], "big")
    return types
