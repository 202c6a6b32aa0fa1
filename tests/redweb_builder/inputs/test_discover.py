"""Every layout is found with the right eye order, and every bad file is named with its reason."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from redweb_builder.config import InputOptions
from redweb_builder.errors import InputError
from redweb_builder.inputs.discover import Discovery, discover
from redweb_builder.inputs.formats.packed import named_layout
from redweb_builder.inputs.picture import read_header, read_picture
from redweb_builder.inputs.read import read_pair
from redweb_builder.pair_sources import PairSources
from redweb_builder.types import PairSource, Picture

WIDTH, HEIGHT = 160, 120
SHIFT = 6
RED, BLUE = (220, 30, 30), (30, 30, 220)


def scene(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> tuple[Picture, Picture]:
    """Two views of one textured plane: left pixel x is right pixel x - SHIFT; a red and a blue corner mark them."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, (width + 40) // 4, 3), dtype=np.uint8)
    wide = np.asarray(Image.fromarray(noise).resize((width + 40, height), Image.Resampling.BICUBIC))
    left, right = wide[:, :width].copy(), wide[:, SHIFT : SHIFT + width].copy()
    left[:24, :24], right[:24, :24] = RED, BLUE
    return left, right


def save(picture: Picture, path: Path, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".jpg", ".jps"):
        options = {"quality": 95, "subsampling": 0, **options}
    kind = {".jps": "JPEG", ".pns": "PNG"}.get(path.suffix.lower())
    Image.fromarray(picture).save(path, format=kind, **options)
    return path


def side_by_side(first: Picture, second: Picture) -> Picture:
    return np.concatenate([first, second], axis=1)


def over_under(first: Picture, second: Picture) -> Picture:
    return np.concatenate([first, second], axis=0)


def is_red(picture: Picture) -> bool:
    mean = picture[4:10, 4:10].reshape(-1, 3).mean(axis=0)
    return bool(np.abs(mean - RED).max() < 25)


def is_blue(picture: Picture) -> bool:
    mean = picture[4:10, 4:10].reshape(-1, 3).mean(axis=0)
    return bool(np.abs(mean - BLUE).max() < 25)


def only(discovery: Discovery) -> PairSource:
    assert discovery.left_out == []
    assert len(discovery.sources) == 1
    return discovery.sources[0]


def reasons(discovery: Discovery) -> list[tuple[str, str]]:
    return [(file.path.name, file.reason) for file in discovery.left_out]


def assert_eyes(source: PairSource) -> None:
    pair = read_pair(source, 1000)
    assert is_red(pair.left)
    assert is_blue(pair.right)
    assert pair.left.shape == pair.right.shape


# --- two files ---------------------------------------------------------------------------------------------------


def test_matched_by_key_not_by_position(tmp_path: Path) -> None:
    for name in ("1", "2", "4"):
        save(scene(int(name))[0], tmp_path / "left" / f"{name}.png")
    for name in ("2", "3", "4"):
        save(scene(int(name))[1], tmp_path / "right" / f"{name}.png")
    discovery = discover(tmp_path)
    assert sorted((source.left.name, source.right.name) for source in discovery.sources) == [
        ("2.png", "2.png"),
        ("4.png", "4.png"),
    ]
    assert reasons(discovery) == [("1.png", "one-eye"), ("3.png", "one-eye")]


def test_extensions_are_not_mixed(tmp_path: Path) -> None:
    left, right = scene()
    for extension in ("png", "jpg"):
        save(left, tmp_path / "left" / f"a.{extension}")
        save(right, tmp_path / "right" / f"a.{extension}")
    discovery = discover(tmp_path)
    assert sorted((source.left.suffix, source.right.suffix) for source in discovery.sources) == [
        (".jpg", ".jpg"),
        (".png", ".png"),
    ]
    assert len({source.key for source in discovery.sources}) == 2
    save(left, tmp_path / "left" / "b.png")
    save(right, tmp_path / "right" / "b.jpg")
    assert ("b.png", "b.jpg") in {(source.left.name, source.right.name) for source in discover(tmp_path).sources}


def test_colour_is_preferred_over_grey_copies(tmp_path: Path) -> None:
    left, right = scene()
    for folder, picture in (("image_0", left), ("image_1", right), ("image_2", left), ("image_3", right)):
        save(picture, tmp_path / folder / "000000_10.png")
    discovery = discover(tmp_path)
    assert [source.left.parent.name for source in discovery.sources] == ["image_2"]
    assert [file.reason for file in discovery.left_out] == ["grey-copy", "grey-copy"]


