"""VR180 photographs, byte for byte after the XMP specification, whole and broken."""

from __future__ import annotations

import base64
import struct
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from redweb_builder.config import InputOptions
from redweb_builder.errors import InputError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.formats.vr180 import Sphere, covered, flat_view
from redweb_builder.inputs.read import read_pair
from redweb_builder.types import Picture
from tests.redweb_builder.inputs.test_discover import only, reasons, save, scene, side_by_side

GUID = b"0123456789ABCDEF0123456789ABCDEF"
SIDE = 360  # px of a half-sphere: 2 px a degree


def jpeg(picture: Picture) -> bytes:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def segment(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def xmp_segment(full: int = 2 * SIDE, cropped: int = SIDE, more: str = "") -> bytes:
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
        f'GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="{full}" '
        f'GPano:FullPanoHeightPixels="{full // 2}" GPano:CroppedAreaImageWidthPixels="{cropped}" '
        f'GPano:CroppedAreaImageHeightPixels="{full // 2}" GPano:CroppedAreaLeftPixels="{(full - cropped) // 2}" '
        f'GPano:CroppedAreaTopPixels="0" GImage:Mime="image/jpeg" xmpNote:HasExtendedXMP="{GUID.decode()}" '
        f"{more}/></rdf:RDF></x:xmpmeta>"
    )
    return segment(b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode())


def extended(right: bytes, guid: bytes = GUID, part: int = 30_000, claimed: int | None = None) -> list[bytes]:
    """The extended XMP with the right eye, in APP1 segments of at most 64 KB."""
    content = b'<rdf:Description GImage:Data="' + base64.b64encode(right).rstrip(b"=") + b'"/>'
    whole = len(content) if claimed is None else claimed
    head = b"http://ns.adobe.com/xmp/extension/\0" + guid
    return [
        segment(head + struct.pack(">II", whole, place) + content[place : place + part])
        for place in range(0, len(content), part)
    ]


def spheres() -> tuple[Picture, Picture]:
    """Two half-spheres; the right one is the left one turned by 3 degrees."""
    left = scene(3, SIDE, SIDE)[0]
    return left, np.roll(left, -6, axis=1)


def write(path: Path, left: Picture, segments: list[bytes]) -> Path:
    content = jpeg(left)
    path.write_bytes(content[:2] + b"".join(segments) + content[2:])
    return path


def test_both_eyes_are_read_and_reprojected(tmp_path: Path) -> None:
    left, right = spheres()
    write(tmp_path / "party.jpg", left, [xmp_segment(), *extended(jpeg(right))])
    source = only(discover(tmp_path))
    assert (source.layout, source.right_first, source.guessed) == ("vr180", False, False)
    pair = read_pair(source, 1000)
    for eye, sphere in ((pair.left, left), (pair.right, right)):
        expected = flat_view(sphere, Sphere(), 90)
        assert eye.shape == expected.shape == (172, 229, 3)
        assert np.abs(eye.astype(int) - expected).mean() < 6  # JPEG
    narrow = only(discover(tmp_path, InputOptions(vr_fov=60)))
    assert read_pair(narrow, 1000).left.shape[1] == round(2 * np.tan(np.radians(30)) * 360 / np.pi)


def test_segments_in_any_order_and_of_other_guids(tmp_path: Path) -> None:
    left, right = spheres()
    parts = extended(jpeg(right), part=5_000)
    foreign = extended(jpeg(left), guid=b"F" * 32)
    write(tmp_path / "party.vr.jpg", left, [xmp_segment(), *foreign, *parts[::-1]])
    pair = read_pair(only(discover(tmp_path)), 1000)
    assert np.abs(pair.right.astype(int) - flat_view(right, Sphere(), 90)).mean() < 6


@pytest.mark.parametrize("fault", ["missing part", "one gigabyte claimed", "no data", "not base64", "cut off"])
def test_a_broken_right_eye_is_corrupt(tmp_path: Path, fault: str) -> None:
    left, right = spheres()
    parts = {
        "missing part": extended(jpeg(right), part=9_000)[:-1],
        "one gigabyte claimed": extended(jpeg(right), claimed=1 << 30),
        "no data": [],
        "not base64": [segment(b"http://ns.adobe.com/xmp/extension/\0" + GUID + struct.pack(">II", 4, 0) + b"<a/>")],
        "cut off": extended(jpeg(right)[:2000]),
    }[fault]
    write(tmp_path / "party.jpg", left, [xmp_segment(), *parts])
    with pytest.raises(InputError, match=r"party\.jpg|right eye") as caught:
        read_pair(only(discover(tmp_path)), 1000)
    assert caught.value.reason == "corrupt"


def test_panoramas_are_left(tmp_path: Path) -> None:
    left, _ = spheres()
    write(tmp_path / "sphere.jpg", left, [xmp_segment(full=SIDE, cropped=SIDE)])
    write(tmp_path / "nonsense.jpg", left, [xmp_segment(full=100, cropped=360)])
    assert reasons(discover(tmp_path)) == [("nonsense.jpg", "panorama"), ("sphere.jpg", "panorama")]


