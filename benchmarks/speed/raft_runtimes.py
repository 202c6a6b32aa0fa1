"""RAFT's network in other runtimes on the CPU: as the builder runs it, ONNX Runtime, OpenVINO, torch.compile.

    python -m benchmarks.speed.raft_runtimes STEREO_DIR --flow-weights PATH [--limit 3] [--rounds 3] [--ways ours,onnx]

Both directions of a pair at a time, 12 updates, float32, one thread. All views have the size of the first, since the
network is exported, and compiled, for one size. Ways are taken in turn; seconds are processor time a pair, after a
first pair that is not counted; "start" is what export, compilation and that pair take. "differs" is the largest and the
mean distance of the flow from torchvision's network, px. `pip install onnxruntime openvino`; what is missing is left
out.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.speed.throughput import as_it_comes
from redweb_builder.config import BuildConfig
from redweb_builder.inputs.discover import discover
from redweb_builder.matching.raft import UPDATES, Raft
from redweb_builder.pipeline import Outcome, prepare

OPSET = 20  # has grid_sample
Floats = NDArray[np.float32]
Way = Callable[[Floats], Floats]  # 2x3xHxW views -> 2x2xHxW flow


class WithUpdates(nn.Module):
    """The network with its number of updates, which an export unrolls."""

    def __init__(self, network: nn.Module) -> None:
        """Keep the network."""
        super().__init__()
        self.network = network

    def forward(self, views: Tensor) -> Tensor:
        """2x3xHxW views in [-1, 1] -> 2x2xHxW flow, px."""
        flow: Tensor = self.network(views, UPDATES)
        return flow


def in_torch(network: nn.Module) -> Way:
    """A network of PyTorch as it is."""

    def run(views: Floats) -> Floats:
        with torch.inference_mode():
            flow: Floats = network(torch.from_numpy(views)).numpy()
        return flow

    return run


def in_torchvision(raft: Raft) -> Way:
    """torchvision's network, both directions in one batch."""
    network = as_it_comes(raft)

    def run(views: Floats) -> Floats:
        first = torch.from_numpy(views)
        with torch.inference_mode():
            flow: Floats = network(first, first.flip(0), num_flow_updates=UPDATES)[-1].numpy()
        return flow

    return run


def compiled(network: nn.Module) -> Way:
    """What torch.compile makes of it."""
    return in_torch(torch.compile(network))  # type: ignore[arg-type]


def in_onnx_runtime(file: Path) -> Way:
    """ONNX Runtime on the exported network."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])
    return lambda views: np.asarray(session.run(None, {"views": views})[0])


def in_openvino(file: Path) -> Way:
    """OpenVINO on the exported network, in float32: left to itself it takes bf16 where the processor has it."""
    import openvino

    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(str(file), "CPU", settings)
    return lambda views: np.asarray(model([views])[0])


def export(network: nn.Module, views: Floats, file: Path) -> None:
    """Write the network as ONNX for views of one size."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.from_numpy(views),), str(file), input_names=["views"], opset_version=OPSET, dynamo=False
        )


def views_of(stereo_dir: Path, limit: int) -> list[Floats]:
    """2x3xHxW views of the first pairs, all of the size of the first, sides divisible by 8."""
    prepared = [prepare(source, BuildConfig()) for source in discover(stereo_dir).sources[:limit]]
    pairs = [item.pair for item in prepared if not isinstance(item, Outcome)]
    height, width = (side // 8 * 8 for side in pairs[0].left.shape[:2])
    both = [[cv2.resize(view, (width, height)) for view in (pair.left, pair.right)] for pair in pairs]
    return [np.stack(views).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1 for views in both]


@click.command()
@click.argument("stereo_dir", type=click.Path(path_type=Path, exists=True))
@click.option("--flow", default="raft-small", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--limit", default=3, show_default=True, help="Only the first N pairs.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--ways", default="torchvision,ours,onnx,openvino,compile", show_default=True)
def main(stereo_dir: Path, flow: str, flow_weights: Path | None, limit: int, rounds: int, ways: str) -> None:
    """Print the processor time of each, and how far its flow is from torchvision's."""
    torch.set_num_threads(1)
    raft = Raft(flow, flow_weights, torch.device("cpu"), "float32")
    network, views = WithUpdates(raft.network).eval(), views_of(stereo_dir, limit)
    print(f"{len(views)} pairs of {views[0].shape[3]}x{views[0].shape[2]} px, {flow}")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "raft.onnx"
        began = time.process_time()
        export(network, views[0], file)
        print(f"export: {time.process_time() - began:.1f} s, {file.stat().st_size / 2**20:.0f} MiB")
        makers: dict[str, Callable[[], Way]] = {
            "torchvision": lambda: in_torchvision(raft),
            "ours": lambda: in_torch(network),
            "onnx": lambda: in_onnx_runtime(file),
            "openvino": lambda: in_openvino(file),
            "compile": lambda: compiled(network),
        }
        missing = [name for name in ("onnxruntime", "openvino") if find_spec(name) is None]
        chosen = [name for name in ways.split(",") if not any(module.startswith(name) for module in missing)]
        run, first = {}, {}
        for name in chosen:
            began = time.process_time()
            run[name] = makers[name]()
            first[name] = run[name](views[0])
            print(f"{name}: start {time.process_time() - began:.1f} s", flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(rounds):
        for name in chosen:
            began = time.process_time()
            for pair in views:
                run[name](pair)
            seconds[name].append((time.process_time() - began) / len(views))
    for name in chosen:
        ratio = np.median(np.divide(seconds[chosen[0]], seconds[name]))
        distance = np.linalg.norm(first[name] - first[chosen[0]], axis=1)
        print(
            f"{name:12} {np.median(seconds[name]):6.2f} s a pair   {ratio:5.2f} times the rate of {chosen[0]}   "
            f"differs by {distance.max():.3f}, {distance.mean():.4f} px"
        )


if __name__ == "__main__":
    main()
