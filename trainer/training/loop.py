"""The training loop, in the order in which it happens.

    python cli.py train --data redweb                                  one process
    torchrun --nproc-per-node 4 cli.py train --data redweb             four GPUs, or four CPU processes

What happens at a step follows from its number and the seed alone: which pictures, how they are changed, which pairs
are asked about. So a run that is killed and started again goes on as if nothing had been, and any number of processes
trains on the same global batches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from redweb_builder.errors import UserError
from redweb_builder.networks.device import choose_device, limit_threads
from trainer.config import TrainConfig
from trainer.data.sample_stream import SampleStream, batch_iterator
from trainer.losses import RANDOM_COLUMNS, Loss
from trainer.losses.masked import Scalars
from trainer.progress import Progress, Summary, Validator, Watch, silent
from trainer.training.curve import Curve
from trainer.training.distributed import Ranks, joined_ranks
from trainer.training.precision import autocast
from trainer.training.recipe import Recipe
from trainer.training.run import Run, last_epochs
from trainer.types import Pictures

PATIENCE = 5  # bad steps in a row before a run stops
SAVE_EVERY_S = 300.0


class TrainingError(UserError):
    """A run cannot go on; str() says why and what to try."""


def train(
    recipe: Recipe,
    stream: SampleStream,
    validator: Validator,
    config: TrainConfig,
    out: Path,
    *,
    identity: dict[str, object] | None = None,
    about: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    overwrite: bool = False,
    watch: Watch = silent,
) -> Summary:
    """Train a recipe in the folder `out`, or go on where it was interrupted.

    recipe: the network and its phases. stream: the samples, by number. validator: gives the figures of a network on
    what was held out. config: the settings. identity: what besides the config makes this run this run, such as its
    data. about: further entries for the headers of its checkpoints. notes: for people, shown first. overwrite: replace
    the run in `out`. watch: called after every step.
    Raises TrainingError, CheckpointError, DataError, ValueError.
    """
    device = choose_device(config.device)
    limit_threads(config.threads)
    with joined_ranks(device) as ranks:
        device = ranks.local_device(device)
        watch = watch if ranks.is_main else silent
        micro_batch = micro_batch_size(config, ranks)
        run: Run | None = None
        try:
            run = Run(recipe, config, out, identity or {}, ranks, device, overwrite, about)
            return _train(run, stream, validator, micro_batch, run.precision, notes, watch)
        except RuntimeError as error:
            if not ranks.lost_another(error):
                raise
            saved = f" after step {run.saved_step}, the last that was saved" if run and ranks.is_main else ""
            raise TrainingError(
                f"process {ranks.rank} of {ranks.world}: another process of this run is gone, and none goes on without "
                f"it. Its own output says why. The same command goes on{saved}"
            ) from error
        finally:
            if run:
                run.close()


def _train(
    run: Run,
    stream: SampleStream,
    validator: Validator,
    micro_batch: int,
    precision: torch.dtype,
    notes: Sequence[str],
    watch: Watch,
) -> Summary:
    """All steps of an open run."""
    config, recipe, ranks, device = run.config, run.recipe, run.ranks, run.device

    steps_an_epoch = max(1, stream.epoch_length // config.batch)
    phase_ends = list(accumulate(phase.epochs * steps_an_epoch for phase in recipe.phases))
    steps = phase_ends[-1]
    validate_every = max(1, steps // config.validations)

    numbers = own_numbers(range(run.step * config.batch, steps * config.batch), config.batch, ranks)
    unread: dict[str, None] = {}  # a sentence each, in order; where nothing is held out, validation meets the same
    batches = batch_iterator(
        stream, numbers, micro_batch, config.workers, pin=device.type == "cuda", on_fault=unread.setdefault
    )
    curve = Curve(run.out, run.step) if ranks.is_main else None
    state = run_notes(config, recipe.crop, ranks, device, precision, run.step, steps)
    every_note = (*notes, *recipe.notes, *state)
    progress = Progress(run.step, steps, recipe.phases[0].name, skipped=run.skipped, notes=every_note)
    watch(progress)
    started = saved = time.perf_counter()
    resumed, reported = run.step, 0
    is_whole = False  # the run is as after a step that is in the curve: it may be saved

    try:
        for phase, begin, end in zip(recipe.phases, [0, *phase_ends[:-1]], phase_ends, strict=True):
            if run.step >= end:
                continue
            is_whole = False
            optimiser = run.start_phase(phase, fresh=run.step == begin)
            full_rates = [group["lr"] for group in optimiser.param_groups]
            if run.step > begin:
                run.resume(optimiser)

            while run.step < end:
                seed_dropout(config, run.step, ranks)
                optimiser.zero_grad(set_to_none=True)
                loss, scalars = forward_backward(run, phase.loss, batches, micro_batch, device, precision)
                is_whole = False
                for group, full in zip(optimiser.param_groups, full_rates, strict=True):
                    group["lr"] = full * phase.rate(run.step - begin, end - begin)
                norm = run.take_step(optimiser, loss)

                validates = run.step % validate_every == 0 or run.step in (1, steps)
                if validates:  # the main process speaks for all: of their samples, too, that cannot be read
                    unread.update(dict.fromkeys(fault for faults in ranks.gather([*unread]) for fault in faults))
                saves = validates or time.perf_counter() - saved > SAVE_EVERY_S
                # Before they are judged or saved, and where the loss may be no number because of them
                if (saves or run.bad) and not run.has_finite_weights():
                    raise TrainingError(overflowed(run, config))
                validation = validator(run.average.module, device) if validates and ranks.is_main else None
                if validation:
                    run.keep_best(validation.figures)
                    unread.update(dict.fromkeys(validation.unread))
                rate = (run.step - resumed) / (time.perf_counter() - started)
                values = {"loss": loss, "norm": norm, "learning_rate": optimiser.param_groups[-1]["lr"], **scalars}
                new = tuple(f"WARNING: left out: {fault}" for fault in list(unread)[reported:])
                reported = len(unread)
                progress = Progress(
                    run.step, steps, phase.name, values, rate, run.skipped, validation, new, run.saved_step
                )
                if curve:
                    curve.add(progress)
                is_whole = True
                watch(progress)
                if run.bad >= PATIENCE:
                    raise TrainingError(gone_bad(run.step, config))
                if saves:
                    run.save(optimiser)
                    saved = time.perf_counter()
    except KeyboardInterrupt:
        if is_whole and run.step > run.saved_step and run.has_finite_weights():
            run.restore_buffers()  # a step that was begun has changed them
            run.save(optimiser)
            watch(replace(progress, validation=None, notes=(), saved_step=run.saved_step))
        raise

    ranks.barrier()
    if curve:
        curve.close()
    run.close(finished=True)
    return Summary(
        run.out, run.step, run.best, run.figures, run.skipped, time.perf_counter() - started, ranks.is_main, len(unread)
    )


def forward_backward(
    run: Run,
    loss_of: Loss,
    batches: Iterator[Pictures],
    micro_batch: int,
    device: torch.device,
    precision: torch.dtype,
) -> tuple[float, dict[str, float]]:
    """Compute the gradients of one global batch, in `accumulate` parts of `micro_batch` pictures a process.

    run: the network and its scaler. loss_of: the phase's loss. batches: the parts, in order. device, precision: of the
    forward pass. Returns the loss and the scalars, means over all parts of all processes; a part without ground for a
    scalar, which is NaN there, does not count for it.
    """
    config, ranks = run.config, run.ranks
    run.model.train()
    uniform = pair_numbers(config, run.step, ranks)
    total = torch.zeros((), device=device)
    parts: list[Scalars] = []
    for part in range(config.accumulate):
        batch = next(batches).to(device)
        image = batch.pixels()
        with ranks.no_sync(run.model, last=part == config.accumulate - 1):
            with autocast(device, precision):
                prediction = run.model(image)
            part_uniform = uniform[part * micro_batch : (part + 1) * micro_batch].to(device)
            loss, scalars = loss_of(prediction.float(), batch, part_uniform)
            parts.append(scalars)
            run.scaler.scale(loss / config.accumulate).backward()  # type: ignore[no-untyped-call]
        total += loss.detach() / config.accumulate
    return mean_of_parts(total, parts, ranks)


def mean_of_parts(loss: Tensor, parts: Sequence[Scalars], ranks: Ranks) -> tuple[float, dict[str, float]]:
    """The loss and the scalars of a step, over all parts of all processes, in one exchange.

    loss: of this process, without dimensions. parts: the scalars of each of its parts, of the same names; NaN = no
    ground, and does not count. ranks: this process among all.
    """
    values = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
    sums = [of_parts.nansum() for of_parts in values.values()]
    counts = [of_parts.isnan().logical_not().sum(dtype=loss.dtype) for of_parts in values.values()]
    losses, *others = ranks.sum(torch.stack([loss, *sums, *counts]))
    means = [
        total / count if count else math.nan
        for total, count in zip(others[: len(sums)], others[len(sums) :], strict=True)
    ]
    return losses / ranks.world, dict(zip(values, means, strict=True))


def micro_batch_size(config: TrainConfig, ranks: Ranks) -> int:
    """Pictures in one forward pass of one process. Raises TrainingError where the batch cannot be divided evenly.

    config: its batch and accumulate count. ranks: its world counts.
    """
    size, rest = divmod(config.batch, config.accumulate * ranks.world)
    if rest or not size:
        raise TrainingError(
            f"--batch {config.batch} cannot be shared evenly by {ranks.world} processes x {config.accumulate} parts: "
            f"take a multiple of {config.accumulate * ranks.world}"
        )
    return size


def own_numbers(numbers: Iterable[int], batch: int, ranks: Ranks) -> Iterator[int]:
    """The numbers of the draws of this process, one by one: of every global batch its own part in a row.

    numbers: of draws. batch: draws of a global batch. ranks: this process among all.
    """
    per_process = batch // ranks.world
    first = ranks.rank * per_process
    return (n for n in numbers if first <= n % batch < first + per_process)


def seed_dropout(config: TrainConfig, step: int, ranks: Ranks) -> None:
    """Seed what the network itself draws in a step; each process has other pictures, and draws other numbers for them.

    config: its seed. step: from 0. ranks: this process among all.
    """
    torch.manual_seed(config.seed + 1_000_003 * step + ranks.rank)


def pair_numbers(config: TrainConfig, step: int, ranks: Ranks) -> Tensor:
    """The random numbers of a step's pairs: bxNx7 float32 in [0, 1), b pictures of this process, N pairs.

    config: seed, batch and pairs count. step: from 0. ranks: this process among all. They are drawn for the global
    batch, so that any number of processes draws the same.
    """
    generator = torch.Generator().manual_seed(config.seed + 1_000_003 * step)
    numbers = torch.rand(config.batch, config.pairs, RANDOM_COLUMNS, generator=generator)
    return numbers.chunk(ranks.world)[ranks.rank]


def run_notes(
    config: TrainConfig,
    crop: tuple[int, int],
    ranks: Ranks,
    device: torch.device,
    precision: torch.dtype,
    step: int,
    steps: int,
) -> list[str]:
    """What people should know before the first step.

    config: settings. crop: height and width of the pictures, px. ranks: this process among all. device, precision: what
    it computes on and in. step: the steps done before. steps: of the whole run.
    """
    processes = f", {ranks.world} processes" if ranks.world > 1 else ""
    kind = str(precision).removeprefix("torch.")
    of = f"{config.batch} picture{'' if config.batch == 1 else 's'}, {crop[1]}x{crop[0]} px"
    notes = [f"{steps} step{'' if steps == 1 else 's'} of {of}, on {device}{processes} in {kind}"]
    if 0 < step < steps:
        notes.append(f"going on after step {step}")
    elif step >= steps:
        more = last_epochs(config).replace("_", "-")
        why = "this run is finished already"
        if step > steps:  # finished or not: another number of samples makes another last step
            why = (
                f"WARNING: the data is smaller than it was: step {step}, which is done, lies beyond the last of {steps}"
            )
        notes.append(f"{why}; more --{more} continue it, --overwrite starts it anew")
    if ranks.world > 1 and device.type == "cpu" and not config.freeze_batchnorm:
        notes.append("batch norms see each CPU process's share by itself; --freeze-batchnorm avoids that")
    return notes


def overflowed(run: Run, config: TrainConfig) -> str:
    """Why the run stops, and what to try. run: as it stands. config: its rate is named."""
    return (
        f"after step {run.step} the weights are no finite numbers any more, and they were not saved; step "
        f"{run.saved_step} was the last that was. Try a lower --learning-rate (now {config.learning_rate:g})."
    )


def gone_bad(step: int, config: TrainConfig) -> str:
    """Why the run stops, and what to try. step: the last one. config: its rate and precision are named."""
    return (
        f"{PATIENCE} steps in a row gave a loss or gradient that is not a number (the last is step {step}); they were "
        f"skipped, the weights are as before. Try a lower --learning-rate (now {config.learning_rate:g}), or "
        f"--precision float32 (now {config.precision})."
    )
