"""What commands on a data set print, and what a build shows: its progress and its summary."""

from __future__ import annotations

import getpass
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from shlex import quote
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from redweb_builder.commands.status_line import StatusLine
from redweb_builder.commands.terminal import counted, echo, escape
from redweb_builder.errors import UserError
from redweb_builder.progress import PAIRS, Progress, Recorded

if TYPE_CHECKING:
    from redweb_builder.builder.summary import Summary

NOTHING_KEPT = 3
SHOWN_DAMAGED = 20  # files named; the others are counted


class BuildDisplay:
    """What a build says while it runs: its stage from the first second, then pair by pair. Use as a context manager."""

    def __init__(self, verbose: bool = False) -> None:
        """Prepare; nothing is drawn before the first stage. verbose: a line for each pair as it is recorded."""
        self._status = StatusLine()
        self._verbose = verbose
        self._notes = 0
        self._stage = ""

    def __enter__(self) -> BuildDisplay:
        """Say that the program is being loaded, which takes a few seconds."""
        self._status.stage("loading the program")
        return self

    def __exit__(self, *_: object) -> None:
        """Take the live lines away."""
        self._status.__exit__()

    def show(self, progress: Progress) -> None:
        """Show the state of a build. progress: what the build hands on after each step."""
        if progress.stage != self._stage:
            self._stage = progress.stage
            self._begin(progress)
        if self._verbose and progress.recorded:
            self._status.console.print(escape(_pair_line(progress.recorded)), soft_wrap=True)
        if progress.total and progress.stage == PAIRS:
            title = f"{progress.done} of {progress.total} pairs{_rate(progress)}"
            detail = ", ".join(filter(None, (_counts(progress), progress.item)))
            last = progress.done == progress.total
            self._status.show(title, detail, progress.position, progress.total, last=last)
        else:
            self._status.show(progress.stage, progress.item)

    def _begin(self, progress: Progress) -> None:
        for note in progress.notes[self._notes :]:
            self._status.console.print(escape(note), soft_wrap=True)
        self._notes = len(progress.notes)
        if progress.stage != PAIRS:
            self._status.stage(progress.stage)
        elif progress.resumed:
            self._status.console.print(f"going on: {progress.resumed} of {progress.total} pairs are done already")


def _pair_line(pair: Recorded) -> str:
    reason = f": {pair.reason}" if pair.reason else ""
    return f"{pair.status:8}  {pair.key}  {pair.seconds:.1f} s{reason}"


def _rate(progress: Progress) -> str:
    left = progress.seconds_left
    if left is None:
        return ""
    return f", {progress.rate:.2f} pairs/s, {timedelta(seconds=round(left))} left"


def _counts(progress: Progress) -> str:
    counts = progress.counts
    return ", ".join(f"{counts[status]} {status}" for status in ("kept", "rejected", "failed") if counts[status])


