"""Dense optical flow between the two views, in both directions.

Why flow and not a stereo matcher: web and film stereo has disparities of both signs and small vertical error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from redweb_builder.errors import SettingsError, WeightsUnavailable
from redweb_builder.matching.dis import Dis
from redweb_builder.matching.raft import Raft
from redweb_builder.types import Flow, StereoPair
from redweb_builder.weights import Weights


class FlowEstimator(Protocol):
    """Pairs of any sizes in, their Flow out, in order."""

    @property
    def name(self) -> str:
        """What the manifest calls it."""
        ...

    @property
    def batch(self) -> int:
        """How many pairs at a time make good use of the device."""
        ...

    @property
    def fills_cpu(self) -> bool:
        """True where a call keeps every core busy by itself."""
        ...

    @property
    def needs_refinement(self) -> bool:
        """True where the flow is computed on a coarser grid than the picture and gains from refine_flow()."""
        ...

    @property
    def weights(self) -> Weights | None:
        """The weight file, if it needs one."""
        ...

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """Flow of each pair, in order."""
        ...


def load_flow(choice: str, weights: Path | None, device: torch.device) -> tuple[FlowEstimator, str]:
    """The flow estimator of a config.FLOW_CHOICES name, and a sentence for people about how it was chosen.

    "auto" is raft-large if its weights can be had, else raft-small if its can, else DIS; a weight file given with
    "auto" is loaded as whichever RAFT it fits. Raises WeightsUnavailable for an explicit choice, ValueError
    for weights of a choice that has none.
    """
    if choice == "dis":
        if weights is not None:
            raise SettingsError(f"flow dis needs no weights: leave out {weights}, or name the RAFT that it belongs to")
        return Dis(), "DIS optical flow (OpenCV, built in, no weights)"
    if choice != "auto":
        raft = Raft(choice, weights, device)
        return raft, f"{choice} ({_origin_text(raft.weights)})"
    problems = []
    for name in ("raft-large", "raft-small"):
        try:
            raft = Raft(name, weights, device)
            return raft, f"{name} ({_origin_text(raft.weights)})"
        except WeightsUnavailable as problem:
            problems.append(str(problem))
    if weights is not None:
        raise WeightsUnavailable(problems[-1])
    return Dis(), f"DIS optical flow (built-in default: no RAFT weights could be had; {problems[0]})"


def _origin_text(weights: Weights) -> str:
    where = {"path": "from", "cache": "from the hub's cache:", "hub": "downloaded to"}[weights.origin]
    return f"weights {where} {weights.path}"
