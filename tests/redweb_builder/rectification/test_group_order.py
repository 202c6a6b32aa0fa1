"""Pairs of one source share their eye order."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redweb_builder.rectification.eye_order import STATED_BY_NAMES
from redweb_builder.rectification.group_order import ASKED, group_priors, numbered, with_group_orders
from redweb_builder.types import PairSource


def pairs(folder: Path, *names: str) -> list[PairSource]:
    return [PairSource(name, folder / f"{name}_left.png", folder / f"{name}_right.png", "files", "") for name in names]


def priors_of(groups: list[list[str]], evidence: list[float], stated: float = STATED_BY_NAMES) -> list[float]:
    return list(map(float, group_priors(numbered(groups), np.array(evidence), np.full(len(evidence), stated))))


def test_a_pair_alone_keeps_what_its_form_states() -> None:
    assert priors_of([["all"]], [-5.0]) == pytest.approx([STATED_BY_NAMES], abs=1e-6)


def test_two_pairs_share_by_the_closed_form() -> None:
    """Share = (prior share + the other's probability) / 2, solved by hand for evidence that leaves no doubt."""
    share = (1 / (1 + math.exp(-STATED_BY_NAMES)) + 1) / 2
    assert priors_of([["all"], ["all"]], [50.0, math.nan])[1] == pytest.approx(math.log(share / (1 - share)))


def test_a_doubtful_pair_follows_its_group_and_a_certain_one_stands_against_it() -> None:
    """Nine pairs are exchanged beyond doubt; one picture says nothing, one says the contrary as surely."""
    evidence = [-6.0] * 9 + [0.5, 6.0]
    priors = priors_of([["all"]] * 11, evidence)
    assert priors[9] + evidence[9] < 0
    assert priors[10] + evidence[10] > 0


def test_one_odd_pair_does_not_turn_its_group() -> None:
    evidence = [4.0] * 19 + [-6.0]
    priors = priors_of([["all"]] * 20, evidence)
    assert min(priors[:19]) > 1
    assert priors[19] + evidence[19] < 0


def test_a_folder_of_its_own_kind_does_not_follow_the_rest() -> None:
    """Twenty exchanged pairs in one folder, eight right ones in another: a doubtful pair of each follows its own."""
    groups = [["all", "all/web"]] * 21 + [["all", "all/own"]] * 9
    priors = priors_of(groups, [-6.0] * 20 + [0.0] + [6.0] * 8 + [0.0])
    assert priors[20] < -1
    assert priors[29] > 1


def test_pairs_that_are_not_asked_take_the_share_of_those_that_are() -> None:
    priors = priors_of([["all"]] * 30, [-6.0] * 8 + [math.nan] * 22)
    assert max(priors[8:]) < -2


def test_asked_pictures_are_few_and_the_same_whatever_the_order_of_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 pairs 8 are read, and 8 of the 40 whose names begin alike; a broken one costs nothing."""
    sources = pairs(tmp_path, *(f"IMG_{n}" for n in range(60)), *(f"DSC_{n}" for n in range(40)))
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for source in sources:
        for file in (source.left, source.right):
            Image.fromarray(noise).save(file)
    sources[4].left.write_bytes(b"broken")
    watched: list[Path] = []
    ordered = with_group_orders(sources, tmp_path, watch=watched.append)
    assert ASKED <= len(watched) <= 3 * ASKED
    assert [source.key for source in ordered] == [source.key for source in sources]
    assert [source.order_prior for source in with_group_orders(sources, tmp_path)] == [
        source.order_prior for source in ordered
    ]
    assert all(source.order_prior is not None for source in ordered)
