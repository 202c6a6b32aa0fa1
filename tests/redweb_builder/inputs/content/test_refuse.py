"""What is no pair says what it is: more than two views, an eye upside down, a map of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redweb_builder.config import BuildConfig
from redweb_builder.errors import InputError
from redweb_builder.inputs.content.refuse import SEAM, is_flat_map, seam
from redweb_builder.inputs.content.turned import how_turned
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.pipeline import Outcome, prepare
from redweb_builder.types import PairSource, Picture


def views(count: int, width: int = 240, height: int = 180) -> list[Picture]:
    """Views of one textured plane, 6 px apart."""
    noise = np.random.default_rng(1).integers(0, 256, (height // 4, (width + 8 * count) // 4, 3), np.uint8)
    size = (width + 8 * count, height)
    wide = np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC))
    return [wide[:, 6 * at : 6 * at + width].copy() for at in range(count)]


def labels(seed: int = 0) -> Picture:
    """A map of flat blocks in many colours."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), np.uint8)
    return blocks.repeat(24, axis=0).repeat(24, axis=1)


def two_files(folder: Path, left: Picture, right: Picture) -> PairSource:
    for name, view in (("a_L.png", left), ("a_R.png", right)):
        Image.fromarray(view).save(folder / name)
    (source,) = discover(folder).sources
    return source


def test_an_edge_of_the_scene_is_no_seam() -> None:
    """A wall whose corner leans by three pixels over the height of the picture."""
    picture = views(1)[0] // 2
    corner = 119 + np.arange(180) * 3 // 180
    picture[np.arange(240) >= corner[:, None]] += 120
    assert seam(picture) < SEAM
    picture = views(1)[0] // 2
    picture[:, 120:] += 120
    assert seam(picture) > 0.95


FOUR = views(4)


@pytest.mark.parametrize(
    ("name", "picture", "words"),
    [
        ("harbour_LRL.png", np.hstack([FOUR[0], FOUR[1], FOUR[0]]), "three views"),
        ("harbour.png", np.hstack([FOUR[0], FOUR[1], FOUR[0]]), "three views beside each other"),
        ("tower.png", np.vstack(FOUR[:3]), "three views one over the other"),
        ("hologram_qs4x4a1.33.png", np.hstack(FOUR), "a quilt of 4 x 4 views"),
        ("grid.png", np.vstack([np.hstack(FOUR[:2]), np.hstack(FOUR[2:])]), "four or more views"),
        ("row.png", np.hstack(FOUR), "four or more views"),
    ],
)
def test_more_than_two_views(tmp_path: Path, name: str, picture: Picture, words: str) -> None:
    Image.fromarray(picture).save(tmp_path / name)
    discovery = discover(tmp_path)
    assert discovery.sources == []
    assert discovery.left_out[0].reason == "many-views"
    assert words in discovery.left_out[0].detail


@pytest.mark.parametrize(
    ("turn", "words"),
    [((-1, -1), "stands on its head"), ((1, -1), "mirrored left to right"), ((-1, 1), "mirrored top to bottom")],
)
def test_an_eye_that_is_turned_is_rejected_as_such(tmp_path: Path, turn: tuple[int, int], words: str) -> None:
    left, right = FOUR[:2]
    source = two_files(tmp_path, left[:: turn[0], :: turn[1]], right)
    outcome = prepare(source, BuildConfig())
    assert isinstance(outcome, Outcome)
    assert outcome.rejection is not None
    assert outcome.rejection.reason == "not-upright"
    assert words in outcome.rejection.detail
    assert how_turned(left, right) == ""


def test_an_eye_on_its_side(tmp_path: Path) -> None:
    source = two_files(tmp_path, FOUR[0], np.rot90(FOUR[1]))
    with pytest.raises(InputError, match="turn it by 90 degrees") as caught:
        read_pair(source, 768)
    assert caught.value.reason == "not-upright"


def test_two_maps_are_no_photographs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="flat colours") as caught:
        read_pair(two_files(tmp_path, labels(), np.roll(labels(), 5, axis=1)), 768)
    assert caught.value.reason == "not-a-photograph"
    assert not is_flat_map(FOUR[0])
    assert not is_flat_map(np.zeros((64, 64, 3), np.uint8)), "a black photograph is too dark, which other checks say"