def test_scene_folder_passes_over_everything_but_the_pair(tmp_path: Path) -> None:
    left, right = scene()
    for number in range(9):
        save((left, right)[number == 6], tmp_path / f"im{number}.png")
    for name in ("disp2.png", "disp_left.png", "mask0nocc.png", "occl.png"):
        save(left, tmp_path / name)
    for name in ("disp0.pfm", "calib.txt", "meta.json", ".hidden.png"):
        (tmp_path / name).write_text("x")
    discovery = discover(tmp_path)
    assert [(source.left.name, source.right.name) for source in discovery.sources] == [("im2.png", "im6.png")]
    assert {file.reason for file in discovery.left_out} == {"other-view"}
    assert len(discovery.left_out) == 7


def test_previews_and_recycle_bins_of_network_disks_are_passed_over(tmp_path: Path) -> None:
    left, right = scene()
    for eye, picture in (("L", left), ("R", right)):
        for name in (f"a_{eye}.jpg", f"@eaDir/a_{eye}.jpg/SYNOPHOTO_THUMB_M.jpg", f"#recycle/b_{eye}.jpg"):
            save(picture, tmp_path / name)
    assert only(discover(tmp_path)).left.name == "a_L.jpg"


def test_a_last_0_and_1_is_a_guess_that_the_content_must_support(tmp_path: Path) -> None:
    left, right = scene(1, 320, 240)
    save(left, tmp_path / "garden_0.png")
    save(right, tmp_path / "garden_1.png")
    save(scene(2, 320, 240)[0], tmp_path / "other-0.png")
    save(scene(3, 320, 240)[0], tmp_path / "other-1.png")
    for number in range(3):
        save(scene(4 + number, 320, 240)[0], tmp_path / f"burst_{number}.png")
    discovery = discover(tmp_path)
    assert [(source.left.name, source.right.name, source.guessed) for source in discovery.sources] == [
        ("garden_0.png", "garden_1.png", True)
    ]
    assert "agree (" in discovery.sources[0].rule
    assert {reason for _, reason in reasons(discovery)} == {"single"}
    assert len(discovery.left_out) == 5


def test_several_pairs_in_one_scene_folder(tmp_path: Path) -> None:
    for name in ("door", "window"):
        left, right = scene(len(name))
        save(left, tmp_path / "house" / f"{name}_left.png")
        save(right, tmp_path / "house" / f"{name}_right.png")
    for light in ("", "E", "L"):  # Middlebury 2014: other exposure, other lamp
        save(scene(9)[1], tmp_path / "Pipes" / f"im1{light}.png")
    save(scene(9)[0], tmp_path / "Pipes" / "im0.png")
    discovery = discover(tmp_path)
    assert [source.left.name for source in discovery.sources] == ["im0.png", "door_left.png", "window_left.png"]
    assert reasons(discovery) == [("im1E.png", "other-view"), ("im1L.png", "other-view")]


def test_a_stated_layout_goes_before_everything(tmp_path: Path) -> None:
    left, right = scene(1, 320, 240)
    for name in ("a_L.png", "a_R.png", "b-tb.png", "c cross.png", "left/d.png"):
        save(side_by_side(left, right), tmp_path / name)
    discovery = discover(tmp_path, InputOptions(layout="side-by-side"))
    assert discovery.left_out == []
    assert {(source.layout, source.left == source.right, source.rule) for source in discovery.sources} == {
        ("side-by-side", True, "--layout")
    }
    assert len(discovery.sources) == 5
    order = {source.left.name: (source.right_first, source.guessed) for source in discovery.sources}
    assert order["c cross.png"] == (True, False)
    assert order["a_L.png"] == (False, True)
    with pytest.raises(ValueError, match="must be one of auto"):
        InputOptions(layout="diagonal")


def test_half_width_shows_in_the_content_where_it_is_clear(tmp_path: Path) -> None:
    left, right = scene(5, 320, 240)
    full = save(side_by_side(left, right), tmp_path / "full.png")
    halves = [np.asarray(Image.fromarray(eye).resize((160, 240), Image.Resampling.BOX)) for eye in (left, right)]
    half = save(side_by_side(*halves), tmp_path / "half.png")
    assert only(discover(full)).layout == "side-by-side"
    assert only(discover(half)).layout == "side-by-side-half"


@pytest.mark.parametrize("extension", ["webp", "png", "tif"])
def test_packed_pictures_of_other_types(tmp_path: Path, extension: str) -> None:
    left, right = scene(6, 320, 240)
    save(side_by_side(right, left), tmp_path / f"lake crosseye.{extension}", lossless=True)
    save(over_under(left, right), tmp_path / f"wood.{extension}")
    discovery = discover(tmp_path)
    assert [(source.layout, source.right_first) for source in discovery.sources] == [
        ("side-by-side", True),
        ("over-under", False),
    ]
    for source in discovery.sources:
        assert_eyes(source)


def test_drawings_are_no_photographs(tmp_path: Path) -> None:
    drawing = np.full((240, 320, 3), (0, 0, 120), np.uint8)
    cv2.circle(drawing, (150, 100), 60, (255, 110, 0), -1)
    save_mpo(tmp_path / "drawing.mpo", [drawing, np.roll(drawing, -5, axis=1)], 0x020002)
    assert reasons(discover(tmp_path)) == [("drawing.mpo", "not-a-photograph")]