def test_a_photograph_that_wants_no_panorama_viewer_is_flat(tmp_path: Path) -> None:
    flat = b'http://ns.adobe.com/xap/1.0/\0<rdf:Description GPano:UsePanoramaViewer="False"/>'
    write(tmp_path / "lake.jpg", side_by_side(*scene(3, SIDE, SIDE)), [segment(flat)])
    assert only(discover(tmp_path)).layout == "side-by-side"


def test_what_else_lies_in_the_extended_xmp_is_no_eye(tmp_path: Path) -> None:
    """As in a part of a panorama that was edited. But the main block need not tell of an eye that is there."""
    left, right = spheres()
    head, eye = xmp_segment().replace(b'GImage:Mime="image/jpeg"', b""), extended(jpeg(right))
    head = segment(head[4:])
    write(tmp_path / "edited.jpg", left, [head, *(part.replace(b"GImage:Data", b"Edited:Data") for part in eye)])
    write(tmp_path / "party.jpg", left, [head, *eye])
    discovery = discover(tmp_path)
    assert reasons(discovery) == [("edited.jpg", "panorama")]
    assert [(source.left.name, source.layout) for source in discovery.sources] == [("party.jpg", "vr180")]


def test_an_xml_bomb_is_never_expanded(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    xmp = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">{bomb}]><x GPano:a="&a11;">&a11;</x>'
    left, _ = spheres()
    write(tmp_path / "bomb.jpg", left, [segment(b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode())])
    assert reasons(discover(tmp_path)) == [("bomb.jpg", "panorama")]


@pytest.mark.timeout(30)
def test_a_block_full_of_a_name_takes_no_time(tmp_path: Path) -> None:
    left, _ = spheres()
    head, content = b"http://ns.adobe.com/xmp/extension/\0" + GUID, b"GImage:Data" * (1 << 18)
    parts = [
        segment(head + struct.pack(">II", len(content), place) + content[place : place + 60_000])
        for place in range(0, len(content), 60_000)
    ]
    write(tmp_path / "eye.jpg", left, [xmp_segment(), *parts])
    Image.fromarray(left).save(tmp_path / "parts.webp", xmp=b"GPano:" + b"HasExtendedXMP" * (1 << 18))
    discovery = discover(tmp_path)
    assert reasons(discovery) == [("parts.webp", "panorama")]
    with pytest.raises(InputError, match="without its right eye"):
        read_pair(discovery.sources[0], 1000)


def test_named_vr180_side_by_side(tmp_path: Path) -> None:
    left, right = spheres()
    save(side_by_side(left, right), tmp_path / "beach_180_lr.png")
    source = only(discover(tmp_path))
    assert source.layout == "vr180-side-by-side"
    np.testing.assert_array_equal(read_pair(source, 1000).right, flat_view(right, Sphere(), 90))


def test_a_named_pair_of_spheres_may_describe_itself_as_one(tmp_path: Path) -> None:
    """Programs write GPano without a right eye into side-by-side exports, too."""
    described = segment(b'http://ns.adobe.com/xap/1.0/\0<x GPano:ProjectionType="equirectangular"/>')
    write(tmp_path / "beach_180_lr.jpg", side_by_side(*spheres()), [described])
    assert only(discover(tmp_path)).layout == "vr180-side-by-side"


def test_the_flat_view_is_that_of_a_camera() -> None:
    """A wall with dots at known tangents, painted on the sphere, comes out with the dots at equal distances."""
    sphere = np.zeros((720, 720, 3), np.uint8)
    steps = np.array([-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75])
    for step in steps:
        x = (np.degrees(np.arctan(step)) + 90) * 4 - 0.5
        cv2.line(sphere, (round(x), 340), (round(x), 380), (255, 255, 255), 2)
    view = flat_view(sphere, Sphere(), 90)
    height, width = view.shape[:2]
    assert width / height == pytest.approx(4 / 3, abs=0.01)
    row = view[height // 2, :, 0].astype(float)
    for step in steps:
        near = slice(int(width * (step + 1) / 2) - 8, int(width * (step + 1) / 2) + 9)
        centre = float(np.average(np.arange(width)[near], weights=row[near] + 1e-9))
        assert centre == pytest.approx(width * (step + 1) / 2 - 0.5, abs=1.6)


def test_the_covered_part_is_read_from_attributes_and_elements() -> None:
    names = ("FullPanoWidthPixels", "FullPanoHeightPixels", "CroppedAreaImageWidthPixels")
    names_more = ("CroppedAreaImageHeightPixels", "CroppedAreaLeftPixels", "CroppedAreaTopPixels")
    values = dict(zip((*names, *names_more), (7200, 3600, 3800, 3000, 1700, 300), strict=True))
    attributes = " ".join(f'GPano:{name}="{value}"' for name, value in values.items())
    elements = "".join(f"<GPano:{name}>{value}</GPano:{name}>" for name, value in values.items())
    for text in (attributes, elements):
        assert covered(text.encode()) == Sphere(190, 150, 85, 15)
