"""The rate of the whole command against the bare flow network on the same pairs.

    python -m benchmarks.throughput STEREO_DIR --flow raft-small --flow-weights PATH [--rounds 2]

The bare rate is the network alone, both directions, same sizes and settings, on pictures already in memory, after a
warm-up. The whole command is `build-redweb` as a user gives it, imports and reading and writing included. Both are
taken in turn in one run, since machines drift; the ratio is taken round by round.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from redweb_builder.config import BuildConfig
from redweb_builder.device import choose_device
from redweb_builder.flow import load_flow
from redweb_builder.inputs.discover import discover
from redweb_builder.pipeline import Outcome, prepare


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
    estimator, told = load_flow(flow, flow_weights, choose_device("auto"))
    print(f"{len(pairs)} readable pairs of {len(sources)}; {told}")
    estimator(pairs[:1])
    ratios = []
    for turn in range(rounds):
        started = time.perf_counter()
        for first in range(0, len(pairs), estimator.batch):
            estimator(pairs[first : first + estimator.batch])
        bare = len(pairs) / (time.perf_counter() - started)
        whole = len(pairs) / _command(stereo_dir, flow, flow_weights, limit)
        ratios.append(whole / bare)
        told = f"flow alone {bare:.3f} pairs/s, whole command {whole:.3f} pairs/s, ratio {ratios[-1]:.3f}"
        print(f"round {turn + 1}: {told}", flush=True)
    print(f"median ratio {np.median(ratios):.3f}")


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
