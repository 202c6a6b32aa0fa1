"""The pairs of a data set as the report and the review page hold them: columns named once, a list of values a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redweb_builder.criteria import CROSS_AGREEMENT, FLICKER
from redweb_builder.dataset.manifest import MEASUREMENTS
from redweb_builder.filters.checks import Check
from redweb_builder.filters.wording import REASONS, limit_text, wording
from redweb_builder.inspect.strip import CELL_HEIGHT, CELL_WIDTH, COLUMNS, GAP

BORDERLINE = 0.1  # a margin; a pair this near to it, on either side, is worth a review
NUMBERS = ("quality", "margin", *MEASUREMENTS)
OF_SOME = (FLICKER, CROSS_AGREEMENT)  # shown where a pair has them: frames of films, curated sets
TEXTS = ("key", "status", "stage", "reason", "detail", "left", "right", "width", "height", "layout", "rule")


def table(pairs: Sequence[Mapping[str, Any]], limits: Mapping[str, Check]) -> dict[str, Any]:
    """Manifest rows of pairs, and the words for their measurements and limits, ready for JSON.

    pairs: rows of the manifest as decided, with CROSS_AGREEMENT where the set is curated. limits: measurement -> the
    check that judges it.
    Returns the names of the columns, a list of values for each pair, and titles, units, limits and reasons in words.
    """
    numbers = (*NUMBERS, *(name for name in OF_SOME if any(row.get(name) is not None for row in pairs)))
    return {
        "columns": [*TEXTS, *numbers, "borderline"],
        "rows": [
            [*(row[name] for name in TEXTS), *(_short(row.get(name)) for name in numbers), is_borderline(row)]
            for row in pairs
        ],
        "numbers": {name: {"title": wording(name).title, "unit": wording(name).unit} for name in numbers},
        "limits": {
            name: {"value": check.limit, "least": check.at_least, "text": limit_text(check)}
            for name, check in limits.items()
        },
        "reasons": REASONS,
        "strip": {"width": CELL_WIDTH, "height": CELL_HEIGHT, "gap": GAP, "columns": COLUMNS},
    }


def is_borderline(row: Mapping[str, Any]) -> bool:
    """Whether limits decided about a pair and one of them is nearer than BORDERLINE. row: of the manifest."""
    return row["margin"] is not None and row["margin"] <= BORDERLINE and row["stage"] in (None, "filter")


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
