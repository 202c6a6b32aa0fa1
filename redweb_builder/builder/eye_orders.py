"""The eye orders that a build has asked pictures for, kept beside its data set: going on need not ask them again.

Films and groups of pairs are asked before the first label, whatever is recorded already. Of thousands of folders that
takes as long as hundreds of labels.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from threading import Lock

from redweb_builder.dataset.paths import EYE_ORDERS
from redweb_builder.errors import UnsafePath
from redweb_builder.files import append, parse_json, read_regular
from redweb_builder.monocular.estimator import DepthEstimator
from redweb_builder.rectification.eye_order import asked_order
from redweb_builder.types import PairSource

MOST_BYTES = 1 << 28  # some two million lines

Asked = tuple[str, float, int]  # key of the pair, offset of its second film in s, side in px at which it was read


class EyeOrders:
    """Asks a pair for its eye order, once; to be called from any thread.

    A score stands for the method and the network of the data set, which only one of each may be built into.
    """

    def __init__(self, out: Path, network: DepthEstimator | None) -> None:
        """Read what was asked before. out: folder of the data set, locked. network: of monocular depth; None = none."""
        self._file, self._network = out / EYE_ORDERS, network
        self._known, self._lock = _read(self._file), Lock()

    def __call__(self, source: PairSource, max_side: int) -> float:
        """See asked_order, whose errors it raises. source, max_side: as there."""
        asked = source.key, source.offset, max_side
        score = self._known.get(asked)
        if score is None:
            score = self._known[asked] = asked_order(source, max_side, self._network)
            with self._lock, suppress(OSError):  # of a full disk: it is asked again; no pair may lose its vote for it
                append(self._file, (json.dumps([*asked, score]) + "\n").encode())
        return score


def _read(file: Path) -> dict[Asked, float]:
    """The scores of a file by what was asked; lines that a crash or a hand has spoilt are asked again."""
    try:
        lines = read_regular(file, MOST_BYTES).splitlines()
    except (FileNotFoundError, UnsafePath):
        return {}
    known: dict[Asked, float] = {}
    for line in lines:
        with suppress(ValueError, TypeError):
            key, offset, side, score = parse_json(line)
            if isinstance(score, float) and math.isfinite(score):
                known[key, offset, side] = score
    return known
