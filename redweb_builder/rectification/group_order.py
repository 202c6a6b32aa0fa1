"""Pairs of one source share their eye order: the prior of each pair from the pictures of the others.

Files that somebody named the wrong way round are rarely alone: one program wrote the whole folder. A picture whose own
evidence is weak (eye_order.py) follows its group; one whose evidence is strong stands against it.

The groups are a tree: the input, its folders, and in each folder the names that begin alike ("Japan_" and "201703_").
Each group has a share of pairs in the stated order. Its prior is the share of the group around it. This is a
beta-Bernoulli model with collapsed variational inference (Teh, Newman and Welling 2006, the zeroth-order form); a pair
never counts for itself. A few pairs of each group are measured, spread evenly, so that the cost does not grow with the
set and the answer depends on the list of pairs alone.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redweb_builder.matching.quick_flow import SIDE
from redweb_builder.pair_sources import PairSources
from redweb_builder.rectification.eye_order import Ask, ask_each, asked_order, log_odds, stated_log_odds
from redweb_builder.types import PairSource

ASKED = 8  # pairs of a group; a smaller group below the input follows the group around it
MOST_PRIOR = 4.0  # log odds; 55 to 1: no group is so sure that one picture cannot stand against it
STRENGTH = 1.0  # pseudo-pairs by which the group around counts in a group's share
ROUNDS = 20  # of inference; the shares rest after 5 to 10

Evidence = NDArray[np.float64]
Level = NDArray[np.int64]  # N: a number for the group of each pair at one depth of the tree
_NONE = -1  # the number of a pair that has no group at a level


def with_group_orders(
    sources: Iterable[PairSource],
    folder: Path,
    ask: Ask = asked_order,
    watch: Callable[[Path], None] = lambda file: None,
    max_side: int = SIDE,
    cores: int | None = None,
) -> PairSources:
    """The sources in their order, each with the log odds that the rest of its group gives its stated order.

    sources: pairs below `folder`; films have their film_order already. ask: for the order of a pair.
    watch: called with each picture before it is asked. max_side: px, to which pictures are read. cores: as of
    ask_each. A group of one pair has nothing to share and is not asked.
    """
    ordered = PairSources.of(sources)
    items, item_of = _items(ordered)
    levels = numbered(_groups_of(item, folder) for item in items)
    stated = np.fromiter(map(stated_log_odds, items), np.float64, len(items))
    chosen = _spread(levels)
    scores = _scores([*items.take(chosen)], ask, watch, max_side, cores)
    evidence = np.full(len(items), np.nan)
    evidence[chosen] = [np.nan if score is None else log_odds(score) for score in scores]
    priors = group_priors(levels, evidence, stated)[item_of].tolist()
    return PairSources.of(replace(source, order_prior=prior) for source, prior in zip(ordered, priors, strict=True))


def group_priors(levels: Sequence[Level], evidence: Evidence, stated: Evidence) -> Evidence:
    """Log odds that each pair has its eyes as stated, from the other pairs of its groups.

    levels: the groups of the pairs from the widest to the closest, as `numbered` gives them. evidence: N, the log odds
    of the pair's own picture, NaN where it was not measured. stated: N, the log odds from the form of the source alone,
    alike within a widest group.
    """
    measured = np.isfinite(evidence)
    known, own = measured.astype(np.float64), np.where(measured, evidence, 0.0)
    priors = stated
    for _ in range(ROUNDS):
        as_stated = known * _sigmoid(own + priors)
        share = _sigmoid(stated)
        for number in levels:
            here = number != _NONE
            count, total = (np.bincount(number[here], part[here])[number] - part for part in (known, as_stated))
            share = np.where(here, (STRENGTH * share + total) / (STRENGTH + np.maximum(count, 0.0)), share)
        share = np.clip(share, 1e-9, 1 - 1e-9)
        priors = np.clip(np.log(share / (1 - share)), -MOST_PRIOR, MOST_PRIOR)
    return priors


def numbered(groups: Iterable[Sequence[str]]) -> list[Level]:
    """The groups of pairs, level by level: a number for the group of each pair, from 0; _NONE where it has none.

    groups: of each pair, the names of its groups from the widest to the closest; N pairs. A group has one level. Groups
    are told apart by hashes of their names: of five million two are one in a million cases.
    """
    hashes: list[array[int]] = []
    count = 0
    for count, names in enumerate(groups, 1):
        while len(hashes) < len(names):
            hashes.append(array("q", bytes(8 * (count - 1))))
        for level, of_level in enumerate(hashes):
            of_level.append(hash(names[level]) if level < len(names) else 0)
    return [_renumbered(np.array(of_level, np.int64)) for of_level in hashes]


def _renumbered(hashes: NDArray[np.int64]) -> Level:
    numbers = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
    return np.where(hashes == 0, _NONE, numbers)


def _items(sources: PairSources) -> tuple[PairSources, NDArray[np.int64]]:
    """What counts as one, a pair or all frames of a film: the first source of each, and the number of each one's item.

    A film stands where its last frame does.
    """
    films: dict[tuple[Path, Path], int] = {}
    first, last, item_of = array("q"), array("q"), array("q")
    for place, source in enumerate(sources):
        film = None if source.time is None else films.setdefault((source.left, source.right), len(first))
        item = len(first) if film is None else film
        if item == len(first):
            first.append(place)
            last.append(place)
        last[item] = place
        item_of.append(item)
    order = np.argsort(np.array(last, np.int64))
    items = sources.take(np.array(first, np.int64)[order]) if films else sources
    return items, np.argsort(order)[np.array(item_of, np.int64)]


def _groups_of(source: PairSource, folder: Path) -> list[str]:
    """The groups of a source from the widest to the closest: form, then each folder and each beginning of a name."""
    path = source.left.relative_to(folder) if source.left.is_relative_to(folder) else Path(source.left.name)
    group = f"{source.layout} {stated_log_odds(source)}"
    groups = [group]
    for name in (*path.parent.parts, path.stem):
        beginning = re.match(r"[^\W\d_]+|\d+", name)
        if beginning and beginning.group() != name:
            groups.append(f"{group}/{beginning.group()}*")
        group += f"/{name}"
        groups.append(group)
    return groups


def _spread(levels: Sequence[Level]) -> NDArray[np.int64]:
    """The indices of the pairs to measure, ascending: of every group at most ASKED, spread evenly over it."""
    chosen: set[int] = set()
    for level, number in enumerate(levels):
        order = np.argsort(number, kind="stable")
        starts = np.flatnonzero(np.diff(number[order], prepend=number[order[:1]] - 1))
        lengths = np.diff(starts, append=len(order))
        enough = (lengths >= (ASKED if level else 2)) & (number[order[starts]] != _NONE)
        for start, length in zip(starts[enough].tolist(), lengths[enough].tolist(), strict=True):
            every = -(-length // ASKED)
            chosen.update(order[start : start + length][every // 2 :: every].tolist())
    return np.array(sorted(chosen), np.int64)


def _scores(
    sources: Sequence[PairSource], ask: Ask, watch: Callable[[Path], None], max_side: int, cores: int | None
) -> list[float | None]:
    """The eye order of each source, in order; None where it cannot be read."""
    unasked = [source for source in sources if source.film_order is None]
    scores = iter(ask_each(unasked, ask, max_side, watch, cores))
    return [next(scores) if source.film_order is None else source.film_order for source in sources]


def _sigmoid(odds: Evidence) -> Evidence:
    return np.asarray(1 / (1 + np.exp(-odds)), np.float64)