def test_a_row_of_numbered_frames_is_no_pair(tmp_path: Path) -> None:
    for number in range(3):
        save(scene(number)[0], tmp_path / f"{number}.png")
    discovery = discover(tmp_path)
    assert discovery.sources == []
    assert {file.reason for file in discovery.left_out} == {"single"}


# --- two eyes in one file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "layout", "right_first", "guessed"),
    [
        ("a-lr", "side-by-side", False, False),
        ("a-rl", "side-by-side", True, False),
        ("a_sbs", "side-by-side", False, True),
        ("a.left-right", "side-by-side", False, False),
        ("a_sbs_cross", "side-by-side", True, False),
        ("a sbs parallel", "side-by-side", False, False),
        ("a-hsbs", "side-by-side-half", False, True),
        ("half-sbs a", "side-by-side-half", False, True),
        ("a-lrq", "side-by-side-half", False, False),
        ("a-rlq", "side-by-side-half", True, False),
        ("a-ab", "over-under", False, False),
        ("a-ba", "over-under", True, False),
        ("a-tb", "over-under", False, False),
        ("a-abq", "over-under-half", False, False),
        ("a-baq", "over-under-half", True, False),
        ("a_hou", "over-under-half", False, True),
        ("a_L_R", "side-by-side", False, False),
        ("a R-L", "side-by-side", True, False),
        ("a_sbs_rl", "side-by-side", True, False),
        ("a_halfsbs", "side-by-side-half", False, True),
        ("a_3dsbs", "side-by-side", False, True),
        ("Film.3D.Half-OU.1080p", "over-under-half", False, True),
    ],
)
def test_named_layouts(tmp_path: Path, stem: str, layout: str, right_first: bool, guessed: bool) -> None:
    first, second = scene()[::-1] if right_first else scene()
    packed = side_by_side(first, second) if layout.startswith("side") else over_under(first, second)
    save(packed, tmp_path / f"{stem}.png")
    source = only(discover(tmp_path))
    assert (source.layout, source.right_first, source.guessed) == (layout, right_first, guessed)
    assert_eyes(source)


def test_names_that_say_nothing() -> None:
    assert [named_layout(stem) for stem in ("lr", "blanc ou noir", "church_cross", "ab-soul", "tab_1")] == [None] * 5


@pytest.mark.parametrize("arrange", [side_by_side, over_under])
def test_content_tells_the_layout(tmp_path: Path, arrange: Any) -> None:
    left, right = scene(1, 320, 240)
    save(arrange(left, right), tmp_path / "holiday.jpg")
    save(arrange(right, left), tmp_path / "holiday cross.jpg")
    discovery = discover(tmp_path)
    expected = "side-by-side" if arrange is side_by_side else "over-under"
    assert [(source.layout, source.right_first, source.guessed) for source in discovery.sources] == [
        (expected, False, True),
        (expected, True, True),
    ] or [(source.layout, source.right_first) for source in discovery.sources] == [(expected, True), (expected, False)]
    assert all("agree" in source.rule for source in discovery.sources)
    for source in discovery.sources:
        assert_eyes(source)


def test_single_photographs_and_anaglyphs(tmp_path: Path) -> None:
    left, right = scene(2, 400, 300)
    grey_left, grey_right = left.mean(axis=2).astype(np.uint8), right.mean(axis=2).astype(np.uint8)
    save(left, tmp_path / "single.jpg")
    save(np.stack([grey_left, grey_right, grey_right], axis=2), tmp_path / "coloured.png")
    save(left, tmp_path / "my_anaglyph.png")
    discovery = discover(tmp_path)
    assert discovery.sources == []
    assert reasons(discovery) == [
        ("coloured.png", "anaglyph"),
        ("my_anaglyph.png", "anaglyph"),
        ("single.jpg", "single"),
    ]


