"""The door to a picture: only photographs, only regular files, only as many pixels as we allow."""

from __future__ import annotations

import os
import socket
import stat
import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from redweb_builder.errors import InputError, InputNotFound
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.picture import MAX_PIXELS, STORED, open_picture, read_header, read_picture, read_values
from redweb_builder.inputs.read import read_pair
from tests.redweb_builder.inputs.test_discover import reasons, save, scene


def reason_of(file: Path | bytes, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read_picture(file, **options)  # type: ignore[arg-type]
    return caught.value.reason


def other_format(kind: str) -> bytes:
    """A small good picture in a format that is no photograph's."""
    buffer = BytesIO()
    if kind == "FITS":
        cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    2"]
        cards += ["NAXIS1  =                   96", "NAXIS2  =                   72", "END"]
        return "".join(card.ljust(80) for card in cards).ljust(2880).encode() + bytes(2880 * 3)
    mode = "F" if kind == "SPIDER" else "RGB"
    Image.new(mode, (96, 72)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["EPS", "FITS", "SPIDER", "TGA", "PCX"])
def test_only_photographs_are_decoded(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the name says: Pillow would start Ghostscript on an EPS file."""
    content = other_format(kind)
    with Image.open(BytesIO(content)) as image:
        assert image.format == kind
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    for name in ("a.jpg", "a.png", "a.tif"):
        (tmp_path / name).write_bytes(content)
        assert reason_of(tmp_path / name) == "not-an-image"
    assert {reason for _, reason in reasons(discover(tmp_path))} == {"not-an-image"}


def test_a_stored_picture_is_png_or_jpeg(tmp_path: Path) -> None:
    file = save(scene()[0], tmp_path / "a.gif")
    assert read_picture(file).shape[2] == 3
    assert reason_of(file, formats=STORED) == "not-an-image"


def special_file(path: Path, kind: str) -> Path:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as made:
            here = Path.cwd()
            os.chdir(path.parent)  # a socket's path may have 108 bytes only
            try:
                made.bind(path.name)
            finally:
                os.chdir(here)
        assert stat.S_ISSOCK(path.stat().st_mode)
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with FIFOs")
@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    file = special_file(tmp_path / "a.jpg", kind)
    assert reason_of(file) == "unreadable"
    if kind != "folder":
        assert reasons(discover(tmp_path)) == [("a.jpg", "unreadable")]
        with pytest.raises(InputNotFound, match="neither a file nor a folder"):
            discover(file)


def test_a_name_with_a_nul_is_refused() -> None:
    assert reason_of(Path("a\0.jpg")) == "unreadable"


def bilevel_tiff(width: int, height: int) -> bytes:
    """One bit a pixel, one strip that is not all there."""
    tags = (256, width), (257, height), (258, 1), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 400_000)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + 400_000) + bytes(400_000) + directory


@pytest.mark.parametrize("megapixels", [90, 180, 199, 201])
def test_our_limit_of_pixels_holds_for_tiff_too(tmp_path: Path, megapixels: int) -> None:
    """Pillow refuses from 179 megapixels on, and not before the pixels are asked for."""
    file = tmp_path / "a.tif"
    file.write_bytes(bilevel_tiff(10_000, megapixels * 100))
    if megapixels * 1_000_000 > MAX_PIXELS:
        assert reason_of(file) == "too-large"
    else:
        assert read_header(file).size == (10_000, megapixels * 100)
        assert reason_of(file) == "corrupt"
    assert {reason for _, reason in reasons(discover(tmp_path))} <= {"corrupt", "too-large"}


def test_a_gif_frame_larger_than_its_screen(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.new("P", (96, 72)).save(buffer, "GIF")
    content = bytearray(buffer.getvalue())
    place = content.index(b"\x2c" + bytes(4) + struct.pack("<HH", 96, 72))
    struct.pack_into("<HH", content, place + 5, 40_000, 40_000)
    (tmp_path / "a.gif").write_bytes(content)
    assert reason_of(tmp_path / "a.gif") == "too-large"


def test_values_are_read_as_stored(tmp_path: Path) -> None:
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    Image.fromarray(deep).save(tmp_path / "a.png")
    read = read_values(tmp_path / "a.png")
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, deep)
    metres = np.arange(12, dtype="<f4").reshape(3, 4)
    (tmp_path / "a.pfm").write_bytes(b"Pf\n4 3\n-0.0039\n" + metres[::-1].tobytes())
    np.testing.assert_array_equal(read_values(tmp_path / "a.pfm", ("PPM",)), metres)
    with open_picture((tmp_path / "a.png").read_bytes(), min_side=1) as image:
        assert image.size == (4, 3)


def deep_file(path: Path, values: np.ndarray, stated: int = 0) -> Path:
    """A 16-bit file. stated: significant bits, in PNG's chunk sBIT or TIFF's MaxSampleValue."""
    if values.ndim == 2 and path.suffix == ".tif":
        Image.fromarray(values).save(path, tiffinfo={281: (1 << stated) - 1} if stated else {})
        return path
    content = cv2.imencode(path.suffix, values[..., ::-1] if values.ndim == 3 else values)[1].tobytes()
    if stated:
        chunk = b"sBIT" + bytes([stated] * (3 if values.ndim == 3 else 1))
        chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        content = content[:33] + chunk + content[33:]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_values_of_fewer_bits_in_a_16_bit_file(tmp_path: Path, ending: str, bits: int, colour: bool) -> None:
    picture = scene()[0].copy()
    picture[0, 0] = 255
    shown = picture if colour else picture[:, :, 1]
    values = np.round(shown.astype(np.float64) / 255 * ((1 << bits) - 1)).astype(np.uint16)
    read = read_picture(deep_file(tmp_path / f"a.{ending}", values))
    expected = shown if colour else shown[:, :, None].repeat(3, axis=2)
    assert np.abs(read.astype(int) - expected).max() <= 1


def tiff_file(path: Path, values: np.ndarray, **tags: int) -> Path:
    """An uncompressed TIFF file of 16 bits, TIFF 6.0. values: HxW, or CxHxW of a file in planes. tags: over those."""
    *planes, height, width = values.shape
    bands, at = (planes or [1])[0], 8 + values.nbytes
    starts = np.arange(bands) * (height * width * 2) + 8
    stated = {"t256": width, "t257": height, "t259": 1, "t262": 2 if planes else 1, "t277": bands, "t278": height}
    stated |= {"t284": 2 if planes else 1} | tags
    lists = {258: (3, [16] * bands), 273: (4, starts.tolist()), 279: (4, [height * width * 2] * bands)}
    entries, more = {int(name[1:]): struct.pack("<HIHH", 3, 1, number, 0) for name, number in stated.items()}, b""
    for tag, (kind, numbers) in lists.items():
        content = struct.pack(f"<{bands}{'H' if kind == 3 else 'I'}", *numbers)
        if len(content) > 4:
            content, more = struct.pack("<I", at + len(more)), more + content
        entries[tag] = struct.pack("<HI4s", kind, bands, content)
    directory = b"".join(struct.pack("<H", tag) + entry for tag, entry in sorted(entries.items()))
    head = b"II*\0" + struct.pack("<I", at + len(more)) + values.astype("<u2").tobytes() + more
    path.write_bytes(head + struct.pack("<H", len(entries)) + directory + bytes(4))
    return path


@pytest.mark.parametrize("bits", [12, 16])
def test_tiff_files_that_other_programs_write(tmp_path: Path, bits: int) -> None:
    shown = scene()[0].copy()
    shown[0, 0] = 255
    grey, full = shown[:, :, 1], (1 << bits) - 1
    expected = grey[:, :, None].repeat(3, axis=2).astype(int)
    values = np.round(grey.astype(np.float64) / 255 * full).astype(np.uint16)
    turned = read_picture(tiff_file(tmp_path / "turned.tif", np.rot90(values), t274=6))
    assert np.abs(turned - expected).max() <= 1
    negative = read_picture(tiff_file(tmp_path / "negative.tif", full - values, t262=0))
    assert np.abs(negative - expected).max() <= 1


def test_colours_of_16_bits_in_planes(tmp_path: Path) -> None:
    shown = scene()[0]
    planes = shown.transpose(2, 0, 1).astype(np.uint16) * 257
    np.testing.assert_array_equal(read_picture(tiff_file(tmp_path / "a.tif", planes)), shown)
    assert reason_of(tiff_file(tmp_path / "dark.tif", planes >> 4)) == "unsupported"


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_stated_bits_keep_a_dark_picture_dark(tmp_path: Path, ending: str) -> None:
    values = np.tile(np.arange(80, dtype=np.uint16) * 12, (72, 1))
    by_bits, by_values = (
        read_picture(deep_file(tmp_path / f"{stated}.{ending}", values, stated)) for stated in (12, 0)
    )
    assert by_bits.max() == round(79 * 12 * 255 / 4095)
    assert by_values.max() == round(79 * 12 * 255 / 1023)
    scaled = read_picture(deep_file(tmp_path / f"scaled.{ending}", (values * 68).astype(np.uint16), 12))
    assert scaled.max() == round(79 * 12 * 68 / 257)


def test_both_eyes_are_brightened_by_one_factor(tmp_path: Path) -> None:
    left, right = (eye[:, :, 1].astype(np.uint16) for eye in scene())
    left, right = left * 4, right * 4
    left[0, 0] = 1030  # needs an eleventh bit
    deep_file(tmp_path / "a_L.png", left)
    deep_file(tmp_path / "a_R.png", right)
    (source,) = discover(tmp_path).sources
    pair = read_pair(source, 1000)
    np.testing.assert_array_equal(pair.right[:, :, 0], (right.astype(int) * 255 + 2047) // 4095)
    np.testing.assert_array_equal(pair.left[1:, :, 0], (left[1:].astype(int) * 255 + 2047) // 4095)
