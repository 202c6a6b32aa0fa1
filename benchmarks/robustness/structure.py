"""Where the numbers stand that a file's structure hangs on: lengths, counts and offsets, to be overwritten by lies."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

CONTAINERS = (
    b"moov",
    b"trak",
    b"mdia",
    b"minf",
    b"stbl",
    b"meta",
    b"iprp",
    b"ipco",
    b"grpl",
    b"vexu",
    b"eyes",
    b"proj",
)
# Boxes that begin with other content, in bytes, before the boxes in them.
HEADED = {b"meta": 4, b"stsd": 8, b"mp4v": 78, b"avc1": 78, b"hvc1": 78, b"sv3d": 0}
EBML = b"\x1a\x45\xdf\xa3"


@dataclass(frozen=True)
class Number:
    """A number in a file: its place, and how it is packed, as `struct` says."""

    place: int
    form: str


def numbers(content: bytes) -> list[Number]:
    """The numbers of a JPEG, PNG, TIFF, RIFF, Matroska, ISO or transport-stream file that say how it is built."""
    if content[:2] == b"\xff\xd8":
        places = [*_jpeg(content), *_tiffs(content)]
    elif content[:4] == b"\x89PNG":
        places = list(_png(content))
    elif content[:4] in (b"II*\0", b"MM\0*"):
        places = list(_tiff(content, 0))
    elif content[:4] == b"RIFF":
        places = list(_riff(content, 12, len(content)))
    elif content[:4] == EBML:
        places = [Number(place, "B") for place in range(min(len(content), 600))]
    elif content[4:8] in (b"ftyp", b"moov", b"mdat"):
        places = list(_boxes(content, 0, len(content)))
    else:
        places = []
    return [number for number in places if number.place + struct.calcsize(number.form) <= len(content)]


def _jpeg(content: bytes) -> Iterator[Number]:
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        yield Number(place + 1, "B")
        yield Number(place + 2, ">H")
        place += 2 + int(struct.unpack_from(">H", content, place + 2)[0])


def _tiffs(content: bytes) -> Iterator[Number]:
    """Of Exif and of the Multi-Picture Format."""
    for name in (b"Exif\0\0", b"MPF\0"):
        place = content.find(name)
        while place >= 0:
            yield from _tiff(content, place + len(name))
            place = content.find(name, place + 1)


def _tiff(content: bytes, start: int) -> Iterator[Number]:
    order = "<" if content[start : start + 2] == b"II" else ">"
    yield Number(start + 4, f"{order}I")
    if start + 8 > len(content):
        return
    place = start + int(struct.unpack_from(f"{order}I", content, start + 4)[0])
    if place + 2 > len(content):
        return
    count = int(struct.unpack_from(f"{order}H", content, place)[0])
    yield Number(place, f"{order}H")
    for entry in range(place + 2, min(place + 2 + 12 * count, len(content) - 12), 12):
        yield Number(entry, f"{order}H")  # tag
        yield Number(entry + 2, f"{order}H")  # type
        yield Number(entry + 4, f"{order}I")  # count
        yield Number(entry + 8, f"{order}I")  # value or offset
        offset = start + int(struct.unpack_from(f"{order}I", content, entry + 8)[0])
        if content[entry : entry + 2] in (b"\x02\xb0", b"\xb0\x02"):  # the entries of the Multi-Picture Format
            yield from (Number(place, f"{order}I") for place in range(offset, min(offset + 64, len(content) - 4), 4))


def _png(content: bytes) -> Iterator[Number]:
    place = 8
    while place + 12 <= len(content):
        length = int(struct.unpack_from(">I", content, place)[0])
        yield Number(place, ">I")
        yield from (Number(place + 8 + at, ">I") for at in range(0, min(length, 12), 4))
        place += 12 + length


def _riff(content: bytes, start: int, end: int) -> Iterator[Number]:
    place = start
    while place + 8 <= end:
        length = int(struct.unpack_from("<I", content, place + 4)[0])
        yield Number(place + 4, "<I")
        if content[place : place + 4] in (b"LIST", b"RIFF"):
            yield from _riff(content, place + 12, min(place + 8 + length, end))
        else:
            yield from (Number(place + 8 + at, "<I") for at in range(0, min(length, 40), 4))
        place += 8 + length + length % 2


def _boxes(content: bytes, start: int, end: int) -> Iterator[Number]:
    place = start
    while place + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, place)
        yield Number(place, ">I")
        if kind in CONTAINERS or kind in HEADED:
            yield from _boxes(content, place + 8 + HEADED.get(kind, 0), min(place + int(size), end))
        elif kind != b"mdat":
            yield from (Number(place + 8 + at, ">I") for at in range(0, min(int(size) - 8, 64), 4))
        if size < 8:
            return
        place += int(size)
