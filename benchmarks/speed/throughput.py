"""The rate of the whole command against the bare flow network on the same pairs.

    python -m benchmarks.speed.throughput STEREO_DIR --flow raft-small --flow-weights PATH [--rounds 2]

"bare" is torchvision's network as it comes, both directions, same sizes and settings, on pictures already in memory,
after a warm-up; "ours" is the same network as the builder runs it (raft.py); "whole" is `build-redweb` as a user gives
it, imports and reading and writing included. They are taken in turn in one run, since machines drift; the ratios are
taken round by round.
"""

from __future__ import annotations

import copy
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from torchvision.models import optical_flow

from redweb_builder.config import BuildConfig
from redweb_builder.inputs.discover import discover
from redweb_builder.matching.flow import FlowEstimator, load_flow
from redweb_builder.matching.raft import Raft
from redweb_builder.networks.device import choose_device, memory_format
from redweb_builder.pipeline import Outcome, prepare
from redweb_builder.types import StereoPair


@click.command()
@click.argument("stereo_dir", type=click.Path(path_type=Path, exists=True))
@click.option("--flow", default="raft-small", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--limit", type=int, help="Only the first N pairs.")
@click.option("--rounds", default=2, show_default=True)
def main(stereo_dir: Path, flow: str, flow_weights: Path | None, limit: int | None, rounds: int) -> None:
    """Print pairs a second of both, and their ratio, round by round."""
    config = BuildConfig()
    sources = discover(stereo_dir).sources[:limit]
    prepared = [item for source in sources if not isinstance(item := prepare(source, config), Outcome)]
    pairs = [item.pair for item in prepared]
    estimator, chosen = load_flow(flow, flow_weights, choose_device("auto"))
    print(f"{len(pairs)} readable pairs of {len(sources)}; {chosen}")
    bare = _as_it_comes(estimator) if isinstance(estimator, Raft) else estimator
    ratios = []
    for turn in range(rounds):
        rates = [
            _rate(bare, pairs),
            _rate(estimator, pairs),
            len(pairs) / _command(stereo_dir, flow, flow_weights, limit),
        ]
        ratios.append((rates[2] / rates[0], rates[2] / rates[1]))
        shown = "bare {:.3f}, ours {:.3f}, whole {:.3f} pairs/s".format(*rates)
        print(f"round {turn + 1}: {shown}; whole/bare {ratios[-1][0]:.3f}, whole/ours {ratios[-1][1]:.3f}", flush=True)
    print("median: whole/bare {:.3f}, whole/ours {:.3f}".format(*np.median(ratios, axis=0)))


def _as_it_comes(raft: Raft) -> Raft:
    """The same estimator around torchvision's untouched network."""
    assert raft.weights is not None
    network = getattr(optical_flow, raft.name.replace("-", "_"))(weights=None)
    network.load_state_dict(torch.load(raft.weights.path, map_location="cpu", weights_only=True))
    bare = copy.copy(raft)
    bare.network = network.eval().to(raft.device, memory_format=memory_format(raft.device))
    return bare


def _rate(estimator: FlowEstimator, pairs: Sequence[StereoPair]) -> float:
    """Pairs a second of the flow alone."""
    estimator(pairs[:1])
    started = time.perf_counter()
    for first in range(0, len(pairs), estimator.batch):
        estimator(pairs[first : first + estimator.batch])
    return len(pairs) / (time.perf_counter() - started)


def _command(stereo_dir: Path, flow: str, weights: Path | None, limit: int | None) -> float:
    """Seconds of one whole build into a fresh folder."""
    options = ["--flow", flow, "--segmenter", "builtin"]
    options += ["--flow-weights", str(weights)] if weights else []
    options += ["--limit", str(limit)] if limit else []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "cli.py", "build-redweb", str(stereo_dir), "--out", f"{folder}/out", *options]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return seconds


if __name__ == "__main__":
    main()
