"""The inspection pictures: colour maps, strips and grids with known answers."""

from __future__ import annotations

import random
from dataclasses import replace

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from torchvision.utils import flow_to_image

from redweb_builder import colour
from redweb_builder.colour import UNKNOWN_DARK, UNKNOWN_LIGHT, colour_scale, confidence_picture
from redweb_builder.inspect import choose as choose_module
from redweb_builder.inspect.choose import choose, some_runs
from redweb_builder.inspect.grid import MARGIN, WIDTH, Row, grid
from redweb_builder.inspect.panel import PANEL_WIDTH, TILE_HEIGHT, TILE_WIDTH, panel
from redweb_builder.inspect.strip import (
    BACKGROUND,
    CELL_HEIGHT,
    CELL_WIDTH,
    COLUMNS,
    GAP,
    STRIP_WIDTH,
    strip,
    tile_size,
)
from redweb_builder.types import Evidence, FloatMap, Flow, Label, Mask, Picture, Regions, StereoPair


def lightness(picture: Picture) -> FloatMap:
    """CIE L* in [0, 100] of a uint8 RGB picture."""
    lab: FloatMap = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return lab[..., 0]


def evidence(height: int, width: int) -> Evidence:
    """A ramp that is near at the bottom: sky in the top quarter, unknown in the left quarter, the rest measured."""
    disparity = np.repeat(np.linspace(0, 40, height, dtype=np.float32)[:, None], width, axis=1)
    photograph = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = np.full((height, width), Mask.MEASURED, np.uint8)
    mask[: height // 4] = Mask.SKY
    mask[:, : width // 4] = Mask.UNKNOWN
    flow = np.stack([-disparity, np.zeros_like(disparity)], axis=-1)
    valid = np.ones((height, width), np.bool_)
    valid[:, -(width // 4) :] = False
    sky = (mask == Mask.SKY).astype(np.float32)
    label = np.where(mask == Mask.UNKNOWN, np.float32(np.nan), disparity)
    return Evidence(
        pair=StereoPair("a", photograph, photograph, True, (width, height), "0"),
        flow=Flow(flow, -flow),
        raw_disparity=disparity,
        valid=valid,
        regions=Regions(sky, np.zeros_like(sky)),
        label=Label(label, mask, np.where(mask == Mask.UNKNOWN, 0, 255).astype(np.uint8)),
    )


def tile(picture: Picture, column: int) -> Picture:
    start = column * (CELL_WIDTH + GAP)
    return picture[:, start : start + CELL_WIDTH]


def test_nearer_is_never_darker() -> None:
    ramp = np.linspace(-5, 5, 256, dtype=np.float32)[None]
    steps = np.diff(lightness(colour.disparity_picture(ramp, -5, 5))[0])
    assert (steps > 0).all()


def test_values_beyond_the_scale_are_clipped() -> None:
    values = np.array([[-100, -1, 3, 100]], np.float32)
    picture = colour.disparity_picture(values, -1, 3)
    np.testing.assert_array_equal(picture[0, 0], picture[0, 1])
    np.testing.assert_array_equal(picture[0, 2], picture[0, 3])


def test_unknown_is_unlike_any_disparity() -> None:
    unknown = colour.disparity_picture(np.full((16, 16), np.nan, np.float32), 0, 1)
    np.testing.assert_array_equal(unknown, colour.unknown_picture(16, 16))
    found = np.unique(unknown.reshape(-1, 3), axis=0).astype(int)
    assert {tuple(row) for row in found} == {colour.UNKNOWN_DARK, colour.UNKNOWN_LIGHT}
    distances = np.linalg.norm(found[:, None] - colour.disparity_colours().astype(int), axis=2)
    assert distances.min() > 40


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0)])
def test_an_empty_scale_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="low < high"):
        colour.disparity_picture(np.zeros((2, 2), np.float32), low, high)


def test_invalid_fades_to_the_checker_not_to_far() -> None:
    bright = colour.disparity_picture(np.ones((8, 8), np.float32), 0, 1)
    valid = np.arange(64).reshape(8, 8) % 2 == 0
    faded = colour.fade_invalid(bright, valid, strength=1.0)
    np.testing.assert_array_equal(faded[valid], bright[valid])
    np.testing.assert_array_equal(faded[~valid], colour.unknown_picture(8, 8)[~valid])


