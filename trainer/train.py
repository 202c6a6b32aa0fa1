"""From data and settings to a running loop: what `python cli.py train` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from redweb_builder.types import FloatMap, Picture
from trainer.config import TrainConfig
from trainer.data.depth_set import DepthSet
from trainer.data.eigen_transforms import Augmentation, Warp, apply_warp
from trainer.data.metric_frames import MetricFrames
from trainer.data.open import open_data
from trainer.data.sample_stream import SampleStream, Source
from trainer.data.splits import evenly_spaced, split
from trainer.data.transforms import augmentation, resize_only
from trainer.eigen_geometry import MAP, TARGET
from trainer.evaluation.sanity import check_labels
from trainer.evaluation.validation import make_metric_validator, make_validator
from trainer.progress import Progress, Summary
from trainer.training.loop import train
from trainer.training.metric_recipe import metric_depth
from trainer.training.recipe import relative_depth
from trainer.types import DataError, DepthSample

MOST_VALIDATED = 654  # frames of a set in a validation while training; so many does NYU Depth v2 test on


def train_relative_depth(
    data: Sequence[tuple[Path, float]],
    config: TrainConfig,
    out: Path,
    *,
    overwrite: bool = False,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Summary:
    """Train on one or several sets of relative depth.

    data: folder or file of each set, and its weight: how often an epoch its samples are drawn. config: the settings.
    out: the folder of the run. overwrite: replace the run there. watch: called after every step. A fraction of each set
    is held out, by the set's own split or by whole groups, and validated on. Raises DataError, ValueError,
    WeightsUnavailable, CheckpointError, TrainingError.
    """
    sources, validation, notes = opened_sets(data, config)
    for source in sources:
        notes += check_labels(source.data, source.indices)
    transform = augmentation(config.size) if config.augment else resize_only(config.size)
    stream = SampleStream(sources, transform, config.seed)
    if not any(held_out for _, held_out in validation):
        notes.append("nothing is held out: validation is on the training pictures themselves, and says little")
        validation = [(source.data, list(source.indices)) for source in sources]
    return train(
        relative_depth(config),
        stream,
        make_validator(validation, config.size),
        config,
        out,
        identity=identity_of(data, sources),
        notes=notes,
        overwrite=overwrite,
        watch=watch,
    )


def train_metric_depth(
    data: Sequence[tuple[Path, float]],
    config: TrainConfig,
    out: Path,
    *,
    overwrite: bool = False,
    watch: Callable[[Progress], None] = lambda _: None,
    reading: Callable[[int, int], None] = lambda done, of: None,
) -> Summary:
    """Train Eigen et al. 2014's network, or the one with a backbone, on one or several sets with depth in metres.

    data, config, out, overwrite, watch: see `train_relative_depth`. reading: (frames read, of all of a set). Frames are
    read once, before the first step.
    """
    opened, validation, notes = opened_sets(data, config)
    sources, shown_frames = [], []
    for source, (_, held_out) in zip(opened, validation, strict=True):
        shown = evenly_spaced(held_out, MOST_VALIDATED)
        frames = MetricFrames(source.data, [*shown, *source.indices], reading)
        sources.append(Source(frames, source.indices, source.weight))
        shown_frames.append((frames, shown))
        notes += check_labels(frames, source.indices)
    if not any(shown for _, shown in shown_frames):
        raise DataError("nothing is held out to validate on: --validation must be above 0")
    stream = SampleStream(sources, Augmentation(random=config.augment), config.seed)
    return train(
        metric_depth(config, mean_log_depth(sources)),
        stream,
        make_metric_validator(shown_frames),
        config,
        out,
        identity=identity_of(data, sources),
        notes=notes,
        overwrite=overwrite,
        watch=watch,
    )


def mean_log_depth(sources: Sequence[Source[MetricFrames]], most: int = 2000) -> Tensor:
    """Mean log depth of the training frames at every cell of the centre crop: 55x74 float32, log metres.

    sources: the training frames. most: frames of a set at most, evenly chosen.
    """
    total, count = np.zeros(MAP), np.zeros(MAP)
    for source in sources:
        for index in evenly_spaced(source.indices, most):
            _, crop = apply_warp(*_labelled(source.data[index]), Warp())
            logs = -np.log(crop[..., 0][TARGET])
            total += np.nan_to_num(logs)
            count += np.isfinite(logs)
    overall = total.sum() / max(count.sum(), 1)
    return torch.from_numpy(np.where(count > 0, total / np.maximum(count, 1), overall)).float()


def opened_sets(
    data: Sequence[tuple[Path, float]], config: TrainConfig
) -> tuple[list[Source[DepthSet]], list[tuple[DepthSet, list[int]]], list[str]]:
    """Open the sets: what to train on, what is held out of each, and what to tell people.

    data: path and weight of each set. config: says what fraction is held out. Raises DataError.
    """
    sources, validation, notes = [], [], []
    for path, weight in data:
        opened = open_data(path)
        training, held_out = split(opened, config.validation)
        if not training:
            raise DataError(f"{path}: has no samples to train on (test parts are never trained on)")
        sources.append(Source(opened, training, weight))
        validation.append((opened, held_out))
        weighted = f", weight {weight:g}" if weight != 1 else ""
        notes.append(
            f"{path}: {type(opened).__name__}, {len(training)} to train on, {len(held_out)} held out{weighted}"
        )
    return sources, validation, notes


def identity_of(data: Sequence[tuple[Path, float]], sources: Sequence[Source[Any]]) -> dict[str, object]:
    """The data of a run, for its run.json."""
    rows = [[str(path), weight, len(source.indices)] for (path, weight), source in zip(data, sources, strict=True)]
    return {"data": rows}


def _labelled(sample: DepthSample) -> tuple[Picture, FloatMap]:
    return sample.image, np.ascontiguousarray(sample.disparity[..., None])
