"""Where the time of a pair goes, stage by stage, and the rate of the whole build beside it.

    python -m benchmarks.speed.stages STEREO_DIR [--flow dis] [--flow-weights FILE] [--device auto] [--limit 16]

Each stage runs alone, on all pairs, after a first pass that is not counted. "core-s" is processor time of all threads,
"wall" what passed, in seconds a pair; on CUDA the device is waited for at the end of each stage. "build" is the whole
of `build` into a fresh folder, in this process: what it takes beyond the stages is writing, the grid and the report.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from redweb_builder.builder.build import build
from redweb_builder.config import BUILTIN, BuildConfig
from redweb_builder.inputs.discover import discover
from redweb_builder.networks.device import choose_device
from redweb_builder.pipeline import Inferred, Models, Prepared, infer, label_pair, prepare
from redweb_builder.process import one_opencv_thread

Result = TypeVar("Result")
PREPARE = "reading, eye order, depth network, alignment"


@dataclass(frozen=True)
class Cost:
    """Of one stage, seconds a pair. cores: processor time of all threads. wall: what passed."""

    cores: float
    wall: float


@click.command()
@click.argument("stereo_dir", type=click.Path(path_type=Path, exists=True))
@click.option("--flow", default="dis", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--device", default="auto", show_default=True)
@click.option("--limit", default=16, show_default=True, help="Only the first N pairs.")
def main(stereo_dir: Path, flow: str, flow_weights: Path | None, device: str, limit: int) -> None:
    """Print the table."""
    config = BuildConfig(flow=flow, flow_weights=flow_weights, segmenter=BUILTIN, device=device, limit=limit)
    print_costs(costs(stereo_dir, config), f"{flow}, {choose_device(device)}")


def print_costs(stages: dict[str, Cost], title: str) -> None:
    """Print the stages and their sum. title: what ran where."""
    table = Table(title, "core-s", "wall", box=None)
    for name, cost in stages.items():
        table.add_row(name, f"{cost.cores:.3f}", f"{cost.wall:.3f}")
    Console(width=100).print(table)


def costs(stereo_dir: Path, config: BuildConfig) -> dict[str, Cost]:
    """The cost of each stage, of all stages, and of the build, in this order.

    stereo_dir: of the pairs. config: `limit` says how many of them are taken.
    """
    models = load_models(config)
    sources = discover(stereo_dir, config.inputs).sources[: config.limit]
    with one_opencv_thread():
        for _ in range(2):  # the second one counts
            stages: dict[str, Cost] = {}
            outcomes = _timed(stages, PREPARE, lambda: [prepare(source, config, models.depth) for source in sources])
            pairs = [item for item in outcomes if isinstance(item, Prepared)]
            results = _flows(stages, pairs, models)
            _timed(stages, "regions, label", lambda: [label_pair(one, models, config) for one in results])  # noqa: B023
        stages["all stages"] = Cost(sum(c.cores for c in stages.values()), sum(c.wall for c in stages.values()))
        with tempfile.TemporaryDirectory() as folder:
            _timed(stages, "build", lambda: build(stereo_dir, Path(folder) / "set", config))
    return {name: Cost(cost.cores / len(pairs), cost.wall / len(pairs)) for name, cost in stages.items()}


def _flows(stages: dict[str, Cost], pairs: Sequence[Prepared], models: Models) -> list[Inferred]:
    """All pairs with their flow, batch by batch as the engine cuts them; its cost is added."""
    batches = [pairs[at : at + models.flow.batch] for at in range(0, len(pairs), models.flow.batch)]
    return _timed(stages, "flow", lambda: [inferred for batch in batches for inferred in infer(batch, models)])


def _timed(stages: dict[str, Cost], name: str, work: Callable[[], Result]) -> Result:
    """What `work` returns; its cost is added under a name."""
    cores, wall = time.process_time(), time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    stages[name] = Cost(time.process_time() - cores, time.perf_counter() - wall)
    return result


if __name__ == "__main__":
    main()
