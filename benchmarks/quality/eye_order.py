"""Is the eye order estimated rightly, whichever way round a pair is given?

    python -m benchmarks.quality.eye_order STEREO_DIR [STEREO_DIR ...] [--swapped KEY_PART ...]

Each pair is asked in both orders; a score of zero counts as wrong. `--swapped` names pairs whose files are known to be
the wrong way round. Printed: the share of correct orders, the share that a build would put right, and the misses.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from redweb_builder.errors import InputError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.process import one_opencv_thread
from redweb_builder.rectification.eye_order import SWAPPED, eye_order
from redweb_builder.rectification.quick_flow import preview_flow


@click.command()
@click.argument("roots", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--swapped", multiple=True, help="Part of the key of a pair whose files are the wrong way round.")
@click.option("--max-side", default=768, show_default=True)
def main(roots: tuple[Path, ...], swapped: tuple[str, ...], max_side: int) -> None:
    """Print how often the eye order is correct over the pairs below ROOTS, in both orders."""
    scores = []
    with one_opencv_thread():
        for source in [source for root in roots for source in discover(root).sources]:
            try:
                pair = read_pair(source, max_side)
            except InputError:
                continue
            sign = -1 if any(part in source.key for part in swapped) else 1
            there = sign * eye_order(preview_flow(pair.left, pair.right))
            back = -sign * eye_order(preview_flow(pair.right, pair.left))
            scores += [there, back]
            if min(there, back) <= 0:
                print(f"wrong: {source.key} {there:+.2f} {back:+.2f}")
    right = np.array(scores)
    print(f"{len(right) // 2} pairs, each in both orders")
    print(f"correct: {100 * (right > 0).mean():.1f} %")
    print(f"files in the right order but exchanged by a build: {100 * (right < SWAPPED).mean():.1f} %")
    print(f"files in the wrong order and put right by a build: {100 * (right > -SWAPPED).mean():.1f} %")


if __name__ == "__main__":
    main()