def test_label_maps_are_no_photographs(tmp_path: Path) -> None:
    labels = (scene(2)[0][:, :, :1] // 32).repeat(3, axis=2)
    save(side_by_side(labels, labels), tmp_path / "labels.png")
    assert reasons(discover(tmp_path)) == [("labels.png", "not-a-photograph")]


def test_round_pictures_are_left_out(tmp_path: Path) -> None:
    save(over_under(*scene(0, 256, 128)), tmp_path / "walrus-360.top-bottom.jpg")
    save(over_under(*scene(0, 256, 192)), tmp_path / "IMG_360.top-bottom.jpg")
    discovery = discover(tmp_path)
    assert reasons(discovery) == [("walrus-360.top-bottom.jpg", "panorama")]
    assert [source.left.name for source in discovery.sources] == ["IMG_360.top-bottom.jpg"]


@pytest.mark.parametrize("layout", ["side-by-side-half", "over-under-half"])
def test_half_formats_are_stretched(tmp_path: Path, layout: str) -> None:
    left, right = scene(3, 320, 240)
    across = layout.startswith("side")
    size = (160, 240) if across else (320, 120)
    squeezed = [np.asarray(Image.fromarray(eye).resize(size, Image.Resampling.BOX)) for eye in (left, right)]
    file = save((side_by_side if across else over_under)(*squeezed), tmp_path / "a.png")
    pair = read_pair(PairSource("a", file, file, layout, "test"), 1000)
    assert pair.left.shape == (240, 320, 3)
    assert pair.source_size == size
    assert np.abs(pair.left.astype(int) - left).mean() < 12
    assert np.abs(pair.right.astype(int) - right).mean() < 12
    assert read_pair(PairSource("a", file, file, layout, "test"), 160).left.shape == (120, 160, 3)


def test_upright_eyes_of_half_width_are_seen_or_doubted(tmp_path: Path) -> None:
    left, right = (np.asarray(Image.fromarray(eye).resize((110, 320))) for eye in scene(3, 220, 320))
    save(side_by_side(left, right), tmp_path / "narrow.png")  # as narrow as one upright photograph
    left, right = (np.asarray(Image.fromarray(eye).resize((190, 200))) for eye in scene(4, 220, 200))
    save(side_by_side(left, right), tmp_path / "upright.png")
    narrow, upright = discover(tmp_path).sources
    assert narrow.layout == "side-by-side-half"
    assert (upright.layout, "perhaps squeezed" in upright.rule) == ("side-by-side", True)


def test_odd_width_drops_the_middle_column(tmp_path: Path) -> None:
    left, right = scene()
    seam = np.full((HEIGHT, 1, 3), 77, np.uint8)
    file = save(np.concatenate([left, seam, right], axis=1), tmp_path / "a-lr.png")
    pair = read_pair(PairSource("a", file, file, "side-by-side", "test"), 1000)
    np.testing.assert_array_equal(pair.left, left)
    np.testing.assert_array_equal(pair.right, right)


def jps_segment(flags: int) -> bytes:
    content = b"_JPSJPS_" + struct.pack(">HI", 4, flags) + struct.pack(">H", 0)
    return b"\xff\xe3" + struct.pack(">H", len(content) + 2) + content


@pytest.mark.parametrize(
    ("flags", "layout", "right_first"),
    [
        (0x40201, "side-by-side", False),
        (0x00201, "side-by-side", True),
        (0x60201, "side-by-side-half", False),
        (0x40301, "over-under", False),
        (0x10301, "over-under-half", True),
    ],
)
@pytest.mark.parametrize("extension", ["jps", "jpg"])
def test_jps_descriptor(tmp_path: Path, flags: int, layout: str, right_first: bool, extension: str) -> None:
    first, second = scene()[::-1] if right_first else scene()
    packed = side_by_side(first, second) if layout.startswith("side") else over_under(first, second)
    file = save(packed, tmp_path / f"a.{extension}")
    content = file.read_bytes()
    file.write_bytes(content[:2] + jps_segment(flags) + content[2:])
    source = only(discover(tmp_path))
    assert (source.layout, source.right_first, source.guessed) == (layout, right_first, False)
    assert_eyes(source)


def test_jps_of_interleaved_rows(tmp_path: Path) -> None:
    file = save(over_under(*scene()), tmp_path / "a.jps")
    content = file.read_bytes()
    file.write_bytes(content[:2] + jps_segment(0x40101) + content[2:])
    source = only(discover(tmp_path))
    assert (source.layout, source.right_first, source.guessed) == ("row-interleaved", False, False)


@pytest.mark.parametrize(("flags", "reason"), [(0x401, "anaglyph"), (0x0, "single")])
def test_jps_that_is_no_pair(tmp_path: Path, flags: int, reason: str) -> None:
    file = save(side_by_side(*scene()), tmp_path / "a.jps")
    content = file.read_bytes()
    file.write_bytes(content[:2] + jps_segment(flags) + content[2:])
    assert reasons(discover(tmp_path)) == [("a.jps", reason)]


@pytest.mark.parametrize("name", ["a.jps", "a.pns", "a_sbs.jps"])
def test_without_descriptor_the_right_eye_comes_first(tmp_path: Path, name: str) -> None:
    left, right = scene()
    save(side_by_side(right, left), tmp_path / name)
    source = only(discover(tmp_path))
    assert (source.right_first, source.guessed) == (True, True)
    assert_eyes(source)


def test_without_descriptor_the_name_may_say_parallel(tmp_path: Path) -> None:
    save(side_by_side(*scene()), tmp_path / "a parallel.jps")
    source = only(discover(tmp_path))
    assert (source.right_first, source.order_stated) == (False, True)
    assert_eyes(source)


def save_mpo(path: Path, frames: Sequence[Picture], kind: int | None = None) -> Path:
    """An MPO file; kind: the MP type code of every frame, patched into the MP entries that Pillow wrote."""
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, format="MPO", save_all=True, append_images=pictures[1:], quality=95)
    if kind is not None:
        content = bytearray(path.read_bytes())
        with Image.open(path) as image:
            entries: Any = image.mpinfo[0xB002]  # type: ignore[attr-defined]
        at = 0
        for entry in entries:
            at = content.index(struct.pack("<II", entry["Size"], entry["DataOffset"]), at)
            content[at - 4 : at] = struct.pack("<I", kind)
            at += 8
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["a.mpo", "a.jpg"])
def test_mpo_disparity_pair(tmp_path: Path, name: str) -> None:
    save_mpo(tmp_path / name, scene(), 0x020002)
    source = only(discover(tmp_path))
    assert (source.layout, source.right_first, source.guessed) == ("mpo", False, False)
    assert_eyes(source)


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 1)])
def test_the_rotation_of_the_first_frame_of_an_mpo_holds_for_both(tmp_path: Path, orientation: int, turns: int) -> None:
    first, second = (Image.fromarray(np.rot90(eye, turns)) for eye in scene())
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / "a.mpo"
    first.save(file, format="MPO", save_all=True, append_images=[second], quality=95, exif=exif)
    before, _, after = file.read_bytes().rpartition(b"Exif\0\0")
    file.write_bytes(before + b"none\0\0" + after)
    assert_eyes(only(discover(tmp_path)))


