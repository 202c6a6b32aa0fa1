"""Where does the limit of `agreement` lie between pairs of one scene and pairs of two?

    python -m benchmarks.quality.agreement_limit STEREO_DIR [STEREO_DIR ...] [--every 1]

Every pair found is taken as good; its left view with the right view of another one, brought to size, is an unrelated
pair. Printed for both halves (held_out.py): the least, the 5th percentile and the median of `agreement` over good
pairs, the greatest over unrelated ones, and how many of each lie on the wrong side of the limit. DIS.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from benchmarks.quality.faults import MAX_SIDE, outcome_of, unrelated
from benchmarks.quality.held_out import is_held_out
from redweb_builder.config import BUILTIN, NONE, BuildConfig, Thresholds
from redweb_builder.errors import InputError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import StereoPair


@click.command()
@click.argument("roots", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--every", default=1, show_default=True, help="Only every n-th pair.")
def main(roots: tuple[Path, ...], every: int) -> None:
    """Print the agreement of good and of unrelated pairs below ROOTS."""
    config = BuildConfig(flow="dis", segmenter=BUILTIN, mono=NONE, max_side=MAX_SIDE, eyes="as-is")
    models = load_models(config)
    pairs: list[tuple[bool, StereoPair]] = []
    for source in [source for root in roots for source in discover(root).sources][::every]:
        try:
            item = source.left.parent if source.layout == "files" else source.left
            pairs.append((is_held_out(item), read_pair(source, MAX_SIDE)))
        except InputError as error:
            print(f"{source.key}: {error}")
    found: dict[tuple[bool, bool], list[float]] = defaultdict(list)
    with one_opencv_thread(), tempfile.TemporaryDirectory() as folder:
        for index, (half, pair) in enumerate(pairs):
            other = pairs[(index + len(pairs) // 2) % len(pairs)][1]
            for good, views in ((True, (pair.left, pair.right)), (False, unrelated(pair, other))):
                evidence = outcome_of(views, models, config, Path(folder)).evidence
                if evidence is not None:
                    found[half, good].append(evidence.measurements["agreement"])
    limit = Thresholds().min_agreement or 0.0
    table = Table(
        "half", "good pairs", "least", "5th percentile", "median", "below the limit", "unrelated", "most", "above"
    )
    for half in (False, True):
        same, different = np.array(found[half, True]), np.array(found[half, False])
        figures = (same.min(), *np.percentile(same, (5, 50)))
        cells = [str(same.size), *(f"{figure:.2f}" for figure in figures), str(np.count_nonzero(same < limit))]
        cells += [str(different.size), f"{different.max():.2f}", str(np.count_nonzero(different >= limit))]
        table.add_row("held out" if half else "development", *cells)
    Console(width=120).print(f"limit {limit}", table)


if __name__ == "__main__":
    main()
