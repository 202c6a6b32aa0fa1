"""The depth of one photograph or film: its files, their numbers, and steady films."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from redweb_builder.builder.depth import _repeats, doubts, make_depth
from redweb_builder.commands.main import main
from redweb_builder.config import BuildConfig, InputOptions
from redweb_builder.dataset.reader import Dataset
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.export.depth_forms import steady
from redweb_builder.inputs.picture import read_picture
from samples.scenes import Scene
from tests.conftest import Render
from tests.redweb_builder.inputs.test_discover import side_by_side

CONFIG = BuildConfig(flow="dis", segmenter="builtin", device="cpu")


def photograph(scene: Scene, file: Path) -> Path:
    Image.fromarray(side_by_side(scene.left, scene.right)).save(file)
    return file


def test_every_form_of_a_photograph_holds_its_depth(rendered: Render, tmp_path: Path) -> None:
    scene = rendered(3)
    source = photograph(scene, tmp_path / "walk-sbs.png")
    forms = ("png", "colour", "grey", "side", "ply", "npy", "pfm")
    files = make_depth(source, tmp_path / "out", CONFIG, forms)
    assert [file.name for file in files] == [
        f"walk-sbs{end}" for end in (".png", "_colour.png", "_grey.png", "_side.png", ".ply", ".npy", ".pfm")
    ]
    assert doubts(tmp_path / "out", source) == []
    sample = Dataset(tmp_path / "out" / "dataset")[0]
    disparity = np.load(files[5])
    np.testing.assert_array_equal(disparity, sample.disparity)
    assert np.nanmedian(np.abs(disparity - scene.disparity)[~scene.sky]) < 1
    with Image.open(files[0]) as image:
        assert image.text["polarity"] == "65535 = nearest"  # type: ignore[attr-defined]
        low, high = (float(image.text[name]) for name in ("farthest", "nearest"))  # type: ignore[attr-defined]
        values = np.asarray(image)
    known = ~np.isnan(disparity)
    np.testing.assert_allclose((low + (high - low) * values / 65535)[known], disparity[known], atol=1e-3)
    pixels = cv2.imread(str(files[6]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(pixels, disparity)
    assert Image.open(files[2]).mode == "L"
    grey, side = (read_picture(file) for file in (files[2], files[3]))
    assert grey[np.unravel_index(np.nanargmax(disparity), known.shape)][0] > 250
    assert np.median(grey[scene.sky]) == 0
    assert side.shape == (scene.left.shape[0], 2 * scene.left.shape[1], 3)
    vertices = int(files[4].read_bytes().split(b"element vertex ")[1].split(b"\n")[0])
    assert vertices == np.isin(sample.mask, (1, 3)).sum()


def test_depth_takes_no_place_of_a_photograph(rendered: Render, tmp_path: Path) -> None:
    source = photograph(rendered(3), tmp_path / "walk-sbs.png")
    mine = tmp_path / "out" / "walk-sbs.png"
    mine.parent.mkdir()
    mine.write_bytes(source.read_bytes())
    with pytest.raises(SettingsError, match=r"walk-sbs\.png is a picture and no depth"):
        make_depth(source, tmp_path / "out", CONFIG, ("png",))
    assert mine.read_bytes() == source.read_bytes()


def test_a_film_comes_out_as_a_film(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra: pip install 'redweb-builder[film]'")
    from tests.redweb_builder.inputs.formats.test_films import FPS, moving, write

    shots = [side_by_side(*pair) for pair in moving(1, 0.2)]
    source = write(tmp_path / "trip-sbs.mp4", shots, gop=1)
    arguments = [
        "depth",
        str(source),
        "--out",
        str(tmp_path / "out"),
        "--flow",
        "dis",
        "--form",
        "grey",
        "--form",
        "npy",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    film = cv2.VideoCapture(str(tmp_path / "out" / "trip-sbs_grey.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(FPS)
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == len(shots)
    assert len(list((tmp_path / "out" / "trip-sbs").glob("*.npy"))) == len(shots)
    assert str(tmp_path / "out" / "trip-sbs_grey.mp4") in result.output.replace("\n", "")
    slower = CliRunner().invoke(main, [*arguments, "--film-rate", "5"])  # as another film of that rate
    assert slower.exit_code == 0, slower.output
    assert {folder.name for folder in (tmp_path / "out").glob("dataset*")} == {f"dataset-{FPS:g}fps", "dataset-5fps"}


def test_depth_that_a_data_set_would_reject_is_doubted(rendered: Render, tmp_path: Path) -> None:
    """Two pictures of different places."""
    pictures = side_by_side(rendered(3).left, rendered(4).left)
    Image.fromarray(pictures).save(tmp_path / "strangers-sbs.png")
    stated = replace(CONFIG, inputs=InputOptions(layout="side-by-side"))
    assert make_depth(tmp_path / "strangers-sbs.png", tmp_path / "out", stated, ["grey"])
    (sentence,) = doubts(tmp_path / "out", tmp_path / "strangers-sbs.png")
    assert sentence.startswith("strangers-sbs")
    assert "not-stereo: too few pixels lead to the other view and back" in sentence
    (tmp_path / "later").mkdir()
    for name in ("fine-sbs.png", "strangers-sbs.png"):  # another photograph of that name
        photograph(rendered(3), tmp_path / "later" / name)
    for later in (tmp_path / "later", tmp_path / "later" / "strangers-sbs.png"):
        assert make_depth(later, tmp_path / "out", stated, ["grey"])
        assert doubts(tmp_path / "out", later, stated.inputs) == []


def test_photographs_one_after_the_other_get_a_depth_of_their_own(rendered: Render, tmp_path: Path) -> None:
    """Into one folder, as without --out. It does not count which key comes last, nor what was rejected."""
    out = tmp_path / "out"
    zoo, ant = (photograph(rendered(seed), tmp_path / f"{name}-sbs.png") for seed, name in ((3, "zoo"), (4, "ant")))
    depth = {source.stem: np.load(make_depth(source, out, CONFIG, ["npy"])[0]) for source in (zoo, ant)}
    for sample in Dataset(out / "dataset"):
        np.testing.assert_array_equal(depth[sample.record["left"].removesuffix(".png")], sample.disparity)
    assert len(depth) == 2
    assert doubts(out, ant) == []
    small = tmp_path / "small-sbs.png"
    Image.fromarray(np.zeros((80, 100, 3), np.uint8)).save(small)
    with pytest.raises(StoreError, match=r"small-sbs\.png gave no depth \(too-small: .*50 x 80"):
        make_depth(small, out, CONFIG)
    assert not list(out.glob("small*"))


def test_photographs_of_one_name_from_two_folders_keep_a_depth_each(rendered: Render, tmp_path: Path) -> None:
    """Cameras begin to count anew; a photograph that took the place of the first one keeps its name."""
    out = tmp_path / "out"
    sources = []
    for card, seed in (("card-1", 3), ("card-2", 4)):
        (tmp_path / card).mkdir()
        sources.append(photograph(rendered(seed), tmp_path / card / "dscf0001-sbs.png"))
    names = [[make_depth(source, out, CONFIG, ["npy"])[0].name for source in sources] for _ in range(2)]
    assert names[0] == names[1]
    first, second = names[0]
    assert first == "dscf0001-sbs.npy"
    assert second.startswith("dscf0001-sbs-")
    assert not np.array_equal(np.load(out / first), np.load(out / second))
    photograph(rendered(5), sources[0])
    assert make_depth(sources[0], out, CONFIG, ["npy"])[0].name == first


def test_films_of_one_name_from_two_folders_keep_a_depth_each(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs the extra: pip install 'redweb-builder[film]'")
    from tests.redweb_builder.inputs.formats.test_films import moving, write

    sources = []
    for card, seed in (("card-1", 1), ("card-2", 2)):
        (tmp_path / card).mkdir()
        sources.append(write(tmp_path / card / "trip-sbs.mp4", [side_by_side(*pair) for pair in moving(seed, 0.2)]))
    names = [[make_depth(source, tmp_path / "out", CONFIG, ["grey"])[0].name for source in sources] for _ in range(2)]
    assert names[0] == names[1]
    assert names[0][0] == "trip-sbs_grey.mp4"
    films = {(tmp_path / "out" / name).read_bytes() for name in names[0]}
    assert len(films) == 2


def test_what_gives_no_depth_is_said(tmp_path: Path) -> None:
    small = tmp_path / "small-sbs.png"
    Image.fromarray(np.zeros((80, 100, 3), np.uint8)).save(small)
    with pytest.raises(StoreError, match=r"small-sbs\.png gave no depth \(too-small: .*50 x 80"):
        make_depth(small, tmp_path / "out", CONFIG)
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(FileNotFoundError, match="no such file"):
        make_depth(tmp_path / "loop.png", tmp_path / "out", CONFIG)
    with pytest.raises(SettingsError, match="form 'exr'"):
        make_depth(small, tmp_path / "out", CONFIG, ["exr"])
    data_set = tmp_path / "set"
    data_set.mkdir()
    (data_set / "build.json").write_text('{"format": "redweb-builder/1"}')
    with pytest.raises(SettingsError, match="among its files"):
        make_depth(small, data_set)
    with pytest.raises(SettingsError, match="would be taken for photographs"):
        make_depth(tmp_path, tmp_path / "out", CONFIG)


def test_a_steady_film_mixes_what_has_not_moved() -> None:
    before = np.array([[10.0, 10.0, np.nan, 10.0]], np.float32)
    now = np.array([[11.0, 30.0, 10.0, np.nan]], np.float32)
    np.testing.assert_array_equal(steady(before, now, (0.0, 100.0)), [[10.5, 30, 10, np.nan]])
    np.testing.assert_array_equal(steady(None, now, (0.0, 100.0)), now)


def test_a_frame_stands_until_the_next_one() -> None:
    assert _repeats([2.0, 2.1, 2.5], 10) == [1, 4, 1]
    assert _repeats([0.0], 25) == [1]
    assert _repeats([0.0, 0.0333, 0.0667, 0.1], 30) == [1, 1, 1, 1]


@pytest.mark.timeout(30)
def test_the_frames_of_a_long_film_are_counted_once() -> None:
    assert _repeats([number / 60 for number in range(200_000)], 60) == [1] * 200_000
