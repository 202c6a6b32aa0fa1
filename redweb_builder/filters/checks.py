"""Measurements and thresholds -> keep, or the Rejection that says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from redweb_builder.config import Thresholds
from redweb_builder.criteria import CRITERIA
from redweb_builder.types import Rejection

Number = TypeVar("Number", float, NDArray[np.float64])
ValuesOf = Callable[[str], NDArray[np.float64]]


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

    def fails(self, value: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of many values do not keep the limit; NaN does. value: N."""
        return value < self.limit if self.at_least else value > self.limit

    def slack(self, value: Number) -> Number:
        """Distance of a value, or of many, to the limit, relative to the larger of both; negative = the check fails.

        Half of a lower limit and twice an upper one are equally far off, so checks can be compared.
        """
        distance = value - self.limit if self.at_least else self.limit - value
        relative: Number = distance / np.maximum(abs(value), max(abs(self.limit), 1e-9))
        return relative

    def detail(self, value: float) -> str:
        """The measurement and a value of it, for people."""
        return f"{self.measurement} {value:.3g}"


def checks(thresholds: Thresholds) -> list[Check]:
    """The checks whose limit in `thresholds` is not None, in the order of CRITERIA: causes before consequences."""
    return [
        Check(criterion.reason, criterion.measurement, limit, criterion.at_least)
        for criterion in CRITERIA
        if (limit := getattr(thresholds, criterion.threshold)) is not None
    ]


def first_failed(limits: Sequence[Check], values_of: ValuesOf, pairs: int) -> NDArray[np.intp]:
    """Of each of many pairs the place of the first check that fails, -1 = none.

    limits: of `checks`. values_of: gives N values of a measurement, by its name. pairs: N.
    """
    left = np.zeros(pairs, np.int8)  # how many checks there are from the first that fails on; 0 = none fails
    for place, check in enumerate(limits):
        fails = check.fails(values_of(check.measurement)).view(np.int8)
        left = np.maximum(left, fails * np.int8(len(limits) - place))  # a tenth of the time of an assignment by mask
    return np.where(left > 0, len(limits) - left.astype(np.intp), -1)


def margins(limits: Sequence[Check], values_of: ValuesOf, pairs: int) -> NDArray[np.float64]:
    """Of each of many pairs the smallest |slack| over the checks; near zero = borderline, infinite = nothing to check.

    limits, values_of, pairs: as of first_failed.
    """
    nearest = np.full(pairs, np.inf)
    for check in limits:
        nearest = np.fmin(nearest, np.abs(check.slack(values_of(check.measurement))))
    return nearest


def judge(measurements: Mapping[str, float], thresholds: Thresholds) -> Rejection | None:
    """The Rejection of the first check that fails; None = keep.

    measurements: by name, of `measure`. thresholds: the limits. A NaN measurement fails no check.
    """
    limits = checks(thresholds)
    place = int(first_failed(limits, lambda name: np.array([measurements[name]]), 1)[0])
    if place < 0:
        return None
    check = limits[place]
    value = measurements[check.measurement]
    return Rejection("filter", check.reason, value, check.limit, check.detail(value))


def margin(measurements: Mapping[str, float], thresholds: Thresholds) -> float:
    """The smallest |slack| over the checks that are on; near zero = a borderline pair, infinite = nothing to check.

    measurements: by name, of `measure`. thresholds: the limits.
    """
    return float(margins(checks(thresholds), lambda name: np.array([measurements[name]]), 1)[0])


def quality(measurements: Mapping[str, float]) -> float:
    """A figure in [0, 1] to sort pairs by: coverage x agreement. measurements: by name, of `measure`."""
    return measurements["coverage"] * measurements["agreement"]
