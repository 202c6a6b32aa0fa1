"""The rate of the whole command against the bare flow network on the same pairs.

    python -m benchmarks.speed.throughput STEREO_DIR --flow raft-small --flow-weights PATH [--rounds 2]

"bare" is torchvision's network as it comes, float32, both directions in one batch, on pictures already in memory, after
a warm-up; "ours" is the same network as the builder runs it (raft.py); "whole" is `build-redweb` as a user gives it,
imports and reading and writing included; "obvious" is what a script of an hour does: Pillow reads and resizes the two
pictures of a pair, then torchvision's network runs once for each direction. They are taken in turn in one run, since
machines drift. Seconds are processor time, a pair, of all threads and children: other work on the machine does not
count. Ratios are taken round by round.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.models import optical_flow

from redweb_builder.config import BuildConfig
from redweb_builder.inputs.discover import discover
from redweb_builder.matching.flow import load_flow
from redweb_builder.matching.raft import UPDATES, Raft
from redweb_builder.networks.device import choose_device
from redweb_builder.pipeline import Outcome, prepare
from redweb_builder.types import PairSource, Picture, StereoPair


@click.command()
@click.argument("stereo_dir", type=click.Path(path_type=Path, exists=True))
@click.option("--flow", default="raft-small", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--limit", type=int, help="Only the first N pairs.")
@click.option("--rounds", default=2, show_default=True)
def main(stereo_dir: Path, flow: str, flow_weights: Path | None, limit: int | None, rounds: int) -> None:
    """Print seconds a pair of each, round by round, and the ratios of their rates."""
    config = BuildConfig()
    sources = discover(stereo_dir).sources[:limit]
    prepared = [item for source in sources if not isinstance(item := prepare(source, config), Outcome)]
    pairs = [item.pair for item in prepared]
    device = choose_device("auto")
    estimator, chosen = load_flow(flow, flow_weights, device)
    print(f"{len(pairs)} readable pairs of {len(sources)}; {chosen}")
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: [estimator([pair]) for pair in pairs],
        "whole": lambda: whole_build(stereo_dir, limit, flow, flow_weights),
    }
    if isinstance(estimator, Raft):
        network = as_it_comes(estimator)
        ways["bare"] = lambda: [_flow(network, (pair.left, pair.right), together=True) for pair in pairs]
        ways["obvious"] = lambda: [
            _flow(network, _read(item.source, pair), together=False) for item, pair in zip(prepared, pairs, strict=True)
        ]
    estimator(pairs[:1])
    ratios: dict[str, list[float]] = {}
    for turn in range(rounds):
        seconds = {name: cpu_seconds(way) / len(pairs) for name, way in ways.items()}
        print(f"round {turn + 1}: " + ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()), flush=True)
        for name, way in product(("bare", "obvious"), ("ours", "whole")):
            if name in seconds:
                ratios.setdefault(f"{way} / {name}", []).append(seconds[name] / seconds[way])
    for name, values in ratios.items():
        print(f"rate of {name}: {np.median(values):.2f}")


def as_it_comes(raft: Raft) -> torch.nn.Module:
    """torchvision's untouched network, with the weights of an estimator."""
    network: torch.nn.Module = getattr(optical_flow, raft.name.replace("-", "_"))(weights=None)
    network.load_state_dict(torch.load(raft.weights.path, map_location="cpu", weights_only=True))
    return network.eval().to(raft.device)


@torch.inference_mode()
def _flow(network: torch.nn.Module, views: Sequence[Picture], together: bool) -> list[Tensor]:
    """Flow forward and backward. together: in one batch."""
    height, width = views[0].shape[:2]
    rest = [(0, max(128, -(-side // 8) * 8) - side) for side in (height, width)]
    first, second = (
        torch.from_numpy(np.pad(view, [*rest, (0, 0)], mode="edge")).permute(2, 0, 1)[None].float().div(127.5).sub(1)
        for view in views
    )
    if together:
        return [network(torch.cat([first, second]), torch.cat([second, first]), UPDATES)[-1]]
    return [network(first, second, UPDATES)[-1], network(second, first, UPDATES)[-1]]


def _read(source: PairSource, pair: StereoPair) -> list[Picture]:
    """The files of a pair at the size of its views, read by Pillow. Of one file with both eyes the whole is read."""
    size = pair.left.shape[1::-1]
    views = []
    for file in (source.left, source.right):
        with Image.open(file) as picture:  # noqa: TID251  # it stands for other people's scripts
            views.append(np.asarray(picture.convert("RGB").resize(size)))
    return views


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor time of this process and of those that it waited for."""
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def whole_build(
    stereo_dir: Path, limit: int | None, flow: str, flow_weights: Path | None = None, *options: str
) -> None:
    """One whole build into a fresh folder. limit: only the first pairs. options: more of the command's."""
    options = ("--flow", flow, "--segmenter", "builtin", *options)
    options += ("--flow-weights", str(flow_weights)) if flow_weights else ()
    options += ("--limit", str(limit)) if limit else ()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "cli.py", "build-redweb", str(stereo_dir), "--out", f"{folder}/out", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)


if __name__ == "__main__":
    main()
