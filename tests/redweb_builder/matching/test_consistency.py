"""Known disparities are recovered, occlusions are not consistent, and RAFT is run as it must be."""

from __future__ import annotations

import copy
import http.client
import urllib.request
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import optical_flow

from redweb_builder.errors import WeightsUnavailable
from redweb_builder.matching import raft as raft_module
from redweb_builder.matching.consistency import disparity_of, forward_backward_error, target_in_view, target_visible
from redweb_builder.matching.dis import Dis
from redweb_builder.matching.flow import load_flow
from redweb_builder.matching.raft import Raft
from redweb_builder.matching.raft_network import BothDirections
from redweb_builder.networks.weights import find_weights
from redweb_builder.segmentation.segmenters import load_segmenter
from redweb_builder.types import Flow, Picture, StereoPair
from samples.scenes import Kind, Scene

Render = Callable[..., Scene]
CPU = torch.device("cpu")


def pair_of(left: Picture, right: Picture) -> StereoPair:
    return StereoPair("a", left, right, True, (left.shape[1], left.shape[0]), "0")


def dis(left: Picture, right: Picture) -> Flow:
    return Dis()([pair_of(left, right)])[0]


def constant_flow(x: float, y: float, height: int = 20, width: int = 30) -> Flow:
    forward = np.broadcast_to(np.array([x, y], np.float32), (height, width, 2)).copy()
    return Flow(forward, -forward)


# --- known disparity ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "kind", "convergence"),
    [
        (0, "outdoor", 0.0),
        (4, "outdoor", 8.0),
        (2, "outdoor", 0.0),
        (0, "indoor", 0.0),
        (3, "indoor", 10.0),
    ],
)
def test_known_disparity_is_recovered(rendered: Render, seed: int, kind: Kind, convergence: float) -> None:
    scene = rendered(seed, kind, convergence=convergence)
    flow = dis(scene.left, scene.right)
    disparity = disparity_of(flow)
    assert disparity.dtype == np.float32
    measured = (forward_backward_error(flow) <= 2) & ~scene.sky
    assert measured[~scene.sky & ~scene.occluded].mean() > 0.9
    error = np.abs(disparity - scene.disparity)[measured]
    assert np.median(error) < 0.2
    assert (error > 2).mean() < 0.08
    assert abs(np.median((disparity - scene.disparity)[measured])) < 0.1  # unbiased
    truth = scene.disparity[measured]
    if convergence:
        assert (truth < -1).mean() > 0.05
        assert (truth > 1).mean() > 0.05
        decided = np.abs(truth) > 1
        assert (np.sign(disparity[measured]) == np.sign(truth))[decided].mean() > 0.93
    else:
        assert truth.min() > 0


def test_a_point_shifted_to_the_left_in_the_right_view_is_near() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    wide = cv2.resize(noise, (280, 160), interpolation=cv2.INTER_CUBIC)
    for shift in (6, -6):
        left, right = wide[:, 20:220], wide[:, 20 + shift : 220 + shift]  # left (x, y) is right (x - shift, y)
        disparity = disparity_of(dis(left, right))[20:-20, 20:-20]
        assert np.abs(disparity - shift).max() < 0.5


def test_disparity_is_the_negated_horizontal_forward_flow() -> None:
    assert np.all(disparity_of(constant_flow(-4, 3)) == 4)
    assert np.all(disparity_of(constant_flow(2.5, 0)) == -2.5)


# --- what both views confirm -------------------------------------------------------------------------------------


