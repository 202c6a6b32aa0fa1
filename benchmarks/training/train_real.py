"""From stereo photographs without truth to a network, judged on truth that it has not seen.

    python -m benchmarks.training.train_real WEB_STEREO TRUTH_STEREO NYU --out DIR [--losses ranking ...]
        [--nyu-weight 1]

Three rounds: each builds a set from all that lies in WEB_STEREO and from the left and right views of two thirds of the
scenes of TRUTH_STEREO (no truth is read), trains a small encoder with each loss, and judges it on the other third and
on NYU frames. So every scene is judged once, by a network that has not seen it. Printed is WKDR, mean over pictures,
beside the prior. --nyu-weight adds NYU training frames to the mix; then only frames held out by scene are judged.
Interrupted, it goes on where it stopped.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.quality.ground_truth import family
from redweb_builder.builder.build import build
from redweb_builder.config import BuildConfig
from trainer.commands.console import TrainDisplay
from trainer.config import LOSS_NAMES, TrainConfig
from trainer.data.open import open_data
from trainer.data.splits import Selection
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.results import ResultRow
from trainer.prediction.predict import load_predictors
from trainer.train import train_relative_depth

ROUNDS = 3


@click.command()
@click.argument("web", type=click.Path(path_type=Path, exists=True))
@click.argument("truth", type=click.Path(path_type=Path, exists=True))
@click.argument("nyu", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--rounds", default=ROUNDS, show_default=True, help="Of the three.")
@click.option("--flow", default="dis", show_default=True)
@click.option("--flow-weights", type=click.Path(path_type=Path))
@click.option("--losses", multiple=True, type=click.Choice(LOSS_NAMES), default=("ranking",), show_default=True)
@click.option("--nyu-weight", default=0.0, show_default=True, help="NYU frames in the mix: times an epoch; 0 = none.")
@click.option("--epochs", default=40, show_default=True)
@click.option("--limit", default=200, show_default=True, help="At most so many NYU frames are judged.")
@click.option("--size", default=224, show_default=True)
def main(
    web: Path,
    truth: Path,
    nyu: Path,
    out: Path,
    rounds: int,
    flow: str,
    flow_weights: Path | None,
    losses: tuple[str, ...],
    nyu_weight: float,
    epochs: int,
    limit: int,
    size: int,
) -> None:
    """Build, train, judge."""
    rows: list[ResultRow] = []
    for number in range(rounds):
        home = out / f"round{number}"
        pairs, kept = _parted(web, truth, home, number)
        summary = build(pairs, home / "set", BuildConfig(flow=flow, flow_weights=flow_weights, max_side=640))
        print(f"round {number}: {summary.kept} kept, {summary.rejected} rejected", flush=True)
        data = [(home / "set", 1.0), *([(nyu, nyu_weight)] if nyu_weight else [])]
        runs = {loss: home / f"{loss}{'+nyu' if nyu_weight else ''}" for loss in losses}
        for loss, run in runs.items():
            config = TrainConfig(
                loss=loss,
                encoder="tu-tf_efficientnet_lite0",
                size=size,
                epochs=epochs,
                learning_rate=1e-3,
                freeze_batchnorm=True,
                precision="float32",  # depthwise convolutions gain nothing from bf16 on CPU
            )
            with TrainDisplay() as display:
                train_relative_depth(data, config, run, watch=display.show)
        weights = [run / "last.safetensors" for run in runs.values()]
        predictors = dict(zip(runs, load_predictors(weights, torch.device("cpu")), strict=True))
        selection = Selection("val" if nyu_weight else "all", limit=limit)
        rows += evaluate(predictors, open_data(nyu), selection)[0]
        for group in sorted(kept.iterdir()):
            rows += evaluate(predictors, open_data(group), Selection("all"))[0]
        _print(rows)


def _print(rows: list[ResultRow]) -> None:
    """WKDR of every predictor on every set, mean over the pictures of all rounds so far."""
    figures: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    for row in rows:
        figures[row.predictor, row.data].append((row.figures["WKDR"], row.samples))
    names = list(dict.fromkeys(row.data for row in rows))
    table = Table("WKDR, %", *(f"{name} ({sum(n for _, n in figures[rows[0].predictor, name])})" for name in names))
    for who in dict.fromkeys(row.predictor for row in rows):
        means = [sum(v * n for v, n in figures[who, name]) / sum(n for _, n in figures[who, name]) for name in names]
        table.add_row(who, *(f"{mean:.1f}" for mean in means))
    Console(width=110).print(table)


def _parted(web: Path, truth: Path, out: Path, number: int) -> tuple[Path, Path]:
    """Copy what is trained on to OUT/pairs, and the scenes kept back, every third of them, by family, to OUT/kept."""
    pairs, kept = out / "pairs", out / "kept"
    shutil.copytree(web, pairs / "web", dirs_exist_ok=True)
    for index, folder in enumerate(sorted(file.parent for file in truth.rglob("disp_left.*"))):
        if index % ROUNDS == number:
            shutil.copytree(folder, kept / family(folder.parent.name) / folder.name, dirs_exist_ok=True)
        else:
            _views(folder, pairs / "truth" / folder.relative_to(truth))
    return pairs, kept


def _views(folder: Path, to: Path) -> None:
    """The left and right picture of a scene, and nothing else."""
    to.mkdir(parents=True, exist_ok=True)
    for eye in ("left", "right"):
        file = next(folder.glob(f"{eye}.*"))
        shutil.copy(file, to / file.name)


if __name__ == "__main__":
    main()
