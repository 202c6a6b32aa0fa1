"""Files that cannot be read: seen before the first step, left out, counted, and refused where they are many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from redweb_builder.errors import InputError
from redweb_builder.inputs.picture import EXTENSIONS, read_header
from trainer.data.depth_set import DepthSet
from trainer.types import DataError, DepthSample

SHARE = 20  # a set may lack one sample in so many
LEAST = 3  # and this many in any case

Tick = Callable[[int, int], None]


def check_samples(data: DepthSet, indices: Sequence[int], how: str, tick: Tick = lambda done, of: None) -> list[str]:
    """What is wrong with the files of some samples, a sentence a sample.

    data: the set. indices: the samples. how: "quick" = existence, header and size of every file; "full" = everything is
    read; "none". tick: (samples done, of all). Raises DataError where more are broken than `most_broken` allows.
    """
    faults: list[str] = []
    for done, index in enumerate(indices if how != "none" else (), 1):
        try:
            if how == "full":
                data[index]
            else:
                for file in data.files(index):
                    _check_file(file)
        except DataError as error:
            faults.append(str(error))
            refuse_many(faults, len(indices))
        tick(done, len(indices))
    return faults


def readable_samples(
    data: DepthSet, indices: Sequence[int], faults: list[str], tick: Tick = lambda done, of: None
) -> Iterator[tuple[int, DepthSample]]:
    """The samples that can be read, each with its index; a sentence for each other one is added to `faults`.

    data: the set. indices: of the samples to read. faults: gets the sentences. tick: (samples begun, of all). Raises
    DataError where more are broken than `most_broken` allows.
    """
    for begun, index in enumerate(indices, 1):
        tick(begun, len(indices))
        try:
            sample = data[index]
        except DataError as error:
            faults.append(str(error))
            refuse_many(faults, len(indices))
            continue
        yield index, sample


def most_broken(total: int) -> int:
    """How many of `total` samples may be broken, and are then left out; of a small set not all."""
    return min(max(LEAST, total // SHARE), max(0, total - 1))


def refuse_many(faults: Sequence[str], total: int) -> None:
    """Raise DataError where more samples are broken than can be left out. faults: a sentence each. total: of all."""
    if len(faults) > most_broken(total):
        raise DataError(
            f"{len(faults)} samples of {total} cannot be read, too many to leave out. The first: {faults[0]}"
        )


def _check_file(file: Path) -> None:
    """Raise DataError for a file that is missing or empty, or a picture whose header is broken."""
    try:
        if file.suffix.lower() in EXTENSIONS:
            read_header(file, min_side=1)
        elif not file.stat().st_size:
            raise DataError(f"{file}: is an empty file; copy it again")
    except InputError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(f"{file}: cannot be opened ({error.strerror})") from error
