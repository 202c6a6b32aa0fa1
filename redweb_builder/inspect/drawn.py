"""What came of drawing a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Drawn:
    """file: what was written. damaged: a sentence for each file of the data set that could not be shown. refusal: one
    about the rows of its manifest that cannot be used; None where there are none.
    """

    file: Path
    damaged: list[str]
    refusal: str | None = None