def test_mpo_of_no_stated_type_is_a_guess(tmp_path: Path) -> None:
    save_mpo(tmp_path / "a.mpo", scene())
    source = only(discover(tmp_path))
    assert (source.layout, source.guessed) == ("mpo", True)
    assert_eyes(source)


def test_mpo_that_is_no_pair(tmp_path: Path) -> None:
    left, right = scene()
    save_mpo(tmp_path / "gain.mpo", [left, right[::2, ::2]])
    save_mpo(tmp_path / "other.mpo", [left, scene(9)[0]])
    save_mpo(tmp_path / "panorama.mpo", [left, right], 0x020001)
    save_mpo(tmp_path / "sizes.mpo", [left, right[:100]], 0x020002)
    discovery = discover(tmp_path)
    assert discovery.sources == []
    assert {reason for _, reason in reasons(discovery)} == {"single"}


def test_mpo_with_a_wrong_offset_and_cut_off(tmp_path: Path) -> None:
    file = save_mpo(tmp_path / "a.mpo", scene(), 0x020002)
    content = file.read_bytes()
    with Image.open(file) as image:
        entries: Any = image.mpinfo[0xB002]  # type: ignore[attr-defined]
    stated = struct.pack("<II", entries[1]["Size"], entries[1]["DataOffset"])
    file.write_bytes(content.replace(stated, struct.pack("<II", entries[1]["Size"], 10_000_000)))
    assert_eyes(only(discover(tmp_path)))
    file.write_bytes(content[: entries[0]["Size"] - 10])
    assert reasons(discover(tmp_path)) == [("a.mpo", "corrupt")]


# --- reading -----------------------------------------------------------------------------------------------------


def two_files(tmp_path: Path, left: Picture, right: Picture, extension: str = "png") -> PairSource:
    files = save(left, tmp_path / f"left.{extension}"), save(right, tmp_path / f"right.{extension}")
    return PairSource("a", *files, "files", "test")


def test_pixels_digest_and_lossless(tmp_path: Path) -> None:
    left, right = scene()
    source = two_files(tmp_path, left, right)
    pair = read_pair(source, 1000)
    np.testing.assert_array_equal(pair.left, left)
    np.testing.assert_array_equal(pair.right, right)
    assert pair.lossless
    assert len(pair.digest) == 64
    assert pair.digest != read_pair(two_files(tmp_path, right, left), 1000).digest
    assert not read_pair(two_files(tmp_path, left, right, "jpg"), 1000).lossless


@pytest.mark.parametrize(
    ("extension", "options", "lossless"), [("webp", {"lossless": True}, True), ("webp", {}, False)]
)
def test_webp_lossless(tmp_path: Path, extension: str, options: dict[str, Any], lossless: bool) -> None:
    left, right = scene()
    files = save(left, tmp_path / f"l.{extension}", **options), save(right, tmp_path / f"r.{extension}", **options)
    assert read_pair(PairSource("a", *files, "files", "test"), 1000).lossless is lossless


@pytest.mark.parametrize(("width", "height"), [(800, 560), (801, 561)])
def test_reduction_keeps_the_eyes_together(tmp_path: Path, width: int, height: int) -> None:
    left, right = scene(4, width, height)
    pair = read_pair(two_files(tmp_path, left, right, "jpg"), 200)
    assert pair.left.shape == pair.right.shape == (140, 200, 3)
    assert pair.source_size == (width, height)
    references = [cv2.resize(eye, (200, 140), interpolation=cv2.INTER_AREA).astype(int) for eye in (left, right)]
    packed = save(side_by_side(left, right), tmp_path / "packed-lr.jpg")
    again = read_pair(PairSource("p", packed, packed, "side-by-side", "test"), 200)
    for eye, reference in zip((pair.left, pair.right, again.left, again.right), references * 2, strict=True):
        assert np.abs(eye - reference).mean() < 3


