"""What a run reports while it goes and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from redweb_builder.types import Picture


@dataclass(frozen=True)
class Validation:
    """figures: of the network on what was held out; the first one decides which is best, lower being better.

    sheet: a picture to look at, HxWx3 uint8 RGB. unread: why samples were left out, a sentence each.
    """

    figures: dict[str, float]
    sheet: Picture | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """What a run shows.

    step, steps: done, and of the whole run. phase: its name. numbers: of this step, "loss" among them. rate: steps a
    second since the start. skipped: steps skipped so far. validation: where this step had one. notes: lines for people.
    saved_step: the step that an interrupted run goes on after.
    """

    step: int
    steps: int
    phase: str
    numbers: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    skipped: int = 0
    validation: Validation | None = None
    notes: tuple[str, ...] = ()
    saved_step: int = 0


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    out: folder of the run. steps, skipped: done, and skipped among them. best: the deciding figure of best.safetensors.
    figures: of the last validation. seconds: of this start.
    is_main: whether this process speaks for all. unread: samples, trained or validated on, that could not be read and
    were left out.
    """

    out: Path
    steps: int
    best: float
    figures: dict[str, float]
    skipped: int
    seconds: float
    is_main: bool
    unread: int = 0


Validator = Callable[[nn.Module, torch.device], Validation]
Watch = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Show nothing."""
