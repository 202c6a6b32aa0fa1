"""The best SKY_BIAS of the built-in segmenter, chosen on pictures that it was trained on.

    python -m benchmarks.quality.sky_bias SEMANTIC_ROOT --fold N

For each value: IoU of sky on the labelled photographs that fold N of `train-segmenter` trains on, in colour and in
grey, as benchmarks.quality.segmentation measures it. The constant of segmentation/sky_network.py is the one with the
best mean. So the pictures that the fold keeps back take no part in the choice.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quality.segmentation import iou, pictures_of
from redweb_builder.networks.device import choose_device
from redweb_builder.segmentation.segmenters import BuiltinSegmenter

TRIED = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@click.command()
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.option("--fold", type=click.IntRange(0, 2), required=True)
def main(root: Path, fold: int) -> None:
    """Print the table."""
    camvid = pictures_of("camvid", root / "camvid", fold, kept_back=False)
    ade = pictures_of("masks", root / "sky_ade20k" / "train", fold, kept_back=False)
    columns = (f"CamVid ({len(camvid)})", "grey", f"ADE ({len(ade)})", "grey", "mean")
    table = Table("SKY_BIAS", *columns, box=None)
    for bias in TRIED:
        segmenter = BuiltinSegmenter(choose_device("auto"), sky_bias=bias)
        figures = [iou(segmenter, pictures, grey) for pictures in (camvid, ade) for grey in (False, True)]
        table.add_row(f"{bias:.1f}", *(f"{figure:.4f}" for figure in (*figures, float(np.mean(figures)))))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
