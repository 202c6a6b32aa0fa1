"""A training run as it stands: the network, its running mean, the counters, and its folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from redweb_builder.files import lock
from trainer.checkpoint import CheckpointError, finish_run, load_state, open_run, save_network, save_state
from trainer.config import TrainConfig
from trainer.training.distributed import Ranks
from trainer.training.precision import PRECISIONS, chosen_precision
from trainer.training.recipe import Phase, Recipe

LEAST_SCALE = 128.0  # of an fp16 loss; overflows at a smaller one are no search any more


class Run:
    """Everything that changes while training, and how it gets to the disk and back.

    step: steps done. saved_step: the step that an interrupted run goes on after.
    skipped, bad: steps skipped in all, and in a row. best: the lowest deciding figure so far.
    figures: of the latest validation. average: the running mean of the weights, which is what is validated and kept.
    phase: the name of the present one; empty before the first, and in states that do not say it.
    """

    def __init__(
        self,
        recipe: Recipe,
        config: TrainConfig,
        out: Path,
        identity: dict[str, object],
        ranks: Ranks,
        device: torch.device,
        overwrite: bool,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the run in `out`, new or to be continued.

        recipe: the network and its phases. config, identity: what makes this run this run. ranks: the processes.
        device: this process's own. overwrite: replace the run in `out`. about: further entries for the headers of its
        checkpoints, plain data. Raises CheckpointError where `out` holds another run, SettingsError for a precision
        that the device cannot have.
        """
        self._lock = locked(out) if ranks.is_main else None
        if self._lock is not None:
            try:
                open_run(out, {**config.identity(), **identity}, overwrite, last_epochs(config))
            except CheckpointError:
                self._lock.release()
                raise
        ranks.barrier()
        self.recipe, self.config, self.out, self.ranks = recipe, config, out, ranks
        self._about = dict(about or {})
        self.network = recipe.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.network, multi_avg_fn=running_mean(config.ema))
        self.step, self.skipped, self.bad, self.best = 0, 0, 0, math.inf
        self.figures: dict[str, float] = {}
        self.phase = ""
        # Other machines may not see the folder.
        self._state = ranks.broadcast(load_state(out) if ranks.is_main else None)
        self.precision = ranks.broadcast(self._chosen_precision(device))
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision is torch.float16)
        if self._state is not None:
            self._load(self._state)
        self.saved_step = self.step
        self.device = device

    def _chosen_precision(self, device: torch.device) -> torch.dtype:
        """That of the settings; "auto" is measured once: a continued run keeps what it began with."""
        begun = str((self._state or {}).get("precision"))
        if self.config.precision == "auto" and begun in PRECISIONS:
            return PRECISIONS[begun]
        return chosen_precision(self.config.precision, device, self.network, self.recipe.crop)

    def _load(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises CheckpointError where it is not this network's."""
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            if state["scaler"]:  # empty where the run was not in fp16 so far
                self.scaler.load_state_dict(state["scaler"])
            self.step, self.skipped, self.bad, self.best = state["counters"]
            self.figures = dict(state["figures"])
            self.phase = state.get("phase", "")
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{self.out / 'state.pt'}: is not of this network ({error}); remove it to start anew"
            ) from error

    def close(self, finished: bool = False) -> None:
        """Let others write to the folder. finished: note that the run has come to its end."""
        if self._lock is not None:
            if finished:
                finish_run(self.out)
            self._lock.release()

    def start_phase(self, phase: Phase, fresh: bool) -> Optimizer:
        """Make network and optimiser ready for a phase: at its start, or (not fresh) where it was interrupted in it.

        The best weights are those of the latest phase, as each goes on from the one before. A set of another size than
        at the interruption has other steps an epoch: where another phase is due for that, it starts afresh.
        """
        for network in (self.network, self.average.module):
            phase.on_start(network)
        self.network.zero_grad(set_to_none=True)  # what this phase leaves alone must not be clipped with the rest
        self.model = self.ranks.wrap_ddp(self.network, self.device)
        optimiser = phase.optimiser(self.network)
        if fresh or phase.name != (self.phase or phase.name):
            self.best, self._state = math.inf, None
        self.phase = phase.name
        return optimiser

    def resume(self, optimiser: Optimizer) -> None:
        """Give an optimiser the state that its phase was interrupted in, if it was; later phases start afresh."""
        if self._state is not None:
            optimiser.load_state_dict(self._state["optimiser"])
            self._state = None

    def take_step(self, optimiser: Optimizer, loss: float) -> float:
        """Clip, step, average; or, where loss or gradient is not a number, leave everything as it was.

        optimiser: of the phase. loss: the mean over all processes, whose gradients are averaged too, so that all of
        them decide alike. Returns the norm of the gradient before it was clipped. fp16 finds its loss scale by
        overflowing: steps lost so are skipped, and not counted as bad while there is scale to give.
        """
        self.scaler.unscale_(optimiser)
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip or math.inf))
        if math.isfinite(loss) and math.isfinite(norm):
            self.scaler.step(optimiser)
            self.average.update_parameters(self.network)
            self.bad = 0
        else:
            searching = self.scaler.is_enabled() and math.isfinite(loss) and self.scaler.get_scale() > LEAST_SCALE
            self.skipped, self.bad = self.skipped + 1, self.bad + (not searching)
            self.restore_buffers()
        self.scaler.update()
        self.step += 1
        return norm

    def has_finite_weights(self) -> bool:
        """Whether the weights and their running mean are numbers: a step of a huge rate may overflow them."""
        networks = (self.network, self.average)
        return all(bool(tensor.isfinite().all()) for network in networks for tensor in network.state_dict().values())

    def keep_best(self, figures: dict[str, float]) -> None:
        """Note what a validation said; the first figure decides, lower being better.

        figures: of the validation, by name.
        """
        self.figures = figures
        deciding = next(iter(figures.values()), math.inf)
        if deciding < self.best:
            self.best = deciding
            self._save_weights("best.safetensors")

    def save(self, optimiser: Optimizer) -> None:
        """Write last.safetensors and state.pt (the leading process). optimiser: of the present phase."""
        if not self.ranks.is_main:
            return
        self._save_weights("last.safetensors")
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "counters": (self.step, self.skipped, self.bad, self.best),
            "figures": self.figures,
            "phase": self.phase,
            "precision": str(self.precision).removeprefix("torch."),
        }
        save_state(self.out, state)
        self.saved_step = self.step

    def _save_weights(self, name: str) -> None:
        about = {"size": self.config.size, "loss": self.config.loss, "step": self.step, "figures": self.figures}
        about |= {"validation": self.config.validation, "test": self.config.test}
        save_network(self.out / name, self.average.module, self.recipe.model, {**about, **self._about})

    @torch.no_grad()
    def restore_buffers(self) -> None:
        """Batch-norm statistics as of the last good step, which the average holds: a pass on NaN spoils them."""
        for mine, kept in zip(self.network.buffers(), self.average.module.buffers(), strict=True):
            mine.copy_(kept)


def locked(out: Path) -> FileLock:
    """The lock of the folder of a run, which is made where it is missing. Raises CheckpointError where it is taken.

    out: folder of the run.
    """
    out.mkdir(parents=True, exist_ok=True)
    held = lock(out / ".lock")
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        raise CheckpointError(f"another training is writing to {out}: wait for it or choose another --out") from error
    return held


def last_epochs(config: TrainConfig) -> str:
    """The setting that holds the epochs of the last phase: a run goes on when it is raised.

    config: its joint and fine_epochs decide.
    """
    return "fine_epochs" if config.fine_epochs and not config.joint else "epochs"


def running_mean(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential moving average of the weights. The first steps weigh less, so that the start is soon forgotten.

    decay: the share of the old mean that each step keeps, in [0, 1).
    """

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(list(averaged), list(current), 1 - now)

    return update