def test_flow_colours() -> None:
    vectors = np.array([[[0, 0], [9, 0], [-9, 0], [0, 9], [0, -9], [90, 0]]], np.float32)
    still, right, left, down, up, long = colour.flow_picture(vectors, limit=9)[0]
    assert still.tolist() == [255, 255, 255]
    assert right.tolist() == [255, 0, 0]
    assert long.tolist() == right.tolist()
    assert left[0] == 0
    assert left[2] > 200
    assert len({tuple(vector) for vector in (right, left, down, up)}) == 4


def test_flow_wheel_is_that_of_torchvision() -> None:
    vectors = np.random.default_rng(0).uniform(-1, 1, (2, 40, 50)).astype(np.float32)
    vectors /= 1.001 * np.maximum(np.hypot(*vectors), 1.0)
    vectors[:, 0, 0] = 1.0, 0.0  # the longest, by which torchvision divides
    theirs = flow_to_image(torch.from_numpy(vectors)).permute(1, 2, 0).numpy().astype(int)
    steps = np.rint(vectors * 1.001 * colour.WHEEL_RADIUS).astype(int) + colour.WHEEL_RADIUS
    difference = np.abs(colour.flow_wheel()[steps[1], steps[0]] - theirs)
    assert np.percentile(difference, 99) <= 2  # the wheel has whole steps
    assert difference.max() <= 6


def test_flow_wheel_has_no_wrapped_channel() -> None:
    """A channel rounded below 0 would wrap to 255: a bright speck among its neighbours."""
    wheel = colour.flow_wheel().astype(np.float32)
    assert np.abs(wheel - cv2.medianBlur(colour.flow_wheel(), 3)).max() < 30


def test_tiny_flow_stays_pale() -> None:
    flow = np.random.default_rng(0).uniform(-0.05, 0.05, (20, 30, 2)).astype(np.float32)
    assert colour.flow_picture(flow).min() > 225


def test_regions_tints() -> None:
    left = np.full((1, 4, 3), 120, np.uint8)
    sky = np.array([[0, 1, 0, 1]], np.float32)
    far = np.array([[0, 0, 1, 1]], np.float32)
    plain, blue, orange, both = colour.regions_picture(left, sky, far)[0].astype(int)
    assert plain[0] == plain[1] == plain[2] < 120
    assert blue[2] > blue[0] + 60
    assert orange[0] > orange[2] + 60
    np.testing.assert_allclose(both, (blue + orange) / 2, atol=1)


def test_mask_colours_are_exact_and_apart_in_grey() -> None:
    mask = np.array([sorted(Mask)], np.uint8)
    picture = colour.mask_picture(mask)
    assert [tuple(pixel) for pixel in picture[0].tolist()] == [colour.MASK_COLOURS[value] for value in sorted(Mask)]
    assert np.diff(np.sort(lightness(picture)[0])).min() > 15
    with pytest.raises(ValueError, match="mask values"):
        colour.mask_picture(np.full((2, 2), 4, np.uint8))


@pytest.mark.parametrize(("height", "width"), [(120, 200), (640, 480), (300, 1200), (90, 60), (768, 1024), (2, 600)])
def test_strip_geometry(height: int, width: int) -> None:
    picture = strip(evidence(height, width))
    assert picture.shape == (CELL_HEIGHT, STRIP_WIDTH, 3)
    assert picture.dtype == np.uint8
    tile_width, tile_height = tile_size(height, width)
    assert tile_width == CELL_WIDTH or tile_height == CELL_HEIGHT
    for column in range(len(COLUMNS)):
        cell = tile(picture, column)
        x, y = (CELL_WIDTH - tile_width) // 2, (CELL_HEIGHT - tile_height) // 2
        assert (cell[:y] == BACKGROUND).all()
        assert (cell[:, :x] == BACKGROUND).all()
        assert not (cell[y : y + tile_height, x : x + tile_width] == BACKGROUND).all()
    for gap in range(1, len(COLUMNS)):
        assert (picture[:, gap * (CELL_WIDTH + GAP) - GAP : gap * (CELL_WIDTH + GAP)] == BACKGROUND).all()


