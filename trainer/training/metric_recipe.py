"""The recipe of metric depth: Eigen, Puhrsch & Fergus, NIPS 2014, "Depth Map Prediction from a Single Image using a
Multi-Scale Deep Network", and the same task for a modern encoder.

Coarse first, then, with that frozen, fine; SGD with momentum 0.9. The rates below are the paper's; it tuned one factor
on all of them, which is `learning_rate`. Coarse convolutions without an ImageNet start learn at the full layers' rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from trainer.config import TrainConfig
from trainer.eigen_geometry import CROP, MAP, TARGET
from trainer.losses import Loss
from trainer.losses.masked import Scalars
from trainer.losses.scale_invariant_log import scale_invariant_log_loss
from trainer.models.eigen import COARSE, FINE, JOINT, BackboneDepth, Eigen, EigenConfig, build
from trainer.models.encoder_weights import load_encoder_weights
from trainer.models.imagenet_start import imagenet_start
from trainer.training.initial import initial_path, start_from
from trainer.training.recipe import ENCODER_RATE, Phase, Recipe, rate_of
from trainer.types import Batch

MOMENTUM = 0.9
CONVOLUTIONS, FULL = 0.001, 0.1  # of the coarse network
FINE_OUTER, FINE_MIDDLE = 0.001, 0.01  # convolutions 1 and 3; 2
COARSE_DECAY, FINE_DECAY = 5e-4, 1e-4  # of weights, not of biases


def metric_depth(config: TrainConfig, mean_map: Tensor) -> Recipe:
    """The recipe of `python cli.py train --model eigen`.

    config: the settings. mean_map: 55x74, mean log depth of the training frames. Raises ValueError (encoder),
    WeightsUnavailable (a path that is none).
    """
    torch.manual_seed(config.seed)
    model = EigenConfig(config.backbone, config.channels)
    network = build(model)
    network.mean_map.copy_(mean_map)
    described = {"name": "eigen", **asdict(model)}
    initial = initial_path(config)
    if isinstance(network, BackboneDepth):
        note = (
            start_from(initial, network, network.network.encoder, described)
            if initial
            else load_encoder_weights(network.network.encoder, network.name, config.encoder_weights)
        )
        network.network.batchnorm_frozen = config.freeze_batchnorm
        phases: tuple[Phase, ...] = (_backbone_phase(config),)
    else:
        assert isinstance(network, Eigen)
        if initial:
            pretrained, note = True, start_from(initial, network, None, described)
        else:
            pretrained, note = imagenet_start(network.coarse, config.encoder_weights)
        phases = _paper_phases(config, CONVOLUTIONS if pretrained else FULL)
    return Recipe(network, described, phases, CROP, (note,))


def scale_invariant_log(z: Tensor, batch: Batch, _: Tensor, weigh_by_pixels: bool = False) -> tuple[Tensor, Scalars]:
    """The loss on log metres.

    z: Bx55x74 or Bx228x304 log metres. batch: inverse depth, Bx228x304. A map of 55x74 is held against labels taken
    directly at its cells, never interpolated. weigh_by_pixels: see `scale_invariant_log_loss`.
    """
    disparity, valid = batch.disparity, batch.valid
    if z.shape[-2:] == MAP:
        disparity, valid = disparity[TARGET], valid[TARGET]
    log_depth = -torch.where(valid, disparity, 1).log()
    return scale_invariant_log_loss(z, log_depth, valid, weigh_by_pixels=weigh_by_pixels)


def _loss(config: TrainConfig) -> Loss:
    return partial(scale_invariant_log, weigh_by_pixels=config.weigh_by_pixels)


def _paper_phases(config: TrainConfig, convolutions: float) -> tuple[Phase, ...]:
    """Coarse and fine, or both at once with the loss on the fine map (as Eigen & Fergus, ICCV 2015, went on to do)."""
    rate, loss = rate_of(config), _loss(config)

    def sgd(*parts: Callable[[Eigen], list[dict[str, Any]]]) -> Callable[[nn.Module], Optimizer]:
        def made(network: nn.Module) -> Optimizer:
            assert isinstance(network, Eigen)
            groups = [group for part in parts for group in part(network)]
            return SGD([group for group in groups if group["params"]], momentum=MOMENTUM, fused=True)

        return made

    def coarse(network: Eigen) -> list[dict[str, Any]]:
        part, factor = network.coarse, config.learning_rate
        full = [part.full6, part.full7]
        return [
            *_groups(list(part.convolutions()), factor * convolutions, COARSE_DECAY),
            *_groups(full, factor * FULL, COARSE_DECAY),
        ]

    def fine(network: Eigen) -> list[dict[str, Any]]:
        part, factor = network.fine, config.learning_rate
        return [
            *_groups([part.conv1, part.conv3], factor * FINE_OUTER, FINE_DECAY),
            *_groups([part.conv2], factor * FINE_MIDDLE, FINE_DECAY),
        ]

    if config.joint:
        return (Phase("joint", config.epochs, loss, sgd(coarse, fine), rate, _at_stage(JOINT)),)
    first = Phase("coarse", config.epochs, loss, sgd(coarse), rate, _at_stage(COARSE))
    second = Phase("fine", config.fine_epochs, loss, sgd(fine), rate, _at_stage(FINE))
    return (first, second) if config.fine_epochs else (first,)


def _backbone_phase(config: TrainConfig) -> Phase:
    """As relative depth is trained: AdamW, a tenth of the rate for what is pretrained."""

    def adamw(network: nn.Module) -> Optimizer:
        assert isinstance(network, BackboneDepth)
        encoder = network.network.encoder
        groups = [
            {"params": list(encoder.parameters()), "lr": ENCODER_RATE * config.learning_rate},
            {"params": network.network.new_layers(), "lr": config.learning_rate},
        ]
        return AdamW(groups, weight_decay=config.weight_decay)

    return Phase(str(config.backbone), config.epochs, _loss(config), adamw, rate_of(config))


def _at_stage(stage: int) -> Callable[[nn.Module], None]:
    def set_stage(network: nn.Module) -> None:
        assert isinstance(network, Eigen)
        network.set_stage(stage)

    return set_stage


def _groups(layers: Sequence[nn.Conv2d | nn.Linear], lr: float, decay: float) -> list[dict[str, Any]]:
    """Weights with decay, biases without."""
    weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
    return [{"params": weights, "lr": lr, "weight_decay": decay}, {"params": biases, "lr": lr, "weight_decay": 0.0}]
