"""The local engine: the order of its results, and which stages run side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from redweb_builder.builder import engines
from redweb_builder.config import BuildConfig
from redweb_builder.pipeline import Inferred, Models, Outcome, Prepared
from redweb_builder.types import PairSource, Rejection


class Network:
    """A flow estimator of which only the settings are asked."""

    def __init__(self, fills_cpu: bool, batch: int) -> None:
        self.batch, self.fills_cpu = batch, fills_cpu


class Pipeline:
    """Stages without pictures that count how many of them are at work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lock, self.in_threads, self.beside_network = Lock(), 0, 0
        self.batches: list[str] = []
        self.begun: list[str] = []
        nothing: Any = None

        def prepare(source: PairSource, config: BuildConfig, network: None) -> Prepared | Outcome:
            if source.key == "unreadable":
                return Outcome(source, Rejection("read", "corrupt"))
            self.begun.append(source.key)
            prepared = Prepared(source, nothing, 0.0, False, nothing, nothing, nothing)
            self.work()
            return prepared

        def infer(batch: Sequence[Prepared], models: Models) -> list[Inferred]:
            self.batches.append("".join(prepared.source.key for prepared in batch))
            for _ in range(20):
                sum(range(10_000))
                self.beside_network = max(self.beside_network, self.in_threads)
            return [Inferred(prepared, nothing) for prepared in batch]

        def label_pair(inferred: Inferred, models: Models, config: BuildConfig) -> Outcome:
            self.begun.append(inferred.prepared.source.key.upper())
            self.work()
            return Outcome(inferred.prepared.source, None)

        for stage in (prepare, infer, label_pair):
            monkeypatch.setattr(engines, stage.__name__, stage)

    def work(self) -> None:
        with self.lock:
            self.in_threads += 1
        sum(range(100_000))
        with self.lock:
            self.in_threads -= 1

    def run(
        self, keys: Sequence[str], fills_cpu: bool, done: str = "", batch: int = 2, jobs: int | None = None
    ) -> list[str]:
        sources = [PairSource(key, Path(), Path(), "files", "") for key in keys]
        flow: Any = Network(fills_cpu, batch)
        models, config = Models(flow, flow), BuildConfig(max_side=128, jobs=jobs)
        return list(
            engines.run_local(sources, models, config, done.__contains__, lambda outcome, _: outcome.source.key)
        )


@pytest.mark.parametrize("fills_cpu", [False, True])
def test_results_come_in_order_and_no_thread_works_beside_a_network_that_fills_the_cpu(
    monkeypatch: pytest.MonkeyPatch, fills_cpu: bool
) -> None:
    monkeypatch.setattr(engines, "MOST_BYTES", 4 * engines.BYTES_PER_PIXEL * 128**2)  # two batches are prepared ahead
    pipeline, keys = Pipeline(monkeypatch), [*"abcdefg", "unreadable", *"hijklmnopqrst"]
    assert pipeline.run(keys, fills_cpu) == keys
    assert pipeline.batches == ["ab", "cd", "ef", "g", "hi", "jk", "lm", "no", "pq", "rs", "t"]
    if fills_cpu:
        assert pipeline.beside_network == 0


@pytest.mark.parametrize("fills_cpu", [False, True])
def test_a_batch_with_a_pair_missing_is_run_whole(monkeypatch: pytest.MonkeyPatch, fills_cpu: bool) -> None:
    pipeline = Pipeline(monkeypatch)
    assert pipeline.run("abcdef", fills_cpu, done="abd") == ["c", "e", "f"]
    assert pipeline.batches == ["cd", "ef"]
    assert pipeline.run("abcdef", fills_cpu, done="abcdef") == []


def test_the_first_label_waits_for_few_pairs_to_be_read_and_the_later_ones_for_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = Pipeline(monkeypatch)
    pipeline.run("abcdefghij", fills_cpu=False, batch=1, jobs=1)  # one thread: stages begin in the order of submission
    assert " ".join(pipeline.begun) == "a b A c d B e f C g D h E i F j G H I J"


def test_a_label_is_given_out_while_the_next_batch_is_read() -> None:
    reading, labels = Future[Any](), deque([Future[str](), Future[str]()])
    labels[0].set_result("a")
    given = engines._labelled(labels, [reading])
    assert next(given) == "a"
    reading.set_result(None)
    assert list(given) == []  # the second has no label yet, and nobody waits for it
    assert len(labels) == 1
