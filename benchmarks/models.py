"""The networks of a configuration, for benchmarks that run the pipeline themselves."""

from __future__ import annotations

from redweb_builder.config import BuildConfig
from redweb_builder.matching.flow import load_flow
from redweb_builder.monocular.estimator import load_depth
from redweb_builder.networks.device import choose_device
from redweb_builder.pipeline import Models
from redweb_builder.segmentation.segmenters import load_segmenter


def load_models(config: BuildConfig) -> Models:
    """Flow, segmenter and depth network, on the device that is asked for. config: of a build."""
    device = choose_device(config.device)
    return Models(
        load_flow(config.flow, config.flow_weights, device)[0],
        load_segmenter(config.segmenter, config.segmenter_weights, device)[0],
        load_depth(config.mono, device),
    )
