"""From data and settings to a running loop: what `python cli.py train` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from redweb_builder.inputs.remote import shown
from redweb_builder.types import FloatMap, Picture
from trainer.config import CHECKS, TrainConfig
from trainer.data.check import check_samples, readable_samples
from trainer.data.depth_scale import parse_scale
from trainer.data.depth_set import DepthSet
from trainer.data.eigen_transforms import Augmentation, Warp, apply_warp
from trainer.data.marks import mark_of, pack_marks
from trainer.data.metric_frames import MetricFrames
from trainer.data.open import open_data
from trainer.data.readers.built import LabelUse
from trainer.data.sample_stream import SampleStream, Source, balanced
from trainer.data.splits import evenly_spaced, split
from trainer.data.transforms import augmentation
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
    check: str = CHECKS[0],
    watch: Callable[[Progress], None] = lambda _: None,
    reading: Callable[[int, int], None] = lambda done, of: None,
) -> Summary:
    """Train on one or several sets of relative depth.

    data: folder or file of each set, and its weight: how often an epoch its samples are drawn. config: the settings.
    out: the folder of the run. overwrite: replace the run there. check: of the files, before the first step, see
    data/check.py. watch: called after every step. reading: (samples checked, of all of a set). A fraction of each set
    is held out, by the set's own split or by whole groups, and validated on. Raises DataError, SettingsError,
    WeightsUnavailable, CheckpointError, TrainingError.
    """
    sources, validation, notes = opened_sets(data, config)
    for source, (_, held_out) in zip(sources, validation, strict=True):
        notes += left_out(source.data, check_samples(source.data, [*source.indices, *held_out], check, reading))
        notes += check_labels(source.data, source.indices, refuse=check != "none")
    stream = SampleStream(sources, augmentation(config.augment, config.size), config.seed)
    if not any(held_out for _, held_out in validation):
        notes.append("nothing is held out: validation is on the training pictures themselves, and says little")
        validation = [(source.data, list(source.indices)) for source in sources]
    return train(
        relative_depth(config),
        stream,
        make_validator(validation, config.size),
        config,
        out,
        identity=identity_of(data),
        about=trained_on(sources),
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
    check: str = CHECKS[0],
    watch: Callable[[Progress], None] = lambda _: None,
    reading: Callable[[int, int], None] = lambda done, of: None,
) -> Summary:
    """Train Eigen et al. 2014's network, or the one with a backbone, on one or several sets with depth in metres.

    data, config, out, overwrite, check, watch: see `train_relative_depth`. reading: (frames read, of all of a set).
    Frames are read once, before the first step.
    """
    opened, validation, notes = opened_sets(data, config)
    sources, shown_frames = [], []
    for source, (_, held_out) in zip(opened, validation, strict=True):
        shown = evenly_spaced(held_out, MOST_VALIDATED)
        frames = MetricFrames(source.data, [*shown, *source.indices], reading)
        sources.append(Source(frames, source.indices, source.weight))
        shown_frames.append((frames, [index for index in shown if index not in frames.broken]))
        notes += left_out(frames, list(frames.broken.values()))
        notes += check_labels(frames, source.indices, refuse=check != "none")
    if not any(shown for _, shown in shown_frames):
        why = "the frames to train on are all of one scene" if config.validation else "--validation must be above 0"
        raise DataError(f"nothing is held out to validate on: {why}")
    stream = SampleStream(sources, Augmentation(random=config.augment != "none"), config.seed)
    return train(
        metric_depth(config, mean_log_depth(sources)),
        stream,
        make_metric_validator(shown_frames),
        config,
        out,
        identity=identity_of(data),
        about=trained_on(sources),
        notes=notes,
        overwrite=overwrite,
        watch=watch,
    )


def mean_log_depth(sources: Sequence[Source[MetricFrames]], most: int = 2000) -> Tensor:
    """Mean log depth of the training frames at every cell of the centre crop: 55x74 float32, log metres.

    sources: the training frames. most: frames of a set at most, evenly chosen. Raises DataError where too many of them
    cannot be read.
    """
    total, count = np.zeros(MAP), np.zeros(MAP)
    for source in sources:
        chosen = [index for index in evenly_spaced(source.indices, most) if index not in source.data.broken]
        for _, sample in readable_samples(source.data, chosen, []):  # those not read ahead may be broken, too
            _, crop = apply_warp(*_labelled(sample), Warp())
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
    notes: list[str] = []
    sources, validation = [], []
    scale = parse_scale(config.depth_scale) if config.depth_scale else None
    use = LabelUse(config.min_confidence, config.measured_only, config.weigh_by_confidence)
    for path, weight in data:
        opened = open_data(path, scale, use)
        training, held_out = split(opened, config.validation, config.test)
        if not training:
            raise DataError(f"{shown(path)}: has no samples to train on (test parts are never trained on)")
        sources.append(Source(opened, training, weight))
        validation.append((opened, held_out))
        notes += opened.notes
        weighted = f", weight {weight:g}" if weight != 1 else ""
        notes.append(
            f"{shown(path)}: {type(opened).__name__}, {len(training)} to train on, {len(held_out)} held out{weighted}"
        )
    return balanced(sources) if config.balance else sources, validation, notes


def left_out(data: DepthSet, faults: Sequence[str]) -> list[str]:
    """What to tell people of samples that cannot be read. faults: a sentence each. data: named in the line."""
    if not faults:
        return []
    what = "sample cannot be read and is" if len(faults) == 1 else "samples cannot be read and are"
    return [f"WARNING: {data.name}: {len(faults)} {what} left out (first: {faults[0]})"]


def identity_of(data: Sequence[tuple[Path, float]]) -> dict[str, object]:
    """The data of a run, for its run.json: a sample that is mended, removed or added makes no other run of it."""
    return {"data": [[str(path), weight] for path, weight in data]}


def trained_on(sources: Sequence[Source[Any]]) -> dict[str, object]:
    """The marks of the training samples, for the headers of checkpoints.

    sources: the sets with the indices that are trained on.
    """
    return {"trained_on": pack_marks(mark_of(source.data, index) for source in sources for index in source.indices)}


def _labelled(sample: DepthSample) -> tuple[Picture, FloatMap]:
    return sample.image, np.ascontiguousarray(sample.disparity[..., None])
