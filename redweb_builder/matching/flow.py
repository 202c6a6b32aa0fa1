"""Dense optical flow between the two views, in both directions.

Flow comes before stereo matching because web and film stereo has disparities of both signs and vertical errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch

from redweb_builder.config import AUTO_PRECISION, is_exported_flow
from redweb_builder.errors import SettingsError, WeightsUnavailable
from redweb_builder.matching.dis import Dis
from redweb_builder.matching.exported import ExportedFlow
from redweb_builder.matching.raft import Raft
from redweb_builder.networks.weights import Weights
from redweb_builder.types import Flow, StereoPair


class FlowEstimator(Protocol):
    """Takes pairs of any sizes and returns the Flow of each, at its size, in their order."""

    @property
    def name(self) -> str:
        """Name in the manifest."""
        ...

    @property
    def batch(self) -> int:
        """Number of pairs that one call should get to use the device well."""
        ...

    @property
    def fills_cpu(self) -> bool:
        """True where a call keeps every core busy, so that other threads should wait for it."""
        ...

    @property
    def needs_refinement(self) -> bool:
        """True where the flow is computed on a coarser grid than the picture and gains from refine_flow()."""
        ...

    @property
    def precision(self) -> str | None:
        """Of its arithmetic, "float32" or "bf16", where labels depend on it; None where it has no choice."""
        ...

    @property
    def weights(self) -> Weights | None:
        """The weight file; None for an estimator without weights."""
        ...

    def __call__(self, pairs: Sequence[StereoPair]) -> list[Flow]:
        """Flow of each pair, in both directions, in the order of the pairs."""
        ...


def load_flow(
    choice: str,
    weights: Path | None,
    device: torch.device,
    precision: str = AUTO_PRECISION,
    cores: int | None = None,
) -> tuple[FlowEstimator, str]:
    """Load a flow estimator; return it and a sentence for people about how it was chosen.

    choice: a name of config.FLOW_CHOICES, or the file of a network of the user's, "onnx:FILE". "auto" is raft-large if
    its weights can be had, else raft-small if its can, else DIS. weights: a file to load in place of the published
    weights; with "auto" it is loaded as the RAFT that it fits. device: where a network runs. precision: of a RAFT, one
    of config.PRECISIONS. cores: of Dis. Raises WeightsUnavailable where an explicit choice or a given file cannot be
    loaded, SettingsError for a weight file with a flow that takes none.
    """
    if is_exported_flow(choice):
        if weights is not None:
            raise SettingsError(f"the file of {choice} holds its weights: leave out {weights}")
        network = ExportedFlow(choice, device)
        return network, f"{network.name} ({network.described.output} network; {network.trial})"
    if choice == "dis":
        if weights is not None:
            raise SettingsError(f"flow dis needs no weights: leave out {weights}, or name the RAFT that it belongs to")
        return Dis(cores), "DIS optical flow (OpenCV, built in, no weights)"
    if choice != "auto":
        return _raft(choice, weights, device, precision)
    problems = []
    for name in ("raft-large", "raft-small"):
        try:
            return _raft(name, weights, device, precision)
        except WeightsUnavailable as problem:
            problems.append(str(problem))
    if weights is not None:
        raise WeightsUnavailable(problems[-1])
    return Dis(cores), f"DIS optical flow (built-in default: no RAFT weights could be had; {problems[0]})"


def _raft(name: str, weights: Path | None, device: torch.device, precision: str) -> tuple[Raft, str]:
    raft = Raft(name, weights, device, precision)
    return raft, f"{name} ({raft.precision}; {_origin_text(raft.weights)})"


def _origin_text(weights: Weights) -> str:
    where = {"path": "from", "cache": "from the hub's cache:", "hub": "downloaded to"}[weights.origin]
    return f"weights {where} {weights.path}"
