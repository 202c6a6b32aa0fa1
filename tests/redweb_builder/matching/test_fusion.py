"""Semi-global matching gives known disparities, the more consistent match is taken, predicted errors order pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from redweb_builder.labels.confidence import (
    CALIBRATION,
    LEAST_PX,
    confidence_of,
    contrast_factor,
    cues_of,
    edge_factor,
    predict_error_px,
)
from redweb_builder.labels.planes import RightView, right_view
from redweb_builder.labels.refine import refine, surface_and_error
from redweb_builder.labels.superpixels import segment_superpixels
from redweb_builder.matching.consistency import MATCHED_PX, disparity_of, forward_backward_error, visible_error
from redweb_builder.matching.dis import Dis, consistent_share, estimate_global_shift
from redweb_builder.matching.fusion import TEXTURE_PX, Match, fuse_matches
from redweb_builder.matching.quick_flow import preview_flow
from redweb_builder.matching.semi_global import NOWHERE, sgm_flow
from redweb_builder.matching.texture import textured
from redweb_builder.types import BoolMap, FloatMap, Flow, Label, Mask, Picture, Regions, StereoPair
from samples.scenes import Kind, Scene

Render = Callable[..., Scene]


def pair_of(scene: Scene) -> StereoPair:
    return StereoPair("a", scene.left, scene.right, True, (scene.left.shape[1], scene.left.shape[0]), "0")


def along(x: float, height: int = 6, width: int = 40) -> Flow:
    forward = np.zeros((height, width, 2), np.float32)
    forward[..., 0] = x
    return Flow(forward, -forward)


def fused(flow: Flow, sgm: Flow, right_valid: BoolMap, textured: BoolMap) -> Match:
    errors = (visible_error(forward_backward_error(match), match, right_valid) for match in (flow, sgm))
    return fuse_matches(flow, next(errors), sgm, next(errors), textured)


def label_of(scene: Scene) -> tuple[Match, Label]:
    pair = pair_of(scene)
    flow = Dis()([pair])[0]
    valid = forward_backward_error(flow) <= 2
    match = fused(flow, sgm_flow(pair, flow, valid), np.ones(valid.shape, bool), textured(scene.left, TEXTURE_PX))
    sky = scene.sky.astype(np.float32)
    return match, refine(scene.left, match, valid, Regions(sky, np.zeros_like(sky)), right_view(flow, 2))


@pytest.mark.parametrize("convergence", [0.0, 10.0])
def test_rows_give_the_known_disparity_of_both_signs(rendered: Render, convergence: float) -> None:
    scene = rendered(3, "indoor", convergence=convergence)
    pair = pair_of(scene)
    flow = Dis()([pair])[0]
    rows = sgm_flow(pair, flow, forward_backward_error(flow) <= 2)
    consistent = forward_backward_error(rows) <= MATCHED_PX
    assert consistent[~scene.occluded].mean() > 0.85
    error = np.abs(disparity_of(rows) - scene.disparity)[consistent]
    assert np.median(error) < 0.2
    assert (error > 2).mean() < 0.08
    assert np.all(rows.forward[..., 1] == 0)
    backward = np.abs(rows.backward[..., 0] - scene.right_disparity)
    assert np.median(backward[forward_backward_error(Flow(rows.backward, rows.forward)) <= MATCHED_PX]) < 0.2


@pytest.mark.parametrize("share", [-0.25, 0.25])
def test_views_that_lie_far_beside_each_other_are_matched(rendered: Render, share: float) -> None:
    """As of cameras turned inwards or outwards."""
    width = rendered(3).left.shape[1]
    scene = rendered(3, convergence=share * width)
    shift = estimate_global_shift(*(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) for view in (scene.left, scene.right)))
    assert shift is not None
    assert abs(shift[0] + np.median(scene.disparity)) < 0.05 * width
    assert abs(shift[1]) < 0.02 * width
    preview = preview_flow(scene.left, scene.right)
    assert preview.far_apart
    for flow in (Dis()([pair_of(scene)])[0], preview.flow):
        consistent = forward_backward_error(flow) < 1
        assert consistent[~scene.occluded & ~scene.sky].mean() > 0.8
        error = np.abs(disparity_of(flow) - scene.disparity)[consistent & ~scene.occluded & ~scene.sky]
        assert np.median(error) < 0.3


def test_ordinary_pairs_are_not_displaced(rendered: Render) -> None:
    scene = rendered(3)
    assert (
        estimate_global_shift(*(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) for view in (scene.left, scene.right))) is None
    )
    blank = np.full((60, 80), 128, np.uint8)
    assert estimate_global_shift(blank, blank) is None


def test_a_flow_is_sought_from_the_global_shift_only_where_the_preview_was_better_from_it(rendered: Render) -> None:
    scene = rendered(3, convergence=0.25 * rendered(3).left.shape[1])
    pair = pair_of(scene)
    apart, near = (Dis()([replace(pair, far_apart=far_apart)])[0] for far_apart in (True, False))
    assert consistent_share(near) < 0.7 * consistent_share(apart)
    assert not preview_flow(rendered(3).left, rendered(3).right).far_apart


def test_without_any_valid_flow_no_row_is_matched(rendered: Render) -> None:
    pair = pair_of(rendered(0))
    flow = Dis()([pair])[0]
    rows = sgm_flow(pair, flow, np.zeros(pair.left.shape[:2], bool))
    assert not np.isfinite(forward_backward_error(rows)).any()


def test_the_clearly_more_consistent_match_is_taken() -> None:
    valid = np.ones((6, 40), bool)
    off = along(-4)
    off.backward[..., 0] = 5  # a forward-backward error of 1 px
    match = fused(off, along(-6), valid, valid)
    inside = np.s_[:, 6:]
    assert np.all(match.disparity[inside] == 6)
    assert np.allclose(match.error[inside], 0)
    assert np.allclose(match.disagreement, 2)
    slightly = along(-4)
    slightly.backward[..., 0] = 4.2
    assert np.all(fused(slightly, along(-6), valid, valid).disparity == 4)  # as good: the flow stays
    assert np.all(fused(off, along(-NOWHERE), valid, valid).disparity == 4)  # nothing better: the flow
    assert not fused(off, along(-NOWHERE), valid, valid).consistent.any()
    assert np.all(fused(off, along(-6), valid, np.zeros_like(valid)).disparity == 4)  # no texture: the flow


def test_a_match_beyond_the_aligned_picture_is_not_consistent() -> None:
    valid = np.ones((6, 40), bool)
    valid[:, :20] = False
    match = fused(along(-4), along(-4), valid, valid)
    assert not match.consistent[:, :24].any()
    assert match.consistent[:, 24:].all()


def flat(error: float, disagreement: float, side: int = 20) -> Match:
    full = [np.full((side, 768), value, np.float32) for value in (7.0, error, disagreement)]
    return Match(*full)


BLANK = np.full((20, 768, 3), 128, np.uint8)
ALL = np.ones((40, 768), bool)
SURE = CALIBRATION * LEAST_PX


def test_predicted_error_is_the_calibrated_geometric_mean_of_the_cues() -> None:
    surface = np.full((20, 768), 7.0, np.float32)
    assert np.allclose(predict_error_px(cues_of(BLANK, flat(0, 0), ALL[:20]), surface), SURE, atol=1e-6)
    three = 0.8 * 2.0 * 1.0
    predicted = predict_error_px(cues_of(BLANK, flat(0.75, 0.95), ALL[:20]), surface + 1.95)
    assert np.allclose(predicted, CALIBRATION * three ** (1 / 3), atol=1e-5)
    unknown: FloatMap = np.full_like(surface, np.nan)
    assert np.allclose(
        predict_error_px(cues_of(BLANK, flat(np.inf, NOWHERE), ALL[:20]), unknown), CALIBRATION * 10.05, atol=1e-3
    )
    half = Match(*(part[:, :384] for part in (surface, surface * 0, surface * 0)))
    assert np.allclose(
        predict_error_px(cues_of(BLANK[:, :384], half, ALL[:20, :384]), surface[:, :384]), SURE * 2**0.6, atol=1e-6
    )


def test_a_consistency_error_raises_the_predicted_error_of_its_neighbours() -> None:
    surface = np.full((20, 768), 7.0, np.float32)
    match = flat(0, 0)
    match.error[10, 100] = 4.9
    error_px = predict_error_px(cues_of(BLANK, match, ALL[:20]), surface)
    assert error_px[10, 100] > error_px[10, 103] > error_px[10, 104]
    assert np.isclose(error_px[10, 104], SURE)


def edges_of(left: Picture, surface: FloatMap, ground: BoolMap) -> FloatMap:
    return edge_factor(contrast_factor(left, ground), surface)


def test_predicted_error_grows_near_edges_of_the_surface() -> None:
    surface = np.full((40, 768), 7.0, np.float32)
    surface[:, 384:] = 12.5
    blank = np.full((40, 768, 3), 128, np.uint8)
    step = edges_of(blank, surface, ALL)
    assert np.allclose(step[:, 382:386], 12**0.2)  # 5.5 px, 2 px to either side
    assert np.allclose(np.delete(step, range(382, 386), 1), 1)
    surface[:, 100:300] = np.nan  # where no surface is known there is no step to it
    assert np.allclose(edges_of(blank, surface, ALL)[:, 90:310], 1)


def test_predicted_error_grows_near_edges_of_the_photograph() -> None:
    surface = np.full((40, 768), 7.0, np.float32)
    left = np.full((40, 768, 3), 100, np.uint8)
    left[:, 384:] = 180
    near = np.s_[:, 374:394]
    assert np.allclose(edges_of(left, surface, ALL)[near], (80 / 12) ** 0.25)
    assert np.allclose(np.delete(edges_of(left, surface, ALL), range(374, 394), 1), 1)
    quiet = np.full_like(left, 100)
    quiet[:, ::2] = 140
    quiet[:, 300:400] = 100
    assert np.allclose(edges_of(quiet, surface, ALL), 1)  # a blank part is no surer than the rest
    texture = np.random.default_rng(0).integers(0, 40, (40, 768, 3)).astype(np.uint8)
    texture[:, 500] *= 3
    assert edges_of(texture, surface, ALL).max() > 1.2
    assert np.allclose(edges_of(texture, surface, ALL), edges_of(texture * 2, surface, ALL), rtol=0.02)  # exposure
    sky = ALL.copy()
    sky[:, :600] = False  # a blank sky is not what the ground's contrast is compared with
    texture[:, :600] = 200
    assert edges_of(texture, surface, sky)[:, 620:].max() < 1.2 < edges_of(texture, surface, ALL)[:, 620:].max()


def test_confidence_falls_with_the_predicted_error() -> None:
    error_px = np.array([0, 1, 4, 1e6], np.float32)
    assert confidence_of(error_px).tolist() == [255, 128, 51, 0]


@pytest.mark.parametrize(("seed", "kind"), [(0, "outdoor"), (3, "indoor")])
def test_confidence_orders_pixels_by_their_true_error(rendered: Render, seed: int, kind: Kind) -> None:
    """Among the surest half far fewer pixels are wrong than among the measured, and there fewer than among all.

    Measured is a limit on confidence, of pixels that lie in both views.
    """
    scene = rendered(seed, kind, max_disparity=40)
    match, label = label_of(scene)
    wrong = np.abs(label.disparity - scene.disparity) > 1
    measured, ground = label.mask == Mask.MEASURED, ~scene.sky & (label.mask != Mask.UNKNOWN)
    surest = ground & (label.confidence >= np.median(label.confidence[ground]))
    assert wrong[surest].mean() < 0.3 * wrong[measured].mean()
    assert wrong[measured].mean() < 0.7 * wrong[ground].mean()  # nine in ten are measured: not much is left out
    seen_twice = np.isfinite(match.error)
    assert seen_twice[measured].all()
    assert label.confidence[measured].min() >= label.confidence[(label.mask == Mask.FILLED) & seen_twice].max()
    assert np.all(label.confidence[label.mask == Mask.UNKNOWN] == 0)
    assert np.all(label.confidence[label.mask == Mask.SKY] == 255)


def test_what_one_eye_sees_alone_is_filled_and_not_measured(rendered: Render) -> None:
    scene = rendered(3, "indoor", max_disparity=40)
    _, label = label_of(scene)
    measured = label.mask == Mask.MEASURED
    assert measured[scene.occluded].mean() < 0.25
    assert measured[~scene.occluded].mean() > 0.8


def test_pixels_of_high_predicted_error_support_no_plane() -> None:
    """A halo that is consistent, but on which flow and rows disagree, stays out of the hidden strip beside it."""
    columns = np.arange(144)
    picture = np.where(columns < 48, 60, 140).astype(np.uint8)[None, :, None]
    left = np.broadcast_to(picture, (96, 144, 3)).copy()
    object_, halo, hidden = columns < 48, (columns >= 48) & (columns < 60), (columns >= 60) & (columns < 72)
    rows = [
        np.where(object_ | halo, 15.0, 5.0),
        np.where(hidden, np.inf, np.where(halo, 0.69, 0.0)),
        np.where(halo | hidden, NOWHERE, 0.0),
    ]
    match = Match(*(np.broadcast_to(row.astype(np.float32), (96, 144)).copy() for row in rows))
    nothing = RightView(np.zeros((96, 144), np.float32), np.zeros((96, 144), bool))
    ground = np.ones((96, 144), bool)
    superpixels, cues = segment_superpixels(left), cues_of(left, match, ground)
    surface, _ = surface_and_error(superpixels, cues, match, match.consistent, ground, nothing)
    assert np.abs(surface[:, hidden] - 5).max() < 0.5
    assert np.abs(surface[:, columns < 36] - 15).max() < 0.5
