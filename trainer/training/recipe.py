"""What a run trains: a network, and the phases it goes through. The loop knows nothing of depth; a recipe does.

The relative-depth recipe is Xian et al. 2018's network with one of the losses, after an optional L2 warm-up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from redweb_builder.errors import SettingsError
from redweb_builder.monocular.network import RedNet, RedNetConfig
from redweb_builder.networks.encoder_input import STRIDE
from trainer.config import TrainConfig
from trainer.losses import LOSSES, Loss
from trainer.models.encoder_weights import load_encoder_weights
from trainer.training.initial import initial_path, start_from

ENCODER_RATE = 0.1  # of the new layers' rate (Ranftl et al. 2022: 1e-5 and 1e-4)


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one loss and one optimiser.

    name: for people. epochs: how long. loss: see losses/. optimiser: made anew for the phase, over the parameters that
    it trains. rate: (step, steps) of the phase -> factor on the learning rates. on_start: makes the network ready for
    the phase, such as freezing a part of it.
    """

    name: str
    epochs: int
    loss: Loss
    optimiser: Callable[[nn.Module], Optimizer]
    rate: Callable[[int, int], float]
    on_start: Callable[[nn.Module], None] = lambda network: None


@dataclass(frozen=True)
class Recipe:
    """network: (Bx3xHxW in [0, 1]) -> BxHxW. model: its name and config, for checkpoints.

    phases: in their order. crop: height and width of its training crops, px. notes: for people.
    """

    network: nn.Module
    model: dict[str, Any]
    phases: tuple[Phase, ...]
    crop: tuple[int, int]
    notes: tuple[str, ...] = ()


def relative_depth(config: TrainConfig) -> Recipe:
    """The recipe of `python cli.py train`. Raises SettingsError (encoder), WeightsUnavailable (a path that is none).

    config: all of its settings.
    """
    torch.manual_seed(config.seed)
    model = RedNetConfig(config.encoder, config.channels)
    network = RedNet(model)
    described = {"name": "rednet", **asdict(model)}
    initial = initial_path(config)
    note = (
        start_from(initial, network, network.encoder, described)
        if initial
        else load_encoder_weights(network.encoder, config.encoder, config.encoder_weights)
    )
    network.batchnorm_frozen = config.freeze_batchnorm
    _try_out(network, config)

    def optimiser(network: nn.Module) -> Optimizer:
        assert isinstance(network, RedNet)
        encoder = [parameter for parameter in network.encoder.parameters() if parameter.requires_grad]
        groups = [
            {"params": encoder, "lr": ENCODER_RATE * config.learning_rate},
            {"params": network.new_layers(), "lr": config.learning_rate},
        ]
        return AdamW([group for group in groups if group["params"]], weight_decay=config.weight_decay)

    def frozen(is_frozen: bool) -> Callable[[nn.Module], None]:
        def on_start(network: nn.Module) -> None:
            assert isinstance(network, RedNet)
            network.encoder.requires_grad_(not is_frozen)
            network.batchnorm_frozen = is_frozen or config.freeze_batchnorm

        return on_start

    steady, rate = rate_of(config, "constant"), rate_of(config)
    possible = (
        Phase("frozen encoder", config.freeze_epochs, LOSSES[config.loss], optimiser, steady, frozen(True)),
        Phase("l2 warm-up", config.l2_epochs, LOSSES["l2"], optimiser, steady, frozen(False)),
        Phase(config.loss, config.epochs, LOSSES[config.loss], optimiser, rate, frozen(False)),
    )
    phases = tuple(phase for phase in possible if phase.epochs)
    return Recipe(network, described, phases, (config.size, config.size), (note,))


@torch.no_grad()
def _try_out(network: nn.Module, config: TrainConfig) -> None:
    """One pass at the size of the crops and one at another shape, as pictures to predict have. Raises SettingsError."""
    for width in (config.size, config.size + STRIDE):
        try:
            network.eval()(torch.zeros(1, 3, config.size, width))
        except Exception as error:  # each network of the libraries raises types of its own
            raise SettingsError(
                f"encoder {config.encoder} does not work on pictures of {width}x{config.size} px ({error}); training "
                "and prediction need one that takes any size, such as resnet50 or tu-convnext_tiny"
            ) from error


def rate_of(config: TrainConfig, schedule: str | None = None) -> Callable[[int, int], float]:
    """The factor on the learning rates at a step: (step, steps) of a phase -> [0, 1].

    config: its warmup is the share of the phase over which the factor rises to 1; after that its schedule holds, or
    `schedule` in its place.
    """
    after = RATES[schedule or config.schedule]

    def rate(step: int, steps: int) -> float:
        return min(1.0, (step + 1) / max(1, round(config.warmup * steps))) * after(step, steps)

    return rate


def constant(step: int, steps: int) -> float:
    """1 at every step. step, steps: as of `rate_of`."""
    return 1.0


def cosine(step: int, steps: int) -> float:
    """Half a cosine from 1 at step 0 to 0 at step `steps`, which is one after the last."""
    return 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


def staircase(step: int, steps: int) -> float:
    """1 at step 0, a tenth from the half of all `steps` on, a hundredth in the last quarter."""
    return float(0.1 ** (int(step >= steps / 2) + int(step >= 3 * steps / 4)))


RATES = {"cosine": cosine, "step": staircase, "constant": constant}
