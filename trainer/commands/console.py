"""What people see of training, evaluation and prediction."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from shlex import quote

import click
import torch
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from redweb_builder.commands.errors import errors_for_people
from redweb_builder.commands.status_line import StatusLine
from redweb_builder.commands.terminal import counted, escape
from trainer.checkpoint import weights_file
from trainer.evaluation.results import COUNTS, ResultRow
from trainer.progress import Progress, Summary, Validation

PLAIN_EVERY_S = 20.0
SHOWN_VALIDATIONS = 12
SHOWN_UNREAD = 3  # files named; the others are counted
MARK = "(*) "  # at figures on pictures that were trained on
PERCENT = ("WKDR", "WHDR", "balanced", "equal", "unequal", "F1", "inverted")


@contextmanager
def trainer_errors_for_people() -> Iterator[None]:
    """As errors_for_people; so does a device that is too small."""
    with errors_for_people():
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):  # of a CPU
                raise
            message = "the device has too little memory: take a smaller --batch or --size, or a larger --accumulate"
            raise click.ClickException(message) from error


class TrainDisplay:
    """A live table on a terminal, a line now and then elsewhere. Use as a context manager.

    Before the first step it shows how far reading or checking the data is.
    """

    def __init__(self, reading: str = "") -> None:
        """Prepare; nothing is drawn before read() or show(). reading: what read() is about."""
        self._reading, self._status = reading, StatusLine()
        self._console = Console(stderr=True, highlight=False)
        self._is_live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, refresh_per_second=4)
        self._validations: list[tuple[int, Validation]] = []
        self._loss: float | None = None
        self._progress: Progress | None = None
        self._printed_at = 0.0

    def __enter__(self) -> TrainDisplay:
        """Return self."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave the table as it stands; after an interrupt say from where the run goes on."""
        self._status.__exit__()
        if self._live.is_started:
            self._live.stop()
        if kind is KeyboardInterrupt and self._progress:
            step, steps, saved = self._progress.step, self._progress.steps, self._progress.saved_step
            raise KeyboardInterrupt(
                f"Step {step} of {steps} was done; the same command goes on after step {saved}, the last that is saved."
            )

    def read(self, done: int, of: int) -> None:
        """Show how far the reading of the data is. done, of: files, or samples."""
        self._status.show(f"{done} of {of}", self._reading, done, of, last=done == of)

    def show(self, progress: Progress) -> None:
        """Show where a run is. progress: what the run reports."""
        self._status.__exit__()
        for note in progress.notes:
            style = "yellow" if note.startswith("WARNING") else ""
            self._console.print(escape(note), style=style, soft_wrap=True)
        if not progress.numbers:
            return
        self._progress = progress
        loss = progress.numbers["loss"]
        if math.isfinite(loss):
            self._loss = loss if self._loss is None else 0.95 * self._loss + 0.05 * loss
        if progress.validation and progress.validation.figures:
            self._validations.append((progress.step, progress.validation))
        if self._is_live:
            if not self._live.is_started:
                self._live.start()
            self._live.update(Group(self._table(), self._line(progress)))
        elif (
            progress.validation
            or progress.step == progress.steps
            or time.monotonic() - self._printed_at > PLAIN_EVERY_S
        ):
            self._printed_at = time.monotonic()
            figures = progress.validation.figures if progress.validation else {}
            text = "  ".join(f"{name} {_number(value, name)}" for name, value in figures.items())
            self._console.print(f"{self._line(progress)}  {text}", soft_wrap=True)

    def _line(self, progress: Progress) -> str:
        left = (progress.steps - progress.step) / progress.rate
        wrong = progress.numbers.get("wrong", math.nan)
        loss = math.nan if self._loss is None else self._loss
        parts = [f"{progress.phase}: step {progress.step} of {progress.steps}", f"loss {loss:.4f}"]
        parts += [f"{100 * wrong:.1f} % of pairs wrong"] if math.isfinite(wrong) else []
        parts += [f"{1 / progress.rate:.2f} s a step", f"{left / 60:.0f} min left"]
        parts += [f"{progress.skipped} steps SKIPPED"] if progress.skipped else []
        return ", ".join(parts)

    def _table(self) -> Table:
        names = list(dict.fromkeys(name for _, validation in self._validations for name in validation.figures))
        table = Table("step", *names, box=None, title="validation (running mean of the weights)")
        for step, validation in self._validations[-SHOWN_VALIDATIONS:]:
            table.add_row(str(step), *(_number(validation.figures.get(name, math.nan), name) for name in names))
        return table


