"""One way to show long work: two live lines on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from redweb_builder.commands.terminal import printable

PLAIN_EVERY_S = 5.0  # between two lines where nothing can be drawn over
MIN_BAR = 10  # columns; where the terminal leaves less, there is no bar


class StatusLine:
    """What is being done, how far it is, and what with. Use as a context manager; nothing shows before `show`.

    On a terminal it redraws itself a few times a second and fits any width. Where the output is no terminal, or one
    that cannot move its cursor (TERM=dumb), lines are printed: at once where what is being done changes, else every
    PLAIN_EVERY_S.
    """

    def __init__(self, console: Console | None = None) -> None:
        """console: where to; default standard error."""
        self.console = console or Console(stderr=True, highlight=False)
        self.is_live = self.console.is_terminal and not self.console.is_dumb_terminal
        self._live = Live(self, console=self.console, refresh_per_second=8, transient=True)
        self._spinner = Spinner("dots")
        self._title = self._detail = ""
        self._done, self._total = 0.0, 0
        self._printed_at = 0.0

    def __enter__(self) -> StatusLine:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the live lines away."""
        self._live.stop()

    def show(self, title: str, detail: str = "", done: float = 0, total: int = 0, *, last: bool = False) -> None:
        """Say what is being done, and how far it is.

        title: what ("12 of 17 pairs, ..."). detail: what with, a file. done, total: how far, in one unit; total 0 = not
        known. last: there is no more to come of this title, so that a plain line is due.
        """
        self._title, self._detail, self._done, self._total = printable(title), printable(detail), done, total
        if self.is_live:
            if not self._live.is_started:
                self._live.start()
            return
        now = time.monotonic()
        if title and (last or now - self._printed_at >= PLAIN_EVERY_S):
            self._print_plain(now)

    def stage(self, title: str) -> None:
        """Begin something whose length is not known: shown at once. title: what is being done."""
        self.show(title, last=True)
        if self.is_live:
            self._live.refresh()

    def _print_plain(self, now: float) -> None:
        text = f"{self._title}  {self._detail}" if self._detail else self._title
        self.console.print(Text(text), soft_wrap=True)
        self._printed_at = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The bar with its title, or a spinner; below it the detail, cut to the width."""
        title = Text(self._title, no_wrap=True, overflow="ellipsis")
        room = options.max_width - title.cell_len - 2
        line = Table.grid(padding=(0, 1), collapse_padding=True)
        if not self._total:
            line.add_row(self._spinner, title)
        elif room >= MIN_BAR:
            line.add_row(ProgressBar(self._total, self._done, width=min(room, 40)), title)
        else:
            line.add_row(title)
        yield line
        if self._detail:
            yield Text(self._detail, style="dim", no_wrap=True, overflow="ellipsis")
