"""The networks of a configuration, for benchmarks that run the pipeline themselves."""

from __future__ import annotations

from redweb_builder.builder import models
from redweb_builder.config import BuildConfig
from redweb_builder.networks.device import choose_device
from redweb_builder.pipeline import Models


def load_models(config: BuildConfig) -> Models:
    """Flow, segmenter and depth network, on the device that is asked for. config: of a build."""
    return models.load_models(config, choose_device(config.device))[0]
