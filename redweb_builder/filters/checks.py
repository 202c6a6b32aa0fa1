"""Measurements and thresholds -> keep, or the Rejection that says why not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from redweb_builder.config import Thresholds
from redweb_builder.criteria import CRITERIA
from redweb_builder.types import Rejection


@dataclass(frozen=True)
class Check:
    """One limit on one measurement. at_least: the measurement must reach the limit, else it must not exceed it."""

    reason: str
    measurement: str
    limit: float
    at_least: bool

    def slack(self, value: float) -> float:
        """Distance to the limit relative to the larger of both: negative = fails.

        So that half of what is needed and twice what is allowed are as far off, and checks can be compared.
        """
        distance = value - self.limit if self.at_least else self.limit - value
        return distance / max(abs(self.limit), abs(value), 1e-9)


def checks(thresholds: Thresholds) -> list[Check]:
    """The checks that are on, causes before their consequences: the first that fails names the reason."""
    return [
        Check(one.reason, one.measurement, limit, one.at_least)
        for one in CRITERIA
        if (limit := getattr(thresholds, one.threshold)) is not None
    ]


def judge(measurements: Mapping[str, float], thresholds: Thresholds) -> Rejection | None:
    """None = keep. A NaN measurement (no ground for it in this pair) is not held against a pair."""
    for check in checks(thresholds):
        value = measurements[check.measurement]
        if not math.isnan(value) and check.slack(value) < 0:
            return Rejection("filter", check.reason, value, check.limit, f"{check.measurement} {value:.3g}")
    return None


def margin(measurements: Mapping[str, float], thresholds: Thresholds) -> float:
    """The smallest |slack| over the checks: near zero = borderline. Infinite where nothing is checked."""
    slacks = [check.slack(measurements[check.measurement]) for check in checks(thresholds)]
    return min((abs(s) for s in slacks if not math.isnan(s)), default=math.inf)


def quality(measurements: Mapping[str, float]) -> float:
    """One figure in [0, 1] to sort by: how much of the picture two views confirm, and how well they agree."""
    return measurements["coverage"] * measurements["agreement"]