def print_summary(summary: Summary) -> None:
    """What came out, what did not and why, where it lies, what to do next. summary: what build returned."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\n[bold]{summary.kept} kept[/], {summary.rejected} rejected in {summary.seconds:.0f} s", end="")
    console.print(f"  (flow {summary.flow}, segmentation {summary.segmenter})")
    if summary.duplicates:
        console.print(
            f"  duplicates: {summary.kept + summary.duplicates} pairs passed the filters, {summary.duplicates} of them "
            "rejected as like a better one"
        )
    for title, reasons in (("rejected", summary.reasons), ("files in no pair", summary.left_out)):
        if reasons:
            text = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            console.print(f"  {title}: {escape(text)}")
    out, quoted = escape(str(summary.out)), escape(quote(str(summary.out)))
    console.print(f"  data set: {out}   every pair with its measurements: {out}/manifest.parquet")
    console.print(f"  look at:  {out}/report.html (or {out}/grid.png)   decide: python cli.py review {quoted}")
    if summary.redone:
        console.print(f"  done again: {counted(summary.redone, 'pair')}, of which files were gone, or of another size")
    if summary.lost:
        console.print(
            f"[yellow]lost files: {counted(summary.lost, 'pair')}[/] not among those of this command, left out of the "
            "manifest until the data set is built from the photographs again"
        )
    if summary.damaged_lines:
        console.print(
            f"  damaged: {counted(summary.damaged_lines, 'line')} of journal.jsonl; what stood there was done again"
        )
    if summary.failed:
        console.print(
            f"[red]unforeseen error: {counted(len(summary.failed), 'pair')}[/]; see {out}/errors.log. "
            "The same command tries again"
        )
    if not summary.kept and not summary.failed:
        console.print("[yellow]Nothing was kept.[/] The grid shows why; `--preset none` keeps every labelled pair.")


def print_summary_as_json(summary: Summary) -> None:
    """One object with the fields of the summary, for machines. summary: what build returned."""
    click.echo(json.dumps({**asdict(summary), "out": str(summary.out)}, indent=1))


def exit_code(summary: Summary) -> int:
    """0: something was kept and nothing failed; 1: pairs failed; 3: nothing was kept. summary: what build returned."""
    if summary.failed:
        return 1
    return 0 if summary.kept else NOTHING_KEPT


def grid(dataset: Path, rows: int, keys: Sequence[str], to: Path | None) -> None:
    """Draw the grid. Exit status 1 where previews cannot be shown.

    dataset: its folder. rows, keys, to: how many pairs, which pairs, and the file of the picture, as of write_grid.
    """
    from redweb_builder.inspect.show import write_grid

    drawn = write_grid(dataset, rows, keys, to)
    print_refusal(drawn.refusal)
    echo(drawn.file)
    one, several = "pair is drawn without its pictures", "pairs are drawn without their pictures"
    exit_if_damaged(dataset, drawn.damaged, one, several)


def report(dataset: Path, single: Path | None) -> None:
    """Draw the report. Exit status 1 where labelled pairs lack files, or have files of a size that was not written.

    dataset: its folder. single: a file of its own, with the pictures in it.
    """
    from redweb_builder.inspect.report import write_report

    drawn = write_report(dataset, single)
    print_refusal(drawn.refusal)
    echo(drawn.file)
    one, several = "labelled pair cannot be shown as it was", "labelled pairs cannot be shown as they were"
    exit_if_damaged(dataset, drawn.damaged, one, several)


def review(
    dataset: Path, reviewer: str | None, source: Path | None, port: int, browser: bool, host: str | None
) -> None:
    """Serve the review page until Ctrl-C.

    dataset: its folder. reviewer: a name for the decisions; None takes the login. source: the folder of the stereo
    photographs; None takes that of build.json. port: 0 picks a free one. browser: whether to open the page there.
    host: an address of this machine at which other devices reach the page; None = this machine only.
    """
    try:
        from redweb_builder.review.server import LOOPBACK, serve
    except ModuleNotFoundError as error:
        raise UserError(f"the review page needs {error.name}: pip install 'redweb-builder[review]'") from error
    from redweb_builder.dataset.paths import remote_input
    from redweb_builder.inputs.remote import shown
    from redweb_builder.review.session import Session

    session = Session(dataset, reviewer or _user_name(), source)
    print_refusal(session.refusal)
    if len(session) < session.pairs:
        echo(f"The {len(session)} most telling of {session.pairs} pairs are shown.")
    if session.source is None:
        place = f"at {address}" if (address := remote_input(dataset)) else "not where they were"
        echo(f"The stereo photographs are {place}: no right eye, no flicker, unless --source names their folder.")

    if not session.cache.is_usable:
        echo(f"{session.home / '.review'} is a link or a file, so that the page's pictures are not kept: remove it.")

    def announce(address: str) -> None:
        echo(f"{session.reviewer} reviews {shown(dataset)}; Ctrl-C ends it, nothing is lost")
        echo(address)
        if host:
            echo("Whoever has this link may decide as you; it is not encrypted. Photograph it with the other device:")
            _print_qr_code(address)
        elif browser:
            import webbrowser  # here: no other command opens a page

            webbrowser.open(address)

    serve(session, port, announce, host or LOOPBACK)
    click.echo()
    if not session.home.is_dir():
        echo(f"{session.home} is no longer there: what was decided went with it.")
        return
    made = session.home / "decisions.jsonl"
    command = f"python cli.py decisions {quote(shown(dataset))}"
    if not made.is_file():
        echo("Nothing was decided.")
    if session.home == dataset:
        echo(f"Decisions go to {made}; `{command}` counts them.")
    else:
        echo(f"Decisions go to {made}; `{command} {quote(str(made))}` puts them into the data set.")


def _print_qr_code(address: str) -> None:
    """An address for the camera of a phone or tablet, where segno is there and the terminal is wide enough."""
    try:
        import segno
    except ModuleNotFoundError:
        echo("(a QR code needs segno: pip install segno)")
        return
    code = segno.make(address, micro=False)
    if code.symbol_size()[0] <= get_terminal_size().columns:
        code.terminal(compact=True)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container that knows no name for the user's number
        raise UserError("this machine has no name for you: give one by --reviewer") from error


def print_decisions(dataset: Path, files: Sequence[Path]) -> None:
    """Merge files of other reviewers, then print who decided what, and where they differ.

    dataset: its folder. files: decisions.jsonl of other people.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from redweb_builder.dataset import decisions
    from redweb_builder.dataset.manifest import pairs_of
    from redweb_builder.dataset.manifest_file import read_manifest

    manifest = read_manifest(dataset, ("key",))
    print_refusal(manifest.refusal())
    pairs = pairs_of(manifest.table)
    if files:
        merged, damaged = decisions.merge_decisions(dataset, files)
        echo(f"{merged} new lines merged")
        if damaged:
            echo(f"passed over: {counted(damaged, 'line')} of these files, no decision")
    made, damaged = decisions.read_decisions(dataset / decisions.FILE)
    stands = decisions.standing(made)
    known = set(pairs["key"].filter(pc.is_in(pairs["key"], pa.array(list(stands), pa.string()))).to_pylist())
    if others := len(stands) - len(known):
        echo(f"passed over: {counted(others, 'decision')} about pairs that this data set does not have")
    stands = {key: by_reviewer for key, by_reviewer in stands.items() if key in known}
    table = Table("reviewer", *decisions.DECISIONS[:3], box=None, pad_edge=False)
    counts = Counter((who, last.decision) for by_reviewer in stands.values() for who, last in by_reviewer.items())
    for reviewer in sorted({who for who, _ in counts}):
        table.add_row(escape(reviewer), *(str(counts[reviewer, decision]) for decision in decisions.DECISIONS[:3]))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    disputed = sorted(key for key, by_reviewer in stands.items() if decisions.is_disputed(by_reviewer))
    console.print(f"{len(stands)} of {len(pairs)} pairs decided, {len(disputed)} disputed: the latest verdict counts")
    for key in disputed:
        verdicts = ", ".join(f"{who} {last.decision}" for who, last in stands[key].items())
        console.print(f"  {escape(key)}: {escape(verdicts)}")
    if damaged:
        console.print(f"passed over: {counted(damaged, 'damaged line')} (torn by a crash, or edited)")


