"""Which samples of a set are trained on, validated on and evaluated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from trainer.config import PARTS, TrainConfig
from trainer.data.depth_set import DepthSet
from trainer.types import DataError

T = TypeVar("T")


def split(data: DepthSet, fraction: float) -> tuple[list[int], list[int]]:
    """Indices to train on and to validate on.

    data: the set; nothing is read but its names. A set's own parts are kept (nothing of a "test" part is in either).
    Where the set leaves it to us, whole groups go to validation, in the order of a hash of their names, until they hold
    `fraction` of the samples: the same choice everywhere and whatever else is in the folder. Both sides get something
    where there are two groups at all.
    """
    parts = [data.part(index) for index in range(len(data))]
    train = [index for index, part in enumerate(parts) if part == "train"]
    validation = [index for index, part in enumerate(parts) if part == "val"]
    free = [index for index, part in enumerate(parts) if part is None]
    groups: dict[str, list[int]] = {}
    for index in free:
        groups.setdefault(data.group(index), []).append(index)
    held: list[int] = []
    for name in sorted(groups, key=_hash)[: max(len(groups) - 1, 0)]:
        if fraction <= 0 or len(held) >= fraction * len(free):
            break
        held += groups[name]
    return sorted(train + list(set(free) - set(held))), sorted(validation + held)


def samples_of(data: DepthSet, part: str, validation_fraction: float) -> list[int]:
    """The indices of "all", "train", "val" (own, or held out by `split`), "test", or "auto": test, else val, else all.

    data: no sample of it is read. part: one of these words. validation_fraction: the share that `split` holds out, 0 to
    1. Raises DataError where there are none.
    """
    train, validation = split(data, validation_fraction)
    choices = {
        "all": list(range(len(data))),
        "train": train,
        "val": validation,
        "test": [index for index in range(len(data)) if data.part(index) == "test"],
    }
    own_validation = [index for index in range(len(data)) if data.part(index) == "val"]
    choices["auto"] = choices["test"] or own_validation or choices["all"]
    if not choices[part]:
        raise DataError(f"{data.name}: it has no samples of part {part!r}")
    return choices[part]


@dataclass(frozen=True)
class Selection:
    """Which samples of a set are evaluated.

    part, validation_fraction: see `samples_of`. limit: at most so many samples, evenly chosen; None = all.
    """

    part: str = PARTS[0]
    validation_fraction: float = TrainConfig.validation
    limit: int | None = None

    def indices(self, data: DepthSet) -> list[int]:
        """The samples of a set. Raises DataError where there are none. data: no sample is read."""
        return evenly_spaced(samples_of(data, self.part, self.validation_fraction), self.limit)


def evenly_spaced(items: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` of the items, evenly chosen."""
    if limit is None or len(items) <= limit:
        return list(items)
    return [items[int(at)] for at in np.linspace(0, len(items) - 1, limit)]


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