def print_training(summary: Summary) -> None:
    """What came out, where it lies, what to do next. summary: what the training returned."""
    console = Console(highlight=False, soft_wrap=True)
    out = escape(quote(str(summary.out)))
    name = next(iter(summary.figures), "")
    best = f", best {name} {_number(summary.best, name)}" if math.isfinite(summary.best) else ""
    console.print(f"\n[bold]{counted(summary.steps, 'step')}[/] in {summary.seconds / 60:.1f} min{best}")
    unjudged = bool(summary.figures) and not best
    if unjudged:
        why = "no label that was validated on has known pixels to judge by"
        if math.isinf(summary.figures[name]):
            why = "the network gives values that are not finite"
        console.print(f"[yellow]no validation gave a {name}[/]: {why}")
    if summary.skipped:
        skipped = "1 step was skipped: its" if summary.skipped == 1 else f"{summary.skipped} steps were skipped: their"
        console.print(f"[yellow]{skipped} loss or gradient was not a number[/]")
    if summary.unread:
        unread = f"{counted(summary.unread, 'sample')} could not be read and {'was' if summary.unread == 1 else 'were'}"
        console.print(f"[yellow]{unread} left out[/]; see the lines above")
    console.print(
        f"  weights: {escape(str(weights_file(summary.out)))}   "
        f"curve: {escape(str(summary.out / 'log.jsonl'))}, tensorboard --logdir {out}"
    )
    if not unjudged:  # nobody knows what the network is worth
        console.print(f"  next:    python cli.py predict {out} PHOTOGRAPH    python cli.py evaluate {out} --on DATA")


def print_rows(rows: Sequence[ResultRow]) -> None:
    """A table a set. rows: of any sets, in the order in which they are shown."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=160)
    for name in dict.fromkeys(row.data for row in rows):
        own = [row for row in rows if row.data == name]
        columns = list(own[0].figures)
        title = f"{escape(name)}: {own[0].samples} {own[0].counted}"
        table = Table("", *columns, title=title, title_justify="left", box=None)
        for row in own:
            table.add_row(_marked(row), *(_number(row.figures[column], column) for column in columns))
        wanted = console.measure(table, options=console.options.update(max_width=1000)).maximum
        if wanted <= console.width:
            console.print(table)
        else:  # a table too wide for the terminal would lose its figures
            console.print(title)
            for row in own:
                figures = [f"{column} {_number(row.figures[column], column)}" for column in columns]
                console.print(f"[bold]{_marked(row)}[/]\n  {', '.join(figures)}")
        for name, meaning in COUNTS.items():
            most = max(row.counts.get(name, 0) for row in own)
            if most:
                console.print(f"[yellow]{MARK if name == 'trained_on' else ''}{most} {meaning}[/]")
        _print_unread(console, max((row.unread for row in own), key=len))
        console.print()
    console.print("WKDR, WHDR, balanced, equal, unequal, d1, F1, inverted in percent; higher is better for d1 and F1.")
    console.print(
        "In tables of metric depth and of protocols d1 to d3 are shares. A set without a test or validation part"
    )
    console.print("of its own is judged whole; if it was trained on, --part val takes what training held out.")


def _print_unread(console: Console, unread: Sequence[str]) -> None:
    """What could not be read: how many pictures, and why the first of them."""
    if not unread:
        return
    console.print(f"[yellow]{counted(len(unread), 'picture')} could not be read and left out:[/]")
    for reason in unread[:SHOWN_UNREAD]:
        console.print(f"  {escape(reason)}", soft_wrap=True)
    if len(unread) > SHOWN_UNREAD:
        console.print(f"  and {len(unread) - SHOWN_UNREAD} more")


def _marked(row: ResultRow) -> str:
    """The predictor's name, with a mark where it was trained on pictures of the row."""
    return escape(row.predictor) + (f" {MARK.strip()}" if row.counts.get("trained_on") else "")


def _number(value: float, column: str) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if column.startswith(PERCENT) or value > 1 else f"{value:.3f}"


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far something is, as a function to be called with (done, of). what: is done, in words."""
    with StatusLine() as status:
        status.stage(what)
        yield lambda done, of: status.show(f"{done} of {of}", what, done, of, last=done == of)
