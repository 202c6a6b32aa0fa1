"""Which samples a network was trained on: a mark a sample, stored in the checkpoint, so that figures can say it.

A mark depends on the sample's key and the size of its picture file, not on the place of the set: a copy has the same
marks. A converted set has others.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from trainer.data.depth_set import DepthSet
from trainer.types import DataError

BYTES = 5  # of a mark: one pair of a million samples collides by chance
MOST = 200_000  # marks in a checkpoint: 1.3 MB


def mark_of(data: DepthSet, index: int) -> bytes:
    """The mark of a sample: BYTES bytes. data: the set. index: of the sample."""
    try:
        size = next((file.stat().st_size for file in data.files(index)), 0)
    except (OSError, DataError):
        size = 0
    return hashlib.sha256(f"{data.key(index)}|{size}".encode("utf-8", "surrogateescape")).digest()[:BYTES]


def pack_marks(marks: Iterable[bytes]) -> str:
    """Marks as text for a checkpoint's header; of more than MOST the smallest, which is a fixed choice by chance.

    marks: BYTES bytes each, any order.
    """
    return base64.b64encode(b"".join(sorted(set(marks))[:MOST])).decode()


def unpack_marks(text: object) -> frozenset[bytes]:
    """The marks of a header's entry; none where it is of another form. text: base64, as pack_marks gives it."""
    try:
        content = base64.b64decode(str(text), validate=True)
    except ValueError:
        return frozenset()
    return frozenset(content[at : at + BYTES] for at in range(0, len(content), BYTES))