def test_right_first_swaps_two_files(tmp_path: Path) -> None:
    left, right = scene()
    source = two_files(tmp_path, right, left)
    assert_eyes(PairSource("a", source.left, source.right, "files", "test", right_first=True))


def test_sizes_within_a_tenth_are_cropped(tmp_path: Path) -> None:
    left, right = scene()
    pair = read_pair(two_files(tmp_path, left, right[:, 4:-4]), 1000)
    np.testing.assert_array_equal(pair.left, left[:, 4:-4])
    np.testing.assert_array_equal(pair.right, right[:, 4:-4])


def test_same_shape_other_scale_is_reduced(tmp_path: Path) -> None:
    left, right = scene(5, 320, 240)
    pair = read_pair(two_files(tmp_path, left, np.asarray(Image.fromarray(right).resize((160, 120)))), 1000)
    assert pair.left.shape == pair.right.shape == (120, 160, 3)
    assert is_red(pair.left)


def test_size_mismatch(tmp_path: Path) -> None:
    left, right = scene()
    with pytest.raises(InputError, match="not two views") as caught:
        read_pair(two_files(tmp_path, left, right[:70]), 1000)
    assert caught.value.reason == "size-mismatch"


def test_eyes_that_are_too_small(tmp_path: Path) -> None:
    file = save(scene()[0][:, :120], tmp_path / "a-lr.png")
    with pytest.raises(InputError, match="60 x 120") as caught:
        read_pair(PairSource("a", file, file, "side-by-side", "test"), 1000)
    assert caught.value.reason == "too-small"


def test_unknown_layout_and_size(tmp_path: Path) -> None:
    source = two_files(tmp_path, *scene())
    with pytest.raises(ValueError, match="unknown layout"):
        read_pair(PairSource("a", source.left, source.right, "diagonal", "test"), 1000)
    with pytest.raises(ValueError, match="max_side"):
        read_pair(source, 10)


# --- one picture -------------------------------------------------------------------------------------------------


def test_grey_palette_alpha_and_bits(tmp_path: Path) -> None:
    picture, _ = scene()
    image = Image.fromarray(picture)
    grey = np.asarray(image.convert("L"))
    image.convert("L").save(tmp_path / "l.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "l.png"), np.stack([grey] * 3, axis=2))
    image.convert("1").save(tmp_path / "1.png")
    assert set(np.unique(read_picture(tmp_path / "1.png"))) == {0, 255}
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    assert is_red(read_picture(tmp_path / "p.png"))
    image.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert is_red(read_picture(tmp_path / "cmyk.jpg"))


def test_transparency_of_all_is_no_transparency(tmp_path: Path) -> None:
    """Games write screenshots so: their colours are there."""
    picture = scene()[0]
    Image.fromarray(np.dstack([picture, np.zeros((HEIGHT, WIDTH), np.uint8)])).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "rgba.png"), picture)


def test_transparency_is_laid_over_grey(tmp_path: Path) -> None:
    picture, _ = scene()
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[60:] = 0
    Image.fromarray(np.dstack([picture, alpha])).save(tmp_path / "rgba.png")
    read = read_picture(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read[:60], picture[:60])
    assert (read[60:] == 128).all()
    Image.fromarray(np.dstack([picture[:, :, 0], alpha])).save(tmp_path / "la.png")
    assert (read_picture(tmp_path / "la.png")[60:] == 128).all()


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_16_bit_grey(tmp_path: Path, extension: str) -> None:
    levels = np.arange(WIDTH, dtype=np.uint16) * 257
    Image.fromarray(np.tile(levels, (HEIGHT, 1))).save(tmp_path / f"a.{extension}")
    read = read_picture(tmp_path / f"a.{extension}")
    np.testing.assert_array_equal(read[5, :, 1], np.arange(WIDTH))


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_16_bit_rgb_png(tmp_path: Path) -> None:
    row = b"\0" + b"".join(struct.pack(">HHH", x * 257, 200 * 257, 0) for x in range(80))
    (tmp_path / "a.png").write_bytes(png(80, 70, 16, 2, row * 70))
    read = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(read[3, :, 0], np.arange(80))
    assert (read[:, :, 1] == 200).all()


