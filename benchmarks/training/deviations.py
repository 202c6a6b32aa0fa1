"""What each setting does in which `train` differs from the papers: a row a setting, one small network a row and seed.

    python -m benchmarks.training.deviations NYU --out DIR [--seeds 2] [--rows NAME ...]

Every row is the default with one setting as published; the last of each group is the paper's recipe. All rows of a
group take about equally many steps from the same pretrained start, on the training frames of NYU less those that are
held out by scene, and their last weights are judged on these. A difference is taken from the default of the same seed,
so both have seen the same frames; two seeds show how far differences of that size are chance. These are short runs: 88
steps, where a training takes thousands. Interrupted, it goes on where it stopped;
DIR/ROW-SEED/ holds curve and figures.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table

from redweb_builder.files import write_atomic
from trainer.config import RECIPES, TrainConfig, preset
from trainer.data.open import open_data
from trainer.data.splits import Selection
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.evaluate_metric import evaluate_metric
from trainer.models.eigen import MetricNetwork
from trainer.models.encoder_weights import LITE0
from trainer.prediction.predict import load_predictors
from trainer.train import train_metric_depth, train_relative_depth

WEIGHT = 0.5  # an epoch is half of the frames
EVERY: dict[str, Any] = {
    "batch": 8,
    "epochs": 2,
    "validations": 1,
    "precision": "float32",
    "device": "cpu",
    "threads": 1,
    "workers": 0,
}
RELATIVE = EVERY | {"encoder": LITE0, "channels": 32, "size": 96, "learning_rate": 1e-3}
METRIC = EVERY | {"fine_epochs": 0}  # the coarse network of the paper
CONSTANT = {"schedule": "constant", "warmup": 0.0}

NETWORK = "network"

RELATIVE_ROWS: dict[str, TrainConfig] = {
    name: replace(start, **(RELATIVE | changed))
    for name, start, changed in (
        ("default", preset("rednet"), {}),
        ("no running mean", preset("rednet"), {"ema": 0.0}),
        ("no clipping", preset("rednet"), {"clip": 0.0}),
        ("constant rate", preset("rednet"), CONSTANT),
        ("Adam", preset("rednet"), {"weight_decay": 0.0}),
        ("flip and crop", preset("rednet"), {"augment": "flip-crop"}),
        ("improved-ranking", preset("rednet"), {"loss": "improved-ranking"}),
        ("batch 16", preset("rednet"), {"batch": 16, "epochs": 4}),
        ("half of it L2", preset("rednet"), {"l2_epochs": 1, "epochs": 1}),
        ("batch norms frozen", preset("rednet"), {"freeze_batchnorm": True}),
        ("recipe xian-2018", RECIPES["xian-2018"], {"batch": 16, "l2_epochs": 2, "epochs": 2}),
    )
}
METRIC_ROWS: dict[str, TrainConfig] = {
    name: replace(start, **(METRIC | changed))
    for name, start, changed in (
        ("eigen: default", preset("eigen"), {}),
        ("eigen: no running mean", preset("eigen"), {"ema": 0.0}),
        ("eigen: no clipping", preset("eigen"), {"clip": 0.0}),
        ("eigen: constant rate", preset("eigen"), CONSTANT),
        ("eigen: squared pixels", preset("eigen"), {"weigh_by_pixels": True}),
        ("recipe eigen-2014", RECIPES["eigen-2014"], {}),
    )
}
ROWS = RELATIVE_ROWS | METRIC_ROWS


@click.command()
@click.argument("nyu", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--seeds", default=2, show_default=True)
@click.option("--rows", multiple=True, type=click.Choice(list(ROWS)), help="Default: all.")
def main(nyu: Path, out: Path, seeds: int, rows: tuple[str, ...]) -> None:
    """Train and judge what is not there yet, print what is."""
    console = Console(width=120, highlight=False)
    for seed in range(seeds):
        for name in rows or ROWS:
            folder = out / f"{name.replace(': ', '-').replace(' ', '-')}-{seed}"
            file = folder / "figures.json"
            if not file.is_file():
                content = train_and_judge(nyu, replace(ROWS[name], seed=seed), folder)
                write_atomic(file, json.dumps({"row": name, "seed": seed, "commit": commit(), **content}).encode())
            print(file.read_text(), flush=True)
    results = [json.loads(file.read_text()) for file in sorted(out.glob("*/figures.json"))]
    console.print(table_of(results, RELATIVE_ROWS, NETWORK, "WKDR", 2))
    console.print(table_of(results, METRIC_ROWS, f"{NETWORK}: coarse", "AbsRel", 4))


def train_and_judge(nyu: Path, config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Train in a folder, and judge the last weights on the frames that were held out: steps, seconds, figures.

    nyu: the data. config: of the run.
    """
    metric = config.model == "eigen"
    summary = (train_metric_depth if metric else train_relative_depth)([(nyu, WEIGHT)], config, folder)
    (predictor,) = load_predictors([folder / "last.safetensors"], torch.device("cpu"))
    data, held_out = open_data(nyu), Selection("val")
    if isinstance(predictor.network, MetricNetwork):
        rows, _ = evaluate_metric({NETWORK: predictor.network}, data, held_out)
    else:
        rows, _ = evaluate({NETWORK: predictor}, data, held_out)
    figures = {row.predictor: row.figures for row in rows}
    return {"steps": summary.steps, "seconds": round(summary.seconds), "figures": figures}


def table_of(results: list[dict[str, Any]], rows: Iterable[str], who: str, figure: str, digits: int) -> Table:
    """A figure of every seed, and how far it is from the default's of the same seed: mean, least, largest.

    results: of all runs. rows: of the table, the default first. who: the predictor of the figures. figure: its name;
    lower is better. digits: behind the point.
    """
    own = {(result["row"], result["seed"]): result for result in results if result["row"] in rows}
    values = {key: result["figures"][who][figure] for key, result in own.items()}
    seeds = sorted({seed for _, seed in own})
    title = f"{figure} of held-out frames, at {', '.join(sorted({result['commit'] for result in own.values()}))}"
    heads = ("", "steps", *(f"seed {seed}" for seed in seeds), "difference", "from", "to")
    table = Table(*heads, box=None, title=title, title_justify="left")
    default = next(iter(rows))
    for name in rows:
        mine = [seed for seed in seeds if {(name, seed), (default, seed)} <= own.keys()]
        if mine:
            apart = [values[name, seed] - values[default, seed] for seed in mine]
            numbers = [f"{values[name, seed]:.{digits}f}" for seed in mine] + [""] * (len(seeds) - len(mine))
            ends = [f"{value:+.{digits}f}" for value in (sum(apart) / len(apart), min(apart), max(apart))]
            table.add_row(name, str(own[name, mine[0]]["steps"]), *numbers, *ends)
    for other, figures in next(iter(own.values()))["figures"].items() if own else ():
        if other != who and figure in figures:
            table.add_row(other, "", f"{figures[figure]:.{digits}f}")
    return table


def commit() -> str:
    """The commit that is checked out, with "+" where files differ from it."""
    done = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
