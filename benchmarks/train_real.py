"""From stereo photographs without truth to a network, judged on truth that it has not seen.

    python -m benchmarks.train_real WEB_STEREO TRUTH_STEREO NYU [--flow-weights FILE] [--losses ranking ...] --out DIR

Builds a set from the left and right views of WEB_STEREO and of the scenes of TRUTH_STEREO whose families are not named
by --keep (their truth is never read), trains a small encoder with each loss, and prints WKDR on the NYU frames that are
not trained on, and on the kept scenes of ground truth, beside the prior. --nyu adds NYU training frames to the mix;
then only frames held out by scene are judged.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import torch

from redweb_builder.builder import build
from redweb_builder.config import BuildConfig
from trainer.config import LOSS_NAMES, TrainConfig
from trainer.console import TrainDisplay, print_rows
from trainer.evaluate import Row, evaluate, predictor
from trainer.start import train_relative_depth


@click.command()
@click.argument("web", type=click.Path(path_type=Path, exists=True))
@click.argument("truth", type=click.Path(path_type=Path, exists=True))
@click.argument("nyu", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--keep", default=3, show_default=True, help="Every n-th scene of ground truth is kept back for judging.")
@click.option("--flow", default="raft-small", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--losses", multiple=True, type=click.Choice(LOSS_NAMES), default=("ranking",), show_default=True)
@click.option("--nyu-weight", default=0.0, show_default=True, help="NYU frames in the mix: times an epoch; 0 = none.")
@click.option("--epochs", default=60, show_default=True)
@click.option("--limit", default=200, show_default=True, help="At most so many NYU frames are judged.")
@click.option("--size", default=224, show_default=True)
def main(
    web: Path,
    truth: Path,
    nyu: Path,
    out: Path,
    keep: int,
    flow: str,
    flow_weights: Path | None,
    losses: tuple[str, ...],
    nyu_weight: float,
    epochs: int,
    limit: int,
    size: int,
) -> None:
    """Build, train, judge."""
    pairs, kept = _parted(web, truth, out, keep)
    config = BuildConfig(flow=flow, flow_weights=flow_weights, segmenter="builtin", max_side=640)
    summary = build(pairs, out / "set", config)
    print(f"built: {summary.kept} kept, {summary.rejected} rejected")
    data = [(out / "set", 1.0), *([(nyu, nyu_weight)] if nyu_weight else [])]
    runs = {}
    for loss in losses:
        runs[loss] = out / f"{loss}{'+nyu' if nyu_weight else ''}"
        settings = TrainConfig(
            loss=loss, encoder="tu-tf_efficientnet_lite0", size=size, epochs=epochs, learning_rate=1e-3
        )
        with TrainDisplay() as display:
            train_relative_depth(data, settings, runs[loss], watch=display.show)
    predictors = {loss: predictor(run / "last.safetensors", torch.device("cpu")) for loss, run in runs.items()}
    rows: list[Row] = evaluate(predictors, nyu, "val" if nyu_weight else "all", 0.1, limit)[0]
    for family in sorted(kept.iterdir()):
        rows += evaluate(predictors, family, "all", 0.1)[0]
    print_rows(rows)


def _parted(web: Path, truth: Path, out: Path, keep: int) -> tuple[Path, Path]:
    """Copy left and right views to train on to OUT/pairs, and the scenes kept back, by family, to OUT/kept."""
    pairs, kept = out / "pairs", out / "kept"
    for folder in sorted(file.parent for file in web.rglob("left.*")):
        _views(folder, pairs / "web" / folder.relative_to(web))
    for number, folder in enumerate(sorted(file.parent for file in truth.rglob("disp_left.*"))):
        if number % keep:
            _views(folder, pairs / "truth" / folder.relative_to(truth))
        else:
            family = "KITTI" if folder.parent.name.lower().startswith("kitti") else "Middlebury"
            shutil.copytree(folder, kept / family / folder.name, dirs_exist_ok=True)
    return pairs, kept


def _views(folder: Path, to: Path) -> None:
    """The left and right picture of a scene, and nothing else."""
    to.mkdir(parents=True, exist_ok=True)
    for eye in ("left", "right"):
        file = next(folder.glob(f"{eye}.*"))
        shutil.copy(file, to / file.name)


if __name__ == "__main__":
    main()
