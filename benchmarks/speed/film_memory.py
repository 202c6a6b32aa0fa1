"""Peak memory of `depth` on a short and on a long stereo film: it must not grow; and a run that is killed and goes on.

    python -m benchmarks.speed.film_memory [--short 20] [--long 120] [--rate 5] [--width 192]

The films are rendered, side by side, with a cut every 10 s. Each run is a process of its own. The short film is also
made by a run that is killed (SIGKILL) in the middle, and by one that goes on from there: its files are compared.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from math import sin
from pathlib import Path

import click
import numpy as np

from benchmarks.process import cli_spent
from redweb_builder.inspect.film import film_writer
from samples.scenes import render

SHOT_S = 10  # between two cuts
OPTIONS = ("--flow", "dis", "--device", "cpu")


@click.command()
@click.option("--short", default=20, show_default=True, help="Seconds.")
@click.option("--long", default=120, show_default=True, help="Seconds.")
@click.option("--rate", default=5.0, show_default=True, help="Frames a second.")
@click.option("--width", default=192, show_default=True, help="Of one eye, px.")
def main(short: int, long: int, rate: float, width: int) -> None:
    """Print the peak resident size for both films, their ratio, and whether the interrupted run wrote the same."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        peaks = []
        for seconds in (short, long):
            film = folder / f"film{seconds}_sbs.mp4"
            write_film(film, seconds, rate, width)
            peaks.append(cli_spent("depth", film, "--out", folder / f"depth{seconds}", *OPTIONS).peak)
            print(f"{seconds:4d} s, {round(seconds * rate)} frames: peak {peaks[-1]:.0f} MiB", flush=True)
        print(f"ratio {peaks[1] / peaks[0]:.3f}")
        frames = _killed_in_the_middle(folder / f"film{short}_sbs.mp4", folder / "killed", round(short * rate) // 2)
        cli_spent("depth", folder / f"film{short}_sbs.mp4", "--out", folder / "killed", *OPTIONS)
        same = _films(folder / "killed") == _films(folder / f"depth{short}")
        print(f"killed after {frames} frames, continued: {'the same films' if same else 'OTHER FILMS'}")


def write_film(file: Path, seconds: int, rate: float, width: int) -> None:
    """A stereo film, both eyes side by side: slow pans over rendered scenes.

    file: .mp4. seconds: its length. rate: frames a second. width: of one eye, px.
    """
    height, reach = width * 3 // 4, width // 4  # px; a pan goes from 0 to `reach`
    scenes = [render(seed, width + reach, height, max_disparity=width / 16) for seed in range(6)]
    with film_writer(file, rate) as write:
        for number in range(round(seconds * rate)):
            scene = scenes[int(number / rate / SHOT_S) % len(scenes)]
            at = round(reach / 2 * (1 + sin(number / rate / 2)))
            write(np.hstack([view[:, at : at + width] for view in (scene.left, scene.right)]))


def _killed_in_the_middle(film: Path, out: Path, frames: int) -> int:
    """Kill `depth` when its journal has some frames; how many it had."""
    command = [sys.executable, "cli.py", "depth", str(film), "--out", str(out), *OPTIONS]
    silent = subprocess.DEVNULL
    run = subprocess.Popen(command, stdout=silent, stderr=silent, start_new_session=True)
    while run.poll() is None and _lines_of_film(out) < frames:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return _lines_of_film(out)


def _lines_of_film(out: Path) -> int:
    """How many frames the journal of the one film's data set has."""
    return sum(file.read_bytes().count(b"\n") for file in out.glob("dataset-*/journal.jsonl"))


def _films(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.mp4")}


if __name__ == "__main__":
    main()