def print_refusal(refusal: str | None) -> None:
    """Say on standard error which rows of a manifest cannot be used. refusal: the sentence; None = all can."""
    if refusal:
        echo(refusal, err=True)


def refilter(dataset: Path, settings: Sequence[str], dry_run: bool) -> None:
    """Show what other thresholds change, then change it.

    dataset: its folder. settings: each "name=number", as typed. dry_run: show only.
    """
    from redweb_builder.builder.refilter_plan import parse_limits, plan_refilter
    from redweb_builder.dataset.shards import is_shard_set
    from redweb_builder.inputs.remote import address_of, shown

    limits = parse_limits(settings)
    plan = plan_refilter(dataset, limits)
    table = Table("change", "pairs", box=None, pad_edge=False)
    table.add_column("for example", overflow="fold")  # a key is given to other commands: none of it may be cut
    for change in plan.changes:
        table.add_row(f"{escape(change.before)} -> {escape(change.after)}", str(change.pairs), escape(change.example))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table if plan.changes else "No pair changes.")
    if plan.decided:
        console.print(f"decided by people, and left so: {plan.decided} of these")
    if not dry_run:
        from redweb_builder.builder import refilter as refiltering

        refiltering.refilter(dataset, limits)
        seen = "" if address_of(dataset) else f"; see {escape(str(dataset))}/report.html"
        console.print(f"Done. The filters keep {counted(plan.kept, 'pair')}{seen}")
        if is_shard_set(dataset):
            console.print(
                "The tars are as they were, and only this program reads by the new verdicts. This writes tars of what "
                f"is kept now:\n  python cli.py export {quote(shown(dataset))} --format webdataset --out NEW"
            )