@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, 3), (8, 1)])
def test_exif_rotation(tmp_path: Path, orientation: int, turn: int) -> None:
    picture, _ = scene(0, 160, 130)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = save(picture, tmp_path / "a.png", exif=exif.tobytes())
    np.testing.assert_array_equal(read_picture(file), np.rot90(picture, turn))
    file = save(picture, tmp_path / "c.tif", exif=exif)
    np.testing.assert_array_equal(read_picture(file), np.rot90(picture, turn))
    assert read_header(file).size == ((160, 130) if orientation == 3 else (130, 160))
    file = save(picture, tmp_path / "b.jpg", exif=exif.tobytes())
    assert read_pair(PairSource("b", file, file, "over-under", "test"), 1000).source_size == (
        (160, 65) if orientation == 3 else (130, 80)
    )


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((80, 80, 3), colour, np.uint8)) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert is_red(read_picture(tmp_path / "a.webp"))


def test_open_file_instead_of_a_path() -> None:
    picture, _ = scene()
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    buffer.seek(0)
    np.testing.assert_array_equal(read_picture(buffer), picture)


def test_shrink_decodes_a_jpeg_smaller(tmp_path: Path) -> None:
    picture, _ = scene(6, 640, 480)
    file = save(picture, tmp_path / "a.jpg")
    small = read_picture(file, shrink=4)
    assert small.shape == (120, 160, 3)
    assert np.abs(small.astype(int) - np.asarray(Image.fromarray(picture).reduce(4))).mean() < 6


def float_tiff(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).random((80, 80), np.float32)).save(path)


