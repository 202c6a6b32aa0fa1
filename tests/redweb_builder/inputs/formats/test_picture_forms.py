"""Pictures that hold two eyes in rare ways, or look as if they did: their layout, or the reason they are left out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.types import PairSource, Picture
from tests.redweb_builder.inputs.test_discover import over_under, save, save_mpo, scene, side_by_side

LEFT, RIGHT = scene(3, 160, 128)
OTHER = scene(5, 160, 128)[0]
APP1, APP2 = b"\xff\xe1", b"\xff\xe2"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
ADOBE = XMP + b"<hdrgm:Version xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'>1.0</hdrgm:Version>"
APPLE = XMP + b"<x xmlns:HDRGainMap='http://ns.apple.com/HDRGainMap/1.0/'/>"
ISO = b"urn:iso:std:iso:ts:21496:-1\0" + bytes(8)


@dataclass(frozen=True)
class Form:
    """expected: the layout, or the reason it is left out; words: part of the rule or the detail."""

    name: str
    make: Callable[[Path], object]
    expected: str
    words: str = ""


def frames(*pictures: Picture) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        first, *others = map(Image.fromarray, pictures)
        options: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
        first.save(path, save_all=True, append_images=others, **options)

    return write


def picture(content: Picture) -> Callable[[Path], object]:
    return lambda path: save(content, path)


def mpo(*pictures: Picture) -> Callable[[Path], object]:
    return lambda path: save_mpo(path, list(pictures))


def gain_map(marker: bytes = b"", said: bytes = b"", grey: bool = False) -> Callable[[Path], object]:
    """A photograph of high dynamic range: its second frame, of its size, says how much brighter its lights are.

    marker, said: an application segment of the second frame. grey: it has one channel.
    """

    def write(path: Path) -> None:
        lights = Image.fromarray((255 * (LEFT / 255) ** 1.5).astype(np.uint8))
        others = [lights.convert("L") if grey else lights]
        Image.fromarray(LEFT).save(path, format="MPO", save_all=True, append_images=others, quality=95)
        content = path.read_bytes()
        second = content.rindex(b"\xff\xd8\xff") + 2
        segment = marker + struct.pack(">H", len(said) + 2) + said if marker else b""
        path.write_bytes(content[:second] + segment + content[second:])

    return write


def rows(left: Picture, right: Picture) -> Picture:
    mixed = left.copy()
    mixed[1::2] = right[1::2]
    return mixed


def columns(left: Picture, right: Picture) -> Picture:
    mixed = left.copy()
    mixed[:, 1::2] = right[:, 1::2]
    return mixed


def checkerboard(left: Picture, right: Picture) -> Picture:
    squares = np.indices(left.shape[:2]).sum(axis=0) % 2
    return np.where(squares[:, :, None] == 1, right, left).astype(np.uint8)


def square(arrange: Callable[[Picture, Picture], Picture]) -> Callable[[Path], object]:
    eyes = [np.asarray(Image.fromarray(eye).resize((192, 192))) for eye in (LEFT, RIGHT)]
    return lambda path: save(arrange(*eyes), path)


FORMS = (
    Form("wiggle.gif", frames(LEFT, RIGHT), "two-frames", "GIF"),
    Form("wiggle.webp", frames(LEFT, RIGHT), "two-frames", "WEBP"),
    Form("pages.tif", frames(LEFT, RIGHT), "two-frames", "TIFF"),
    Form("wiggle.png", frames(LEFT, RIGHT), "two-frames", "PNG"),
    Form("slides.gif", frames(LEFT, OTHER), "single", "frames"),
    Form("round.gif", frames(LEFT, RIGHT, OTHER), "single", "frames"),
    Form("scan.tif", frames(LEFT, LEFT[::4, ::4]), "single"),
    Form("three.mpo", mpo(LEFT, RIGHT, OTHER), "mpo", "agree"),
    Form("three.mpo", mpo(LEFT, OTHER, RIGHT), "single"),
    Form("preview.mpo", mpo(side_by_side(LEFT, RIGHT), LEFT[::4, ::4]), "side-by-side"),
    Form("adobe.jpg", gain_map(APP1, ADOBE), "single"),
    Form("iso.jpg", gain_map(APP2, ISO), "single"),
    Form("apple.mpo", gain_map(APP1, APPLE), "single"),
    Form("grey.mpo", gain_map(grey=True), "single"),
    Form("lake.png", picture(rows(LEFT, RIGHT)), "row-interleaved", "rows"),
    Form("lake.png", picture(columns(LEFT, RIGHT)), "column-interleaved", "columns"),
    Form("lake.png", picture(rows(LEFT, OTHER)), "interlaced", "rows"),
    Form("lake-row-interleaved.jpg", picture(rows(LEFT, RIGHT)), "row-interleaved", "name"),
    Form("lake.png", picture(checkerboard(LEFT, RIGHT)), "interlaced", "checkerboard"),
    Form("lake.png", picture(LEFT), "single"),
    Form("a_LR_180.jpg", square(side_by_side), "vr180-side-by-side"),
    Form("a_180_LR.jpg", square(side_by_side), "vr180-side-by-side"),
    Form("a_180x180_3dh.jpg", square(side_by_side), "vr180-side-by-side"),
    Form("a_180x180_3dh_LR.jpg", square(side_by_side), "vr180-side-by-side"),
    Form("a_TB_180.jpg", square(over_under), "vr180-over-under"),
    Form("a_180x180_3dv.jpg", square(over_under), "vr180-over-under"),
    Form("a_SBS_VR180.jpg", square(side_by_side), "vr180-side-by-side"),
    Form("IMG_0001.insp", lambda path: Image.fromarray(LEFT).save(path, "JPEG"), "single"),
    Form("a_MKX200_LR.jpg", square(side_by_side), "panorama", "fisheye"),
)


def result(found_in: Path) -> tuple[str, str, Sequence[PairSource]]:
    discovery = discover(found_in)
    if discovery.sources:
        (source,) = discovery.sources
        return source.layout, source.rule, discovery.sources
    (left_out,) = discovery.left_out
    return left_out.reason, left_out.detail, []


@pytest.mark.parametrize("form", FORMS, ids=[f"{number}-{form.name}" for number, form in enumerate(FORMS)])
def test_forms_of_picture(tmp_path: Path, form: Form) -> None:
    form.make(tmp_path / form.name)
    kind, words, sources = result(tmp_path)
    assert kind == form.expected
    assert form.words in words
    for source in sources:
        pair = read_pair(source, 1000)
        if kind in ("two-frames", "mpo"):
            assert source.guessed
            for eye, expected in ((pair.left, LEFT), (pair.right, RIGHT)):
                assert np.abs(eye.astype(int) - expected).mean() < 12  # 256 colours
        if kind == "row-interleaved":
            for number, (eye, expected) in enumerate(((pair.left, LEFT), (pair.right, RIGHT))):
                halved = Image.fromarray(expected[number::2]).resize(expected.shape[1::-1], Image.Resampling.BICUBIC)
                assert np.abs(eye.astype(int) - np.asarray(halved)).mean() < 4


@pytest.mark.parametrize("name", ["cut.gif", "cut.tif", "cut.webp"])
def test_a_second_frame_that_is_broken(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    frames(LEFT, RIGHT)(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(0.8 * len(content))])
    assert result(tmp_path)[0] in ("corrupt", "single")


def test_a_gif_that_ends_within_the_head_of_its_second_frame(tmp_path: Path) -> None:
    path = tmp_path / "cut.gif"
    Image.fromarray(LEFT).save(path, save_all=True, append_images=[Image.fromarray(RIGHT)], duration=120)
    content = path.read_bytes()
    second = content.index(b"!\xf9\x04", content.index(b"!\xf9\x04") + 1)
    reasons = set()
    for end in range(second, second + 20):
        path.write_bytes(content[:end])
        reasons.add(result(tmp_path)[0])
    assert "corrupt" in reasons
    assert reasons <= {"corrupt", "single"}
