"""Mounts, borders, bars, gaps and round masks are cropped, and nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from redweb_builder.config import Thresholds
from redweb_builder.dataset.manifest import table_of
from redweb_builder.dataset.verdicts import compare
from redweb_builder.errors import InputError
from redweb_builder.inputs.content.mount import Box, inside_margin, inside_mount
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.types import Picture
from tests.redweb_builder.inputs.test_discover import only, reasons, save, save_mpo, scene, side_by_side

WIDTH, HEIGHT = 320, 240
CARD = (196, 92, 44)


def plain(seed: int = 0) -> tuple[Picture, Picture]:
    left, right = scene(seed, WIDTH, HEIGHT)
    left[:24, :24], right[:24, :24] = left[30:54, 30:54], right[30:54, 30:54]
    return left, right


def framed(left: Picture, right: Picture, border: int, gap: int, colour: tuple[int, int, int]) -> Picture:
    card = np.empty((HEIGHT + 2 * border, 2 * WIDTH + 2 * border + gap, 3), np.uint8)
    card[:] = colour
    card[border : border + HEIGHT, border : border + WIDTH] = left
    card[border : border + HEIGHT, -border - WIDTH : -border] = right
    return card


def arched(picture: Picture, colour: tuple[int, int, int], radius: int = 60) -> Picture:
    """The picture with its upper corners rounded off."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    across = np.minimum(x, WIDTH - 1 - x)
    masked = (across < radius) & (y < radius) & ((radius - across) ** 2 + (radius - y) ** 2 > radius**2)
    result = picture.copy()
    result[masked] = colour
    return result


@pytest.mark.parametrize(("border", "gap", "colour"), [(12, 8, (255, 255, 255)), (7, 30, (0, 0, 0)), (20, 20, CARD)])
def test_borders_and_gaps_are_cropped(tmp_path: Path, border: int, gap: int, colour: tuple[int, int, int]) -> None:
    left, right = plain()
    save(framed(left, right, border, gap, colour), tmp_path / "card.png")
    source = only(discover(tmp_path))
    assert (source.layout, source.guessed) == ("side-by-side", True)
    pair = read_pair(source, 2000)
    height, width = pair.left.shape[:2]
    assert WIDTH - 6 <= width <= WIDTH
    assert HEIGHT - 6 <= height <= HEIGHT
    assert pair.crop.startswith(f"left {width}x{height}+")
    x, y = (int(number) for number in pair.crop.split(",")[0].split("+")[1:])
    np.testing.assert_array_equal(pair.left, left[y - border :, x - border :][:height, :width])
    assert pair.right.shape == pair.left.shape


