"""Which samples of a set are trained on, validated on and evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from redweb_builder.dataset.manifest import BLOCK_ROWS
from redweb_builder.dataset.splits import held_out, k_folds
from redweb_builder.errors import SettingsError
from trainer.config import PARTS, TrainConfig
from trainer.data.depth_set import DepthSet
from trainer.types import DataError

T = TypeVar("T")


def split(data: DepthSet, fraction: float, test_fraction: float = 0.0) -> tuple[list[int], list[int]]:
    """Indices to train on and to validate on.

    data: the set; nothing is read but its names. A set's own parts are kept (nothing of a "test" part is in either).
    Where the set leaves it to us, `fraction` of the samples goes to validation and `test_fraction` to the test part, in
    whole groups, by redweb_builder/dataset/splits.py.
    """
    parts = three_parts(data, fraction, test_fraction)
    return parts["train"], parts["val"]


def three_parts(data: DepthSet, fraction: float, test_fraction: float) -> dict[str, list[int]]:
    """The indices of "train", "val" and "test", as `split` makes them.

    data, fraction, test_fraction: see `split`.
    """
    parts = np.array([data.part(index) for index in range(len(data))], object)
    free = np.flatnonzero([part is None for part in parts])
    held, tested = held_out(_groups(data, free), fraction, test_fraction)
    parts[free] = np.where(held, "val", np.where(tested, "test", "train"))
    return {name: np.flatnonzero(parts == name).tolist() for name in ("train", "val", "test")}


def folds(data: DepthSet, count: int) -> list[list[int]]:
    """The indices of a set in parts of about equal size, for cross-validation; no group lies in two of them.

    data: nothing is read but its names. count: of parts, 2 or more. Raises DataError where there are fewer groups.
    """
    groups = _groups(data, np.arange(len(data)))
    if (scenes := len(groups.unique())) < count:
        raise DataError(f"{data.name}: has {scenes} scenes, too few for {count} parts")
    parts = k_folds(groups, count)
    return [np.flatnonzero(parts == part).tolist() for part in range(count)]


def _groups(data: DepthSet, indices: NDArray[np.int64]) -> pa.ChunkedArray:
    """The groups of some samples, some at a time: in a list each name takes 60 bytes."""
    parts = (indices[start : start + BLOCK_ROWS].tolist() for start in range(0, len(indices), BLOCK_ROWS))
    return pa.chunked_array([pa.array(map(data.group, part), pa.string()) for part in parts], pa.string())


def samples_of(data: DepthSet, part: str, validation_fraction: float, test_fraction: float = 0.0) -> list[int]:
    """The indices of "all", "train", "val", "test" (own, or made by `split`), or "auto": test, else own val, else all.

    data: no sample of it is read. part: one of these words. validation_fraction, test_fraction: the shares that `split`
    holds out, 0 to 1. Raises DataError where there are none.
    """
    choices = {"all": list(range(len(data))), **three_parts(data, validation_fraction, test_fraction)}
    own_validation = [index for index in range(len(data)) if data.part(index) == "val"]
    choices["auto"] = choices["test"] or own_validation or choices["all"]
    if not choices[part]:
        raise DataError(f"{data.name}: it has no samples of part {part!r}")
    return choices[part]


@dataclass(frozen=True)
class Selection:
    """Which samples of a set are evaluated.

    part, validation_fraction, test_fraction: see `samples_of`. limit: at most so many samples, evenly chosen; None =
    all.
    """

    part: str = PARTS[0]
    validation_fraction: float = TrainConfig.validation
    limit: int | None = None
    test_fraction: float = TrainConfig.test

    def __post_init__(self) -> None:
        """Raise SettingsError for a share out of range."""
        for name, share in (("validation", self.validation_fraction), ("test", self.test_fraction)):
            if not 0 <= share < 1:
                raise SettingsError(f"{name} {share}: must be from 0 to below 1")

    def indices(self, data: DepthSet) -> list[int]:
        """The samples of a set. Raises DataError where there are none. data: no sample is read."""
        return evenly_spaced(samples_of(data, self.part, self.validation_fraction, self.test_fraction), self.limit)


def evenly_spaced(items: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` of the items, evenly chosen."""
    if limit is None or len(items) <= limit:
        return list(items)
    return [items[int(at)] for at in np.linspace(0, len(items) - 1, limit)]
