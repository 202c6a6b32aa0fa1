"""The eye order of a film: estimated from frames all over it, and the same for every frame."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from redweb_builder.matching.quick_flow import SIDE
from redweb_builder.pair_sources import PairSources
from redweb_builder.rectification.eye_order import Ask, ask_each, asked_order
from redweb_builder.types import PairSource

MOST_FRAMES = 7  # of a film from which its order is estimated

Film = tuple[Path, Path]  # its two files


def with_film_orders(
    sources: Iterable[PairSource],
    ask: Ask = asked_order,
    watch: Callable[[Path], None] = lambda film: None,
    cores: int | None = None,
) -> PairSources:
    """The sources in their order, frames of films with the eye order of their film, which is added to their rule too.

    sources: photographs and frames of films; photographs pass unchanged. ask: for the order of a frame. watch: called
    with the path of the film of each frame before it is read. cores: as of ask_each.
    """
    films: dict[Film, array[int]] = {}  # places of the frames
    ordered = PairSources.of(sources)
    for place, source in enumerate(ordered):
        if source.time is not None:
            films.setdefault((source.left, source.right), array("q")).append(place)
    if not films:
        return ordered
    asked = [(film, ordered[place]) for film, frames in films.items() for place in _spread(frames)]
    scores: dict[Film, list[float]] = {film: [] for film in films}
    answers = ask_each([frame for _, frame in asked], ask, SIDE, watch, cores)
    for (film, _), score in zip(asked, answers, strict=True):
        if score is not None:
            scores[film].append(score)
    orders = {film: sum(found) / len(found) if found else 0.0 for film, found in scores.items()}
    return PairSources.of(_with_order(source, orders.get((source.left, source.right))) for source in ordered)


def _with_order(source: PairSource, order: float | None) -> PairSource:
    """A frame with its film's mean score: positive = the first eye is left, 0 where no frame can be read."""
    if source.time is None or order is None:
        return source
    return replace(source, film_order=order, rule=f"{source.rule}, film's eye order {order:+.2f}")


def _spread(frames: array[int]) -> array[int]:
    """At most MOST_FRAMES frames of a film, evenly spaced."""
    every = max(1, -(-len(frames) // MOST_FRAMES))
    return frames[every // 2 :: every]
