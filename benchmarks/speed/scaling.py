"""How the Ray engine scales: stages that wait instead of computing, so that two cores can show many workers.

    python -m benchmarks.speed.scaling [--workers 1 --workers 16] [--seconds 3.0] [--pairs 16]

The local engine with one core comes first. Then a new Ray cluster on this machine has as many cores as workers; these
begin together, when all of them are there. "pairs/s" counts from then to the last record; "of linear" compares it with
one worker of the local engine; "start" is what passed before: the cluster, and the imports of all workers on the cores
of this machine. "driver" is the processor time a pair of the process that hands out the work, from the first record on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import ray
from rich.console import Console
from rich.table import Table

from redweb_builder.builder import engines
from redweb_builder.builder.ray_engine import run_ray
from redweb_builder.config import BuildConfig
from redweb_builder.pipeline import Inferred, Models, Outcome, Prepared
from redweb_builder.progress import Progress
from redweb_builder.types import PairSource

SHARES = 0.2, 0.6, 0.2  # of a pair's seconds, in prepare, infer and label_pair
NOTHING: Any = None


class Waiting:
    """A flow estimator of which only the settings are asked."""

    name, batch, fills_cpu, precision, weights = "waiting", 1, True, None, None


def load(seconds: float, workers: int, folder: Path, *_: object) -> tuple[Models, dict[str, str]]:
    """Stages that wait, in the place of the pipeline's; back when all workers are there.

    seconds: that a pair takes. workers: how many there will be. folder: where each leaves a file.
    """
    network: Any = Waiting()
    patched: Any = engines
    prepared, inferred, labelled = (seconds * share for share in SHARES)
    patched.prepare = lambda source, *_: _after(
        prepared, Prepared(source, NOTHING, 0.0, False, NOTHING, NOTHING, NOTHING)
    )
    patched.infer = lambda batch, _: _after(inferred * len(batch), [Inferred(pair, NOTHING) for pair in batch])
    patched.label_pair = lambda pair, *_: _after(labelled, Outcome(pair.prepared.source, None))
    if workers:
        (folder / f"{time.monotonic_ns()}.there").touch()
    while len(list(folder.glob("*.there"))) < workers:
        time.sleep(0.02)
    (folder / "began").touch()
    return Models(network, network), {}


def _after(seconds: float, value: Any) -> Any:
    time.sleep(seconds)
    return value


def finish(outcome: Outcome, _: float) -> str:
    """Nothing is written."""
    return outcome.source.key


def timed(run: Callable[[Path], Iterator[str]], expected: list[str]) -> tuple[float, float, float]:
    """Seconds before the pairs began, seconds of the pairs, and processor time of this process from the first one on.

    run: given a folder, yields keys. expected: the keys in order.
    """
    with TemporaryDirectory(prefix="scaling-") as name:
        folder, started, ended, cpu = Path(name), time.time(), 0.0, 0.0
        keys = list[str]()
        for key in run(folder):
            cpu = cpu or time.process_time()
            keys.append(key)
            ended = time.time()
        if keys != expected:
            raise RuntimeError("the engine has not yielded every pair in order")
        began = (folder / "began").stat().st_mtime
        return began - started, ended - began, time.process_time() - cpu


@click.command()
@click.option("--workers", "counts", multiple=True, type=int, default=(1, 4, 16), show_default=True)
@click.option(
    "--seconds", default=3.0, show_default=True, help="A pair; those of docs/performance.md take 2.6 to 5.4 core-s."
)
@click.option("--pairs", default=16, show_default=True, help="Of each worker.")
def main(counts: tuple[int, ...], seconds: float, pairs: int) -> None:
    """Print the table."""
    table = Table("engine", "workers", "pairs", "start s", "pairs/s", "of linear", "driver ms", box=None)
    config = BuildConfig(jobs=1, device="cpu", max_side=128)

    def sources(count: int) -> list[PairSource]:
        return [PairSource(f"{number:06}", Path(), Path(), "files", "") for number in range(count)]

    def local(folder: Path) -> Iterator[str]:
        models, _ = load(seconds, 0, folder)
        return engines.run_local(sources(pairs), models, config, never, finish)

    def on_ray(count: int, folder: Path) -> Iterator[str]:
        models, _ = load(seconds, 0, folder)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=count, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        try:
            yield from run_ray(
                sources(pairs * count),
                models,
                config,
                never,
                finish,
                Progress(),
                folder,
                partial(load, seconds, count, folder),
            )
        finally:
            ray.shutdown()

    alone = 0.0
    for count in (0, *counts):
        keys = [source.key for source in sources(pairs * max(1, count))]
        start, wall, cpu = timed(partial(on_ray, count) if count else local, keys)
        rate = len(keys) / wall
        alone = alone or rate
        share = rate / (alone * max(1, count))
        table.add_row(
            "Ray" if count else "local",
            str(max(1, count)),
            str(len(keys)),
            f"{start:.0f}",
            f"{rate:.2f}",
            f"{share:.1%}",
            f"{1000 * cpu / len(keys):.0f}",
        )
    Console(width=110).print(table)


def never(_: str) -> bool:
    """No pair is recorded."""
    return False


if __name__ == "__main__":
    main()
