"""Which sample comes when, as a function of one number: the n-th draw of a training run.

Nothing here remembers anything, so a run that is continued, or split over processes, sees the same samples with the
same augmentation as one that was never interrupted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from redweb_builder.errors import StoreError
from trainer.data.check import refuse_many
from trainer.data.transforms import transformed
from trainer.types import Batch, DataError, Pictures

FINEST = 10**6  # epochs, of which so many hold a whole number of draws of a set
MOST_TRIED = 50  # samples in a row that may be broken


@dataclass(frozen=True)
class Draw:
    """What came of one number, or of several: pictures, None where nothing could be read. faults: why samples were not.

    A fault is a value here: an exception would reach people through a worker's traceback.
    """

    pictures: Pictures | None
    faults: tuple[str, ...] = ()

    def pin_memory(self) -> Draw:
        """The same in page-locked memory; the DataLoader asks for it."""
        return Draw(self.pictures.pin_memory() if self.pictures else None, self.faults)


class Samples(Protocol):
    """Anything with numbered samples: a DepthSet, a RegionSet."""

    def __getitem__(self, index: int) -> Any:
        """Read one sample. Raises DataError, which names the file; StoreError where remote storage does not answer.

        index: from 0.
        """


S = TypeVar("S", bound=Samples)


@dataclass(frozen=True)
class Source(Generic[S]):
    """Some samples of a set.

    data: the set. indices: of the samples. weight: how often each is drawn an epoch: 1 = once, 0.5 = every other one.
    """

    data: S
    indices: Sequence[int]
    weight: float = 1.0


def balanced(sources: Sequence[Source[S]]) -> list[Source[S]]:
    """The sets with weights that draw each equally often an epoch, times its own weight; the epoch stays as long.

    sources: the sets, with their weights.
    """
    total = sum(source.weight for source in sources)
    drawn = sum(source.weight * len(source.indices) for source in sources)
    return [replace(source, weight=source.weight / total * drawn / len(source.indices)) for source in sources]


class SampleStream:
    """The samples of a run: stream[n] is the n-th draw as a batch of one, for n = 0, 1, 2, ... without end.

    epoch_length: draws of an epoch, rounded. Where a set's weight makes no whole number of draws, its epochs differ by
    one draw, so that over many of them the weight is kept.
    """

    def __init__(self, sources: Sequence[Source[Any]], transform: v2.Transform, seed: int) -> None:
        """sources: the sets and their weights. transform: augments picture and label together. seed: of order and
        augmentation.

        Raises DataError where there is nothing to draw.
        """
        self.sources, self.transform, self.seed = sources, transform, seed
        # of an epoch on average; in floats 0.29 * 100 is a little less than 29
        self._drawn = [Fraction(s.weight * len(s.indices)).limit_denominator(FINEST) for s in sources]
        self.epoch_length = round(sum(self._drawn))
        if not self.epoch_length:
            raise DataError("there is nothing to train on: every set is empty or has a weight near 0")
        self._orders: dict[int, NDArray[np.int64]] = {}

    def __getitem__(self, n: int) -> Any:
        """The pictures of the n-th draw, a batch of one. Raises DataError where none can be read."""
        return _pictures_of(self.draw(n))

    def draw(self, n: int) -> Draw:
        """The n-th draw. A sample that cannot be read is replaced by the next in the epoch's order, and reported.

        So a file that is broken, or mended, changes no other draw.
        """
        epoch = self._epoch_of(n)
        order, faults = self._order(epoch), []
        at = n - sum(self._drawn_before(epoch))
        for further in range(min(MOST_TRIED, len(order))):
            which, index = order[(at + further) % len(order)]
            try:
                sample = self.sources[which].data[int(index)]
            except DataError as error:
                faults.append(str(error))
                continue
            except StoreError as error:  # remote storage is gone, and all other samples with it
                return Draw(None, (str(error),))
            with torch.random.fork_rng(devices=[]):
                # Not torch.manual_seed, which would seed CUDA's generators too: fork_rng brings back the CPU's alone
                torch.default_generator.manual_seed(
                    int(np.random.SeedSequence((self.seed, n)).generate_state(1, np.uint64)[0])
                )
                return Draw(self.to_batch(sample), tuple(faults))
        return Draw(None, tuple(faults))

    @property
    def sample_count(self) -> int:
        """Samples of all sets, each counted once."""
        return sum(len(source.indices) for source in self.sources)

    def to_batch(self, sample: Any) -> Pictures:
        """A sample, augmented, as a batch of one; torch's generator is seeded for it."""
        image, disparity, valid, sky, *others = (part[None] for part in transformed(sample, self.transform))
        noise, true_zero = torch.tensor([sample.noise]), torch.tensor([sample.true_zero])
        return Batch(image, disparity, valid, sky, noise, true_zero, *others)

    def _drawn_before(self, epoch: int) -> list[int]:
        """How many draws of each set come before an epoch; a fraction of one is carried over until it is a whole."""
        return [int(epoch * drawn + Fraction(1, 2)) for drawn in self._drawn]

    def _epoch_of(self, n: int) -> int:
        """The epoch of the n-th draw: the last that begins at or before it."""
        length, off = sum(self._drawn), len(self._drawn)  # rounding moves a beginning by less than a draw a set
        possible = range(max(0, int((n - off) / length) - 1), int((n + off) / length) + 2)
        return possible[bisect_right(possible, n, key=lambda epoch: sum(self._drawn_before(epoch))) - 1]

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Of this epoch; the last two are kept. A plain dict, so that the stream can be sent to worker processes."""
        if epoch not in self._orders:
            latest = dict(list(self._orders.items())[-1:])
            self._orders = latest | {epoch: self._epoch_order(epoch)}
        return self._orders[epoch]

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        """One epoch: (set, index) rows, shuffled, every sample `weight` times (a fraction: some of them once more)."""
        generator = np.random.default_rng((self.seed, epoch))
        rows = []
        counts = np.subtract(self._drawn_before(epoch + 1), self._drawn_before(epoch)).tolist()
        for which, (source, count) in enumerate(zip(self.sources, counts, strict=True)):
            rounds = -(-count // max(len(source.indices), 1))
            orders = [generator.permutation(np.asarray(source.indices)) for _ in range(rounds)]
            chosen = np.concatenate(orders)[:count] if orders else np.zeros(0, np.int64)
            rows.append(np.stack([np.full(count, which), chosen], axis=1))
        return generator.permutation(np.concatenate(rows))


@dataclass(frozen=True)
class _Draws(Dataset[Draw]):
    """A stream as the DataLoader takes it."""

    stream: SampleStream

    def __getitems__(self, numbers: list[int]) -> list[Draw]:
        """A batch; where nothing can be read any more, nothing further is tried, which may take long each time."""
        draws = []
        for number in numbers:
            draws.append(self.stream.draw(number))
            if draws[-1].pictures is None:
                return draws[-1:]
        return draws


def collate(items: Sequence[Draw]) -> Draw:
    """Batches of one -> a batch, with the faults of all.

    items: draws, each a batch of one, or none where its files cannot be read.
    """
    batches = [item.pictures for item in items if item.pictures is not None]
    faults = tuple(fault for item in items for fault in item.faults)
    if len(batches) < len(items):
        return Draw(None, faults)
    kind = type(batches[0])
    parts = {field.name: torch.cat([getattr(batch, field.name) for batch in batches]) for field in fields(kind)}
    return Draw(kind(**parts), faults)


def batch_iterator(
    stream: SampleStream,
    numbers: Iterable[int],
    batch: int,
    workers: int,
    pin: bool,
    on_fault: Callable[[str], None] = lambda fault: None,
) -> Iterator[Pictures]:
    """The given draws, in order, `batch` at a time, read ahead by worker processes.

    stream: the samples. numbers: of the draws. workers: processes; 0 = this one reads. pin: hand out page-locked
    memory, for CUDA. on_fault: called once for each sample that cannot be read, with a sentence. Raises DataError where
    too many cannot.
    """
    loader = DataLoader(
        _Draws(stream),
        batch_size=batch,
        sampler=numbers,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        generator=torch.Generator(),  # seeds the workers, whose own randomness nothing uses
        prefetch_factor=4 if workers else None,
    )
    faults: list[str] = []
    for draw in loader:
        for fault in draw.faults:
            if fault not in faults:
                faults.append(fault)
                on_fault(fault)
                refuse_many(faults, stream.sample_count)
        yield _pictures_of(draw)


def _pictures_of(draw: Draw) -> Pictures:
    """What was drawn. Raises DataError where nothing was."""
    if draw.pictures is None:
        more = f"{len(draw.faults)} samples in a row cannot be read. The first: " if len(draw.faults) > 1 else ""
        raise DataError(more + draw.faults[0])
    return draw.pictures
