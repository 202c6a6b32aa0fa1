"""Broken files without end: what every parser of ours makes of them.

    python -m benchmarks.robustness.fuzz [--inputs 100000] [--seed 0] [--only PARSER] [--save FOLDER]

Small good files of every form are cut, overwritten, lengthened, and given lying numbers where their structure hangs on
(hypothesis chooses where). "photographs" goes through discovery and reading, as a build does; the other parsers are
those of data sets, lists and checkpoints (data_files.py). Every file must be read or refused with a reason. Another
exception, a file written, 4 GiB of memory, or 20 s for one file is a fault and ends the run. With --save, each file
lies there while it is read, and the one that is a fault stays, also where it took the process with it. Another --seed
tries other files, so that slices add up.
"""

from __future__ import annotations

import faulthandler
import hashlib
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.robustness.broken_files import Change, broken, changes, drawn, seeds, with_right_checksums
from benchmarks.robustness.data_files import parsers
from redweb_builder.errors import InputError, UserError
from redweb_builder.inputs.discover import discover
from redweb_builder.inputs.read import read_pair

PHOTOGRAPHS = "photographs"
UNFORESEEN = "failed"  # the reason for a file in which discovery met an error of ours
BATCH = 2_000
MEMORY = 4 << 30
HANG = 20.0

Read = Callable[[Path], str]
Watch = Callable[[str, str, float], None]


class Fault(Exception):
    """A broken file did what none may do."""


def try_file(file: Path) -> str:
    """What becomes of a photograph or film: "read", or the reason it was refused with. Raises Fault."""
    discovery = discover(file)
    for left_out in discovery.left_out:
        if left_out.reason == UNFORESEEN:
            raise Fault(left_out.detail)
    for source in discovery.sources:
        try:
            read_pair(source, 128)
        except InputError as error:
            return error.reason
        return "read"
    return discovery.left_out[0].reason if discovery.left_out else "passed over"


def reader_of(read: Callable[[Path], object]) -> Read:
    """What becomes of a file: the text that its reader returns, "read", or the kind of the error for people."""

    def outcome(file: Path) -> str:
        try:
            said = read(file)
        except UserError as error:
            return type(error).__name__
        return said if isinstance(said, str) else "read"

    return outcome


def fuzz(
    inputs: int,
    folder: Path,
    good: dict[str, bytes],
    watch: Watch,
    read: Read = try_file,
    kept: tuple[str, ...] = (),
    start: int = 0,
    save: Path | None = None,
) -> None:
    """Give `inputs` broken copies of good files to a reader.

    folder: an empty one. good: the files by name, which lie there all; kept: those of them that are never broken.
    watch: gets the name, what became of the file, and how long it took, s. start: another number tries others. save:
    where a file that is a fault is kept. Raises what the reader raises, and Fault.
    """
    for name, content in good.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    @drawn(inputs, start)
    @given(name=st.sampled_from(sorted(good.keys() - set(kept))), todo=changes(), mend=st.booleans())
    def try_one(name: str, todo: list[Change], mend: bool) -> None:
        content = broken(good[name], todo)
        content = with_right_checksums(content) if mend and name.endswith(("png", "pns")) else content
        (folder / name).write_bytes(content)
        faulthandler.dump_traceback_later(HANG, exit=True)
        before = time.perf_counter()
        try:
            with saved_until_read(content, name, save):
                outcome = read(folder / name)
                there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
                if there != good.keys() or (folder / name).stat().st_size != len(content):
                    raise Fault(f"reading {name} changed files")
        finally:
            faulthandler.cancel_dump_traceback_later()
        watch(name, outcome, time.perf_counter() - before)
        (folder / name).write_bytes(good[name])

    try_one()


@contextmanager
def saved_until_read(content: bytes, name: str, save: Path | None) -> Iterator[None]:
    """Keep a copy of a file at save/DIGEST/name during the block, and where the block, or the process, ends badly."""
    if save is None:
        yield
        return
    place = save / hashlib.sha256(content).hexdigest()[:8]
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(content)
    yield
    (place / name).unlink()
    place.rmdir()


def fuzz_parser(parser: str, inputs: int, folder: Path, watch: Watch, start: int = 0, save: Path | None = None) -> None:
    """Fuzz one of PHOTOGRAPHS and data_files.parsers(), in an empty folder, as `fuzz` says."""
    save = save / parser if save else None
    if parser == PHOTOGRAPHS:
        fuzz(inputs, folder, seeds(), watch, start=start, save=save)
    else:
        of = parsers()[parser]
        fuzz(inputs, folder, of.good, watch, reader_of(of.read), of.kept, start, save)


@click.command()
@click.option("--inputs", default=100_000, show_default=True, help="How many broken files, over all parsers.")
@click.option("--seed", "start", default=0, show_default=True, help="Another number tries other files.")
@click.option("--only", multiple=True, type=click.Choice([PHOTOGRAPHS, *parsers()]), help="Only these parsers.")
@click.option("--save", type=click.Path(path_type=Path), help="Folder for a file that is a fault.")
def main(inputs: int, start: int, only: tuple[str, ...], save: Path | None) -> None:
    """Fuzz the readers and print what became of the files; ends with status 1 at the first fault."""
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    slowest: Counter[str] = Counter()

    def watch(name: str, outcome: str, seconds: float) -> None:
        outcomes[name][outcome] += 1
        slowest[name] = max(slowest[name], round(seconds * 1e3))

    libraries = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (libraries + MEMORY, libraries + MEMORY))
    began, memory, names = time.perf_counter(), [], only or (PHOTOGRAPHS, *parsers())
    slices = [(name, at) for name in names for at in range(0, inputs // len(names), BATCH)]
    for name, at in track(slices, "fuzzing", console=Console(stderr=True)):
        with TemporaryDirectory() as folder:
            fuzz_parser(name, min(BATCH, inputs // len(names) - at), Path(folder), watch, start * inputs + at, save)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    table = Table("file", "inputs", "slowest ms", "what became of them", box=None)
    for name, became in sorted(outcomes.items()):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in became.most_common())
        table.add_row(name, str(became.total()), str(slowest[name]), counts)
    console = Console(width=160)
    console.print(table)
    total = sum(became.total() for became in outcomes.values())
    console.print(
        f"{total} files in {time.perf_counter() - began:.0f} s, no fault; "
        f"peak memory {memory[0]} MiB at first, {memory[-1]} MiB at the end"
    )


if __name__ == "__main__":
    main()
