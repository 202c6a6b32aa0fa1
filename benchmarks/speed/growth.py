"""Memory and time of builds of more and more pairs: neither may grow with the set.

    python -m benchmarks.speed.growth [--pairs 100,1000,10000] [--side 320]

Each build is a process of its own over rendered pairs; its peak resident size and its core-seconds are the operating
system's figures. The time of a pair is that of the pairs which a build has more than the one before, so that the start
is in neither.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image

from samples.scenes import render


@dataclass(frozen=True)
class Cost:
    """Of one command, or of a process of its. peak: resident MiB. core_seconds: of user and system together."""

    peak: float
    core_seconds: float


@click.command()
@click.option("--pairs", default="100,1000,10000", show_default=True, help="How many, build by build.")
@click.option("--side", default=320, show_default=True, help="Width of the rendered pairs, px.")
@click.option("--flow", default="dis", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
def main(pairs: str, side: int, flow: str, flow_weights: Path | None) -> None:
    """Print the table."""
    counts = [int(count) for count in pairs.split(",")]
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, count in enumerate(counts):
            stereo_dir, out = Path(folder) / "stereo", Path(folder) / "out"
            write_pairs(stereo_dir, count, side)
            command: list[str | Path] = ["build-redweb", stereo_dir, "--out", out, "--flow", flow]
            command += ["--flow-weights", flow_weights] if flow_weights else []
            costs.append(cost_of(*command, "--segmenter", "builtin"))
            line = f"{count:6d} pairs: peak {costs[-1].peak:.0f} MiB, {costs[-1].peak / costs[0].peak:.2f} times"
            if number:
                more = costs[-1].core_seconds - costs[-2].core_seconds
                line += f"; {more / (count - counts[number - 1]):.3f} core-seconds for each pair more"
            print(line, flush=True)
            shutil.rmtree(stereo_dir)
            shutil.rmtree(out)


def write_pairs(folder: Path, count: int, side: int) -> None:
    """`count` different pairs from a few rendered scenes, each with its own noise, as _L/_R JPEGs."""
    folder.mkdir(parents=True)
    scenes = [render(seed, side, side * 3 // 4) for seed in range(8)]
    generator = np.random.default_rng(0)
    for index in range(count):
        scene = scenes[index % len(scenes)]
        for eye, view in (("L", scene.left), ("R", scene.right)):
            noisy = np.clip(view + generator.normal(0, 2, view.shape), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"pair{index:05d}_{eye}.jpg", quality=92)


def cost_of(*arguments: str | Path) -> Cost:
    """The cost of one command, measured by a parent process of its own. Raises SystemExit where the command fails.

    arguments: of cli.py.
    """
    command = [sys.executable, "cli.py", *map(str, arguments)]
    watch = (
        "import resource, subprocess, sys\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(code, used.ru_maxrss, used.ru_utime + used.ru_stime)\n"
    )
    output = subprocess.run([sys.executable, "-c", watch, *command], capture_output=True, text=True, check=True).stdout
    code, peak, core_seconds = output.split()
    if int(code) not in (0, 3):
        raise SystemExit(f"{' '.join(command)} ended with status {code}")
    return Cost(int(peak) / (2**20 if sys.platform == "darwin" else 2**10), float(core_seconds))


if __name__ == "__main__":
    main()
