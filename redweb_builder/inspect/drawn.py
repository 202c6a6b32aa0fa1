"""What came of drawing a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Drawn:
    """file: what was written. damaged: a sentence for each file of the data set that could not be shown."""

    file: Path
    damaged: list[str]
