"""Films in sequence: the columns that the frames of a clip share, and how steady their labels are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from redweb_builder import BuildConfig, build
from redweb_builder.config import PRESETS, InputOptions
from redweb_builder.dataset.clips import clip_ranges, neighbours_of, sequences_of, with_clip_ranges
from redweb_builder.dataset.flicker import flicker
from redweb_builder.dataset.manifest import DUPLICATE, table_of
from redweb_builder.dataset.verdicts import compare
from redweb_builder.types import Label, Mask
from samples.scenes import Scene

Render = Callable[..., Scene]
Row = dict[str, Any]


def frame(clip: str, number: int, time: float, status: str = "kept", low: float = 0.0, high: float = 9.0) -> Row:
    return {
        **{"key": f"{clip}-{number}", "clip": clip, "clip_frame": number, "film_time_s": time, "status": status},
        **{"min_px": low, "max_px": high, "perceptual_hash": "00ff00ff00ff00ff", "quality": 0.5},
    }


def test_close_frames_are_a_sequence() -> None:
    rows = [frame("fast", n, n / 10, "kept" if n % 2 else "rejected") for n in range(5)]
    rows += [frame("slow", n, float(n)) for n in range(5)] + [frame("alone", 0, 3.0), {"key": "photo", "clip": None}]
    assert sequences_of(table_of(rows)) == {"fast"}
    del rows[2]
    assert [(before["key"], after["key"]) for before, after in neighbours_of(table_of(rows))] == [
        ("fast-0", "fast-1"),
        ("fast-3", "fast-4"),
    ]


def test_one_disparity_range_a_clip() -> None:
    rows = [frame("a", 0, 0.0, low=-3, high=5), frame("a", 1, 1.0, low=-1, high=8), frame("b", 0, 0.0, low=2, high=4)]
    rows += [frame("a", 2, 2.0, "rejected", low=-90, high=90), {"key": "photo", "status": "kept", "min_px": 1.0}]
    table = with_clip_ranges(table_of(rows), clip_ranges(table_of(rows)))
    ranges = [(row["clip_min_px"], row["clip_max_px"]) for row in table.to_pylist()]
    assert ranges == [(-3, 8), (-3, 8), (2, 4), (None, None), (None, None)]


@pytest.mark.parametrize(("apart", "duplicates"), [(0.1, 1), (1.0, 2)])
def test_neighbours_of_a_sequence_are_no_duplicates(apart: float, duplicates: int) -> None:
    """Two frames that look alike, and one of another clip that looks like them."""
    rows = [*(frame("a", n, n * apart) for n in range(2)), frame("b", 0, 0.0)]
    reasons = compare([table_of(rows)], 4).applied(table_of(rows))["reason"].to_pylist()
    assert reasons.count(DUPLICATE) == duplicates


def label_of(disparity: NDArray[np.float32]) -> Label:
    shape = disparity.shape
    return Label(disparity, np.full(shape, Mask.MEASURED, np.uint8), np.full(shape, 255, np.uint8))


@pytest.mark.parametrize("jump", [0.0, 0.7])
def test_flicker_is_the_jump_of_a_point_that_is_followed(rendered: Render, jump: float) -> None:
    """The camera pans by 6 px: the labels move with the picture, and one of them is off by a jump."""
    scene = rendered(3, "indoor")
    views = scene.left[:, :-6], scene.left[:, 6:]
    labels = label_of(scene.disparity[:, :-6]), label_of(scene.disparity[:, 6:] + np.float32(jump))
    assert flicker(views[0], views[1], *labels) == pytest.approx(jump, abs=0.02)


def test_flicker_needs_measured_pixels(rendered: Render) -> None:
    """Filled ones are not measured; they may move as they please."""
    scene = rendered(3, "indoor")
    label = label_of(scene.disparity)
    filled = replace(label, mask=np.full_like(label.mask, Mask.FILLED))
    assert np.isnan(flicker(scene.left, scene.left, label, filled))


def test_a_film_in_sequence(tmp_path: Path) -> None:
    """The manifest of two clips at 5 frames a second; interrupted and gone on with, it is the same."""
    pytest.importorskip("av", reason="needs the extra: pip install 'redweb-builder[film]'")
    from tests.redweb_builder.inputs.formats.test_films import moving, write
    from tests.redweb_builder.inputs.test_discover import side_by_side

    (tmp_path / "in").mkdir()
    shots = [*moving(1, 0.8), *moving(2, 0.6)]
    write(tmp_path / "in" / "trip-sbs.mp4", [side_by_side(*pair) for pair in shots], gop=1)
    inputs = InputOptions(film_rate=5)
    config = BuildConfig(flow="dis", segmenter="builtin", device="cpu", thresholds=PRESETS["none"], inputs=inputs)
    build(tmp_path / "in", tmp_path / "out", config)
    rows = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()
    clips = sorted({row["clip"] for row in rows})
    assert [clip[:13] for clip in clips] == ["trip-sbs-c001", "trip-sbs-c002"]
    for clip in clips:
        frames = [row for row in rows if row["clip"] == clip]
        assert [row["clip_frame"] for row in frames] == list(range(len(frames)))
        assert {row["clip_min_px"] for row in frames} == {min(row["min_px"] for row in frames)}
        assert {row["clip_max_px"] for row in frames} == {max(row["max_px"] for row in frames)}
        assert frames[0]["flicker_px"] is None
        assert all(0 <= row["flicker_px"] < 2 for row in frames[1:])
    build(tmp_path / "in", tmp_path / "again", replace(config, limit=2))
    build(tmp_path / "in", tmp_path / "again", config)
    again = pq.read_table(tmp_path / "again" / "manifest.parquet").to_pylist()
    differing = {name for a, b in zip(again, rows, strict=True) for name in a if a[name] != b[name]}
    assert differing <= {"seconds"}
