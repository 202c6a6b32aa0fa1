"""Processes of a build on Ray are killed (kill -9) at random moments, and the same command is given again.

    python -m benchmarks.robustness.ray_kills [--moments 50] [--victim actor ...]

Tiny rendered pairs are built by the local engine, undisturbed. Then, for every moment, `build-redweb --engine ray`
runs with a cluster of its own, and one of its processes is killed: the command itself (driver), a process that works on
pairs (actor), Ray's process of the machine (raylet), or that of the cluster (gcs_server). What must hold:

- The command ends: it goes on by itself, or stops with a status. No run takes longer than HANG_S.
- The same command, or the local engine at every other moment, ends what is missing.
- Then every file is what the undisturbed local build left, to the byte, but for times.

Linux only.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.robustness.write_faults import Tree, tree_of
from samples.scenes import render

VICTIMS = {"driver": "", "actor": "ray::RayWorker", "raylet": "raylet", "gcs_server": "gcs_server"}
HANG_S = 600.0
TRIES = 3  # of the same command
WIDTH, HEIGHT = 160, 120


def command(photos: Path, out: Path, engine: str) -> list[str]:
    """The build. engine: "local" or "ray"."""
    options = ["--flow", "dis", "--segmenter", "builtin", "--max-side", "160", "--quiet", "--engine", engine]
    return [sys.executable, "-m", "redweb_builder", "build-redweb", str(photos), "--out", str(out), *options]


def descendants(parent: int) -> dict[int, str]:
    """The processes below one, by number, with what they call themselves."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    names = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                children[int(stat[1])].append(int(folder.name))
                words = (folder / "cmdline").read_text().split("\0")
                names[int(folder.name)] = words[0].rpartition("/")[2]
    found, todo = {}, [parent]
    while todo:
        for child in children[todo.pop()]:
            found[child] = names.get(child, "")
            todo.append(child)
    return found


def kill(process: subprocess.Popen[bytes], victim: str) -> bool:
    """Kill a process of the build as soon as it is there; False where the build ended before."""
    while process.poll() is None:
        if victim == "driver":
            process.kill()
            return True
        there = [pid for pid, name in descendants(process.pid).items() if name.startswith(VICTIMS[victim])]
        if there:
            with suppress(ProcessLookupError):
                os.kill(random.choice(there), signal.SIGKILL)
                return True
        time.sleep(0.05)
    return False


class Trial:
    """The photographs, and what an undisturbed local build leaves of them."""

    def __init__(self, folder: Path, pairs: int) -> None:
        """Render and build. folder: to work in. pairs: how many."""
        self._photos, self._out, self._log = folder / "photos", folder / "set", folder / "log.txt"
        self._photos.mkdir()
        for seed in range(pairs):
            scene = render(seed, WIDTH, HEIGHT, max_disparity=12.0)
            Image.fromarray(scene.left).save(self._photos / f"{seed:03}_L.png")
            Image.fromarray(scene.right).save(self._photos / f"{seed:03}_R.png")
        self._run_undisturbed("local")
        self._expected = self._tree()
        shutil.rmtree(self._out)
        self._run_undisturbed("ray")
        self.different = self._different()

    def disturbed(self, victim: str, written: int, again: str) -> str:
        """What became of a build of which a process was killed. written: pairs then. again: the engine that goes on."""
        shutil.rmtree(self._out, ignore_errors=True)
        with self._log.open("wb") as log:
            process = subprocess.Popen(command(self._photos, self._out, "ray"), stdout=log, stderr=log)
            try:
                while process.poll() is None and len(list(self._out.glob("previews/*.jpg"))) < written:
                    time.sleep(0.02)
                was_killed = kill(process, victim)
                status = process.wait(HANG_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return "hangs"
        if not was_killed:
            return "ended before"
        if "Traceback" in self._log.read_text(errors="replace"):
            return "shows a traceback"
        for _ in range(TRIES):
            if status == 0 or self._run(again) == 0:
                break
        if different := self._different():
            return f"differs: {different[0]}"
        return "went on, equal" if status == 0 else "equal after the command again"

    def _run(self, engine: str) -> int:
        with self._log.open("wb") as log:
            return subprocess.run(
                command(self._photos, self._out, engine), stdout=log, stderr=log, timeout=HANG_S
            ).returncode

    def _run_undisturbed(self, engine: str) -> None:
        if self._run(engine):
            raise RuntimeError(f"it fails undisturbed: {self._log.read_text()}")

    def _different(self) -> list[str]:
        there = self._tree()
        return [
            name for name in sorted(there.keys() | self._expected.keys()) if there.get(name) != self._expected.get(name)
        ]

    def _tree(self) -> Tree:
        return tree_of(self._out) if self._out.is_dir() else {}


def try_victim(trial: Trial, victim: str, moments: Sequence[int], console: Console) -> Counter[str]:
    """What became of the builds, counted. moments: how many pairs are written then."""
    ends: Counter[str] = Counter()
    for number, written in enumerate(moments):
        end = trial.disturbed(victim, written, ("ray", "local")[number % 2])
        console.print(f"{victim} killed when {written} pairs were written: {end}")
        ends[end] += 1
    return ends


@click.command()
@click.option("--moments", default=50, show_default=True, help="How many for each process.")
@click.option("--victim", "victims", multiple=True, type=click.Choice(list(VICTIMS)), help="Only these; default: all.")
@click.option("--pairs", default=20, show_default=True)
def main(moments: int, victims: tuple[str, ...], pairs: int) -> None:
    """Print a table; ends with status 1 where something does not hold."""
    console, drawn = Console(width=110, stderr=True), random.Random(0)
    table = Table("killed", "moments", "what became of it", box=None)
    with TemporaryDirectory(prefix="ray-kills-") as folder:
        trial = Trial(Path(folder), pairs)
        console.print(f"undisturbed, other than the local build: {trial.different or 'nothing'}")
        good = not trial.different
        for victim in victims or VICTIMS:
            ends = try_victim(trial, victim, [drawn.randrange(pairs) for _ in range(moments)], console)
            good = good and not any(end.startswith(("hangs", "differs", "shows")) for end in ends)
            table.add_row(victim, str(moments), ", ".join(f"{count} {end}" for end, count in ends.most_common()))
    Console(width=110).print(table)
    sys.exit(not good)


if __name__ == "__main__":
    main()
