"""The training loop, in the order in which it happens.

    python cli.py train --data redweb                                  one process
    torchrun --nproc-per-node 4 cli.py train --data redweb             four GPUs, or four CPU processes

What happens at a step follows from its number and the seed alone: which pictures, how they are changed, which pairs
are asked about. So a run that is killed and started again goes on as if nothing had been, and any number of processes
trains on the same global batches.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from redweb_builder.device import choose_device
from trainer.config import TrainConfig
from trainer.data.draws import Draws, batches
from trainer.losses import RANDOM_COLUMNS, Loss
from trainer.progress import Judge, Progress, Summary, Watch, silent
from trainer.training.curve import Curve
from trainer.training.distributed import Ranks, joined_ranks
from trainer.training.precision import autocast, chosen_precision
from trainer.training.recipe import Recipe
from trainer.training.run import Run
from trainer.types import Pictures

PATIENCE = 5  # bad steps in a row before a run stops
SAVE_EVERY_S = 300.0


class TrainingError(Exception):
    """A run cannot go on; str() says why and what to try."""


def train(
    recipe: Recipe,
    draws: Draws,
    judge: Judge,
    config: TrainConfig,
    out: Path,
    *,
    identity: dict[str, object] | None = None,
    notes: Sequence[str] = (),
    overwrite: bool = False,
    watch: Watch = silent,
) -> Summary:
    """Train a recipe in the folder `out`, or go on where it was interrupted.

    judge: validates a network. identity: what besides the config makes this run this run, such as its data.
    notes: for people, shown first. Raises TrainingError, CheckpointError, DataError, ValueError.
    """
    device = choose_device(config.device)
    with joined_ranks(device) as ranks:
        device = ranks.own(device)
        precision = chosen_precision(config.precision, device)
        watch = watch if ranks.leads else silent
        share = shared_batch(config, ranks)
        run = Run(recipe, config, out, identity or {}, ranks, device, precision, overwrite)

        steps_an_epoch = max(1, draws.epoch_length // config.batch)
        ends = list(accumulate(phase.epochs * steps_an_epoch for phase in recipe.phases))
        steps = ends[-1]
        every = max(1, steps // config.validations)

        own = own_draws(range(run.step * config.batch, steps * config.batch), config.batch, ranks)
        supply = batches(draws, own, share, config.workers, pin=device.type == "cuda")
        curve = Curve(out, run.step) if ranks.leads else None
        about = (*notes, *recipe.notes, *run_notes(config, recipe.sees, ranks, device, precision, run.step, steps))
        watch(Progress(run.step, steps, recipe.phases[0].name, skipped=run.skipped, notes=about))
        started = saved = time.perf_counter()
        resumed = run.step

        for phase, begin, end in zip(recipe.phases, [0, *ends[:-1]], ends, strict=True):
            if run.step >= end:
                continue
            optimiser = run.enter(phase, anew=run.step == begin)
            full_rates = [group["lr"] for group in optimiser.param_groups]
            if run.step > begin:
                run.resume(optimiser)

            while run.step < end:
                for group, full in zip(optimiser.param_groups, full_rates, strict=True):
                    group["lr"] = full * phase.rate(run.step - begin, end - begin)
                torch.manual_seed(config.seed + 1_000_003 * run.step)  # for dropout; pairs have numbers of their own
                optimiser.zero_grad(set_to_none=True)
                loss, scalars = forward_backward(run, phase.loss, supply, share, device, precision)
                norm = run.take_step(optimiser, loss)

                judged = run.step % every == 0 or run.step in (1, steps)
                verdict = judge(run.average.module, device) if judged and ranks.leads else None
                if verdict:
                    run.keep_best(verdict.figures)
                rate = (run.step - resumed) / (time.perf_counter() - started)
                numbers = {"loss": loss, "norm": norm, "learning_rate": optimiser.param_groups[-1]["lr"], **scalars}
                now = Progress(run.step, steps, phase.name, numbers, rate, run.skipped, verdict)
                if curve:
                    curve.add(now)
                watch(now)
                if run.bad >= PATIENCE:
                    raise TrainingError(gone_bad(run.step, config))
                if judged or time.perf_counter() - saved > SAVE_EVERY_S:
                    run.save(optimiser)
                    saved = time.perf_counter()

        ranks.wait()
        if curve:
            curve.close()
        return Summary(out, steps, run.best, run.figures, run.skipped, time.perf_counter() - started, ranks.leads)


def forward_backward(
    run: Run, loss_of: Loss, supply: Iterator[Pictures], share: int, device: torch.device, precision: torch.dtype
) -> tuple[float, dict[str, float]]:
    """Gradients of one global batch, in `accumulate` parts. Returns the loss, mean over all processes, and scalars."""
    config, ranks = run.config, run.ranks
    run.model.train()
    uniform = pair_numbers(config, run.step, ranks)
    total = torch.zeros((), device=device)
    scalars: dict[str, Tensor] = {}
    for part in range(config.accumulate):
        batch = next(supply).to(device)
        image = batch.pixels()
        with ranks.holding_back(run.model, last=part == config.accumulate - 1):
            with autocast(device, precision):
                prediction = run.model(image)
            own = uniform[part * share : (part + 1) * share].to(device)
            loss, scalars = loss_of(prediction.float(), batch, own)
            run.scaler.scale(loss / config.accumulate).backward()  # type: ignore[no-untyped-call]
        total += loss.detach() / config.accumulate
    return ranks.mean(total), plain(scalars)


def shared_batch(config: TrainConfig, ranks: Ranks) -> int:
    """Pictures in one forward pass of one process. Raises TrainingError where the batch cannot be divided so."""
    share, rest = divmod(config.batch, config.accumulate * ranks.world)
    if rest or not share:
        raise TrainingError(
            f"--batch {config.batch} cannot be shared evenly by {ranks.world} processes x {config.accumulate} parts: "
            f"take a multiple of {config.accumulate * ranks.world}"
        )
    return share


def own_draws(numbers: Iterable[int], batch: int, ranks: Ranks) -> list[int]:
    """The draws of this process: of every global batch the part in a row that is its own."""
    own = batch // ranks.world
    return [n for n in numbers if ranks.rank * own <= n % batch < (ranks.rank + 1) * own]


def pair_numbers(config: TrainConfig, step: int, ranks: Ranks) -> Tensor:
    """The randomness of a step's pairs, drawn for the global batch: this process's part of it, bxNx7 in [0, 1)."""
    generator = torch.Generator().manual_seed(config.seed + 1_000_003 * step)
    every = torch.rand(config.batch, config.pairs, RANDOM_COLUMNS, generator=generator)
    return every.chunk(ranks.world)[ranks.rank]


def run_notes(
    config: TrainConfig, sees: str, ranks: Ranks, device: torch.device, precision: torch.dtype, step: int, steps: int
) -> list[str]:
    """What people should know before the first step."""
    processes = f", {ranks.world} processes" if ranks.world > 1 else ""
    kind = str(precision).removeprefix("torch.")
    notes = [f"{steps} steps of {config.batch} pictures, {sees}, on {device}{processes} in {kind}"]
    if 0 < step < steps:
        notes.append(f"going on after step {step}")
    elif step >= steps:
        notes.append("this run is finished already; --overwrite starts it anew")
    if ranks.world > 1 and device.type == "cpu" and not config.freeze_batchnorm:
        notes.append("batch norms see each CPU process's share by itself; --freeze-batchnorm avoids that")
    return notes


def gone_bad(step: int, config: TrainConfig) -> str:
    """Why the run stops, and what to try."""
    return (
        f"{PATIENCE} steps in a row gave a loss or gradient that is not a number (the last is step {step}); they were "
        f"skipped, the weights are as before. Try a lower --learning-rate (now {config.learning_rate:g}), or "
        f"--precision float32 (now {config.precision})."
    )


def plain(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars of a loss as numbers."""
    return {name: float(value) for name, value in tensors.items()}