def test_strip_shows_what_it_was_given() -> None:
    given = evidence(CELL_HEIGHT * 3, CELL_WIDTH * 3)
    picture = strip(given)
    quarter = CELL_WIDTH // 4
    mask = tile(picture, 5)
    assert mask[100, quarter - 2].tolist() == list(colour.MASK_COLOURS[Mask.UNKNOWN])
    assert mask[100, quarter + 2].tolist() == list(colour.MASK_COLOURS[Mask.MEASURED])
    assert mask[10, quarter + 2].tolist() == list(colour.MASK_COLOURS[Mask.SKY])
    raw, refined = tile(picture, 2), tile(picture, 4)
    np.testing.assert_array_equal(refined[:, : quarter - 1], colour.unknown_picture(CELL_HEIGHT, quarter - 1))
    np.testing.assert_allclose(raw[:, quarter + 1 : -quarter - 1], refined[:, quarter + 1 : -quarter - 1], atol=2)
    assert not np.array_equal(raw[:, -quarter + 1 :], refined[:, -quarter + 1 :])
    sky, ground = tile(picture, 3)[10, 200].astype(int), tile(picture, 3)[100, 200].astype(int)
    assert sky[2] > sky[0] + 60
    assert ground[0] == ground[2]


def test_strip_of_an_unknown_label() -> None:
    given = evidence(60, 80)
    unknown = np.zeros((60, 80), np.uint8)
    nothing = Label(np.full((60, 80), np.nan, np.float32), unknown, unknown)
    assert strip(replace(given, label=nothing)).shape == (CELL_HEIGHT, STRIP_WIDTH, 3)


def test_strip_is_reproducible() -> None:
    np.testing.assert_array_equal(strip(evidence(90, 160)), strip(evidence(90, 160)))


def test_colour_scale() -> None:
    disparity = np.arange(101, dtype=np.float32)[None].copy()
    mask = np.full(disparity.shape, Mask.MEASURED, np.uint8)
    assert colour_scale(disparity, mask) == pytest.approx((1, 99))
    disparity[0, 100], mask[0, 100] = 1e6, Mask.FILLED
    assert colour_scale(disparity, mask)[1] < 100
    assert colour_scale(np.full((4, 4), 7, np.float32), np.ones((4, 4), np.uint8)) == pytest.approx((6.5, 7.5))
    assert colour_scale(np.full((4, 4), np.nan, np.float32), np.zeros((4, 4), np.uint8)) == (0.0, 1.0)


def find(picture: Picture, part: Picture) -> int:
    """The row of the picture at which a panel was pasted."""
    inside = picture[:, MARGIN : MARGIN + PANEL_WIDTH]
    places = [y for y in range(len(inside) - TILE_HEIGHT) if np.array_equal(inside[y : y + TILE_HEIGHT], part)]
    assert len(places) == 1
    return places[0]


def drawn(height: int, width: int) -> Picture:
    seen = evidence(height, width)
    return panel(seen.pair.left, seen.label, strip(seen))


