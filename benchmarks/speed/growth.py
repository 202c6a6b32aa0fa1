"""Memory and time of builds of more and more pairs: neither may grow with the set.

    python -m benchmarks.speed.growth [--pairs 100,1000,10000] [--side 320]

Each build is a process of its own over rendered pairs; its peak resident size and its core-seconds are the operating
system's figures. The time of a pair is that of the pairs which a build has more than the one before, so that the start
is in neither.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click
import numpy as np
from PIL import Image

from benchmarks.process import Spent, cli_spent
from samples.scenes import render


@click.command()
@click.option("--pairs", default="100,1000,10000", show_default=True, help="How many, build by build.")
@click.option("--side", default=320, show_default=True, help="Width of the rendered pairs, px.")
@click.option("--flow", default="dis", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
def main(pairs: str, side: int, flow: str, flow_weights: Path | None) -> None:
    """Print the table."""
    counts = [int(count) for count in pairs.split(",")]
    costs: list[Spent] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, count in enumerate(counts):
            stereo_dir, out = Path(folder) / "stereo", Path(folder) / "out"
            write_pairs(stereo_dir, count, side)
            command: list[str | Path] = ["build-redweb", stereo_dir, "--out", out, "--flow", flow]
            command += ["--flow-weights", flow_weights] if flow_weights else []
            costs.append(cli_spent(*command, "--segmenter", "builtin"))
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


if __name__ == "__main__":
    main()
