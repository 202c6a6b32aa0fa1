"""Rendered views with their exact disparity, in the layout that the trainer reads as stereo with ground truth.

python -m samples.depths OUT [--count 400]
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from PIL import Image

from samples.scenes import Kind, render

FIRST_SEED = 3000  # the tests, the sample folder and samples.skies render smaller ones
FARTHEST = 0.3  # px; of the sky, whose disparity of 0 would count as unknown: behind the hills, which have 1 to 3 px


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", default=400, show_default=True)
def main(out: Path, count: int) -> None:
    """Half of the views are indoors; of those outdoors every fourth is closed by a slope."""
    render_depths(out, count)


def render_depths(out: Path, count: int) -> None:
    """Write views that are not there yet. out: a folder a view is made in it. count: of the views."""
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        folder = out / str(seed)
        if (folder / "meta.json").is_file():
            continue
        kind: Kind = "indoor" if seed % 2 else "outdoor"
        scene = render(seed, 320, 240, sky=seed % 8 != 0, kind=kind)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.left).save(folder / "left.png")
        np.save(folder / "disp_left.npy", np.maximum(scene.disparity, FARTHEST))
        (folder / "meta.json").write_text(json.dumps({"scale": 1}))


if __name__ == "__main__":
    main()
