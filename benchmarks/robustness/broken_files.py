"""Small good files of every input form, and the ways in which `benchmarks.robustness.fuzz` breaks them."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.robustness.film_files import films
from benchmarks.robustness.structure import numbers

Change = tuple[str, int, int, bytes]
Test = TypeVar("Test", bound=Callable[..., None])
LYING = (0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 30, 50_000)
# Words of the formats, which chance would not find.
TOKENS = (
    *(b"_JPSJPS_", b"MPF\0II*\0", b"MPF\0MM\0*", b"Exif\0\0II*\0", b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xe1\xff\xff"),
    *(b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0", b'xmpNote:HasExtendedXMP="'),
    *(b'GImage:Data="', b'GPano:FullPanoWidthPixels="999999999"', b'GPano:CroppedAreaTopPixels="-1"'),
    *(b"\x40\0\0\0iCCP", b"\x40\0\0\0eXIf", b"\x40\0\0\0zTXt", b"\x40\0\0\0IDAT", b"\0\0\0\x01mdat", b"grpl", b"ster"),
    b"<!DOCTYPE x [" + b"".join(b'<!ENTITY a%d "&a%d;&a%d;">' % (n, n - 1, n - 1) for n in range(1, 9)) + b"]>&a8;",
)
# In place of a value of a text file.
VALUES = (
    *(
        b"-1",
        b"0",
        b"1e999",
        b"NaN",
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b'"x"',
        b"9" * 40,
        b"1e-320",
        b"-0.0",
        b"\0",
    ),
    *(
        b'"../../x"',
        b'"/etc/passwd"',
        b'"\\ud800"',
        b'"\\u0000"',
        b"[" * 20_000,
        b'{"a":' * 20_000,
        b"\xff\xfe",
        b",",
        b"\n",
    ),
)
VALUE = re.compile(rb'"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|[<>]|\b(?:true|false|null)\b')


def seeds() -> dict[str, bytes]:
    """A small good file of every form, by name with extension. HEIC, AVIF and films where they can be made."""
    texture = np.random.default_rng(0).integers(0, 256, (18, 26, 3), np.uint8)
    wide = np.asarray(Image.fromarray(texture).resize((104, 72), Image.Resampling.BICUBIC))
    left, right = Image.fromarray(wide[:, :96]), Image.fromarray(wide[:, 8:])
    packed = Image.fromarray(np.concatenate([left, right], axis=1))
    over = Image.fromarray(np.concatenate([left, right]))
    jpeg = encoded(packed, "JPEG")
    eye = encoded(left.resize((144, 144)), "JPEG")
    files = {
        "pair.mpo": encoded(left, "MPO", save_all=True, append_images=[right]),
        "three.mpo": encoded(left, "MPO", save_all=True, append_images=[right, left]),
        "wiggle.gif": encoded(left, "GIF", save_all=True, append_images=[right, left, right], duration=120),
        "seen.jpg": jpeg,
        "named-sbs.jpg": encoded(packed, "JPEG", progressive=True),
        "pair.jps": with_segment(jpeg, b"\xff\xe3", b"_JPSJPS_" + struct.pack(">HIH", 4, 0x40201, 0)),
        "pair.pns": encoded(packed, "PNG"),
        "party.vr.jpg": vr180(eye, extended=True),
        "short.vr.jpg": vr180(encoded(left.resize((144, 144)), "JPEG", quality=60), extended=False),
        "named-sbs.webp": encoded(packed, "WEBP"),
        "named-lr.webp": encoded(packed, "WEBP", lossless=True),
        "named-sbs.tif": encoded(packed, "TIFF"),
        "named-tb.tif": encoded(over, "TIFF", compression="tiff_lzw", exif=_turned()),
        "named-sbs.png": encoded(packed.quantize(64), "PNG", transparency=3),
        "named-tb.png": encoded(over, "PNG", exif=_turned()),
        "named-sbs.gif": encoded(packed, "GIF"),
        "named-sbs.bmp": encoded(packed, "BMP"),
        "named-sbs.ppm": encoded(packed, "PPM"),
    }
    if find_spec("pillow_heif") is not None:
        files["spatial.heic"] = with_entity_group(_heic(left, right), b"ster", (1, 2))
    return files | films(wide[:, :96], wide[:, 8:])


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_segment(jpeg: bytes, marker: bytes, content: bytes) -> bytes:
    """A JPEG file with one more segment at its beginning."""
    return jpeg[:2] + marker + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def vr180(eye: bytes, extended: bool) -> bytes:
    """A VR180 photograph whose eyes are the same JPEG file, the right one in the extended or in the main XMP."""
    guid = b"0123456789ABCDEF" * 2
    numbers = {
        **{"FullPanoWidthPixels": 320, "FullPanoHeightPixels": 160, "CroppedAreaImageWidthPixels": 160},
        **{"CroppedAreaImageHeightPixels": 160, "CroppedAreaLeftPixels": 80, "CroppedAreaTopPixels": 0},
    }
    covered = " ".join(f'GPano:{name}="{value}"' for name, value in numbers.items()).encode()
    data = b'GImage:Data="' + base64.b64encode(eye) + b'"'
    more = b'xmpNote:HasExtendedXMP="' + guid + b'"' if extended else data
    file = eye
    if extended:
        whole = b"<x " + data + b"/>"
        for place in reversed(range(0, len(whole), 3000)):
            head = b"http://ns.adobe.com/xmp/extension/\0" + guid + struct.pack(">II", len(whole), place)
            file = with_segment(file, b"\xff\xe1", head + whole[place : place + 3000])
    return with_segment(file, b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0<x " + covered + b" " + more + b"/>")


def with_entity_group(heic: bytes, kind: bytes, entities: tuple[int, ...]) -> bytes:
    """Append a grpl box with one entity group to the meta box (ISO/IEC 14496-12, 8.18), and move what lies behind."""
    content = bytearray(heic)
    group = struct.pack(f">I4sIII{len(entities)}I", 20 + 4 * len(entities), kind, 0, 99, len(entities), *entities)
    grpl = struct.pack(">I4s", 8 + len(group), b"grpl") + group
    meta = content.index(b"meta") - 4
    size = struct.unpack_from(">I", content, meta)[0]
    iloc = content.index(b"iloc") - 4
    if content[iloc + 8] != 0 or content[iloc + 12 : iloc + 14] != b"\x44\x40":
        raise ValueError("the iloc box is not of version 0 with 32-bit offsets, lengths and base offsets")
    items = struct.unpack_from(">H", content, iloc + 14)[0]
    for item in range(items):
        place = iloc + 16 + 18 * item + 10  # id, reference, base offset, number of extents (1); offset, length
        offset = struct.unpack_from(">I", content, place)[0]
        struct.pack_into(">I", content, place, offset + len(grpl))
    struct.pack_into(">I", content, meta, size + len(grpl))
    content[meta + size : meta + size] = grpl
    return bytes(content)


def with_cameras(heic: bytes, cameras: Sequence[Sequence[bytes]]) -> bytes:
    """Give the items of a HEIC file further properties (ISO/IEC 14496-12, 8.11), and move what lies behind.

    cameras: an item's property boxes, for each item in its order.
    """
    content = bytearray(heic)
    ipco, ipma = content.index(b"ipco") - 4, content.index(b"ipma") - 4
    boxes = b"".join(box for some in cameras for box in some)
    sizes = [struct.unpack_from(">I", content, place)[0] for place in (ipco, ipma)]
    associations, at, number = bytearray(content[ipma + 8 : ipma + 16]), ipma + 16, 5
    for some in cameras:
        item, count = struct.unpack_from(">HB", content, at)
        associations += struct.pack(">HB", item, count + len(some)) + content[at + 3 : at + 3 + count]
        associations += bytes(range(number, number + len(some)))
        number, at = number + len(some), at + 3 + count
    content[ipma : ipma + sizes[1]] = struct.pack(">I4s", 8 + len(associations), b"ipma") + associations
    content[ipco + sizes[0] : ipco + sizes[0]] = boxes
    struct.pack_into(">I", content, ipco, sizes[0] + len(boxes))
    grown = len(content) - len(heic)
    for name in (b"iprp", b"meta"):
        place = content.index(name) - 4
        struct.pack_into(">I", content, place, struct.unpack_from(">I", content, place)[0] + grown)
    iloc = content.index(b"iloc") - 4
    for item in range(struct.unpack_from(">H", content, iloc + 14)[0]):
        place = iloc + 16 + 18 * item + 10
        struct.pack_into(">I", content, place, struct.unpack_from(">I", content, place)[0] + grown)
    return bytes(content)


def changes() -> st.SearchStrategy[list[Change]]:
    """What is done to a file: up to four cuts, overwrites, insertions, deletions; many where its structure hangs on.

    What is written are random bytes, lying numbers of every width and byte order, and words of the formats; in texts,
    values that JSON and CSV can hold and no reader expects.
    """
    place = st.one_of(st.integers(0, 400), st.integers(0, 1 << 20))
    lies = [
        struct.pack(order + size, value % (1 << 8 * struct.calcsize(size)))
        for order in "<>"
        for size in "BHI"
        for value in LYING
    ]
    content = st.one_of(
        st.binary(min_size=1, max_size=8), st.sampled_from(lies), st.sampled_from(TOKENS), st.sampled_from(VALUES)
    )
    kind = st.sampled_from(("cut", "overwrite", "insert", "delete", "repeat", "number", "number", "value", "line"))
    return st.lists(st.tuples(kind, place, st.integers(1, 64), content), min_size=1, max_size=4)


def drawn(count: int, start: int) -> Callable[[Test], Test]:
    """Of a hypothesis test: `count` examples, other ones for another `start`; none is remembered or made smaller."""
    chosen = settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: seed(start)(chosen(test))


def broken(content: bytes, todo: list[Change]) -> bytes:
    """A file after the changes; places beyond its end are taken modulo its length."""
    file = bytearray(content)
    for kind, place, length, new in todo:
        at = place % (len(file) + 1)
        if kind == "cut":
            del file[at:]
        elif kind == "overwrite":
            file[at : at + len(new)] = new
        elif kind == "insert":
            file[at:at] = new
        elif kind == "repeat":
            file[at:at] = file[at : at + length] * length
        elif kind == "number":
            _change_number(file, place, length)
        elif kind == "value":
            _change_value(file, place, new)
        elif kind == "line":
            _change_line(file, place, length)
        else:
            del file[at : at + length]
    return bytes(file)


def _change_number(file: bytearray, place: int, length: int) -> None:
    """Let a number that the file's structure hangs on lie; length: which lie."""
    if there := numbers(bytes(file)):
        number = there[place % len(there)]
        lie = LYING[length % len(LYING)] % (1 << 8 * struct.calcsize(number.form))
        before = struct.unpack_from(number.form, file, number.place)[0]
        struct.pack_into(number.form, file, number.place, lie if length < 48 else before ^ 1)


