"""Which eye is which in a film: asked of frames from all over it, answered once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from redweb_builder.errors import InputError
from redweb_builder.inputs.read import read_pair
from redweb_builder.process import one_opencv_thread
from redweb_builder.rectification.eye_order import eye_order
from redweb_builder.rectification.quick_flow import SIDE, preview_flow
from redweb_builder.types import PairSource

ASKED = 7


def with_film_orders(
    sources: Iterable[PairSource], watch: Callable[[Path], None] = lambda film: None
) -> list[PairSource]:
    """The sources in their order; the frames of each film with its eye order, which their rule tells too.

    watch: called with each film before it is asked.
    """
    films: dict[tuple[Path, Path], list[PairSource]] = {}
    ordered = list(sources)
    for source in ordered:
        if source.time is not None:
            films.setdefault((source.left, source.right), []).append(source)
    orders = {}
    for files, frames in films.items():
        watch(files[0])
        orders[files] = film_order(frames)
    return [_with_order(source, orders.get((source.left, source.right))) for source in ordered]


def _with_order(source: PairSource, order: float | None) -> PairSource:
    if source.time is None or order is None:
        return source
    return replace(source, film_order=order, rule=f"{source.rule}, film's eye order {order:+.2f}")


def film_order(frames: Sequence[PairSource]) -> float:
    """The mean eye_order (eye_order.py) of at most ASKED frames of a film, spread over it; 0 where none can be read."""
    scores = []
    every = max(1, -(-len(frames) // ASKED))
    with one_opencv_thread():
        for frame in frames[every // 2 :: every]:
            try:
                pair = read_pair(frame, SIDE)
            except InputError:
                continue
            scores.append(eye_order(preview_flow(pair.left, pair.right)))
    return sum(scores) / len(scores) if scores else 0.0