def export(
    dataset: Path,
    form: str,
    out: Path,
    keys: Sequence[str],
    options: Mapping[str, Any],
    min_confidence: int,
    repository: str | None = None,
) -> None:
    """Write a data set in another form, with a progress bar. Exit status 1 where samples had to be left out.

    dataset: its folder. form: one of DATA_SET_FORMATS. out: the folder to write. keys: of the pairs to write; none for
    all that are kept. options: further arguments of the format's writer. min_confidence: as of open_dataset.
    repository: of the Hugging Face hub, to which an export is uploaded that has all its samples.
    """
    from redweb_builder.export.dataset import export_dataset
    from redweb_builder.export.hub import check_login, push
    from redweb_builder.inputs.remote import address_of, shown

    if repository:
        check_login(repository)
    with StatusLine() as status:

        def watch(at: int, total: int) -> None:
            if at:
                status.show(f"{at} of {total} samples", done=at, total=total, last=at == total)
            else:
                status.stage("checking every sample")

        try:
            done = export_dataset(dataset, form, out, keys, watch, options, min_confidence)
        except KeyboardInterrupt:
            if address_of(out):  # where what is there stays there
                raise
            raise KeyboardInterrupt(f"Nothing was written to {out}: the same command begins anew.") from None
    print_refusal(done.refusal)
    rejected = f", {done.rejected} of them rejected" if done.rejected else ""
    echo(f"{counted(done.samples, 'sample')} in {shown(done.out)}{rejected}")
    also = ", nothing was uploaded" if repository else ""
    one, several = f"sample was left out{also}", f"samples were left out{also}"
    exit_if_damaged(dataset, done.damaged, one, several, "damaged, missing or of no use in this form")
    if repository:
        echo(f"uploaded to {push(done.out, repository)}")


def restore(labels: Path, copies: Path) -> None:
    """Make the pictures of a set again, with a progress bar. Exit status 1 where some could not be made.

    labels: the set without pictures. copies: the folder of the photographs.
    """
    from redweb_builder.builder.restore import restore as restore_pictures

    with StatusLine() as status:
        status.stage(f"looking for the photographs in {copies}")
        done = restore_pictures(
            labels,
            copies,
            lambda at, total: status.show(f"{at} of {total} pictures", done=at, total=total, last=at == total),
        )
    echo(f"{counted(done.made, 'picture')} made in {labels}, {done.there} were there already")
    for sentence in done.missing[:SHOWN_DAMAGED]:
        echo(sentence, err=True)
    if done.missing:
        raise click.ClickException(f"{counted(len(done.missing), 'picture')} could not be made")


def exit_if_damaged(
    dataset: Path, damaged: Sequence[str], one: str, several: str, why: str = "damaged or missing"
) -> None:
    """Name the files that could not be read, and exit with status 1 where there are any.

    dataset: its folder. damaged: a sentence a file. one, several: what became of those pairs, put behind their number.
    why: what their files are.
    """
    from redweb_builder.inputs.remote import shown

    for sentence in damaged[:SHOWN_DAMAGED]:
        echo(sentence, err=True)
    if damaged:
        what, whose = (one, "its") if len(damaged) == 1 else (several, "their")
        raise click.ClickException(
            f"{len(damaged)} {what}: {whose} files are {why}. "
            f"`python cli.py check {quote(shown(dataset))}` says what mends those of the data set."
        )
