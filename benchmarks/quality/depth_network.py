"""How the built-in depth network orders real pictures, beside the prior that lower points are nearer.

    python -m benchmarks.quality.depth_network GT_ROOT [--nyu NYU]

GT_ROOT as of label_quality. WKDR, %, means over pictures: of the network as builds ask it, of the network where each
picture keeps its own shape (fitting_size squeezes long ones), and of the prior. NYU: a folder of test frames.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.quality.ground_truth import scenes
from benchmarks.quality.label_quality import wkdr
from redweb_builder.config import BUILTIN
from redweb_builder.inputs.picture import open_picture
from redweb_builder.monocular.estimator import load_depth
from redweb_builder.networks import encoder_input
from redweb_builder.types import FloatMap, Picture
from trainer.data.depth_set import judged_pixels
from trainer.data.open import open_data
from trainer.evaluation.metrics import lower_is_nearer

COLUMNS = "network", "in its own shape", "lower is nearer"
Frame = tuple[str, Picture, FloatMap]  # set, HxWx3 uint8 RGB, true disparity with NaN where it is unknown


@click.command()
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.option("--nyu", type=click.Path(path_type=Path, exists=True))
def main(root: Path, nyu: Path | None) -> None:
    """Print the table."""
    network = load_depth(BUILTIN, torch.device("cpu"))
    assert network is not None
    rows: defaultdict[str, list[list[float]]] = defaultdict(list)
    for number, (name, picture, truth) in enumerate([*_truth(root), *(_nyu(nyu) if nyu else ())]):
        maps = []
        for aspect in (encoder_input.MAX_ASPECT, math.inf):
            with patch.object(encoder_input, "MAX_ASPECT", aspect):
                maps.append(network(picture))
        maps.append(lower_is_nearer(*truth.shape))
        known = np.isfinite(truth)
        rows[name].append([wkdr(depth, truth, known, np.random.default_rng(number)) for depth in maps])
    table = Table("pictures", "number", *COLUMNS, box=None)
    for name, figures in sorted(rows.items()):
        table.add_row(name, str(len(figures)), *(f"{mean:.1f}" for mean in np.mean(figures, 0)))
    Console(width=110).print(table)


def _truth(root: Path) -> Iterator[Frame]:
    for scene in scenes(root):
        with open_picture(scene.source.left) as image:
            yield f"{scene.group}, {scene.half}", np.asarray(image.convert("RGB")), scene.disparity


def _nyu(folder: Path) -> Iterator[Frame]:
    data = open_data(folder)
    for index in range(len(data)):
        sample = data[index]
        yield "NYU", sample.image, np.where(judged_pixels(data, sample), sample.disparity, np.nan)


if __name__ == "__main__":
    main()
