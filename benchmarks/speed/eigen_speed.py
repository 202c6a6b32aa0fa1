"""The rate of metric training beside the bare step.

    python -m benchmarks.speed.eigen_speed [--backbone tu-tf_efficientnet_lite0] [--batch 32] [--rounds 3]

"bare" is forward, loss, backward and optimiser step on tensors in memory, in the precision and memory format that the
loop chooses. "loop" is the whole of training on frames on the disk, from its second step on: augmentation, running mean
of the weights, clipping, logging; the frames are decoded before. Both are taken in turn; the median ratio counts. With
OMP_NUM_THREADS=1 on CPU it is processor time of the training process, which other work on the machine hardly changes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image

from redweb_builder.networks.device import choose_device
from redweb_builder.process import keep_freed_memory
from trainer.config import TrainConfig, preset
from trainer.eigen_geometry import CROP, MAP
from trainer.train import train_metric_depth
from trainer.training.metric_recipe import metric_depth
from trainer.training.precision import autocast, chosen_precision
from trainer.training.recipe import Phase
from trainer.types import Batch

FRAMES = 40


@click.command()
@click.option("--backbone", help="Default: the paper's network.")
@click.option("--batch", default=32, show_default=True)
@click.option("--steps", default=4, show_default=True, help="Of each phase, a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--workers", default=1, show_default=True, help="0 = augment in the process that trains.")
def main(backbone: str | None, batch: int, steps: int, rounds: int, workers: int) -> None:
    """Print the rates of every phase, and their ratio."""
    keep_freed_memory()
    device = choose_device("auto")
    network = metric_depth(replace(preset("eigen", backbone), encoder_weights="none"), torch.zeros(MAP)).network
    precision = chosen_precision("auto", device, network, CROP)
    threads = torch.get_num_threads()
    print(f"{backbone or 'the paper'}, {batch} x 304x228, {device}, {precision}, {threads} threads", flush=True)
    ratios: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as home:
        data = _frames(Path(home) / "nyu")
        frames = FRAMES - 4
        config = replace(
            preset("eigen", backbone),
            encoder_weights="none",
            batch=batch,
            epochs=-(-steps * batch // frames),
            fine_epochs=0 if backbone else -(-steps * batch // frames),
            validation=0.1,
            validations=1,
            workers=workers,
        )
        for turn in range(rounds):
            bare = {phase.name: seconds for phase, seconds in _bare(config, device, precision)}
            for name, seconds in _loop(data, config, Path(home) / f"run{turn}").items():
                ratios.setdefault(name, []).append(bare[name] / seconds)
                line = f"{name:28} bare {bare[name]:.3f} s, loop {seconds:.3f} s a step: {100 * ratios[name][-1]:.1f} %"
                print(line, flush=True)
    for name, values in ratios.items():
        print(f"median of {len(values)}: {name} runs at {100 * statistics.median(values):.1f} % of the bare rate")


def _bare(config: TrainConfig, device: torch.device, precision: torch.dtype) -> list[tuple[Phase, float]]:
    recipe = metric_depth(config, torch.zeros(MAP))
    network = recipe.network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    size = (config.batch, *CROP)
    image = torch.randint(0, 256, (config.batch, 3, *CROP), dtype=torch.uint8)
    valid = torch.rand(size) > 0.1
    batch = Batch(image, torch.rand(size) + 0.2, valid, torch.zeros(size, dtype=torch.bool), torch.zeros(config.batch))
    batch = batch.to(device)
    pixels = batch.pixels()
    timed = []
    for phase in recipe.phases:
        phase.on_start(network)
        optimiser = phase.optimiser(network)

        def step(phase: Phase = phase, optimiser: torch.optim.Optimizer = optimiser) -> None:
            optimiser.zero_grad(set_to_none=True)
            with autocast(device, precision):
                prediction = network(pixels)
            phase.loss(prediction.float(), batch, torch.empty(0))[0].backward()  # type: ignore[no-untyped-call]
            optimiser.step()

        step()
        timed.append((phase, statistics.median(_seconds(step) for _ in range(3))))
    return timed


def _loop(data: Path, config: TrainConfig, out: Path) -> dict[str, float]:
    """Seconds a step of each phase: the median, since the first step and the last have a validation."""
    times: list[tuple[str, float]] = []
    train_metric_depth([(data, 1.0)], config, out, watch=lambda now: times.append((now.phase, _now())))
    steps: dict[str, list[float]] = {}
    for (_, before), (name, after) in pairwise(times[1:]):
        steps.setdefault(name, []).append(after - before)
    return {name: statistics.median(seconds) for name, seconds in steps.items()}


def _frames(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for number in range(FRAMES):
        smooth = Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8)).resize((320, 240))
        smooth.save(folder / "rgb" / f"{number:02d}.jpg")
        depth = 1000 + 20 * np.asarray(smooth.convert("L"), np.uint16)
        Image.fromarray(depth).save(folder / "depth" / f"{number:02d}.png")
    return folder


def _seconds(work: Callable[[], None]) -> float:
    started = _now()
    work()
    return _now() - started


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


if __name__ == "__main__":
    main()
