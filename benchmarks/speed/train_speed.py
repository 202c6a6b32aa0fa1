"""What the losses cost beside a step of the network, and what the loop costs beside a bare step.

    python -m benchmarks.speed.train_speed [--encoder resnet50] [--size 384] [--batch 4] [--rounds 3]

"bare" is forward, backward of the mean, and AdamW on tensors in memory, in the precision and memory format that the
loop chooses. "loss" is sampling, loss and its backward alone, on a prediction of the same size. "loop" is the whole of
trainer.training.loop.train on pictures on the disk: reading, augmentation, logging, running mean. Medians; bare and
loop are taken in turn. "the article's" is its loss as written, a Python loop over pairs, timed on 30 pairs and scaled
to 3,000.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from redweb_builder.networks.device import choose_device
from trainer.config import TrainConfig
from trainer.data.open import open_data
from trainer.data.sample_stream import SampleStream, Source
from trainer.data.transforms import augmentation
from trainer.losses import LOSSES, RANDOM_COLUMNS
from trainer.progress import Validation
from trainer.training.loop import train
from trainer.training.precision import autocast, chosen_precision
from trainer.training.recipe import relative_depth
from trainer.types import Batch

ARTICLE_PAIRS = 30


@click.command()
@click.option("--encoder", default="resnet50", show_default=True)
@click.option("--size", default=384, show_default=True)
@click.option("--batch", default=4, show_default=True)
@click.option("--steps", default=6, show_default=True, help="Of the loop, a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--loop/--no-loop", default=True, show_default=True)
def main(encoder: str, size: int, batch: int, steps: int, rounds: int, loop: bool) -> None:
    """Print the time of each, and the shares."""
    config = TrainConfig(encoder=encoder, encoder_weights="none", size=size, batch=batch, epochs=1, workers=2)
    device = choose_device("auto")
    precision = chosen_precision("auto", device, relative_depth(config).network, (size, size))
    print(f"{encoder}, {batch} x {size}x{size}, {device}, {precision}, {torch.get_num_threads()} threads", flush=True)

    bare_step = _bare(config, device, precision)
    bare_step()
    bare = [_seconds(bare_step) for _ in range(3)]
    print(f"bare step        {statistics.median(bare):8.3f} s", flush=True)

    given = _batch(batch, size, device)
    uniform = torch.rand(batch, config.pairs, RANDOM_COLUMNS, device=device)
    for name, loss in LOSSES.items():
        seconds = statistics.median(_seconds(lambda loss=loss: _loss_step(loss, given, uniform)) for _ in range(5))  # type: ignore[misc]
        print(
            f"{name:16} {seconds:8.3f} s  {100 * seconds / statistics.median(bare):6.2f} % of a bare step", flush=True
        )
    article = _seconds(lambda: _article(given)) * config.pairs / ARTICLE_PAIRS
    print(
        f"the article's    {article:8.1f} s  {100 * article / statistics.median(bare):6.0f} % of a bare step",
        flush=True,
    )

    ratios = []
    for _ in range(rounds if loop else 0):
        before = _seconds(bare_step)
        whole = _loop(config, steps)
        ratios.append(statistics.mean([before, _seconds(bare_step)]) / whole)
        print(f"loop             {whole:8.3f} s a step, {100 * ratios[-1]:.1f} % of the bare rate", flush=True)
    if ratios:
        print(f"median of {len(ratios)}: the loop runs at {100 * statistics.median(ratios):.1f} % of the bare rate")


def _bare(config: TrainConfig, device: torch.device, precision: torch.dtype) -> Callable[[], None]:
    recipe = relative_depth(config)
    network: nn.Module = recipe.network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimiser = recipe.phases[0].optimiser(network)
    image = torch.rand(config.batch, 3, config.size, config.size, device=device).contiguous(
        memory_format=torch.channels_last
    )

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with autocast(device, precision):
            prediction = network(image)
        prediction.float().mean().backward()
        optimiser.step()

    return step


def _batch(batch: int, size: int, device: torch.device) -> Batch:
    image = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    valid = torch.rand(batch, size, size) > 0.1
    sky = torch.zeros_like(valid)
    return Batch(image, torch.rand(batch, size, size), valid, sky, torch.zeros(batch)).to(device)


def _loss_step(
    loss: Callable[[Tensor, Batch, Tensor], tuple[Tensor, dict[str, Tensor]]], given: Batch, u: Tensor
) -> None:
    prediction = torch.randn_like(given.disparity).requires_grad_()
    loss(prediction, given, u)[0].backward()  # type: ignore[no-untyped-call]


def _article(given: Batch) -> None:
    """The seed article's way: one pair of the same place in all pictures at a time, comparisons in Python."""
    prediction = torch.randn_like(given.disparity).requires_grad_()
    side, total = given.disparity.shape[-1], torch.zeros(())
    for _ in range(ARTICLE_PAIRS):
        x1, y1, x2, y2 = (random.randrange(side) for _ in range(4))
        first, second = given.disparity[:, x1, y1], given.disparity[:, x2, y2]
        relation = torch.zeros(len(first))
        for i in range(len(first)):
            if first[i] / (second[i] + 1e-7) > 1.02:
                relation[i] = 1
            elif second[i] / (first[i] + 1e-7) > 1.02:
                relation[i] = -1
        apart = prediction[:, x1, y1] - prediction[:, x2, y2]
        unequal = relation != 0
        if unequal.any():
            total = total + torch.log(1 + torch.exp(-relation[unequal] * apart[unequal])).mean()
        if (~unequal).any():
            total = total + (apart[~unequal] ** 2).mean()
    (total / ARTICLE_PAIRS).backward()  # type: ignore[no-untyped-call]


def _loop(config: TrainConfig, steps: int) -> float:
    """Seconds a step of the loop, from its first step to its last, so that start and end do not count."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "set"
        generator = np.random.default_rng(0)
        for name in ("Imgs", "RDs"):
            (folder / name).mkdir(parents=True)
        for number in range(config.batch * steps):
            smooth = generator.integers(0, 256, (24, 32, 3), np.uint8)
            picture = Image.fromarray(smooth).resize((640, 480))
            picture.save(folder / "Imgs" / f"{number}.jpg")
            picture.convert("L").save(folder / "RDs" / f"{number}.png")
        data = open_data(folder)
        times: list[float] = []
        train(
            relative_depth(config),
            SampleStream([Source(data, range(len(data)))], augmentation("full", config.size), 0),
            lambda *_: Validation({}),
            TrainConfig(**{**vars(config), "validations": 1}),
            Path(home) / "run",
            watch=lambda _: times.append(time.perf_counter()),
        )
    return (times[-1] - times[2]) / (steps - 2)


def _seconds(work: Callable[[], None]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
