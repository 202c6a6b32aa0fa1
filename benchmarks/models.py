"""The networks of a configuration, for benchmarks that run the pipeline themselves."""

from __future__ import annotations

from dataclasses import replace

from redweb_builder.builder import models
from redweb_builder.config import BuildConfig
from redweb_builder.monocular.memo import MemoizedDepth
from redweb_builder.networks.device import choose_device
from redweb_builder.pipeline import Models


def load_models(config: BuildConfig) -> Models:
    """Flow, segmenter and depth network, on the device that is asked for. config: of a build.

    The depth network keeps nothing: a second pass over the same pairs, which is the one that is timed, would find what
    the first one kept and cost nothing.
    """
    loaded = models.load_models(config, choose_device(config.device))[0]
    depth = loaded.depth.network if isinstance(loaded.depth, MemoizedDepth) else loaded.depth
    return replace(loaded, depth=depth)
