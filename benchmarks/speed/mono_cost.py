"""What the depth network costs in a build: `--mono builtin` beside `--mono none`, taken in turn.

    python -m benchmarks.speed.mono_cost STEREO_DIR [--limit 12] [--rounds 3]

Whole builds of the first pairs, DIS and the built-in segmenter, in processes of their own. Seconds are processor time
of all threads: other work on the machine does not count. Printed: both, round by round, and the median of their ratios.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from benchmarks.speed.throughput import cpu_seconds, whole_build


@click.command()
@click.argument("stereo_dir", type=click.Path(path_type=Path, exists=True))
@click.option("--limit", default=12, show_default=True, help="Only the first N pairs.")
@click.option("--rounds", default=3, show_default=True)
def main(stereo_dir: Path, limit: int, rounds: int) -> None:
    """Print the processor time of both builds of STEREO_DIR, and their ratio."""

    def seconds(mono: str) -> float:
        return cpu_seconds(lambda: whole_build(stereo_dir, limit, "dis", None, "--mono", mono))

    ratios = []
    for turn in range(rounds):
        without, with_it = seconds("none"), seconds("builtin")
        ratios.append(with_it / without)
        print(f"round {turn + 1}: none {without:.1f} s, builtin {with_it:.1f} s, ratio {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {np.median(ratios):.3f}")


if __name__ == "__main__":
    main()
