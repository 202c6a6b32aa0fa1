"""The baseline, trained and measured: coarse, coarse + fine, and the same with a modern encoder.

    python -m benchmarks.training.train_eigen NYU --out DIR [--alexnet FILE] [--device cpu]

Trains the paper's network in its two phases and the one with EfficientNet-Lite0, as `train --model eigen` does, on the
training frames of NYU less those that are held out by scene, and prints the paper's columns on these. Without --alexnet
(torchvision's file) ImageNet's start is looked for as `train` does. Interrupted, it goes on where it stopped. The last
weights are judged, not the best ones: which are best was seen on the very frames that are judged.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import torch

from redweb_builder.networks.device import choose_device
from trainer.commands.console import TrainDisplay, print_rows
from trainer.config import preset
from trainer.data.open import open_data
from trainer.data.splits import Selection
from trainer.evaluation.evaluate_metric import evaluate_metric
from trainer.evaluation.results import write_report
from trainer.models.encoder_weights import LITE0
from trainer.prediction.predict import load_predictors, metric_networks
from trainer.train import train_metric_depth


@click.command()
@click.argument("nyu", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--alexnet", default="auto", show_default=True, help="torchvision's weights, or none.")
@click.option("--device", default="auto", show_default=True)
@click.option("--epochs", type=int, nargs=3, default=(40, 15, 14), show_default=True, help="Coarse, fine, modern.")
@click.option("--learning-rate", default=1.0, show_default=True, help="Factor on the paper's rates.")
@click.option("--part", default="val", show_default=True, help="test = the 654 frames, where they are there.")
def main(
    nyu: Path,
    out: Path,
    alexnet: str,
    device: str,
    epochs: tuple[int, int, int],
    learning_rate: float,
    part: str,
) -> None:
    """Train both, judge both."""
    out.mkdir(parents=True, exist_ok=True)
    coarse, fine, modern = epochs
    paper = replace(preset("eigen"), epochs=coarse, fine_epochs=fine, learning_rate=learning_rate)
    runs = {
        "eigen": replace(paper, encoder_weights=alexnet, device=device, workers=0),
        "modern": replace(preset("eigen", LITE0), epochs=modern, device=device, workers=0, precision="float32"),
    }
    for name, config in runs.items():
        with TrainDisplay() as display:
            train_metric_depth([(nyu, 1.0)], config, out / name, watch=display.show)
    where: torch.device = choose_device(device)
    networks = metric_networks(load_predictors([out / name / "last.safetensors" for name in runs], where))
    named = dict(zip(runs, networks.values(), strict=True))
    rows, sheet = evaluate_metric(named, open_data(nyu), Selection(part))
    write_report(rows, {rows[0].data: sheet}, out)
    print_rows(rows)


if __name__ == "__main__":
    main()