@pytest.mark.parametrize("convergence", [0.0, 8.0])
def test_exact_flow_confirms_exactly_what_both_eyes_see(rendered: Render, convergence: float) -> None:
    """With the true flow the check has a known answer: the renderer's own occlusion map."""
    scene = rendered(0, convergence=convergence)
    zero = np.zeros_like(scene.disparity)
    flow = Flow(np.stack([-scene.disparity, zero], 2), np.stack([scene.right_disparity, zero], 2))
    consistent = forward_backward_error(flow) <= 2
    assert consistent[~scene.occluded].mean() > 0.97
    columns = np.broadcast_to(np.arange(scene.left.shape[1]), scene.disparity.shape)
    at = np.rint(columns - scene.disparity).astype(int)
    inside = (at >= 0) & (at < scene.left.shape[1])
    occluder = np.take_along_axis(scene.right_disparity, np.clip(at, 0, scene.left.shape[1] - 1), 1)
    hidden = scene.occluded & inside & (occluder - scene.disparity > 4)
    assert hidden.sum() > 200
    assert consistent[hidden].mean() < 0.03
    outside = columns - scene.disparity < -0.01
    outside |= columns - scene.disparity > scene.left.shape[1] - 1 + 0.01
    assert outside.sum() > 200
    assert not consistent[outside].any()


