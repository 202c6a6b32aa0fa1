"""Where pairs run: in the workers of a Ray cluster, each of which is the local engine in a process of its own.

Paths go to the workers and records come back; a pair's pixels never leave the worker that decodes them. The journal of
the data set alone says what is done: it is written here, in order. Nothing of Ray is kept between two builds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from redweb_builder.builder.engines import failed
from redweb_builder.builder.models import LoadModels, identity, load_models, versions
from redweb_builder.builder.ray_cluster import cluster, first_line, room, share
from redweb_builder.builder.ray_worker import RayWorker, Terms
from redweb_builder.config import BuildConfig
from redweb_builder.errors import EngineError
from redweb_builder.files import scratch_folder
from redweb_builder.inputs.isolation import all_isolated
from redweb_builder.inputs.walk import state_of
from redweb_builder.pipeline import Models, Outcome
from redweb_builder.progress import Progress
from redweb_builder.types import PairSource

POLL_S = 5.0  # between two questions to every worker what it is at
SILENT_S = 180.0  # a worker that does not answer for so long is taken for dead
QUEUED = 2  # chunks that a worker has: one in work, one so that it need not wait for the next
WINDOW = 16  # chunks a worker that may be begun before the oldest of them is done: their records wait here, in order
CHUNK = 4  # pairs in a chunk for each core of a worker ...
MULTIPLE = 8  # ... rounded up to whole batches of a GPU
DEATHS = 3  # of workers that had a chunk, before its pairs are tried one by one; and with one pair, before it fails
MOST_DEATHS = 20  # of workers in a row, without a chunk that was done: it is not the pairs

Done = TypeVar("Done")
Finish = Callable[[Outcome, float], Done]


class WorkerDied(Exception):
    """A pair took the processes down that worked on it."""


@dataclass(eq=False)
class _Chunk(Generic[Done]):
    """Some sources, in order. deaths: of workers that had it. records: None until they are there."""

    sources: Sequence[PairSource]
    deaths: int = 0
    records: list[Done] | None = None


@dataclass(eq=False)
class _Worker(Generic[Done]):
    """An actor. heard: when it last answered. chunks: those that it has. steps: of its pairs, as it last said."""

    actor: Any
    is_open: bool = False
    heard: float = field(default_factory=time.monotonic)
    chunks: list[_Chunk[Done]] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)


def run_ray(
    sources: Sequence[PairSource],
    models: Models,
    config: BuildConfig,
    is_done: Callable[[str], bool],
    finish: Finish[Done],
    progress: Progress,
    out: Path,
    load: LoadModels = load_models,
) -> Generator[Done, None, None]:
    """Take every source that is not done through the pipeline; yield what `finish` returns, in order.

    sources, config, is_done, finish: as of run_local; config and finish are sent to the workers by pickle. models: the
    networks that are loaded here; the workers must load the same ones. progress: gets the steps of the pairs and the
    number of workers. out: folder of the data set, which the workers must see. load: loads the networks in a worker.

    The pairs of a worker that dies, or that does not answer for SILENT_S, are done again by another one. A pair that
    takes DEATHS workers down becomes an outcome of stage FAILED. Raises EngineError where there is no cluster, or where
    its workers cannot do this build; OSError of `finish`.
    """
    if all(is_done(source.key) for source in sources):
        return
    with cluster(config.address) as grows, scratch_folder(out) as marker:
        cores, gpus = share(config)
        length = -(-CHUNK * cores // MULTIPLE) * MULTIPLE
        chunks = (_Chunk[Done]([*sources[start : start + length]]) for start in range(0, len(sources), length))
        missing = (chunk for chunk in chunks if not all(is_done(source.key) for source in chunk.sources))
        in_worker = replace(
            config,
            jobs=cores,
            device="cuda" if gpus else "cpu",
            precision=models.flow.precision or config.precision,
        )
        terms = Terms(
            folder=Path.cwd(),
            marker=marker,
            source=sources[0],
            states=state_of((sources[0].left, sources[0].right)),
            identity=identity(config, models),
            versions=versions(),
            safe=all_isolated(),
        )
        actor = ray.remote(
            num_cpus=cores, num_gpus=gpus, max_concurrency=QUEUED if gpus else 1, concurrency_groups={"watch": 1}
        )(RayWorker)
        run = _Run(missing, partial(actor.remote, in_worker, finish, load, terms), is_done, finish, progress)
        yield from run.results(partial(room, cores, gpus, grows))


@dataclass
class _Run(Generic[Done]):
    """One build: the chunks in work and those that wait, and who works on which."""

    _chunks: Iterator[_Chunk[Done]]
    _start: Callable[[], Any]  # a new actor
    _is_done: Callable[[str], bool]
    _finish: Finish[Done]
    _progress: Progress
    _order: deque[_Chunk[Done]] = field(default_factory=deque)  # begun and not yet yielded
    _waiting: deque[_Chunk[Done]] = field(default_factory=deque)  # those of them that no worker has
    _workers: list[_Worker[Done]] = field(default_factory=list)
    _calls: dict[Any, tuple[_Worker[Done], _Chunk[Done] | None]] = field(default_factory=dict)  # None: what it is at
    _deaths: int = 0  # of workers, since a chunk was done
    _next_watch: float = 0.0

    def results(self, room: Callable[[], int]) -> Iterator[Done]:
        """Yield the records of all chunks in order. room: how many workers there can be."""
        while self._take_up():
            if time.monotonic() >= self._next_watch:
                self._next_watch = time.monotonic() + POLL_S
                self._watch(room())
            self._hand_out()
            ready, _ = ray.wait(list(self._calls), timeout=POLL_S)
            for call in ready:
                self._answer(call)
            while self._order and self._order[0].records is not None:
                yield from self._order.popleft().records or ()

    def _take_up(self) -> bool:
        """Begin chunks as far as the window goes; False where everything is done."""
        while len(self._order) < WINDOW * max(1, len(self._workers)) and (chunk := next(self._chunks, None)):
            self._order.append(chunk)
            self._waiting.append(chunk)
        return bool(self._order)

    def _hand_out(self) -> None:
        """Give waiting chunks to workers. One that a worker died with is alone with the next: no other takes blame."""
        for depth in range(QUEUED):
            for worker in self._workers:
                if self._waiting and worker.is_open and len(worker.chunks) == depth:
                    if depth and any(chunk.deaths for chunk in (*worker.chunks, self._waiting[0])):
                        continue
                    chunk = self._waiting.popleft()
                    done = {source.key for source in chunk.sources if self._is_done(source.key)}
                    worker.chunks.append(chunk)
                    self._calls[worker.actor.run.remote(chunk.sources, done)] = worker, chunk

    def _answer(self, call: Any) -> None:
        worker, chunk = self._calls.pop(call)
        try:
            answer = ray.get(call)
        except RayTaskError as error:  # a UserError, or OSError of finish (no space left): the build must stop
            raise error.cause from None
        except RayError as error:  # the actor, its node, or what it answered is gone
            self._lose(worker, error)
            return
        worker.heard = time.monotonic()
        if chunk is not None:
            chunk.records = answer
            worker.chunks.remove(chunk)
            self._deaths = 0
        else:
            worker.is_open = True
            self._report(worker, answer)

    def _report(self, worker: _Worker[Done], steps: dict[str, str]) -> None:
        """Tell which steps the pairs of a worker have begun since it was last asked."""
        keys = {source.key for chunk in worker.chunks for source in chunk.sources}
        for key, step in steps.items():
            if key in keys and worker.steps.get(key) != step:
                self._progress.step(key, step)
        worker.steps = steps

    def _watch(self, room: int) -> None:
        """Ask every worker what it is at, give up those that are silent, start new ones where there is room."""
        for worker in list(self._workers):
            if worker.is_open and time.monotonic() - worker.heard > SILENT_S:
                self._lose(worker, TimeoutError(f"no answer for {SILENT_S:.0f} s"))
        asked = {id(worker) for worker, chunk in self._calls.values() if chunk is None}
        for worker in self._workers:
            if id(worker) not in asked:
                self._calls[worker.actor.in_work.options(concurrency_group="watch").remote()] = worker, None
        while len(self._workers) < min(max(1, room), len(self._order)):
            worker = _Worker[Done](self._start())
            self._workers.append(worker)
            self._calls[worker.actor.open.remote()] = worker, None
        self._progress.watched(sum(worker.is_open for worker in self._workers))

    def _lose(self, worker: _Worker[Done], error: Exception) -> None:
        """A worker is dead: what it had is done again. Raises EngineError where workers die whatever they do."""
        self._deaths += 1
        if self._deaths > MOST_DEATHS:
            raise EngineError(f"{self._deaths} Ray workers died one after the other; the last: {first_line(error)}")
        self._workers.remove(worker)
        self._calls = {call: asked for call, asked in self._calls.items() if asked[0] is not worker}
        with suppress(RayError):
            ray.kill(worker.actor)
        for chunk in reversed(worker.chunks):
            chunk.deaths += 1
            if chunk.deaths < DEATHS:
                self._waiting.appendleft(chunk)
            elif len(chunk.sources) > 1:
                self._split(chunk)
            else:
                text = f"{DEATHS} workers died with it in their hands; the last: {error}"
                chunk.records = [self._finish(failed(chunk.sources[0], WorkerDied(text)), 0.0)]

    def _split(self, chunk: _Chunk[Done]) -> None:
        """Put the pairs of a chunk in its place, each by itself."""
        single = [_Chunk[Done]([source], deaths=1) for source in chunk.sources if not self._is_done(source.key)]
        at = self._order.index(chunk)
        self._order.remove(chunk)
        for pair in reversed(single):
            self._order.insert(at, pair)
        self._waiting.extendleft(reversed(single))
