"""What a build shows on the screen: progress, summary, and errors for people."""

from __future__ import annotations

import errno
import getpass
import webbrowser
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from redweb_builder import builder

INTERRUPTED = 130
NOTHING_KEPT = 3
PLAIN_EVERY = 25  # pairs between two lines where the output is no terminal


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Foreseen errors become one line and exit status 1, an interrupt status 130; neither shows a traceback."""
    from redweb_builder.store import StoreError
    from redweb_builder.weights import WeightsUnavailable

    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nInterrupted. Nothing is lost: the same command goes on from here.", err=True)
        raise SystemExit(INTERRUPTED) from None
    except (StoreError, WeightsUnavailable, FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            told = "no space left on the disk; free some and give the same command again: it goes on from here"
        else:
            told = f"{error.strerror or error}: {error.filename or ''}"
        raise click.ClickException(told) from error


class BuildDisplay:
    """A progress bar with rate and counts on a terminal, a line now and then elsewhere. Use as a context manager."""

    def __init__(self) -> None:
        """Prepare; nothing is drawn until show()."""
        self._console = Console(stderr=True)
        columns = (
            TextColumn("pairs"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("[green]{task.fields[kept]} kept[/] [yellow]{task.fields[rejected]} rejected[/]"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task: TaskID | None = None

    def __enter__(self) -> BuildDisplay:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()

    def show(self, progress: builder.Progress) -> None:
        """Show the state of a build."""
        if self._task is None:
            for note in progress.notes:
                self._console.print(escape(note), highlight=False, soft_wrap=True)
            if progress.resumed:
                self._console.print(f"going on: {progress.resumed} of {progress.total} pairs are done already")
            self._bar.start()
            self._task = self._bar.add_task("", total=progress.total)
            self._update(progress)
            return
        self._update(progress)
        last = progress.done == progress.total
        if self._bar.disable and (last or (progress.done - progress.resumed) % PLAIN_EVERY == 0):
            self._console.print(
                f"{progress.done} of {progress.total} pairs, {_rate(progress)}, "
                f"{progress.counts['kept']} kept, {progress.counts['rejected']} rejected",
                highlight=False,
            )

    def _update(self, progress: builder.Progress) -> None:
        if self._task is not None:
            self._bar.update(
                self._task,
                completed=progress.done,
                rate=_rate(progress),
                kept=progress.counts["kept"],
                rejected=progress.counts["rejected"],
            )


def _rate(progress: builder.Progress) -> str:
    return f"{progress.rate:.2f} pairs/s" if progress.rate else ""


def print_summary(summary: builder.Summary) -> None:
    """What came out, what did not and why, where it lies, what to do next."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\n[bold]{summary.kept} kept[/], {summary.rejected} rejected in {summary.seconds:.0f} s", end="")
    console.print(f"  (flow {summary.flow}, segmentation {summary.segmenter})")
    for title, reasons in (("rejected", summary.reasons), ("files in no pair", summary.left_out)):
        if reasons:
            told = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            console.print(f"  {title}: {escape(told)}")
    out = escape(str(summary.out))
    console.print(f"  data set: {out}   every pair with its measurements: {out}/manifest.parquet")
    console.print(f"  look at:  {out}/report.html (or {out}/grid.png)   decide: cli.py review {out}")
    if summary.failed:
        console.print(
            f"[red]{len(summary.failed)} pairs met an unforeseen error[/]: see {out}/errors.log; "
            "the same command tries them again"
        )
    if not summary.kept and not summary.failed:
        console.print("[yellow]Nothing was kept.[/] The grid shows why; `--preset none` keeps every labelled pair.")


def exit_code(summary: builder.Summary) -> int:
    """0: something was kept and nothing failed; 1: pairs failed; 3: nothing was kept."""
    if summary.failed:
        return 1
    return 0 if summary.kept else NOTHING_KEPT


