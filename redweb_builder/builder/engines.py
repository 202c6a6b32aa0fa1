"""Where and when pairs run: here, in this process, with reading and labelling overlapped with the flow."""

from __future__ import annotations

import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Generic, TypeAlias, TypeVar

from redweb_builder.config import BuildConfig
from redweb_builder.errors import StoreError
from redweb_builder.pipeline import Inferred, Models, Outcome, Prepared, infer, label_pair, prepare
from redweb_builder.process import available_cores, one_opencv_thread
from redweb_builder.progress import LABELLING, MATCHING, READING
from redweb_builder.types import PairSource, Rejection

MOST_BYTES = 2e9  # memory of the pairs that are prepared ahead, at most
BYTES_PER_PIXEL = 32  # memory of a pair, about, for each pixel of one view
FAILED = "failed"  # stage of an outcome that is no verdict on the pair: it is tried again next time

Done = TypeVar("Done")
Batch: TypeAlias = Sequence[PairSource]  # sources whose flow is estimated together


def run_local(
    sources: Sequence[PairSource],
    models: Models,
    config: BuildConfig,
    is_done: Callable[[str], bool],
    finish: Callable[[Outcome, float], Done],
    on_step: Callable[[str, str], None] = lambda key, step: None,
) -> Generator[Done, None, None]:
    """Take every source that is not done through the pipeline; yield what `finish` returns, in order.

    sources: the whole list, also those that are done. models: the loaded networks. config: of the build. is_done:
    whether the pair of a key is recorded; it may be called from any thread. finish: writes the files of an outcome,
    and is given the seconds that its pair took: reading, its part of the flow of its batch, labelling; it is
    called from threads of the pool. on_step: called from any thread with the key of a pair that is not done and the
    step of progress.py that it begins.

    An error in one pair becomes its outcome of stage FAILED. OSError of `finish` (no space left) is raised, and
    StoreError where remote storage does not answer.

    A few batches are prepared ahead and a few wait for their labels, so memory does not grow with the set. Batches
    are cut from the whole list, and a batch with any pair missing is run whole: an interrupted build forms the same
    batches, and so the same bytes, as an undisturbed one.
    """
    workers = config.jobs or max(2, available_cores())
    batch_size = models.flow.batch
    missing = (batch for batch in _batches(sources, batch_size) if not all(is_done(source.key) for source in batch))
    fitting = int(MOST_BYTES / (BYTES_PER_PIXEL * config.max_side**2))
    ahead = max(1, min(4 * workers, fitting) // batch_size)
    with one_opencv_thread(), ThreadPoolExecutor(workers, "pair") as pool:
        stages = _Stages(models, config, is_done, finish, on_step, pool)
        run = _alternate if models.flow.fills_cpu else _overlap
        try:
            yield from run(missing, ahead, stages)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _batches(sources: Iterable[PairSource], length: int) -> Iterator[Batch]:
    remaining = iter(sources)
    while batch := list(islice(remaining, length)):
        yield batch


def _overlap(batches: Iterator[Batch], ahead: int, stages: _Stages[Done]) -> Iterator[Done]:
    """Threads prepare the next batches and label the last ones, while this thread estimates the flow of one between.

    NumPy and OpenCV release the interpreter. batches: of the whole run. ahead: batches that are prepared before their
    flow is asked for, at most, but always two. A label waits for what was submitted before it, so few are prepared
    ahead at first: the first pair is recorded soon.
    """
    preparing = deque(map(stages.start_preparing, islice(batches, max(2, ahead // 4))))
    labelling = deque[Future[Done]]()
    while preparing:
        batch = preparing.popleft()
        yield from _labelled(labelling, batch)
        ready = [future.result() for future in batch]
        labelling.extend(stages.start_labelling(ready, stages.infer(ready)))
        preparing.extend(map(stages.start_preparing, islice(batches, 2 if len(preparing) + 1 < ahead else 1)))
        while labelling and (labelling[0].done() or len(labelling) > ahead * len(batch)):
            yield labelling.popleft().result()
    while labelling:
        yield labelling.popleft().result()


def _labelled(labelling: deque[Future[Done]], preparing: Sequence[Future[Prepared | Outcome]]) -> Iterator[Done]:
    """The labels that are there before a batch is prepared, each at once: a pair that is not recorded can be lost."""
    while pending := [future for future in preparing if not future.done()]:
        either: list[Future[Any]] = [*pending, *islice(labelling, 1)]
        wait(either, return_when=FIRST_COMPLETED)
        while labelling and labelling[0].done():
            yield labelling.popleft().result()


def _alternate(batches: Iterator[Batch], ahead: int, stages: _Stages[Done]) -> Iterator[Done]:
    """The threads and the flow take turns: a network that fills every core would share them, which serves neither.

    While the flow is estimated, no thread works. While threads label one turn and prepare the next, none is. batches:
    of the whole run. ahead: batches of a turn; the first turn is a quarter as long, so that a pair is recorded soon.
    """
    preparing = [stages.start_preparing(batch) for batch in islice(batches, max(1, ahead // 4))]
    while preparing:
        ready = [[future.result() for future in batch] for batch in preparing]
        inferred = [stages.infer(batch) for batch in ready]
        labelling = deque(chain.from_iterable(map(stages.start_labelling, ready, inferred)))
        preparing = [stages.start_preparing(batch) for batch in islice(batches, ahead)]
        while labelling:
            yield labelling.popleft().result()


@dataclass(frozen=True)
class _Stages(Generic[Done]):
    """The stages of pairs in one run: `infer` in the calling thread, the others in the pool.

    Pairs that are done are only prepared and inferred, to fill their batch. They are neither reported nor labelled.
    """

    models: Models
    config: BuildConfig
    is_done: Callable[[str], bool]
    finish: Callable[[Outcome, float], Done]
    on_step: Callable[[str, str], None]
    pool: ThreadPoolExecutor
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # by key, of pairs in work

    def start_preparing(self, batch: Batch) -> list[Future[Prepared | Outcome]]:
        """Submit the pairs of a batch to be read and aligned."""
        return [self.pool.submit(self._prepare, source) for source in batch]

    def infer(self, batch: Sequence[Prepared | Outcome]) -> list[Inferred | Outcome]:
        """Estimate the flow of the pairs of a batch that could be read."""
        readable = [item for item in batch if isinstance(item, Prepared)]
        for prepared in readable:
            self._report(prepared.source.key, MATCHING)
        if not readable:
            return []
        with self._timed(*(prepared.source.key for prepared in readable)):
            return _infer(readable, self.models)

    def start_labelling(
        self, batch: Sequence[Prepared | Outcome], inferred: Sequence[Inferred | Outcome]
    ) -> list[Future[Done]]:
        """Submit the pairs of a batch, in its order: outcomes to be finished, inferred pairs to be labelled first."""
        of_readable = iter(inferred)
        items = [next(of_readable) if isinstance(item, Prepared) else item for item in batch]
        return [
            self.pool.submit(self._finish, item) if isinstance(item, Outcome) else self.pool.submit(self._label, item)
            for item in items
            if not self.is_done(_key_of(item))
        ]

    def _prepare(self, source: PairSource) -> Prepared | Outcome:
        self._report(source.key, READING)
        with self._timed(source.key):
            return _prepare(source, self.models, self.config)

    def _label(self, inferred: Inferred) -> Done:
        key = inferred.prepared.source.key
        self._report(key, LABELLING)
        with self._timed(key):
            outcome = _label(inferred, self.models, self.config)
        return self._finish(outcome)

    def _finish(self, outcome: Outcome) -> Done:
        seconds = self.seconds.pop(outcome.source.key, 0.0)
        try:
            return self.finish(outcome, seconds)
        except (OSError, StoreError):  # no space left, or storage is gone: the build must stop, and go on later
            raise
        except Exception as error:  # a fault of ours must cost one pair, not the build
            return self.finish(failed(outcome.source, error), seconds)

    @contextmanager
    def _timed(self, *keys: str) -> Iterator[None]:
        """Add the time of what runs inside to the seconds of pairs, an equal part to each."""
        started = time.perf_counter()
        yield
        for key in keys:
            self.seconds[key] += (time.perf_counter() - started) / len(keys)

    def _report(self, key: str, step: str) -> None:
        if not self.is_done(key):
            self.on_step(key, step)


def _key_of(item: Inferred | Outcome) -> str:
    return item.source.key if isinstance(item, Outcome) else item.prepared.source.key


def _infer(batch: Sequence[Prepared], models: Models) -> list[Inferred | Outcome]:
    """`infer`; the pairs of a batch that fails (out of memory, say) are tried one by one."""
    try:
        return list(infer(batch, models))
    except Exception as error:  # a pair that fails must cost neither its batch nor the build
        if len(batch) == 1:
            return [failed(batch[0].source, error)]
    # Outside of the handler: the error held the frames, and so the memory, of the batch that failed.
    return [item for prepared in batch for item in _infer([prepared], models)]


def _prepare(source: PairSource, models: Models, config: BuildConfig) -> Prepared | Outcome:
    try:
        return prepare(source, config, models.depth)
    except StoreError:  # remote storage is gone: every other pair would fail, too
        raise
    except Exception as error:  # a fault of ours or an exhausted machine must cost one pair, not the build
        return failed(source, error)


def _label(inferred: Inferred, models: Models, config: BuildConfig) -> Outcome:
    try:
        return label_pair(inferred, models, config)
    except Exception as error:  # as above
        return failed(inferred.prepared.source, error)


def failed(source: PairSource, error: Exception) -> Outcome:
    """The outcome of a pair in which an unforeseen error was raised: logged and tried again, no verdict on the pair.

    source: of the pair. error: its traceback becomes the detail, its class the reason.
    """
    detail = "".join(traceback.format_exception(error))
    return Outcome(source, Rejection(FAILED, type(error).__name__, detail=detail))