def _change_value(file: bytearray, place: int, new: bytes) -> None:
    """Put something else in place of a number or a quoted text of a text file."""
    if values := list(VALUE.finditer(file[:4096])):
        value = values[place % len(values)]
        file[value.start() : value.end()] = new


def _change_line(file: bytearray, place: int, length: int) -> None:
    """Repeat, remove, or move to the end one line of a text file."""
    lines = file.splitlines(keepends=True)
    if lines:
        line = lines.pop(place % len(lines))
        file[:] = b"".join([*lines, *([line] * (length % 3))])


def with_right_checksums(png: bytes) -> bytes:
    """A broken PNG file whose chunks have right checksums, so that what they say is believed."""
    file = bytearray(png)
    for start, length in _png_chunks(png):
        struct.pack_into(">I", file, start + 8 + length, zlib.crc32(file[start + 4 : start + 8 + length]))
    return bytes(file)


def _png_chunks(png: bytes) -> Iterator[tuple[int, int]]:
    start = 8
    while start + 12 <= len(png):
        length = struct.unpack_from(">I", png, start)[0]
        if start + 12 + length > len(png):
            return
        yield start, length
        start += 12 + length


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return exif.tobytes()


def _heic(*pictures: Image.Image) -> bytes:
    import pillow_heif

    file = pillow_heif.HeifFile()
    for picture in pictures:
        file.add_from_pillow(picture)
    buffer = BytesIO()
    file.save(buffer, quality=60)
    return buffer.getvalue()