@pytest.mark.parametrize("step", [10, 14])
def test_builtin_flow_rejects_the_strip_beside_a_near_card(step: int) -> None:
    """A card 80 px wide before a wall: the strip of wall at its left, `step` px wide, is seen by the left eye only."""
    generator = np.random.default_rng(0)

    def wall(width: int) -> Picture:
        coarse = cv2.resize(
            generator.integers(0, 256, (44, width // 4, 3), dtype=np.uint8),
            (width, 176),
            interpolation=cv2.INTER_CUBIC,
        )
        fine = cv2.resize(generator.integers(-40, 40, (88, width // 2, 3)).astype(np.float32), (width, 176))
        return np.asarray(np.clip(coarse + fine, 0, 255), np.uint8)

    back, card = wall(280), wall(80)
    left, right = back[:, 20:260].copy(), back[:, 22:262].copy()
    near = 2 + step
    left[40:140, 100:180], right[40:140, 100 - near : 180 - near] = card[40:140], card[40:140]
    truth = np.full((176, 240), 2, np.float32)
    truth[40:140, 100:180] = near
    hidden = np.zeros_like(truth, bool)
    hidden[40:140, 100 - step : 100] = True
    flow = dis(left, right)
    consistent = forward_backward_error(flow) <= 2
    assert consistent[hidden].mean() < 0.3
    assert consistent[~hidden].mean() > 0.93
    assert (np.abs(disparity_of(flow) - truth)[consistent] > 2).mean() < 0.02


@pytest.mark.parametrize(
    ("x", "y", "inside"),
    [
        (-5, 0, np.s_[:, 5:]),
        (5, 0, np.s_[:, :-5]),
        (0, -4, np.s_[4:, :]),
        (0, 4, np.s_[:-4, :]),
        (-0.5, 0, np.s_[:, 1:]),
    ],
)
def test_a_match_outside_the_view_is_never_valid(x: float, y: float, inside: tuple[slice, slice]) -> None:
    """The flow agrees with itself everywhere; only the view's border decides."""
    flow = constant_flow(x, y)
    expected = np.zeros((20, 30), bool)
    expected[inside] = True
    assert np.array_equal(target_in_view(flow.forward), expected)
    error = forward_backward_error(flow)
    assert np.array_equal(np.isfinite(error), expected)
    assert error[expected].max() < 1e-4


def test_forward_backward_error_is_a_distance_in_px() -> None:
    flow = constant_flow(0, 0)
    wrong = Flow(flow.forward, np.broadcast_to(np.array([3, 4], np.float32), (20, 30, 2)).copy())
    assert np.allclose(forward_backward_error(wrong), 5)


def test_matches_on_the_void_that_alignment_left_do_not_count() -> None:
    valid = np.ones((20, 30), bool)
    valid[:, :10] = False
    visible = target_visible(constant_flow(-5, 0), valid)
    assert not visible[:, :15].any()
    assert visible[:, 15:].all()


def test_flow_of_a_batch_is_the_flow_of_each(rendered: Render) -> None:
    pairs = [pair_of(scene.left, scene.right) for scene in (rendered(0), rendered(0, height=188), rendered(4))]
    together, estimator = Dis()(pairs), Dis()
    for pair, flow in zip(pairs, together, strict=True):
        alone = estimator([pair])[0]
        assert np.array_equal(flow.forward, alone.forward)
        assert np.array_equal(flow.backward, alone.backward)


# --- RAFT --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raft_small of random weights, as a weight file."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(optical_flow.raft_small(weights=None).state_dict(), file)
    return file


@pytest.fixture(scope="module")
def raft(small_weights: Path) -> Raft:
    return Raft("raft-small", small_weights, CPU)


def test_published_weights_are_those_of_torchvision() -> None:
    """They are named here, so that a build that has no weights need not import torchvision."""
    large, small = optical_flow.Raft_Large_Weights.C_T_SKHT_V2, optical_flow.Raft_Small_Weights.C_T_V1
    assert {"raft-large": large.url, "raft-small": small.url} == raft_module.PUBLISHED


@pytest.fixture(autouse=True)
def few_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three iterations show as much of the handling as twelve."""
    monkeypatch.setattr(raft_module, "UPDATES", 3)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch.hub cache; the folder that weight files lie in."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def noise_pair(width: int, height: int, seed: int = 0) -> StereoPair:
    left, right = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    return pair_of(left, right)


def test_raft_takes_any_size_and_a_batch_gives_what_single_pairs_give(raft: Raft) -> None:
    """Sizes under RAFT's 128 px, not divisible by 8, and two of one padded shape."""
    pairs = [
        noise_pair(131, 77, 1), noise_pair(100, 300, 2), noise_pair(136, 128, 3), noise_pair(133, 121, 4),
    ]  # fmt: skip
    together = raft(pairs)
    for pair, flow in zip(pairs, together, strict=True):
        assert flow.forward.shape == flow.backward.shape == (*pair.left.shape[:2], 2)
        assert flow.forward.dtype == np.float32
        alone = raft([pair])[0]
        assert np.array_equal(flow.forward, alone.forward)
        assert np.array_equal(flow.backward, alone.backward)
    assert not np.array_equal(together[0].forward, together[0].backward)


def test_raft_in_larger_batches_agrees(raft: Raft, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU's batches do: several pairs of one padded shape in one call, each cut out of its own padding."""
    pairs = [noise_pair(131, 128, 1), noise_pair(136, 121, 2), noise_pair(129, 128, 3)]
    alone = [raft([pair])[0] for pair in pairs]
    monkeypatch.setattr(raft, "batch", 2)
    for single, flow in zip(alone, raft(pairs), strict=True):
        assert flow.forward.shape == single.forward.shape
        assert np.allclose(flow.forward, single.forward, atol=1e-3)
        assert np.allclose(flow.backward, single.backward, atol=1e-3)


@pytest.mark.parametrize("build", [optical_flow.raft_small, optical_flow.raft_large])
def test_what_both_directions_share_is_torchvisions_own_answer(build: Callable[..., torch.nn.Module]) -> None:
    """Two pairs of an odd number of eighths, against the untouched network called once for each direction."""
    torch.manual_seed(0)
    network = build(weights=None).eval()
    left, right = torch.rand(2, 2, 3, 136, 152) * 2 - 1
    with torch.inference_mode():
        expected = torch.cat([network(left, right, 3)[-1], network(right, left, 3)[-1]])
        shared = BothDirections(copy.deepcopy(network), torch.float32)(torch.cat([left, right]), 3)
        in_bf16 = BothDirections(network, torch.bfloat16)(torch.cat([left, right]), 3)
    assert expected.abs().max() > 0.1
    assert torch.allclose(shared, expected, atol=1e-3)
    assert in_bf16.dtype == torch.float32
    assert 0 < (in_bf16 - expected).abs().mean() < 0.03 * expected.abs().mean()


def test_in_bf16_the_update_block_gets_the_flow_whole() -> None:
    """Eight bits of 30.03 px are 30: what they leave goes the same way, through the same weights."""
    shared: Any = BothDirections(optical_flow.raft_small(weights=None).eval(), torch.bfloat16)
    flow = torch.full((1, 2, 16, 16), 30.03)
    given = shared._in_precision(flow)
    assert given.dtype == torch.bfloat16
    assert torch.allclose(given.float().view(1, 2, 2, 16, 16).sum(1), flow, atol=1e-3)
    for taking in (shared.update.motion_encoder.convflow1[0], shared.units[0].convq):
        assert torch.equal(taking.weight[:, -2:], taking.weight[:, -4:-2])


def test_raft_backward_is_forward_with_the_views_exchanged(raft: Raft) -> None:
    pair = noise_pair(128, 128, 5)
    there, back = raft([pair])[0], raft([pair_of(pair.right, pair.left)])[0]
    assert np.allclose(there.backward, back.forward, atol=1e-3)
    assert np.allclose(there.forward, back.backward, atol=1e-3)


def test_raft_padding_is_cut_off_where_it_was_put(raft: Raft) -> None:
    """A network that answers with its own input shows where each pixel went: nowhere."""

    class Echo(torch.nn.Module):
        def forward(self, views: torch.Tensor, updates: int) -> torch.Tensor:
            assert min(views.shape[2:]) >= 128
            assert all(side % 8 == 0 for side in views.shape[2:])
            assert views.abs().max() <= 1
            return views[:, :2]

    echo: Any = object.__new__(Raft)
    echo.device, echo.batch = CPU, 2
    echo.network = Echo()
    pairs = [noise_pair(131, 77, 1), noise_pair(100, 300, 2), noise_pair(135, 130, 3), noise_pair(130, 135, 4)]
    for pair, flow in zip(pairs, echo(pairs), strict=True):
        assert np.allclose(flow.forward, pair.left[..., :2] / 127.5 - 1, atol=1e-6)
        assert np.allclose(flow.backward, pair.right[..., :2] / 127.5 - 1, atol=1e-6)


def test_raft_sees_a_large_picture_reduced_and_its_flow_is_scaled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that always answers (3, -1) px: the answer in px of the large picture is as much longer."""
    shapes: list[tuple[int, ...]] = []

    class Constant(torch.nn.Module):
        def forward(self, views: torch.Tensor, updates: int) -> torch.Tensor:
            shapes.append(tuple(views.shape))
            return torch.tensor([3.0, -1.0])[None, :, None, None].expand(len(views), 2, *views.shape[2:])

    monkeypatch.setattr(raft_module, "MAX_PIXELS", 200 * 150)
    constant: Any = object.__new__(Raft)
    constant.device, constant.batch, constant.network = CPU, 1, Constant()
    large, small = constant([noise_pair(400, 300, 1), noise_pair(200, 150, 2)])
    assert shapes == [(4, 3, 152, 200)]  # one batch: reduced, they are of one shape
    assert (large.forward.shape, small.forward.shape) == ((300, 400, 2), (150, 200, 2))
    for flow, expected in ((large, [6, -2]), (small, [3, -1])):
        assert np.allclose(flow.forward, expected)
        assert np.allclose(flow.backward, expected)
        assert flow.forward.dtype == np.float32


def test_raft_batches_shrink_with_the_square_of_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raft_module, "BATCH_PIXELS", 100)
    assert [raft_module._room(8, pixels) for pixels in (50, 100, 200, 400)] == [16, 8, 2, 1]


def test_a_wrong_weight_file_is_named(small_weights: Path, tmp_path: Path) -> None:
    words, other, missing = tmp_path / "words.pth", tmp_path / "other.pth", tmp_path / "missing.pth"
    words.write_text("no weights at all")
    torch.save({"weight": torch.zeros(3)}, other)
    for choice in ("raft-small", "raft-large", "auto"):
        for file in (words, other, missing):
            with pytest.raises(WeightsUnavailable, match=file.name):
                load_flow(choice, file, CPU)
    with pytest.raises(WeightsUnavailable, match=r"small\.pth does not hold the weights of raft-large: they are of an"):
        load_flow("raft-large", small_weights, CPU)


def test_auto_takes_the_raft_that_a_given_file_fits(small_weights: Path) -> None:
    estimator, chosen = load_flow("auto", small_weights, CPU)
    assert estimator.name == "raft-small"
    assert estimator.weights is not None
    assert estimator.weights.origin == "path"
    assert estimator.weights.sha256 == sha256(small_weights.read_bytes()).hexdigest()
    assert "raft-small" in chosen
    assert str(small_weights) in chosen


def test_auto_falls_back_to_dis_and_says_so(hub: Path) -> None:
    estimator, chosen = load_flow("auto", None, CPU)
    assert estimator.name == "dis"
    assert estimator.weights is None
    assert "DIS" in chosen
    assert "no RAFT weights" in chosen
    assert str(hub) in chosen
    assert not list(hub.iterdir())  # nothing half-downloaded
    for choice in ("raft-large", "raft-small"):
        with pytest.raises(WeightsUnavailable, match="hub"):
            load_flow(choice, None, CPU)
    assert load_flow("dis", None, CPU)[0].name == "dis"


def test_auto_finds_weights_in_the_hub_cache(hub: Path, small_weights: Path) -> None:
    name = Path(optical_flow.Raft_Small_Weights.C_T_V1.url).name
    (hub / name).write_bytes(small_weights.read_bytes())
    estimator, chosen = load_flow("auto", None, CPU)
    assert estimator.name == "raft-small"
    assert estimator.weights is not None
    assert (estimator.weights.origin, estimator.weights.path) == ("cache", hub / name)
    assert "cache" in chosen


def test_a_download_is_checked_against_the_name(hub: Path, tmp_path: Path) -> None:
    content = b"weights" * 1000
    digest = sha256(content).hexdigest()
    good, bad = tmp_path / f"net-{digest[:8]}.pth", tmp_path / "net-00000000.pth"
    for file in (good, bad):
        file.write_bytes(content)
    weights = find_weights(None, good.as_uri())
    assert (weights.origin, weights.path, weights.sha256) == ("hub", hub / good.name, digest)
    assert weights.path.read_bytes() == content
    assert find_weights(None, good.as_uri()).origin == "cache"
    with pytest.raises(WeightsUnavailable, match="checksum"):
        find_weights(None, bad.as_uri())
    assert [file.name for file in hub.iterdir()] == [good.name]


def test_an_answer_that_is_no_http_is_no_weights(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a captive portal: "auto" falls back, and a named network is refused."""

    def garbage(url: str, timeout: float) -> None:
        raise http.client.BadStatusLine("<html>")

    monkeypatch.setattr(urllib.request, "urlopen", garbage)
    estimator, chosen = load_flow("auto", None, CPU)
    assert estimator.name == "dis"
    assert "<html>" in chosen
    with pytest.raises(WeightsUnavailable, match="html"):
        load_flow("raft-small", None, CPU)


def test_weights_for_what_takes_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dis needs no weights.*net\.pth"):
        load_flow("dis", tmp_path / "net.pth", CPU)
    for choice in ("none", "builtin"):
        with pytest.raises(ValueError, match=rf"{choice} takes no weights.*net"):
            load_segmenter(choice, tmp_path / "net", CPU)


def test_a_download_that_breaks_off_leaves_nothing_usable(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = b"weights" * 1000
    name = f"net-{sha256(whole).hexdigest()[:8]}.pth"

    class Broken:
        sent = False

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def read(self, size: int) -> bytes:
            if self.sent:
                raise TimeoutError("the line went dead")
            self.sent = True
            return whole[:100]

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Broken())
    with pytest.raises(WeightsUnavailable, match="the line went dead"):
        find_weights(None, f"https://example.org/{name}")
    assert not list(hub.iterdir())
    (tmp_path / name).write_bytes(whole)
    monkeypatch.undo()
    monkeypatch.setattr(torch.hub, "_hub_dir", str(hub.parent))
    assert find_weights(None, (tmp_path / name).as_uri()).origin == "hub"
