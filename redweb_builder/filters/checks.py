"""Measurements and thresholds -> keep, or the Rejection that says why not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from redweb_builder.config import Thresholds
from redweb_builder.criteria import CRITERIA
from redweb_builder.types import Rejection

Number = TypeVar("Number", float, NDArray[np.float64])


@dataclass(frozen=True)
class Check:
    """A limit on a measurement.

    reason: code of the rejection. measurement: its name. limit: in the unit of the measurement. at_least: True where
    the measurement must reach the limit, False where it must not exceed it.
    """

    reason: str
    measurement: str
    limit: float
    at_least: bool

    def slack(self, value: Number) -> Number:
        """Distance of a value, or of many, to the limit, relative to the larger of both; negative = the check fails.

        Half of a lower limit and twice an upper one are equally far off, so checks can be compared.
        """
        distance = value - self.limit if self.at_least else self.limit - value
        relative: Number = distance / np.maximum(abs(value), max(abs(self.limit), 1e-9))
        return relative


def checks(thresholds: Thresholds) -> list[Check]:
    """The checks whose limit in `thresholds` is not None, in the order of CRITERIA: causes before consequences."""
    return [
        Check(criterion.reason, criterion.measurement, limit, criterion.at_least)
        for criterion in CRITERIA
        if (limit := getattr(thresholds, criterion.threshold)) is not None
    ]


def judge(measurements: Mapping[str, float], thresholds: Thresholds) -> Rejection | None:
    """The Rejection of the first check that fails; None = keep.

    measurements: by name, of `measure`. thresholds: the limits. A NaN measurement fails no check.
    """
    for check in checks(thresholds):
        value = measurements[check.measurement]
        if not math.isnan(value) and check.slack(value) < 0:
            return Rejection("filter", check.reason, value, check.limit, f"{check.measurement} {value:.3g}")
    return None


def margin(measurements: Mapping[str, float], thresholds: Thresholds) -> float:
    """The smallest |slack| over the checks that are on; near zero = a borderline pair, infinite = nothing to check.

    measurements: by name, of `measure`. thresholds: the limits.
    """
    slacks = [check.slack(measurements[check.measurement]) for check in checks(thresholds)]
    return min((abs(slack) for slack in slacks if not math.isnan(slack)), default=math.inf)


def quality(measurements: Mapping[str, float]) -> float:
    """A figure in [0, 1] to sort pairs by: coverage x agreement. measurements: by name, of `measure`."""
    return measurements["coverage"] * measurements["agreement"]