def bad_file(path: Path, kind: str) -> Path:
    """A file that `read_picture` must refuse for the reason its kind stands for."""
    buffer = BytesIO()
    Image.fromarray(scene()[0]).save(buffer, "JPEG" if path.suffix == ".jpg" else "PNG")
    whole = buffer.getvalue()
    broken = bytearray(whole)
    broken[60:2000] = bytes(1940)
    content = {
        "empty": b"",
        "text": b"this is no picture at all, only words",
        "cut": whole[: len(whole) // 2],
        "head": whole[:24],
        "broken": bytes(broken),
        "huge": png(50_000, 50_000, 8, 2, b"\0"),
        "large": png(20_000, 10_001, 8, 2, b"\0"),
    }
    path.write_bytes(content[kind])
    return path


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("a.jpg", "empty", "empty-file"),
        ("a.jpg", "text", "not-an-image"),
        ("a.jpg", "cut", "corrupt"),
        ("a.jpg", "head", "corrupt"),
        ("a.jpg", "broken", "corrupt"),
        ("a.png", "cut", "corrupt"),
        ("a.png", "broken", "corrupt"),
        ("a.png", "huge", "too-large"),
        ("a.png", "large", "too-large"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, kind: str, reason: str) -> None:
    file = bad_file(tmp_path / name, kind)
    with pytest.raises(InputError, match=r"a\.(jpg|png)") as caught:
        read_picture(file)
    assert caught.value.reason == reason
    assert reasons(discover(tmp_path)) == [(name, reason)]


def test_a_limit_of_our_own_above_that_of_pillow(tmp_path: Path) -> None:
    """190 megapixels are more than Pillow allows and less than we do: the size is not what is wrong."""
    (tmp_path / "a.png").write_bytes(png(19_000, 10_000, 1, 0, b"\0"))
    with pytest.raises(InputError) as caught:
        read_picture(tmp_path / "a.png")
    assert caught.value.reason == "corrupt"


def test_floats_and_one_pixel(tmp_path: Path) -> None:
    float_tiff(tmp_path / "float.tif")
    (tmp_path / "floats.tif").write_bytes(cv2.imencode(".tif", np.ones((80, 80, 3), np.float32))[1].tobytes())
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    left_out = [("float.tif", "unsupported"), ("floats.tif", "unsupported"), ("one.png", "too-small")]
    assert reasons(discover(tmp_path)) == left_out


def test_missing_file_and_folder_in_place_of_a_file(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.png", tmp_path):
        with pytest.raises(InputError) as caught:
            read_picture(path)
        assert caught.value.reason == "unreadable"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_no_permission(tmp_path: Path) -> None:
    file = save(scene()[0], tmp_path / "a.png")
    folder = tmp_path / "closed"
    folder.mkdir()
    file.chmod(0)
    folder.chmod(0)
    try:
        assert reasons(discover(tmp_path)) == [("a.png", "unreadable"), ("closed", "unreadable")]
    finally:
        folder.chmod(0o700)


# --- discovery ---------------------------------------------------------------------------------------------------


def test_symlink_loop(tmp_path: Path) -> None:
    left, right = scene()
    save(left, tmp_path / "trip" / "left.png")
    save(right, tmp_path / "trip" / "right.png")
    (tmp_path / "a_loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "trip" / "self.png").symlink_to(tmp_path / "trip" / "self.png")
    (tmp_path / "trip" / "gone.png").symlink_to(tmp_path / "gone.png")
    discovery = discover(tmp_path)
    assert [source.left for source in discovery.sources] == [tmp_path / "trip" / "left.png"]
    assert reasons(discovery) == [("gone.png", "unreadable"), ("self.png", "unreadable")]


def test_films_that_are_not_there_are_named(tmp_path: Path) -> None:
    """As pictures are: a link to a disk that is away, a pipe."""
    (tmp_path / "a.mp4").symlink_to(tmp_path / "gone.mp4")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "gone.txt")
    os.mkfifo(tmp_path / "b.MKV")
    assert reasons(discover(tmp_path)) == [("a.mp4", "unreadable"), ("b.MKV", "unreadable")]


def test_linked_folder_is_entered_once(tmp_path: Path) -> None:
    left, right = scene()
    save(left, tmp_path / "else" / "left.png")
    save(right, tmp_path / "else" / "right.png")
    (tmp_path / "in").mkdir()
    for name in ("one", "two"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "else", target_is_directory=True)
    assert only(discover(tmp_path / "in")).left == tmp_path / "in" / "one" / "left.png"


def test_empty_missing_and_single_file(tmp_path: Path) -> None:
    assert discover(tmp_path) == Discovery(PairSources.of([]), [], tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        discover(tmp_path / "nothing")
    file = save(side_by_side(*scene()), tmp_path / "a-lr.png")
    assert only(discover(file)).left == file
    (tmp_path / "notes.txt").write_text("words")
    assert reasons(discover(tmp_path / "notes.txt")) == [("notes.txt", "not-an-image")]


def test_keys_are_safe_unique_and_stable(tmp_path: Path) -> None:
    left, right = scene()
    for place in ("Ausflug zum See/größe: 1", "a/b", "a-b", "x" * 100 + "/" + "日本" * 30):
        save(left, tmp_path / place / "left.png")
        save(right, tmp_path / place / "right.png")
    keys = [source.key for source in discover(tmp_path).sources]
    assert keys == sorted(keys)
    assert len(set(keys)) == 4
    assert keys == [source.key for source in discover(tmp_path).sources]
    assert any(key.startswith("Ausflug-zum-See-größe-1-") for key in keys)
    assert all(len(key.encode()) < 200 and not set(key) & set(' /\\:*?"<>|') for key in keys)
    save(scene(8)[0], tmp_path / "a/b" / "left.png")
    with (tmp_path / "a/b" / "left.png").open("ab") as file:
        file.write(b"more")
    assert len(set(keys) & {source.key for source in discover(tmp_path).sources}) == 3


@pytest.mark.parametrize("ending", ["ppm", "bmp", "tif"])
def test_uncompressed_pictures_of_one_name_and_size_have_keys_of_their_own(tmp_path: Path, ending: str) -> None:
    """Benchmarks name every scene's views alike: "cones" and "teddy" are not one pair."""
    for number, place in enumerate(("cones", "teddy", "cones copied")):
        for eye, view in zip(("im2", "im6"), scene(number % 2), strict=True):
            save(view, tmp_path / place / f"{eye}.{ending}")
    files = [tmp_path / place / f"im2.{ending}" for place in ("cones", "teddy")]
    assert files[0].stat().st_size == files[1].stat().st_size
    cones, teddy, copied = (only(discover(tmp_path / place)).key for place in ("cones", "teddy", "cones copied"))
    assert cones != teddy
    assert cones == copied


def test_unread_formats_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jxl").write_bytes(b"jxl")
    (tmp_path / "GX010001.LRV").write_bytes(b"ftyp")
    (tmp_path / "AVSEQ01.DAT").write_bytes(b"RIFF\xff\0\0\0CDXAfmt ")
    (tmp_path / "notes.dat").write_bytes(b"1 2 3")
    discovery = discover(tmp_path)
    assert reasons(discovery) == [(name, "unsupported") for name in ("AVSEQ01.DAT", "GX010001.LRV", "a.jxl")]
    details = [file.detail for file in discovery.left_out]
    assert all(word in detail for word, detail in zip(("Video CD", "preview", "JPEG XL"), details, strict=True))


def test_missing_extras_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("picture", "formats.films"):
        monkeypatch.setattr(f"redweb_builder.inputs.{module}.find_spec", lambda name: None)
    (tmp_path / "a.heic").write_bytes(b"ftypheic")
    (tmp_path / "b.mp4").write_bytes(b"ftypisom")
    discovery = discover(tmp_path)
    assert reasons(discovery) == [("a.heic", "unsupported"), ("b.mp4", "unsupported")]
    assert "redweb-builder[heic]" in discovery.left_out[0].detail
    assert "redweb-builder[film]" in discovery.left_out[1].detail


def test_packed_picture_with_a_preview_inside(tmp_path: Path) -> None:
    """Cameras save side-by-side pictures as MPO files with a small preview: the first frame holds the pair."""
    packed = side_by_side(*scene(7, 320, 240))
    save_mpo(tmp_path / "a.jpg", [packed, packed[::4, ::4]])
    source = only(discover(tmp_path))
    assert (source.layout, source.guessed) == ("side-by-side", True)
    assert_eyes(source)
