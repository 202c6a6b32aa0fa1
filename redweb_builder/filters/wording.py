"""What people read about a measurement: its name, its unit, one sentence. Used by the report and the review page."""

from __future__ import annotations

from redweb_builder.criteria import CRITERIA, DERIVED, MEASUREMENTS, OTHER_REASONS, Measurement
from redweb_builder.filters.checks import Check

_BY_NAME = {measurement.name: measurement for measurement in (*MEASUREMENTS, *DERIVED)}


def wording(name: str) -> Measurement:
    """The title, unit and meaning of a column of numbers, by its name in the manifest; an unknown one has its name."""
    return _BY_NAME.get(name, Measurement(name, name, "", ""))


def value_text(name: str, value: float) -> str:
    """A measurement with its unit: "87 %", "12.4 px".

    name: its column. value: in the unit of the column; a share lies in [0, 1].
    """
    unit = wording(name).unit
    if unit == "share":
        return f"{100 * value:.3g} %"
    sign = {"degrees": "°", "percent": " %", "px": " px", "stops": " stop" if value == 1 else " stops"}.get(unit, "")
    return f"{value:.3g}{sign}"


def limit_text(check: Check) -> str:
    """A limit in words: "at least 60 %". check: a limit with its direction and measurement."""
    return f"at {'least' if check.at_least else 'most'} {value_text(check.measurement, check.limit)}"


REASONS = {criterion.reason: criterion.meaning for criterion in (*CRITERIA, *OTHER_REASONS)}
# What a person may say of a label that the filters let through; the first nine have a key each on the review page.
PEOPLE_SAY = (
    "wrong-depth",
    "wrong-edges",
    "wrong-sky",
    "things-moved",
    "reflections",
    "not-stereo",
    "poor-picture",
    "duplicate",
    "unsuitable",
)
