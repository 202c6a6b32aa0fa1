"""The networks of a build: loaded, and what of them and of the settings decides the labels."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, TypeAlias

import torch

from redweb_builder.config import BuildConfig
from redweb_builder.matching.flow import load_flow
from redweb_builder.monocular.estimator import load_depth
from redweb_builder.monocular.memo import MemoizedDepth
from redweb_builder.pipeline import Models
from redweb_builder.segmentation.segmenters import load_segmenter
from redweb_builder.version import FORMAT, METHOD

LoadModels: TypeAlias = Callable[[BuildConfig, torch.device], tuple[Models, dict[str, str]]]


def load_models(config: BuildConfig, device: torch.device) -> tuple[Models, dict[str, str]]:
    """The networks of a build, and a sentence about each for people.

    config: names and weight files. device: where they run. The sentences are by the names that build.json has for them.
    Raises WeightsUnavailable, SettingsError.
    """
    flow, flow_message = load_flow(config.flow, config.flow_weights, device, config.precision, config.jobs)
    segmenter, segmenter_message = load_segmenter(config.segmenter, config.segmenter_weights, device)
    network = load_depth(config.mono, device)
    depth = MemoizedDepth(network) if network else None
    mono_message = depth.name if depth else "no monocular depth network"
    messages = {"flow": flow_message, "segmentation": segmenter_message, "mono": mono_message}
    return Models(flow, segmenter, depth), messages


def identity(config: BuildConfig, models: Models) -> dict[str, Any]:
    """What two runs must share to write into one folder: method, settings, networks and their checksums.

    config: its settings of the method count, not those of speed. models: the loaded flow network and segmenter.
    """
    return {
        "method": METHOD,
        **config.method(),
        "flow": models.flow.name,
        **({"flow_precision": models.flow.precision} if models.flow.precision else {}),
        "flow_weights_sha256": models.flow.weights.sha256 if models.flow.weights else None,
        "segmenter": models.segmenter.name,
        "segmenter_weights_sha256": models.segmenter.weights.sha256 if models.segmenter.weights else None,
        "mono": models.depth.name if models.depth else "none",
        "mono_weights_sha256": models.depth.weights.sha256 if models.depth else None,
    }


def versions() -> dict[str, str]:
    """The versions of the file format, of Python and of the packages on which labels depend, by name."""
    packages = ("redweb-builder", "torch", "torchvision", "opencv-python", "numpy", "pillow")
    return {"format": FORMAT, "python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "not installed as a package"
