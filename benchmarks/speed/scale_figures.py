"""What a set of many pairs takes on several machines: docs/scale.md's worked figures, from docs/performance.md's.

    python -m benchmarks.speed.scale_figures [--pairs 50000] [--core-price 0.04] [--gpu-price 2.0]

    hours of labelling   = pairs x core-seconds a pair / (cores x EFFICIENCY) / 3600
    hours beside that    = (files x core-seconds of discovery + pairs x core-seconds of the end) / 3600, on one core
    cost                 = hours of labelling x (cores x price of a core + GPUs x price of a GPU)

Core-seconds, megabytes and discovery are measured (docs/performance.md). EFFICIENCY, GPUs and prices are assumed: with
a GPU flow takes no core, and the GPU keeps up with its cores, which nobody has measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table

DIS_S = 2.26  # core-seconds of a build a pair; of six pairs, so its start is in it, which many pairs share
RAFT_WITHOUT_FLOW_S = DIS_S - 0.78  # with RAFT-small on a GPU: less the flow of DIS
RAFT_S = RAFT_WITHOUT_FLOW_S + 4.03  # with RAFT-small on the CPU: its flow is the same as before
MEGABYTES = 0.86  # of the files of a pair
DISCOVERY_S = 7.0 / 100_000  # core-seconds a file, named _L and _R
END_S = 3.8 / 10_000  # core-seconds a pair: report and page
EFFICIENCY = 0.9  # of linear, assumed
READ, WRITTEN = 2, 5  # files a pair


@dataclass(frozen=True)
class Machines:
    """What a build runs on. core_s: core-seconds a pair."""

    name: str
    cores: int
    core_s: float
    gpus: int = 0


MACHINES = (
    Machines("one machine, 8 GPUs and 128 cores, RAFT-small", 128, RAFT_WITHOUT_FLOW_S, gpus=8),
    Machines("one machine, 128 cores, DIS", 128, DIS_S),
    Machines("Slurm array, 16 tasks of 8 cores, RAFT-small", 128, RAFT_S),
    Machines("Ray on 4 nodes of 32 cores, RAFT-small", 128, RAFT_S),
    Machines("KubeRay, 16 pods of 8 cores, RAFT-small", 128, RAFT_S),
)


@click.command()
@click.option("--pairs", "counts", multiple=True, type=int, default=(50_000, 5_000_000), show_default=True)
@click.option("--core-price", default=0.04, show_default=True, help="Of a core for an hour.")
@click.option("--gpu-price", default=2.0, show_default=True, help="Of a GPU for an hour, without its cores.")
def main(counts: tuple[int, ...], core_price: float, gpu_price: float) -> None:
    """Print a table for each number of pairs."""
    for pairs in counts:
        files = f"{READ * pairs:,} files read, {WRITTEN * pairs:,} written"
        title = f"{pairs:,} pairs: {pairs * MEGABYTES / 1000:,.0f} GB, {files}"
        table = Table("machines", "core-hours", "hours", "before and after", "cost", title=title, box=None)
        for machines in MACHINES:
            core_hours = pairs * machines.core_s / 3600
            hours = core_hours / (machines.cores * EFFICIENCY)
            beside = (READ * pairs * DISCOVERY_S + pairs * END_S) / 3600
            cost = hours * (machines.cores * core_price + machines.gpus * gpu_price)
            table.add_row(machines.name, f"{core_hours:,.0f}", f"{hours:.1f}", f"{beside:.2f} h", f"{cost:,.0f}")
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
