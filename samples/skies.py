"""Rendered views with their skies, in the layout NAME.jpg + NAME_sky.png that `train-segmenter` reads as "masks".

python -m samples.skies OUT [--count 60]
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image

from samples.scenes import Kind, render

FIRST_SEED = 1000  # the tests and the sample folder render the small ones


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", default=60, show_default=True)
def main(out: Path, count: int) -> None:
    """Of four views one is indoors and one closed by a slope, both without sky."""
    out.mkdir(parents=True, exist_ok=True)
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        kind: Kind = "indoor" if seed % 4 == 0 else "outdoor"
        scene = render(seed, 320, 240, sky=seed % 4 != 1, kind=kind)
        Image.fromarray(scene.left).save(out / f"{seed}.jpg", quality=92)
        Image.fromarray(255 * scene.sky.astype(np.uint8)).save(out / f"{seed}_sky.png")


if __name__ == "__main__":
    main()
