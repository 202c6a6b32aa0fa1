"""Which pairs run where: here, in this process, with reading and finishing overlapped with the networks."""

from __future__ import annotations

import os
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain
from typing import TypeVar

from redweb_builder.config import BuildConfig
from redweb_builder.pipeline import Inferred, Models, Outcome, Prepared, infer, label_pair, prepare
from redweb_builder.process import one_opencv_thread
from redweb_builder.progress import LABELLING, MATCHING, READING
from redweb_builder.types import PairSource, Rejection

Done = TypeVar("Done")
TURN_BYTES, PAIR_BYTES = 2e9, 32  # a turn may hold that much; a pair takes about that much a pixel
FAILED = "failed"  # the stage of an outcome that is no verdict


def run_local(
    sources: Sequence[PairSource],
    models: Models,
    config: BuildConfig,
    is_done: Callable[[str], bool],
    finish: Callable[[Outcome], Done],
    on_step: Callable[[str, str], None] = lambda key, step: None,
) -> Iterator[Done]:
    """Take every source that is not done through the pipeline; yield what `finish` makes of each outcome, in order.

    on_step: called, from any thread, with the key of a pair that is not done and the step that it begins.

    Work goes in turns of a few batches. Threads read and align the next turn, and label and `finish` the last one,
    while this thread runs the networks on the turn between (NumPy and OpenCV release the interpreter); where the
    network itself fills every core, the threads wait for it instead, since cores shared by both serve both badly.
    At most three turns are in memory, so it does not grow with the set. Batches are cut from the whole list and a batch
    with any pair missing is run whole: an interrupted build forms the same batches, and so the same bytes, as an
    undisturbed one.
    """
    workers = max(2, os.cpu_count() or 2)
    size = models.flow.batch
    batches = [sources[start : start + size] for start in range(0, len(sources), size)]
    batches = [batch for batch in batches if not all(is_done(source.key) for source in batch)]
    room = int(TURN_BYTES / (PAIR_BYTES * config.max_side**2))
    length = max(1, min(4 * workers, room) // size)
    turns = [batches[start : start + length] for start in range(0, len(batches), length)]
    with one_opencv_thread(), ThreadPoolExecutor(workers, "pair") as pool:

        def begin(key: str, step: str) -> None:
            if not is_done(key):
                on_step(key, step)

        def read(source: PairSource) -> Prepared | Outcome:
            begin(source.key, READING)
            return _prepare(source, config)

        def match(batch: Sequence[Prepared | Outcome]) -> list[Inferred | Outcome]:
            readable = [item for item in batch if isinstance(item, Prepared)]
            for prepared in readable:
                begin(prepared.source.key, MATCHING)
            return _infer(readable, models) if readable else []

        def label(inferred: Inferred) -> Done:
            begin(inferred.prepared.source.key, LABELLING)
            return _label(inferred, models, config, finish)

        def ahead(turn: int) -> list[list[Future[Prepared | Outcome]]]:
            coming = turns[turn] if turn < len(turns) else []
            return [[pool.submit(read, source) for source in batch] for batch in coming]

        def behind(batch: Sequence[Prepared | Outcome], inferred: Sequence[Inferred | Outcome]) -> list[Future[Done]]:
            ended = [item for item in (*batch, *inferred) if isinstance(item, Outcome)]
            unread = [outcome for outcome in ended if not is_done(outcome.source.key)]
            ready = [item for item in inferred if isinstance(item, Inferred)]
            return [
                *(pool.submit(finish, outcome) for outcome in unread),
                *(pool.submit(label, item) for item in ready if not is_done(item.prepared.source.key)),
            ]

        try:
            coming, ending = ahead(0), deque[Future[Done]]()
            for turn in range(len(turns)):
                ready = [[future.result() for future in batch] for batch in coming]
                if models.flow.fills_cpu:
                    matched = [(batch, match(batch)) for batch in ready]
                    ending.extend(chain.from_iterable(behind(batch, inferred) for batch, inferred in matched))
                    coming = ahead(turn + 1)
                    while ending:
                        yield ending.popleft().result()
                    wait(list(chain.from_iterable(coming)))
                else:
                    coming = ahead(turn + 1)
                    for batch in ready:
                        ending.extend(behind(batch, match(batch)))
                        while ending and (ending[0].done() or len(ending) > 2 * length * size):
                            yield ending.popleft().result()
            while ending:
                yield ending.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _infer(batch: Sequence[Prepared], models: Models) -> list[Inferred | Outcome]:
    """`infer`, where a batch that fails (out of memory, say) is tried pair by pair before a pair is given up."""
    try:
        return list(infer(batch, models))
    except Exception as error:  # one pair's trouble must not cost its batch, nor the build
        if len(batch) == 1:
            return [failed(batch[0].source, error)]
    # Only now: the error held the frames, and so the memory, of the batch that failed.
    return [one for prepared in batch for one in _infer([prepared], models)]


def _prepare(source: PairSource, config: BuildConfig) -> Prepared | Outcome:
    try:
        return prepare(source, config)
    except Exception as error:  # a fault of ours or an exhausted machine must cost one pair, not the build
        return failed(source, error)


def _label(inferred: Inferred, models: Models, config: BuildConfig, finish: Callable[[Outcome], Done]) -> Done:
    try:
        return finish(label_pair(inferred, models, config))
    except OSError:  # no space left: the build must stop, and go on later
        raise
    except Exception as error:  # as above
        return finish(failed(inferred.prepared.source, error))


def failed(source: PairSource, error: Exception) -> Outcome:
    """The outcome of a pair that met an error nobody foresaw: to be told and tried again, not a verdict on the pair."""
    detail = "".join(traceback.format_exception(error))
    return Outcome(source, Rejection(FAILED, type(error).__name__, detail=detail))
