"""Builds on Ray lose processes (kill -9), disks and servers at random moments; the same command is given again.

    python -m benchmarks.robustness.ray_kills [--moments 50] [--victim actor ...] [--results FILE]

Tiny rendered pairs are built by the local engine, undisturbed. Then `build-redweb --engine ray` runs, and at a random
moment of its length one of its processes is killed: the command itself (driver), a process of Ray that works on pairs
(actor), Ray's process of the machine (raylet), that of the cluster (gcs_server), or that of another machine, on which
all work is done (node; another one joins then). What is left of the build goes on, is killed again, and so on until
nothing is missing. What must hold:

- The command ends: it goes on by itself, or stops with a status and no traceback. Nothing takes longer than HANG_S.
- The same command, or now and then the local engine, ends what is missing.
- Then every file is what the undisturbed local build left, to the byte, but for times. Where one command lost five
  processes or more, a pair may have failed; then the next one has recorded it, and the journal may have another order.

driver, actor and node are tried in a cluster that stays, all else in that of the build. "disk" fills the disks of Ray's
object store and of its folder, and frees them after HELD_S; that needs root. Of S3 an export, a training and a
build lose the server for a minute (s3_outage.py). Linux only.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import cv2
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.robustness import s3_outage
from benchmarks.robustness.forked_python import Forks
from benchmarks.robustness.ray_trial import PHASES, STAYING, VICTIMS, StayingCluster, Trial, Tried, mounted_small_disks
from redweb_builder.builder import build as _build
from redweb_builder.builder import ray_worker as _ray_worker
from trainer.commands import train as _train

LOADED = _build, _ray_worker, _train  # what the commands import, but Ray: that reads the environment as it is imported
ALL = (*VICTIMS, *s3_outage.COMMANDS)


def load() -> None:
    """For Forks, beside what this file imports. A fork keeps no other thread than its own."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    s3_outage.load()


def disturbances(victims: tuple[str, ...], pairs: int, stack: ExitStack) -> dict[str, Callable[[int], Tried]]:
    """For each victim, what disturbs a command until it is done, given a seed. stack: ends its processes."""
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="ray-")))
    os.environ |= {"RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    if "disk" in victims:
        stack.enter_context(mounted_small_disks())
    forks = stack.enter_context(closing(Forks(folder, load)))
    sys.executable = str(forks.python)  # for the workers of the staying cluster
    cluster = stack.enter_context(closing(StayingCluster())) if set(victims) & set(STAYING) else None
    trial = Trial(folder, pairs, forks, cluster)
    if set(victims) & set(s3_outage.COMMANDS):
        s3 = stack.enter_context(closing(s3_outage.S3Trial(folder, forks)))
    return {victim: partial((trial if victim in VICTIMS else s3).disturbed, victim) for victim in victims}


def table_of(tried: list[Tried]) -> Table:
    """What became of the commands, a line for each victim."""
    table = Table("lost", "moments", *PHASES, "done", "command again", "equal", box=None)
    for victim in ALL:
        those = [one for one in tried if one.victim == victim]
        losses = sum((Counter(one.kills) for one in those), Counter[str]())
        phases = (losses[phase] for phase in PHASES)
        again, equal = sum(one.again for one in those), sum(not one.wrong for one in those)
        table.add_row(victim, *map(str, (losses.total(), *phases, len(those), again, equal)))
    return table


@click.command()
@click.option("--moments", default=50, show_default=True, help="How many for each victim.")
@click.option("--victim", "victims", multiple=True, type=click.Choice(ALL), default=ALL, help="Default: all.")
@click.option("--pairs", default=12, show_default=True)
@click.option("--results", type=click.Path(path_type=Path), help="Gets a line a build; what it has is not done again.")
def main(moments: int, victims: tuple[str, ...], pairs: int, results: Path | None) -> None:
    """Print a table; ends with status 1 where something does not hold."""
    lines = results.read_text().splitlines() if results and results.is_file() else []
    tried = [Tried(**json.loads(line)) for line in lines]
    with ExitStack() as stack:
        disturb = disturbances(victims, pairs, stack)
        while missing := [victim for victim in victims if moments_of(tried, victim) < moments]:
            for victim in missing:  # by turns, so that a run that is stopped has tried all alike
                tried.append(disturb[victim](sum(before.victim == victim for before in tried)))
                line = json.dumps(asdict(tried[-1]))
                print(line, file=sys.stderr)
                if results:
                    with results.open("a") as file:
                        file.write(line + "\n")
    Console(width=110).print(table_of(tried))
    sys.exit(any(one.wrong for one in tried))


def moments_of(tried: list[Tried], victim: str) -> int:
    """How often a victim was lost."""
    return sum(sum(one.kills.values()) for one in tried if one.victim == victim)


if __name__ == "__main__":
    main()
