"""Peak memory of a build of few and of many pairs: it must not grow with the set.

    python -m benchmarks.speed.memory [--few 100] [--many 1000] [--side 320]

Each build is a process of its own over rendered pairs, its peak resident size is the operating system's figure.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from PIL import Image

from samples.scenes import render


@click.command()
@click.option("--few", default=100, show_default=True)
@click.option("--many", default=1000, show_default=True)
@click.option("--side", default=320, show_default=True, help="Width of the rendered pairs, px.")
@click.option("--flow", default="dis", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
def main(few: int, many: int, side: int, flow: str, flow_weights: Path | None) -> None:
    """Print the peak resident size for both numbers of pairs and their ratio."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (few, many):
            stereo_dir = Path(folder) / f"stereo{count}"
            write_pairs(stereo_dir, count, side)
            command: list[str | Path] = [
                "build-redweb",
                stereo_dir,
                "--out",
                Path(folder) / f"out{count}",
                "--flow",
                flow,
            ]
            command += ["--flow-weights", flow_weights] if flow_weights else []
            peaks.append(peak_mib(*command, "--segmenter", "builtin"))
            print(f"{count:5d} pairs: peak {peaks[-1]:.0f} MiB")
    print(f"ratio {peaks[1] / peaks[0]:.3f}")


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


def peak_mib(*arguments: str | Path) -> float:
    """Peak resident MiB of one command or of a process of its, measured by a parent process of its own.

    arguments: of cli.py.
    """
    command = [sys.executable, "cli.py", *map(str, arguments)]
    watch = (
        "import resource, subprocess, sys\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode\n"
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    output = subprocess.run([sys.executable, "-c", watch, *command], capture_output=True, text=True, check=True).stdout
    code, peak = (int(part) for part in output.split())
    if code not in (0, 3):
        raise SystemExit(f"{' '.join(command)} ended with status {code}")
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
