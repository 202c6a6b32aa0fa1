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
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from redweb_builder.matching.quick_flow import SIDE
from redweb_builder.rectification.eye_order import Ask, ask_each, asked_order, log_odds, stated_log_odds
from redweb_builder.types import PairSource

ASKED = 8  # pairs of a group; a smaller group below the input follows the group around it
MOST_PRIOR = 4.0  # log odds; 55 to 1: no group is so sure that one picture cannot stand against it
STRENGTH = 1.0  # pseudo-pairs by which the group around counts in a group's share
ROUNDS = 20  # of inference; the shares rest after 5 to 10

Evidence = NDArray[np.float64]


def with_group_orders(
    sources: Sequence[PairSource],
    folder: Path,
    ask: Ask = asked_order,
    watch: Callable[[Path], None] = lambda file: None,
    max_side: int = SIDE,
    cores: int | None = None,
) -> list[PairSource]:
    """The sources in their order, each with the log odds that the rest of its group gives its stated order.

    sources: pairs below `folder`; films have their film_order already. ask: for the order of a pair.
    watch: called with each picture before it is asked. max_side: px, to which pictures are read. cores: as of
    ask_each. A group of one pair has nothing to share and is not asked.
    """
    films_once = {_film_or_pair(source): source for source in reversed(sources)}
    items = list(reversed(films_once.values()))
    groups = [_groups_of(item, folder) for item in items]
    chosen = _spread(groups)
    scores = _scores([items[index] for index in chosen], ask, watch, max_side, cores)
    evidence = np.full(len(items), np.nan)
    evidence[chosen] = [np.nan if score is None else log_odds(score) for score in scores]
    priors = group_priors(groups, evidence, np.array([stated_log_odds(item) for item in items]))
    prior_of = dict(zip(map(_film_or_pair, items), priors.tolist(), strict=True))
    return [replace(source, order_prior=prior_of[_film_or_pair(source)]) for source in sources]


def group_priors(groups: Sequence[Sequence[str]], evidence: Evidence, stated: Evidence) -> Evidence:
    """Log odds that each pair has its eyes as stated, from the other pairs of its groups.

    groups: of each pair, its groups from the widest to the closest. evidence: N, the log odds of the pair's own
    picture, NaN where it was not measured. stated: N, the log odds from the form of the source alone, alike within a
    widest group.
    """
    measured = np.isfinite(evidence)
    known, own = measured.astype(np.float64), np.where(measured, evidence, 0.0)
    levels = [_numbered(groups, level) for level in range(max(map(len, groups), default=0))]
    priors = stated
    for _ in range(ROUNDS):
        as_stated = known * _sigmoid(own + priors)
        share = _sigmoid(stated)
        for number in levels:
            here = number >= 0
            count, total = (np.bincount(number[here], part[here])[number] - part for part in (known, as_stated))
            share = np.where(here, (STRENGTH * share + total) / (STRENGTH + np.maximum(count, 0.0)), share)
        share = np.clip(share, 1e-9, 1 - 1e-9)
        priors = np.clip(np.log(share / (1 - share)), -MOST_PRIOR, MOST_PRIOR)
    return priors


def _film_or_pair(source: PairSource) -> str:
    """What counts as one: a pair, or all frames of a film."""
    return source.key if source.time is None else f"{source.left}\n{source.right}"


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


def _spread(groups: Sequence[Sequence[str]]) -> list[int]:
    """The indices of the pairs to measure, ascending: of every group at most ASKED, spread evenly over it."""
    members: dict[str, list[int]] = {}
    for index, names in enumerate(groups):
        for name in names:
            members.setdefault(name, []).append(index)
    widest = {names[0] for names in groups}
    chosen: set[int] = set()
    for name, indices in members.items():
        if len(indices) >= ASKED or (name in widest and len(indices) > 1):
            every = -(-len(indices) // ASKED)
            chosen.update(indices[every // 2 :: every])
    return sorted(chosen)


def _scores(
    sources: Sequence[PairSource], ask: Ask, watch: Callable[[Path], None], max_side: int, cores: int | None
) -> list[float | None]:
    """The eye order of each source, in order; None where it cannot be read."""
    unasked = [source for source in sources if source.film_order is None]
    scores = iter(ask_each(unasked, ask, max_side, watch, cores))
    return [next(scores) if source.film_order is None else source.film_order for source in sources]


def _numbered(groups: Sequence[Sequence[str]], level: int) -> NDArray[np.int64]:
    """A number for each pair's group at a level; -1 where it has none."""
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(names[level], len(numbers)) if level < len(names) else -1 for names in groups], np.int64
    )


def _sigmoid(odds: Evidence) -> Evidence:
    return np.asarray(1 / (1 + np.exp(-odds)), np.float64)