def test_a_panel_shows_what_is_sure_and_what_is_unknown() -> None:
    seen = evidence(100, 150)
    confidence = np.zeros((100, 150), np.uint8)
    confidence[:, 50:] = 255
    picture = panel(seen.pair.left, replace(seen.label, confidence=confidence), strip(seen))
    assert picture.shape == (TILE_HEIGHT, PANEL_WIDTH, 3)
    tile = picture[:, 2 * (TILE_WIDTH + GAP) : 3 * (TILE_WIDTH + GAP) - GAP]
    sure = confidence_picture(np.full((1, 1), 255, np.uint8))[0, 0]
    np.testing.assert_array_equal(tile[TILE_HEIGHT // 2, -TILE_WIDTH // 2 :], np.tile(sure, (TILE_WIDTH // 2, 1)))
    assert {tuple(colour) for colour in confidence_picture(confidence)[:, :50].reshape(-1, 3)} == {
        UNKNOWN_DARK,
        UNKNOWN_LIGHT,
    }


def test_grid_keeps_sections_apart() -> None:
    kept, rejected = drawn(90, 160), drawn(160, 90)
    rows = [
        Row(rejected, "trip/b", "rejected", "rejected as vertical", "vertical 3.4 px > 2 px"),
        Row(None, "trip/日本", "rejected", "rejected as unreadable", "unreadable " * 60),
        Row(kept, "trip/a", "kept", "kept", "quality 0.91"),
    ]
    picture = np.asarray(grid(rows, "trip"))
    assert picture.shape[1:] == (WIDTH, 3)
    assert find(picture, kept) + TILE_HEIGHT < find(picture, rejected)
    np.testing.assert_array_equal(picture, np.asarray(grid(rows, "trip")))


def test_grid_grows_with_its_text() -> None:
    short = grid([Row(None, "a", "rejected", "", "unreadable")], "one")
    long = grid([Row(None, "a", "rejected", "", "unreadable " * 60)], "one")
    assert short.height < long.height
    assert grid([], "nothing").width == WIDTH
    assert grid([Row(None, "k" * 5000, "kept", "", "")], "t" * 5000).width == WIDTH


def test_row_checks_itself() -> None:
    with pytest.raises(ValueError, match="status"):
        Row(None, "a", "maybe", "", "")
    with pytest.raises(ValueError, match=r"\(10, 10, 3\)"):
        Row(np.zeros((10, 10, 3), np.uint8), "a", "kept", "", "")


def record(key: str, quality: float | None, margin: float | None, reason: str = "") -> dict[str, object]:
    status = "rejected" if reason else "kept"
    return {"key": key, "status": status, "reason": reason, "quality": quality, "margin": margin}


def chosen_of(records: list[dict[str, object]], rows: int) -> list[dict[str, object]]:
    fields = {"key": pa.string(), "status": pa.string(), "reason": pa.string(), "quality": pa.float64()}
    table = pa.Table.from_pylist(records, schema=pa.schema([*fields.items(), ("margin", pa.float64())]))
    return [records[place] for place in choose(table, rows)]


def keys(records: list[dict[str, object]]) -> list[object]:
    return [found["key"] for found in records]


def test_choose_kept() -> None:
    records = [record(f"{number:02d}", number / 100, 1.0) for number in range(50)]
    records[20]["margin"], records[30]["margin"] = 0.01, 0.02
    assert keys(chosen_of(records, 6)) == ["49", "48", "30", "20", "01", "00"]
    assert keys(chosen_of(records, 1)) == ["49"]


def test_choose_spreads_over_reasons() -> None:
    records = [record(f"v{number}", 0.5, number, "vertical") for number in range(9)]
    records += [record("r1", None, None, "unreadable"), record("f1", 0.1, 0.3, "flat"), record("f0", 0.1, 0.2, "flat")]
    assert keys(chosen_of(records, 3)) == ["v0", "f0", "r1"]
    assert keys(chosen_of(records, 5)) == ["v0", "v1", "f0", "f1", "r1"]


def test_choose_shares_the_rows() -> None:
    kept = [record(f"k{number}", number / 40, number) for number in range(40)]
    rejected = [record(f"r{number}", 0.2, number, f"reason{number % 3}") for number in range(40)]
    chosen = chosen_of(kept + rejected, 12)
    assert [found["status"] for found in chosen] == ["kept"] * 8 + ["rejected"] * 4
    assert len(set(map(str, keys(chosen)))) == 12
    assert len(chosen_of(kept[:2] + rejected, 12)) == 12
    assert len(chosen_of(kept + rejected[:1], 12)) == 12
    assert len(chosen_of(kept + rejected, 500)) == 80


def test_of_many_pairs_some_runs_count_from_the_first_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose_module, "BLOCK_ROWS", 2)
    monkeypatch.setattr(choose_module, "RUNS", 3)
    few, many = (pa.table({"key": [str(number) for number in range(count)]}) for count in (6, 13))
    assert some_runs(few) is few
    assert some_runs(many)["key"].to_pylist() == ["0", "1", "4", "5", "10", "11"]


def test_choose_does_not_depend_on_the_order() -> None:
    records = [record(f"{n:03d}", n % 7 / 7, n % 5 / 5, ("", "flat", "vertical")[n % 3]) for n in range(60)]
    records.append(record("x", float("nan"), None))
    expected = keys(chosen_of(records, 15))
    random.Random(0).shuffle(records)
    assert keys(chosen_of(records, 15)) == expected


def test_choose_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        chosen_of([], 0)
    with pytest.raises(ValueError, match="maybe"):
        chosen_of([{"key": "a", "status": "maybe"}], 3)
    assert chosen_of([], 3) == []
