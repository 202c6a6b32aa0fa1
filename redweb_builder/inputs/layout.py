"""What a rule says about one file: how it holds two eyes, or why it holds none."""

from __future__ import annotations

from dataclasses import dataclass

from redweb_builder.config import PACKED

LAYOUTS = (
    "files",
    *PACKED,
    "mpo",
    "spatial",
    "vr180",
    "vr180-side-by-side",
    "vr180-over-under",
    "two-streams",
    "frame-sequential",
    "two-frames",
)


@dataclass(frozen=True)
class Layout:
    """How one file holds both eyes. layout, rule, right_first, guessed, order_stated: as of PairSource."""

    layout: str
    rule: str
    right_first: bool = False
    guessed: bool = False
    order_stated: bool = False


@dataclass(frozen=True)
class NotPair:
    """Why a readable file is no stereo pair. reason: a short code. detail: a sentence for people."""

    reason: str
    detail: str
