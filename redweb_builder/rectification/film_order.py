"""The eye order of a film: estimated from frames all over it, and the same for every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from redweb_builder.errors import StoreError
from redweb_builder.process import one_opencv_thread
from redweb_builder.rectification.eye_order import asked_order
from redweb_builder.types import PairSource

if TYPE_CHECKING:
    from redweb_builder.monocular.estimator import DepthEstimator  # torch takes seconds

MOST_FRAMES = 7  # of a film from which its order is estimated


def with_film_orders(
    sources: Iterable[PairSource],
    network: DepthEstimator | None = None,
    watch: Callable[[Path], None] = lambda film: None,
) -> list[PairSource]:
    """The sources in their order, frames of films with the eye order of their film, which is added to their rule too.

    sources: photographs and frames of films; photographs pass unchanged. network: of monocular depth, None = none.
    watch: called with the path of each film before its frames are read.
    """
    films: dict[tuple[Path, Path], list[PairSource]] = {}
    ordered = list(sources)
    for source in ordered:
        if source.time is not None:
            films.setdefault((source.left, source.right), []).append(source)
    orders = {}
    for files, frames in films.items():
        watch(files[0])
        orders[files] = film_order(frames, network)
    return [_with_order(source, orders.get((source.left, source.right))) for source in ordered]


def _with_order(source: PairSource, order: float | None) -> PairSource:
    if source.time is None or order is None:
        return source
    return replace(source, film_order=order, rule=f"{source.rule}, film's eye order {order:+.2f}")


def film_order(frames: Sequence[PairSource], network: DepthEstimator | None = None) -> float:
    """The mean score of eye_order.py over a film: positive = the first eye is left; 0 where no frame can be read.

    frames: all frames of the film, in order. At most MOST_FRAMES of them, evenly spaced, are read. network: as above.
    """
    scores = []
    every = max(1, -(-len(frames) // MOST_FRAMES))
    with one_opencv_thread():
        for frame in frames[every // 2 :: every]:
            try:
                scores.append(asked_order(frame, network))
            except StoreError:  # the storage is gone: all other pairs would have no vote either
                raise
            except Exception:  # a frame that cannot be read has no vote; the build records why
                continue
    return sum(scores) / len(scores) if scores else 0.0
