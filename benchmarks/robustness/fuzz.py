"""Broken files without end: what the byte parsers of the input forms make of them.

    python -m benchmarks.robustness.fuzz [--inputs 100000]

Small good files of every form are cut, overwritten, lengthened, and given lying numbers (hypothesis chooses where).
Every one must be read or refused with a reason. Another exception, more than 4 GiB of memory, or 20 s for one file is
a fault and ends the run.
"""

from __future__ import annotations

import faulthandler
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.robustness.broken_files import Change, broken, changes, seeds, with_right_checksums
from redweb_builder.errors import InputError
from redweb_builder.inputs import discover, read_pair

BATCH = 2_000
MEMORY = 4 << 30
HANG = 20.0

Watch = Callable[[str, str, float], None]


def try_file(file: Path) -> str:
    """What becomes of a file: "read", or the reason it was refused with."""
    found = discover(file)
    for source in found.sources:
        try:
            read_pair(source, 128)
        except InputError as error:
            return error.reason
        return "read"
    return found.left_out[0].reason if found.left_out else "passed over"


def fuzz(inputs: int, folder: Path, good: dict[str, bytes], watch: Watch) -> None:
    """Give `inputs` broken copies of good files to the readers.

    good: the files by name. watch: is told the name, what became of the file, and how long it took.
    """

    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(name=st.sampled_from(sorted(good)), todo=changes(), mend=st.booleans())
    def one(name: str, todo: list[Change], mend: bool) -> None:
        file = folder / name
        content = broken(good[name], todo)
        file.write_bytes(with_right_checksums(content) if mend and name.endswith(("png", "pns")) else content)
        faulthandler.dump_traceback_later(HANG, exit=True)
        start = time.perf_counter()
        outcome = try_file(file)
        faulthandler.cancel_dump_traceback_later()
        watch(name, outcome, time.perf_counter() - start)

    one()


@click.command()
@click.option("--inputs", default=100_000, show_default=True, help="How many broken files.")
def main(inputs: int) -> None:
    """Fuzz the readers and print what became of the files; ends with status 1 at the first fault."""
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    slowest: Counter[str] = Counter()

    def watch(name: str, outcome: str, seconds: float) -> None:
        outcomes[name][outcome] += 1
        slowest[name] = max(slowest[name], round(seconds * 1e3))

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    start, memory, good = time.perf_counter(), [], seeds()
    with TemporaryDirectory() as folder:
        for done in track(range(0, inputs, BATCH), "fuzzing"):
            fuzz(min(BATCH, inputs - done), Path(folder), good, watch)
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    table = Table("file", "inputs", "slowest ms", "what became of them", box=None)
    for name, became in sorted(outcomes.items()):
        told = ", ".join(f"{count} {outcome}" for outcome, count in became.most_common())
        table.add_row(name, str(became.total()), str(slowest[name]), told)
    console = Console(soft_wrap=True)
    console.print(table)
    total = sum(became.total() for became in outcomes.values())
    console.print(
        f"{total} files in {time.perf_counter() - start:.0f} s, no fault; "
        f"peak memory {memory[0]} MiB at first, {memory[-1]} MiB at the end"
    )


if __name__ == "__main__":
    main()
