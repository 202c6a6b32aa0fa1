"""Networks of the user's, exported to ONNX and TorchScript, match rendered pairs; faulty ones are named."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from redweb_builder.builder.models import identity
from redweb_builder.config import BuildConfig
from redweb_builder.errors import SettingsError, WeightsUnavailable
from redweb_builder.matching.consistency import MATCHED_PX, forward_backward_error
from redweb_builder.matching.flow import load_flow
from redweb_builder.pipeline import Models
from redweb_builder.segmentation.segmenters import load_segmenter
from redweb_builder.types import Picture, StereoPair
from samples.scenes import Scene

CPU = torch.device("cpu")
RANGE = 32  # px that the block matchers below search, from 0
BLOCK = 9  # px, side of their block
Render = Callable[..., Scene]


class BlockMatcher(nn.Module):
    """Rectified stereo: the disparity in [0, RANGE) of least absolute difference in a block, 1x1xHxW."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        left, right = left.float(), right.float()
        costs = []
        for disparity in range(RANGE):
            moved = F.pad(right, (disparity, 0, 0, 0), mode="replicate")[..., : right.shape[3]]
            costs.append(F.avg_pool2d((left - moved).abs().mean(1, keepdim=True), BLOCK, 1, BLOCK // 2))
        return torch.cat(costs, 1).argmin(1, keepdim=True).float() * self.factor


class ShiftFlow(nn.Module):
    """Optical flow: where the mean colour's column sums agree best, one vector for the whole picture, 1x2xHxW."""

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        costs = [(first[..., 12:-12] - second.roll(-shift, 3)[..., 12:-12]).abs().mean() for shift in range(-12, 13)]
        x = torch.stack(costs).argmin() - 12.0
        flow = torch.stack([x.expand(first.shape[2:]), torch.zeros_like(first[0, 0])])[None]
        return flow * 0, flow


class Broken(nn.Module):
    """Not a number everywhere."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return (left - right)[:, :1] / 0.0


def export(network: nn.Module, file: Path, toml: str, shape: tuple[int, ...] = (1, 3, 64, 96)) -> str:
    """Write a network and its .toml file; the choice of --flow for it. An ONNX file is of any size at (64, 96)."""
    pair = torch.rand(shape), torch.rand(shape)
    form = {".onnx": "onnx", ".pt": "torchscript"}[file.suffix]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == "onnx":
            free = {2: "height", 3: "width"} if shape[2:] == (64, 96) else {}
            torch.onnx.export(
                network, pair, str(file), input_names=["left", "right"], dynamic_axes={"left": free, "right": free},
                opset_version=17, dynamo=False,
            )  # fmt: skip
        else:
            torch.jit.trace(network, pair).save(str(file))  # type: ignore[no-untyped-call]
    file.with_suffix(".toml").write_text(toml)
    return f"{form}:{file}"


def pair_of(left: Picture, right: Picture) -> StereoPair:
    return StereoPair("a", left, right, True, (left.shape[1], left.shape[0]), "0")


def noise_pair(shift: int, width: int = 160, height: int = 96) -> StereoPair:
    """A plane at a disparity of `shift` px."""
    noise = np.random.default_rng(1).integers(0, 256, (height // 4, (width + 40) // 4, 3), np.uint8)
    wide = cv2.resize(noise, (width + 40, height), interpolation=cv2.INTER_CUBIC)
    return pair_of(*(np.ascontiguousarray(wide[:, start : start + width]) for start in (20, 20 + shift)))


@pytest.mark.parametrize(("ending", "convergence"), [("onnx", 25.0), ("pt", 0.0)])
def test_a_stereo_network_gives_disparities_of_both_signs(
    rendered: Render, tmp_path: Path, ending: str, convergence: float
) -> None:
    """It searches from 0 px up, in both views."""
    scene = rendered(3, "indoor", convergence=convergence)
    choice = export(BlockMatcher(), tmp_path / f"net.{ending}", 'output = "disparity"\nmultiple = 1')
    estimator, message = load_flow(choice, None, CPU)
    assert estimator.name == f"{'onnx' if ending == 'onnx' else 'torchscript'}:net.{ending}"
    assert "+8.0 px on a test pair of +8 px" in message
    flow = estimator([pair_of(scene.left, scene.right)])[0]
    assert (scene.disparity < -5).any() == (convergence > 0)
    for found, truth in ((-flow.forward[..., 0], scene.disparity), (flow.backward[..., 0], scene.right_disparity)):
        assert np.median(np.abs(found - truth)) < 0.6  # whole pixels
    assert (forward_backward_error(flow) <= 2 * MATCHED_PX)[~scene.occluded].mean() > 0.6


def test_the_vertical_motion_that_stereo_cannot_see_is_that_of_the_preview(tmp_path: Path) -> None:
    estimator, _ = load_flow(export(BlockMatcher(), tmp_path / "net.pt", 'output = "disparity"'), None, CPU)
    level = noise_pair(6)
    lower = pair_of(level.left, np.roll(level.right, 3, axis=0))
    for pair, expected in ((level, 0), (lower, 3)):
        flow = estimator([pair])[0]
        inside = np.s_[16:-16, 24:-24, 1]
        assert abs(float(np.median(flow.forward[inside])) - expected) < 0.3
        assert abs(float(np.median(flow.backward[inside])) + expected) < 0.3


@pytest.mark.parametrize("ending", ["onnx", "pt"])
def test_a_flow_network_is_asked_both_ways(tmp_path: Path, ending: str) -> None:
    choice = export(ShiftFlow(), tmp_path / f"net.{ending}", 'output = "flow"\nwhite = 1.0\nmean = [0.5]\nmultiple = 1')
    estimator, _ = load_flow(choice, None, CPU)
    for shift in (7, -5):
        flow = estimator([noise_pair(shift)])[0]
        assert flow.forward.dtype == np.float32
        assert np.all(flow.forward == (-shift, 0))
        assert np.all(flow.backward == (shift, 0))


def test_a_network_of_one_size_gives_px_of_the_picture(tmp_path: Path) -> None:
    """An ONNX file says its size itself."""
    toml = 'output = "disparity"'
    estimator, _ = load_flow(export(BlockMatcher(), tmp_path / "net.onnx", toml, (1, 3, 48, 100)), None, CPU)
    flow = estimator([noise_pair(10)])[0]
    assert abs(float(np.median(flow.forward[16:-16, 40:-40, 0])) + 10) < 1


def test_inputs_are_made_as_the_file_says(tmp_path: Path) -> None:
    """BGR, 8 bits, the right view first: the network gives the red of both views as its flow."""

    class Reds(nn.Module):
        def forward(self, right: Tensor, left: Tensor) -> Tensor:
            return torch.cat([left[:, 2:], right[:, 2:]], 1)

    traced = torch.jit.trace(Reds(), (torch.zeros(1, 3, 8, 8, dtype=torch.uint8),) * 2)  # type: ignore[no-untyped-call]
    traced.save(str(tmp_path / "net.pt"))
    (tmp_path / "net.toml").write_text(
        'output = "flow"\ninputs = ["right", "left"]\nchannels = "bgr"\ndtype = "uint8"\nmultiple = 1'
    )
    estimator, _ = load_flow(f"torchscript:{tmp_path / 'net.pt'}", None, CPU)
    left, right = np.zeros((32, 48, 3), np.uint8), np.zeros((32, 48, 3), np.uint8)
    left[..., 0], right[..., 0] = 3, 5
    flow = estimator([pair_of(left, right)])[0]
    assert np.all(flow.forward == (3, 5))
    assert np.all(flow.backward == (5, 3))


def test_a_turned_sign_is_found_before_the_build(tmp_path: Path) -> None:
    choice = export(BlockMatcher(-1.0), tmp_path / "net.pt", 'output = "disparity"')
    with pytest.raises(
        WeightsUnavailable, match=r"net\.pt says -8\.0 px where \+8 px is right: in net\.toml set sign = -1"
    ):
        load_flow(choice, None, CPU)
    (tmp_path / "net.toml").write_text('preset = "raft-stereo"')  # whose output is the x of a flow
    assert "+8.0 px" in load_flow(choice, None, CPU)[1]


def test_faulty_files_are_named(tmp_path: Path) -> None:
    choice, toml = export(BlockMatcher(), tmp_path / "net.pt", ""), tmp_path / "net.toml"
    toml.unlink()
    with pytest.raises(WeightsUnavailable, match=r"net\.toml is missing.*raft-stereo"):
        load_flow(choice, None, CPU)
    for text, words in {
        "": "output is missing",
        'output = "depth"': "output = 'depth': must be 'flow' or 'disparity'",
        'output = "flow': "net.toml: ",
        'preset = "nobody"': "preset 'nobody'",
        'output = "disparity"\nsgn = 1': "unknown key 'sgn'",
        'output = "disparity"\nwidth = 640': "width and height",
        'output = "disparity"\nstd = [0.0]': "std",
        'output = "disparity"\nmean = [true]': "mean",
        'output = "disparity"\nresult = 4': r"it has 1 outputs, and result = 4",
        'output = "flow"': r"shape \(1, 1, 256, 320\); it must be 1x2xHxW",
        'preset = "crestereo-init"': "does not run as net.toml says",
    }.items():
        toml.write_text(text)
        with pytest.raises(WeightsUnavailable, match=words):
            load_flow(choice, None, CPU)
    with pytest.raises(WeightsUnavailable, match="not finite"):
        load_flow(export(Broken(), tmp_path / "broken.pt", 'output = "disparity"'), None, CPU)
    for form in ("onnx", "torchscript"):
        (tmp_path / "noise.pt").write_bytes(b"no network")
        (tmp_path / "noise.toml").write_text('output = "flow"')
        with pytest.raises(WeightsUnavailable, match=r"noise\.pt cannot be read as"):
            load_flow(f"{form}:{tmp_path / 'noise.pt'}", None, CPU)
    with pytest.raises(WeightsUnavailable, match="there is no network at"):
        load_flow(f"onnx:{tmp_path / 'absent.onnx'}", None, CPU)
    with pytest.raises(SettingsError, match=r"leave out x\.pth"):
        load_flow(choice, Path("x.pth"), CPU)
    with pytest.raises(SettingsError, match="onnx:FILE or torchscript:FILE"):
        BuildConfig(flow="onnx:")


def test_the_bytes_of_both_files_are_a_builds_identity(tmp_path: Path) -> None:
    config = BuildConfig(flow=export(BlockMatcher(), tmp_path / "net.pt", 'output = "disparity"'))
    segmenter = load_segmenter("none", None, CPU)[0]
    plain = identity(config, Models(load_flow(config.flow, None, CPU)[0], segmenter))
    both = (tmp_path / "net.pt").read_bytes() + (tmp_path / "net.toml").read_bytes()
    assert plain["flow"] == "torchscript:net.pt"
    assert plain["flow_weights_sha256"] == hashlib.sha256(both).hexdigest()
    (tmp_path / "net.toml").write_text('output = "disparity"\nrefine = true')
    changed = load_flow(config.flow, None, CPU)[0]
    assert changed.needs_refinement
    assert identity(config, Models(changed, segmenter)) != plain
