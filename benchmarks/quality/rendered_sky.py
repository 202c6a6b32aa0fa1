"""Sky and what stands before it, where both are known to the pixel: rendered scenes.

    python -m benchmarks.quality.rendered_sky [--flow dis] [--scenes 24]

Built as any pair is, with the built-in segmenter. Of the pixels that are sky: the share labelled sky, the share called
measured (ghosts: the disparity of a branch or a roof beside it), the share filled. Of the others: the share taken for
sky, and of what is measured the share that is more than 3 px off. Seeds from 100 on; samples/ has the lower ones.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.models import load_models
from redweb_builder.config import BUILTIN, BuildConfig
from redweb_builder.pipeline import Outcome, infer, label_pair, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.types import Label, Mask, PairSource
from samples.generate import jpeg
from samples.scenes import Scene, render

FIRST_SEED = 100
OFF_PX = 3.0


def shares(label: Label, scene: Scene) -> tuple[float, ...]:
    """Percent: of sky labelled sky, measured, filled; of the rest labelled sky; of the rest's measured, off."""
    ground, sky = label.mask[~scene.sky], label.mask[scene.sky]
    measured = (label.mask == Mask.MEASURED) & ~scene.sky
    off = np.abs(label.disparity - scene.disparity)[measured] > OFF_PX
    kinds = [sky == kind for kind in (Mask.SKY, Mask.MEASURED, Mask.FILLED)]
    return tuple(100 * float(part.mean()) for part in (*kinds, ground == Mask.SKY, off))


@click.command()
@click.option("--flow", default="dis", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--mono", default=BuildConfig.mono, show_default=True, help="As of build-redweb.")
@click.option("--scenes", default=24, show_default=True)
def main(flow: str, flow_weights: Path | None, mono: str, scenes: int) -> None:
    """Print the mean over the scenes that have sky."""
    config = BuildConfig(flow=flow, flow_weights=flow_weights, segmenter=BUILTIN, mono=mono, eyes="as-is")
    models = load_models(config)
    rows: list[tuple[float, ...]] = []
    with one_opencv_thread(), tempfile.TemporaryDirectory() as folder:
        left, right = Path(folder) / "scene_L.jpg", Path(folder) / "scene_R.jpg"
        for seed in range(FIRST_SEED, FIRST_SEED + scenes):
            scene = render(seed)
            left.write_bytes(jpeg(scene.left))
            right.write_bytes(jpeg(scene.right))
            prepared = prepare(PairSource(str(seed), left, right, "files", "rendered"), config, models.depth)
            if isinstance(prepared, Outcome):
                raise SystemExit(f"scene {seed}: {prepared.rejection}")
            evidence = label_pair(infer([prepared], models)[0], models, config).evidence
            assert evidence is not None
            rows.append(shares(evidence.label, scene))
    table = Table(f"{scenes} scenes", "mean %", "worst %", box=None)
    names = (
        "of sky: labelled sky",
        "called measured",
        "filled",
        "of the rest: labelled sky",
        "measured, over 3 px off",
    )
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        worst = min(values) if name == names[0] else max(values)
        table.add_row(name, f"{np.mean(values):.2f}", f"{worst:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
