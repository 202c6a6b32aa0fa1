"""The order of the eyes is estimated from the pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from redweb_builder.matching.quick_flow import Preview, preview_flow
from redweb_builder.rectification.eye_order import (
    LOWER_NEARER_WEIGHT,
    are_eyes_swapped,
    eye_order,
    find_order,
    lower_nearer,
)
from redweb_builder.types import FloatMap, Flow, PairSource, Picture
from samples.scenes import Kind, Scene

Render = Callable[..., Scene]
SCENES: list[tuple[int, Kind]] = [(seed, kind) for seed in (0, 3, 5, 6) for kind in ("outdoor", "indoor")]


@pytest.mark.parametrize(
    ("seed", "kind", "convergence"),
    [*((*scene, 0.0) for scene in SCENES), *((seed, "outdoor", 8.0) for seed in (2, 4)), (3, "indoor", 10.0)],
)
def test_sign_shows_the_order(rendered: Render, seed: int, kind: Kind, convergence: float) -> None:
    """Also for converged cameras, where the sign of disparity shows nothing."""
    scene = rendered(seed, kind, convergence=convergence)
    right_way = eye_order(preview_flow(scene.left, scene.right))
    wrong_way = eye_order(preview_flow(scene.right, scene.left))
    assert right_way > 0.2
    assert wrong_way < -0.1
    assert wrong_way == pytest.approx(-right_way, abs=0.1)


def without_height_cue(preview: Preview) -> float:
    """The part of eye_order that comes from occlusion and contours."""
    return eye_order(preview) - LOWER_NEARER_WEIGHT * lower_nearer(preview)


@pytest.mark.parametrize(("seed", "kind"), SCENES)
def test_occlusion_and_contours_show_the_order_also_upside_down(rendered: Render, seed: int, kind: Kind) -> None:
    """Turned upside down (not mirrored left to right) the near is at the top, but left stays left."""
    scene = rendered(seed, kind)
    for turn in (slice(None), slice(None, None, -1)):
        left, right = (np.ascontiguousarray(view[turn]) for view in (scene.left, scene.right))
        assert without_height_cue(preview_flow(left, right)) > 0
        assert without_height_cue(preview_flow(right, left)) < 0


@pytest.mark.parametrize(("seed", "kind"), SCENES[:4])
def test_exchanging_the_eyes_changes_the_sign_and_nothing_else(rendered: Render, seed: int, kind: Kind) -> None:
    scene = rendered(seed, kind)
    preview = preview_flow(scene.left, scene.right)
    swapped = preview.swapped()
    assert np.array_equal(swapped.left, preview.right)
    assert np.array_equal(swapped.flow.forward, preview.flow.backward)
    assert eye_order(swapped) == pytest.approx(-eye_order(preview), abs=0.05)
    twice = swapped.swapped()
    assert eye_order(twice) == eye_order(preview)


def test_no_evidence_is_no_verdict() -> None:
    """The same picture twice, blank views and unlike noise must not be called swapped."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 120, 160, 3), dtype=np.uint8)
    blank: Picture = np.full((120, 160, 3), 100, np.uint8)
    assert eye_order(preview_flow(noise[0], noise[0])) == 0
    assert eye_order(preview_flow(blank, blank)) == 0
    assert abs(eye_order(preview_flow(noise[0], noise[1]))) < 0.1


def test_the_lower_half_nearer_counts_for_the_order() -> None:
    """A floor: disparity grows from row to row."""
    rows = np.linspace(2, 12, 120, dtype=np.float32)[:, None]
    flow = np.stack([-np.broadcast_to(rows, (120, 160)), np.zeros((120, 160), np.float32)], 2)
    view = np.zeros((120, 160, 3), np.uint8)
    assert lower_nearer(Preview(view, view, Flow(flow, -flow), 1.0)) == pytest.approx(1, abs=0.01)
    upside_down = np.ascontiguousarray(flow[::-1])
    assert lower_nearer(Preview(view, view, Flow(upside_down, -upside_down), 1.0)) == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize(
    ("layout", "guessed", "order_stated", "at_least"),
    [
        ("files", False, False, -0.1),
        ("side-by-side", False, False, -0.5),
        ("side-by-side", True, True, -0.5),
        ("side-by-side", True, False, 0.0),
        ("files", True, False, 0.0),
    ],
)
def test_the_more_a_source_states_the_more_it_takes(
    layout: str, guessed: bool, order_stated: bool, at_least: float
) -> None:
    """Two files named by people, one file with a stated order, nothing stated."""
    source = PairSource("a", Path("a"), Path("a"), layout, "", guessed=guessed, order_stated=order_stated)
    assert are_eyes_swapped(source, at_least - 0.01)
    assert not are_eyes_swapped(source, at_least)


@pytest.mark.parametrize(
    ("order_is_right", "prior", "passes"), [(True, 3.0, 1), (False, -3.0, 1), (False, 0.2, 2), (True, -0.2, 2)]
)
def test_the_likely_order_is_looked_at_first(rendered: Render, order_is_right: bool, prior: float, passes: int) -> None:
    """Where the group is right, one view passes through the network, else both; the depth is the left view's."""
    scene = rendered(3, "indoor")
    seen: list[Picture] = []

    class RowsNetwork:
        name, weights = "rows", None

        def __call__(self, picture: Picture) -> FloatMap:
            seen.append(picture)
            return np.repeat(np.arange(len(picture), dtype=np.float32)[:, None], picture.shape[1], 1)

    views = (scene.left, scene.right) if order_is_right else (scene.right, scene.left)
    source = PairSource("a", Path("a"), Path("b"), "files", "", order_prior=prior)
    ordered = find_order(source, preview_flow(*views), RowsNetwork())  # type: ignore[arg-type]
    assert ordered.exchanged != order_is_right
    assert ordered.score > 0
    assert len(seen) == passes
    np.testing.assert_array_equal(seen[-1], preview_flow(scene.left, scene.right).left)
