"""Are views matched that lie far apart?

    python -m benchmarks.quality.displaced STEREO_DIR [STEREO_DIR ...] [--every 4]

The right view of every pair is moved aside by a share of its width, its border continued. Printed: the share of pixels
whose preview flow is consistent forward and backward to 1 px, by DIS from zero flow and as `preview_flow` has it. At
best it is the share of the left view that the moved one still shows.
"""

from __future__ import annotations

from pathlib import Path

import click
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from redweb_builder.errors import InputError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair
from redweb_builder.matching.dis import consistent_share, quick_flow
from redweb_builder.matching.quick_flow import SIDE, preview_flow
from redweb_builder.matching.texture import grey_levels
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import Picture

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


@click.command()
@click.argument("roots", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--every", default=4, show_default=True, help="Only every n-th pair.")
def main(roots: tuple[Path, ...], every: int) -> None:
    """Print the mean over the pairs below ROOTS, moved to either side."""
    shares: dict[float, list[tuple[float, float]]] = {share: [] for share in SHARES}
    pairs = 0
    with one_opencv_thread():
        for source in [source for root in roots for source in discover(root).sources][::every]:
            try:
                pair = read_pair(source, SIDE)
            except InputError:
                continue
            pairs += 1
            for share in SHARES:
                for side in (-1, 1):
                    right = moved_aside(pair.right, side * round(share * pair.right.shape[1]))
                    preview = preview_flow(pair.left, right)
                    from_zero = quick_flow(grey_levels(preview.left), grey_levels(preview.right))
                    shares[share].append((consistent_share(from_zero), consistent_share(preview.flow)))
    table = Table(f"{pairs} pairs, displaced by", "from zero flow, %", "as built, %", box=None)
    for share, values in shares.items():
        table.add_row(f"{100 * share:.0f} % of the width", *(f"{100 * value:.1f}" for value in np.mean(values, 0)))
    Console(width=100).print(table)


def moved_aside(view: Picture, by: int) -> Picture:
    """The view `by` px to the right, its border continued."""
    matrix = np.array([[1, 0, by], [0, 1, 0]], np.float32)
    size = (view.shape[1], view.shape[0])
    return np.asarray(cv2.warpAffine(view, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


if __name__ == "__main__":
    main()
