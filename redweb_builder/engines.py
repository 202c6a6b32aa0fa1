"""Which pairs run where: here, in this process, with reading and finishing overlapped with the networks."""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import cv2

from redweb_builder.config import BuildConfig
from redweb_builder.pipeline import Models, Outcome, Prepared, Seen, conclude, prepare, see
from redweb_builder.types import PairSource, Rejection

Done = TypeVar("Done")
FAILED = "failed"  # the stage of an outcome that is no verdict


def run_local(
    sources: Sequence[PairSource],
    models: Models,
    config: BuildConfig,
    is_done: Callable[[str], bool],
    finish: Callable[[Outcome], Done],
) -> Iterator[Done]:
    """Take every source that is not done through the pipeline; yield what `finish` makes of each outcome, in order.

    Threads read and align ahead of the networks, and conclude and `finish` behind them (NumPy and OpenCV release the
    interpreter); this thread runs the networks. What is in flight is bounded, so memory does not grow with the set.
    Batches are cut from the whole list and a batch with any pair missing is run whole: an interrupted build forms the
    same batches, and so the same bytes, as an undisturbed one.
    """
    workers = max(2, os.cpu_count() or 2)
    size = models.flow.batch
    batches = [sources[start : start + size] for start in range(0, len(sources), size)]
    batches = [batch for batch in batches if not all(is_done(source.key) for source in batch)]
    pending: deque[Future[Done]] = deque()
    with one_opencv_thread(), ThreadPoolExecutor(workers, "prepare") as readers, ThreadPoolExecutor(workers) as enders:
        try:
            for ready in _ahead(readers, batches, config, max(2, workers // size)):
                for outcome in (item for item in ready if isinstance(item, Outcome)):
                    if not is_done(outcome.source.key):
                        pending.append(enders.submit(finish, outcome))
                for seen in see([item for item in ready if isinstance(item, Prepared)], models):
                    if not is_done(seen.prepared.source.key):
                        pending.append(enders.submit(_conclude, seen, models, config, finish))
                while pending and (pending[0].done() or len(pending) > 2 * workers):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BaseException:
            for pool in (readers, enders):
                pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ahead(
    pool: ThreadPoolExecutor, batches: Sequence[Sequence[PairSource]], config: BuildConfig, depth: int
) -> Iterator[list[Prepared | Outcome]]:
    """Batches of prepared pairs, in order, with `depth` batches being prepared ahead."""
    waiting: deque[list[Future[Prepared | Outcome]]] = deque()
    for batch in batches:
        waiting.append([pool.submit(_prepare, source, config) for source in batch])
        if len(waiting) > depth:
            yield [future.result() for future in waiting.popleft()]
    while waiting:
        yield [future.result() for future in waiting.popleft()]


def _prepare(source: PairSource, config: BuildConfig) -> Prepared | Outcome:
    try:
        return prepare(source, config)
    except Exception as error:  # a fault of ours or an exhausted machine must cost one pair, not the build
        return failed(source, error)


def _conclude(seen: Seen, models: Models, config: BuildConfig, finish: Callable[[Outcome], Done]) -> Done:
    try:
        outcome = conclude(seen, models, config)
    except Exception as error:  # as above
        outcome = failed(seen.prepared.source, error)
    return finish(outcome)


def failed(source: PairSource, error: Exception) -> Outcome:
    """The outcome of a pair that met an error nobody foresaw: to be told and tried again, not a verdict on the pair."""
    detail = "".join(traceback.format_exception(error))
    return Outcome(source, Rejection(FAILED, type(error).__name__, detail=detail))


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Pairs run side by side; OpenCV's own threads would also make DIS depend on how many cores a machine has."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