def test_a_printed_card_with_arched_tops(tmp_path: Path) -> None:
    """Paper that is not quite one colour, print in the margin, rounded tops: what is left shows no card."""
    left, right = (arched(eye, CARD) for eye in plain(1))
    plain_card = framed(left, right, 40, 12, CARD)
    paper = (plain_card == CARD).all(axis=2, keepdims=True)
    noise = np.random.default_rng(0).normal(0, 6, plain_card.shape)
    card = np.clip(np.where(paper, plain_card + noise, plain_card), 0, 255).astype(np.uint8)
    cv2.putText(card, "POPULAR SERIES", (200, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (30, 20, 10), 2)
    save(card, tmp_path / "card.jpg")
    pair = read_pair(only(discover(tmp_path)), 2000)
    assert pair.left.shape[0] > 0.7 * HEIGHT
    assert pair.left.shape[1] > 0.8 * WIDTH
    for eye in (pair.left, pair.right):
        like_card = np.abs(eye.astype(int) - CARD).max(axis=2) < 30
        assert like_card[:3].mean() < 0.2
        assert like_card[:, :3].mean() < 0.2
        assert like_card[:12, :12].mean() < 0.3


def test_pictures_without_a_frame_are_left_whole() -> None:
    left, right = plain(2)
    white_sky, night = left.copy(), left.copy()
    ridge = 60 + (20 * np.sin(np.arange(WIDTH) / 17)).astype(int)
    for x in range(WIDTH):
        white_sky[: ridge[x], x] = 255
        night[: ridge[x], x] = 0
    sea = left.copy()
    sea[:100] = 255  # a sky without a cloud down to a straight horizon
    for picture in (left, white_sky, night, sea):
        shifted = np.roll(picture, -6, axis=1)
        assert inside_mount(picture, shifted) == (Box.whole(picture), Box.whole(picture))
        assert inside_margin(picture) == Box.whole(picture)
    assert inside_mount(left, right) == (Box.whole(left), Box.whole(left))


def test_black_bars() -> None:
    left, right = plain(3)
    for eye in (left, right):
        eye[:31] = eye[-29:] = 3
    box = inside_mount(left, right)[0]
    assert (box.left, box.right) == (0, WIDTH)
    assert 31 <= box.top <= 34
    assert HEIGHT - 32 <= box.bottom <= HEIGHT - 29


def test_eyes_in_two_files_are_cropped_alike(tmp_path: Path) -> None:
    left, right = (cv2.copyMakeBorder(eye, 9, 9, 9, 9, cv2.BORDER_CONSTANT, value=(250, 250, 250)) for eye in plain(4))
    save(np.asarray(left), tmp_path / "a_L.png")
    save(np.asarray(right), tmp_path / "a_R.png")
    pair = read_pair(only(discover(tmp_path)), 2000)
    assert pair.left.shape == pair.right.shape
    assert pair.source_size == (WIDTH + 18, HEIGHT + 18)
    assert WIDTH - 6 <= pair.left.shape[1] <= WIDTH
    assert pair.left.max(axis=2).min() < 250


def test_two_different_pictures_in_a_frame_are_a_collage(tmp_path: Path) -> None:
    save(framed(plain(5)[0], plain(6)[0], 10, 10, (255, 255, 255)), tmp_path / "collage.png")
    left, right = plain(5)[0], plain(6)[0]
    save(side_by_side(left, right), tmp_path / "diptych.png")
    save(np.concatenate([side_by_side(left, right), side_by_side(right, left)]), tmp_path / "four.png")
    assert set(reasons(discover(tmp_path))) == {(f"{name}.png", "collage") for name in ("collage", "diptych", "four")}


def test_wide_panoramas_and_spheres_are_named(tmp_path: Path) -> None:
    save(scene(7, 800, 200)[0][:, 24:], tmp_path / "wide.png")
    # A picture of the whole sphere: every column of the first and last row is the pole; left and right edge meet.
    grey = cv2.resize(np.random.default_rng(0).integers(0, 255, (32, 64), np.uint8), (512, 256))
    ground = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
    seamless = np.roll(np.concatenate([ground, ground[:, ::-1]], axis=1), 100, axis=1)
    sphere = np.asarray(cv2.resize(seamless, (512, 256)))
    sphere[:6], sphere[-6:] = (120, 160, 220), (90, 80, 70)
    save(sphere, tmp_path / "sphere.png")
    save(np.concatenate([sphere, np.roll(sphere, 3, axis=1)]), tmp_path / "stereo sphere.png")
    assert {reason for _, reason in reasons(discover(tmp_path))} == {"panorama"}
    assert len(discover(tmp_path).left_out) == 3
    named = save(side_by_side(sphere, np.roll(sphere, 3, axis=1)), tmp_path / "named-lr.png")
    with pytest.raises(InputError, match="360-degree") as caught:
        read_pair(only(discover(named)), 1000)
    assert caught.value.reason == "panorama"


def test_one_pair_in_five_forms_is_kept_once(tmp_path: Path) -> None:
    """MPO, side by side, cross-eyed, over-under and half width, in other sizes: one left view, so duplicates."""
    left, right = plain(7)
    small = [
        np.asarray(cv2.resize(eye, (WIDTH * 3 // 4, HEIGHT * 3 // 4), interpolation=cv2.INTER_AREA))
        for eye in (left, right)
    ]
    halves = [np.asarray(cv2.resize(eye, (WIDTH // 2, HEIGHT), interpolation=cv2.INTER_AREA)) for eye in (left, right)]
    save_mpo(tmp_path / "a.mpo", [left, right], 0x020002)
    save(side_by_side(*small), tmp_path / "b-lr.jpg", quality=60)
    save(side_by_side(right, left), tmp_path / "c-rl.png")
    save(np.concatenate(small), tmp_path / "d-ab.jpg")
    save(side_by_side(*halves), tmp_path / "e-lrq.jpg")
    save(side_by_side(*plain(8)), tmp_path / "other-lr.png")
    rows = [
        {
            "key": source.key[0],
            "status": "kept",
            "quality": 1.0,
            "perceptual_hash": str(imagehash.phash(Image.fromarray(read_pair(source, 768).left))),
        }
        for source in discover(tmp_path).sources
    ]
    judged = compare([table_of(rows)], Thresholds().duplicate_bits).applied(table_of(rows)).to_pylist()
    assert [row["key"] for row in judged if row["status"] == "kept"] == ["a", "o"]
    assert len(rows) == 6


def test_scaled_and_reencoded_copies_are_near_duplicates(tmp_path: Path) -> None:
    """What the builder compares (imagehash.phash, 4 of 64 bits) holds for copies, and tells scenes apart."""
    hashes = []
    for seed in (0, 1):
        left = plain(seed)[0]
        smaller = np.asarray(cv2.resize(left, (WIDTH * 6 // 10, HEIGHT * 6 // 10), interpolation=cv2.INTER_AREA))
        copy = save(smaller, tmp_path / f"{seed}.jpg", quality=60)
        hashes.append((imagehash.phash(Image.fromarray(left)), imagehash.phash(Image.open(copy))))
    assert all(first - second <= 4 for first, second in hashes)
    assert hashes[0][0] - hashes[1][0] > 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (3, 3), (40, 2)])
def test_a_picture_that_is_hardly_one_has_no_mount(shape: tuple[int, int]) -> None:
    blank = np.full((*shape, 3), 20, np.uint8)
    assert inside_margin(blank) == Box.whole(blank)
    assert inside_mount(blank, blank) == (Box.whole(blank), Box.whole(blank))
