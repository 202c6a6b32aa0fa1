"""From data and settings to a running loop: what `python cli.py train` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from trainer.config import TrainConfig
from trainer.data.draws import Draws, Source
from trainer.data.sets import look_over, open_data, split
from trainer.data.transforms import augmentation, squeezed
from trainer.evaluate import judge_on
from trainer.loop import train
from trainer.progress import Progress, Summary
from trainer.recipe import relative_depth
from trainer.types import DataError


def weighted_path(told: str) -> tuple[Path, float]:
    """ "PATH" or "PATH=WEIGHT" -> path and weight (1 without one). Raises ValueError for a weight that is none."""
    path, equals, weight = told.rpartition("=")
    if not equals or Path(told).exists():
        return Path(told), 1.0
    try:
        value = float(weight)
    except ValueError as error:
        raise ValueError(f"--data {told}: the weight after = must be a number") from error
    if not value > 0:
        raise ValueError(f"--data {told}: the weight must be above 0")
    return Path(path), value


def train_relative_depth(
    data: Sequence[tuple[Path, float]],
    config: TrainConfig,
    out: Path,
    *,
    overwrite: bool = False,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Summary:
    """Train on one or several sets, each with its weight: how often an epoch its samples are drawn.

    A share of each set is held out, by the set's own split or by whole groups, and validated on. Raises DataError,
    ValueError, WeightsUnavailable, CheckpointError, TrainingError.
    """
    sources, validation, notes = [], [], []
    for path, weight in data:
        opened = open_data(path)
        training, held_out = split(opened, config.validation)
        if not training:
            raise DataError(f"{path}: has no samples to train on (test parts are never trained on)")
        sources.append(Source(opened, training, weight))
        validation.append((opened, held_out))
        told = f", weight {weight:g}" if weight != 1 else ""
        notes.append(f"{path}: {type(opened).__name__}, {len(training)} to train on, {len(held_out)} held out{told}")
        notes += look_over(opened, training)
    draws = Draws(sources, augmentation(config.size) if config.augment else squeezed(config.size), config.seed)
    if not any(held_out for _, held_out in validation):
        notes.append("nothing is held out: validation is on the training pictures themselves, and says little")
        validation = [(source.data, source.indices) for source in sources]  # type: ignore[misc]
    identity: dict[str, object] = {
        "data": [[str(path), weight, len(source.indices)] for (path, weight), source in zip(data, sources, strict=True)]
    }
    return train(
        relative_depth(config),
        draws,
        judge_on(validation, config.size),
        config,
        out,
        identity=identity,
        notes=notes,
        overwrite=overwrite,
        watch=watch,
    )