def review(dataset: Path, reviewer: str | None, source: Path | None, port: int, browser: bool) -> None:
    """Serve the review page until Ctrl-C."""
    try:
        from redweb_builder.review.server import serve
    except ModuleNotFoundError as error:
        raise ValueError(f"the review page needs {error.name}: pip install 'redweb-builder[review]'") from error
    from redweb_builder.review.session import Session

    session = Session(dataset, reviewer or _user_name(), source)
    if session.source is None:
        click.echo(
            "The stereo photographs are not where they were: no right eye, no flicker. --source names their folder."
        )

    def tell(address: str) -> None:
        click.echo(f"{session.reviewer} reviews {dataset}; Ctrl-C ends it, nothing is lost\n{address}")
        if browser:
            webbrowser.open(address)

    serve(session, port, tell)
    click.echo(f"\nDecisions are in {dataset / 'decisions.jsonl'}; `cli.py decisions {dataset}` counts them.")


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container that knows no name for the user's number
        raise ValueError("this machine has no name for you: give one by --reviewer") from error


def print_decisions(dataset: Path, files: Sequence[Path]) -> None:
    """Merge files of other reviewers, then tell who decided what and where they differ."""
    from redweb_builder import decisions
    from redweb_builder.dataset import read_manifest

    keys = {key for key in read_manifest(dataset)["key"].to_pylist() if key is not None}
    if files:
        click.echo(f"{decisions.merge_decisions(dataset, files)} new lines merged")
    made, damaged = decisions.read_decisions(dataset / decisions.FILE)
    stands = {key: by_reviewer for key, by_reviewer in decisions.standing(made).items() if key in keys}
    table = Table("reviewer", *decisions.DECISIONS[:3], box=None, pad_edge=False)
    counts = Counter((who, one.decision) for by_reviewer in stands.values() for who, one in by_reviewer.items())
    for reviewer in sorted({who for who, _ in counts}):
        table.add_row(escape(reviewer), *(str(counts[reviewer, decision]) for decision in decisions.DECISIONS[:3]))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    disputed = sorted(key for key, by_reviewer in stands.items() if decisions.is_disputed(by_reviewer))
    console.print(f"{len(stands)} of {len(keys)} pairs decided, {len(disputed)} disputed: the latest verdict counts")
    for key in disputed:
        said = ", ".join(f"{who} {one.decision}" for who, one in stands[key].items())
        console.print(f"  {escape(key)}: {escape(said)}")
    if damaged:
        console.print(f"{damaged} lines are damaged (torn by a crash, or edited) and are passed over")


def refilter(dataset: Path, settings: Sequence[str], dry_run: bool) -> None:
    """Show what other thresholds change, then change it."""
    from redweb_builder import refilter as refiltering

    limits = refiltering.parse_limits(settings)
    plan = refiltering.plan_refilter(dataset, limits)
    table = Table("change", "pairs", "for example", box=None, pad_edge=False)
    for (before, after), count in Counter((one.before, one.after) for one in plan.changes).most_common():
        example = next(one.key for one in plan.changes if (one.before, one.after) == (before, after))
        table.add_row(f"{escape(before)} -> {escape(after)}", str(count), escape(example))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table if plan.changes else "No pair changes.")
    decided = sum(one.decided for one in plan.changes)
    if decided:
        console.print(f"{decided} of these were decided by people and stay as decided")
    if not dry_run:
        refiltering.refilter(dataset, limits)
        console.print(f"Done. The filters keep {plan.kept} pairs; see {escape(str(dataset))}/report.html")


def export(dataset: Path, form: str, out: Path, keys: Sequence[str]) -> None:
    """Write a data set in another form, with a progress bar."""
    from redweb_builder.export.dataset import export_dataset

    bar = Progress(TextColumn("samples"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with bar:
        task = bar.add_task("", total=None)
        done = export_dataset(dataset, form, out, keys, lambda at, total: bar.update(task, completed=at, total=total))
    click.echo(f"{done.samples} samples in {done.out}")
