"""A fault at every write: each command fails, or is killed, at every call that changes a file, and is given again.

    python -m benchmarks.robustness.write_faults [--command build ...] [--every N]

A command is run undisturbed first; its calls that change a file below its folder are counted (write_calls.py). Then it
runs once for every call and every fault, and once more undisturbed. What must hold:

- Afterwards every file is what the undisturbed run left, to the byte, and no other file is there.
- A failure ends in one plain sentence, an interrupt with status 130, neither with a traceback.
- Lines of journals, logs and decisions that were whole at the fault are a beginning of the undisturbed file.
- A data set that was finished before can be read after the fault.

Pairs are labelled once, before the first run; training and all writing is done each time. Every run is a fork of this
process, which has loaded the libraries. Linux only.
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from benchmarks.robustness.fault_scenarios import NAMES, Scenario, prepare_workspace, run_command, scenario, training
from benchmarks.robustness.without_times import OF_A_RUN, without_times
from benchmarks.robustness.write_calls import FAULTS, Call, Fault, WriteCalls, is_possible, unseen
from redweb_builder.commands.errors import BUG
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.files import parse_json

HANG_S = 60.0
KILLING = ("kill-before", "kill-after", "torn")
APPENDED = ("journal.jsonl", "log.jsonl", "decisions.jsonl")
CACHE = "/.review/"  # nothing is missed where a picture of it could not be kept
# What a run says of itself, not of its data: times, and what it found done.
VARYING = re.compile(rb'"(seconds_of_this_run|pairs_done_before_this_run)": [0-9.]+')
Tree = dict[str, bytes]


@dataclass
class Tried:
    """What became of a command's faults.

    calls: how many it makes. unseen: files that it wrote by none of them. faults: how many were tried. equal: after
    how many everything was good in the end. refused: how many ended in a plain sentence. problems: what went wrong ->
    where.
    """

    calls: int
    unseen: list[str]
    faults: int = 0
    equal: int = 0
    refused: int = 0
    problems: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class Hang(Exception):
    """A command that did not end in time, and was killed."""


def run(arguments: Sequence[str], log: Path, calls: WriteCalls | None = None, made: Path | None = None) -> int:
    """Run a command in a fork of this process; return its exit status, -9 where it was killed. Raises Hang.

    log: gets what it prints. calls: what it meets. made: gets the calls, a line each, where the command ends by itself.
    """
    child = os.fork()
    if child == 0:
        _run_and_exit(arguments, log, calls, made)
    deadline = time.monotonic() + HANG_S
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise Hang
        time.sleep(0.002)


def _run_and_exit(arguments: Sequence[str], log: Path, calls: WriteCalls | None, made: Path | None) -> None:
    """The child's part: nothing that this process would do at its end is done twice."""
    status: object = 70
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        sys.stdout, sys.stderr = (io.TextIOWrapper(os.fdopen(n, "wb", 0), write_through=True) for n in (1, 2))
        if calls:
            calls.start()
        try:
            run_command(arguments)
        except SystemExit as end:
            status = end.code or 0
        threading._shutdown()  # type: ignore[attr-defined]  # as at the end of Python, which ends pools
        if calls and made:
            made.write_text("".join(f"{call.name}\t{call.path}\t{call.size}\t{call.source}\n" for call in calls.calls))
    except BaseException:  # shown as Python would show it, and counted as a traceback
        traceback.print_exc()
    finally:
        os._exit(status if isinstance(status, int) else 1)


class Trial:
    """A command and what it leaves when nothing disturbs it."""

    def __init__(self, command: Scenario, workspace: Path, here: Path) -> None:
        """Run the command undisturbed. workspace: what `prepare_workspace` made. here: the folder it changes."""
        self._command, self._workspace, self._here = command, workspace, here
        self._log, made = workspace / "log.txt", workspace / "calls.txt"
        self._set_up()
        self._before = tree_of(here)
        self._status = run(command.arguments, self._log, WriteCalls(here), made)
        if self._status not in (0, 3):
            raise RuntimeError(f"{' '.join(command.arguments)} fails undisturbed: {self._log.read_text()}")
        self._after = tree_of(here)
        lines = [line.split("\t") for line in made.read_text().split("\n")[:-1]]
        self.calls = [Call(name, path, int(size), source) for name, path, size, source in lines]
        new = {name for name, content in self._after.items() if self._before.get(name) != content}
        self.unseen = unseen((name for name in new if not name.endswith("/")), self._before, self.calls)

    def problems(self, at: int, fault: Fault) -> tuple[bool, list[str]]:
        """Let a call meet a fault: whether the command ended in a plain sentence, and what went wrong, in sentences."""
        self._set_up()
        try:
            status = run(self._command.arguments, self._log, WriteCalls(self._here, at, fault))
            wrong = self._wrong_end(fault, status, self._log.read_text(errors="replace"))
            wrong += self._wrong_files()
            if self._different():  # a command that had done everything may refuse to do it again
                again = run(self._command.arguments, self._log)
                if different := self._different():
                    wrong.append(f"not equal after the same command again: {different[0]}")
                if again != self._status and (different or not self._is_done_and_refuses(again)):
                    wrong.append(f"the same command again ends with {again}: {_last_line(self._log.read_text())}")
        except Hang:
            return False, [f"no end after {HANG_S:.0f} s"]
        return status > 0 and not wrong, wrong

    def _is_done_and_refuses(self, status: int) -> bool:
        """Whether the command refused plainly; for when everything is there that it would make."""
        return status == 1 and _last_line(self._log.read_text()).startswith("Error: ")

    def _set_up(self) -> None:
        shutil.rmtree(self._here, ignore_errors=True)
        self._here.mkdir()
        for name in self._command.before:
            shutil.copytree(self._workspace / name, self._here / name)

    def _wrong_end(self, fault: Fault, status: int, text: str) -> list[str]:
        if shows_bug(status, text):
            return [f"a bug is shown: {_last_line(text)}"]
        if fault in KILLING:
            return []
        if status == 0:  # what failed was not needed, or is tried again at once
            missing = [name for name in self._different() if CACHE not in name]
            return [f"ends well, but differs: {name}" for name in missing[:1]]
        if fault == "interrupt":
            return [] if status == 130 else [f"an interrupt ends with status {status}: {_last_line(text)}"]
        sentences = [line for line in text.splitlines() if line.startswith("Error: ")]
        return [] if len(sentences) == 1 and len(sentences[0]) > 20 else [f"no plain sentence: {text[-200:]!r}"]

    def _wrong_files(self) -> list[str]:
        """What a fault must not do to files, whatever the command does next."""
        wrong = []
        for name, content in tree_of(self._here).items():
            if name.endswith(APPENDED):
                whole = content[: content.rfind(b"\n") + 1]
                if not any(good.get(name, b"").startswith(whole) for good in (self._before, self._after)):
                    wrong.append(f"lines that were recorded are lost or changed: {name}")
        if self._command.readable:
            try:
                built = open_dataset(self._command.readable)
                for sample in (*built, *built.rejected):
                    del sample
            except Exception as error:  # whatever it is, the data set cannot be read
                wrong.append(f"the data set cannot be read: {error}")
        return wrong

    def _different(self) -> list[str]:
        return [_without_chance(name) for name in different_files(tree_of(self._here), self._after)]


def shows_bug(status: int, text: str) -> bool:
    """Whether a command ended in a fault of the program. status: its exit status. text: what it printed."""
    return status == BUG or "Traceback" in text


def sorted_lines(journal: bytes) -> bytes:
    """A journal whose order does not count. journal: its content."""
    return b"".join(sorted(journal.splitlines(keepends=True)))


def different_files(there: Tree, expected: Tree) -> list[str]:
    """The names of the files that are in one of two folders alone, or differ. there, expected: of tree_of."""
    return [name for name in sorted(there.keys() | expected.keys()) if there.get(name) != expected.get(name)]


def tree_of(folder: Path) -> Tree:
    """Every file below a folder by its relative path, without times; folders with a slash. OF_A_RUN is left out."""
    tree: Tree = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_dir():
            tree[f"{name}/"] = b""
        elif file.name not in OF_A_RUN and not file.name.startswith("events.out.tfevents."):
            content = _recorded(file) if file.suffix == ".rrd" else without_times(name, file.read_bytes())
            content = _json_lines(content) if name.endswith(APPENDED) else content
            tree[name] = VARYING.sub(b"", content) if file.suffix in (".json", ".html") else content
    return tree


def _recorded(file: Path) -> bytes:
    """What a recording for Rerun shows: its parts are named by the clock. A damaged one stays as it is."""
    from rerun.chunk import RrdReader

    try:
        parts = RrdReader(file).stream().to_chunks()
    except RuntimeError:
        return file.read_bytes()
    columns = [(part.entity_path, part.to_record_batch().to_pydict()) for part in parts]
    values = sorted(f"{path} {name} {of[name]}" for path, of in columns for name in of if "RowId" not in name)
    return "\n".join(values).encode()


def _json_lines(content: bytes) -> bytes:
    """The lines that are JSON. One that a kill has torn stays in the file, and every reader passes it over."""
    lines = []
    for line in content.splitlines(keepends=True):
        with suppress(ValueError):
            parse_json(line)
            lines.append(line)
    return b"".join(lines)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:200]


def _without_chance(name: str) -> str:
    """A name whose random part is left out, so that like problems count as one."""
    return re.sub(r"[0-9a-z_]{8,}(?=[./]|$)", "*", name)


def faults_of(calls: Sequence[Call]) -> list[tuple[int, Fault]]:
    """(number of a call, fault), but those that leave the very files of another: a kill before a call leaves those of a
    kill after the one before it, and nothing that a killed process leaves depends on fsync.
    """
    return [
        (at, fault)
        for at, call in enumerate(calls)
        for fault in FAULTS
        if is_possible(fault, call)
        and (fault != "kill-before" or at == 0)
        and (fault != "kill-after" or call.name != "fsync")
    ]


def try_faults(trial: Trial, every: int, name: str) -> Tried:
    """Let every call of a command meet every fault of `faults_of`; or, `every` > 1, a share of these."""
    tried = Tried(len(trial.calls), trial.unseen)
    todo = faults_of(trial.calls)
    random.Random(0).shuffle(todo)  # every N-th must not be the same fault each time
    for at, fault in track(todo[::every], name, console=Console(stderr=True)):
        refused, problems = trial.problems(at, fault)
        tried.faults += 1
        tried.refused += refused
        tried.equal += not problems
        call = trial.calls[at]
        for problem in problems:
            tried.problems[problem].append(f"{fault} at {at} ({call.name} {_without_chance(call.path)})")
    return tried


@click.command()
@click.option("--command", "commands", multiple=True, type=click.Choice(NAMES), help="Only these; default: all.")
@click.option("--every", default=1, show_default=True, help="Try every N-th fault only.")
def main(commands: tuple[str, ...], every: int) -> None:
    """Print a table of what became of the faults; ends with status 1 where something does not hold."""
    console = Console(width=110)
    table = Table("command", "calls", "faults tried", "equal after", "refused plainly", "went wrong", box=None)
    started, good = time.perf_counter(), True
    with TemporaryDirectory(prefix="write-faults-") as folder:
        workspace = Path(folder).resolve()
        prepare_workspace(workspace)
        for name in commands or NAMES:
            command = scenario(name, workspace, workspace / "here")
            if "run" in command.before and not (workspace / "run").exists():
                run(training(workspace, workspace / "run"), workspace / "log.txt")
            trial = Trial(command, workspace, workspace / "here")
            tried = try_faults(trial, every, name)
            good = good and not tried.problems and not tried.unseen
            numbers = (tried.calls, tried.faults, tried.equal, tried.refused, tried.faults - tried.equal)
            table.add_row(name, *map(str, numbers))
            for file in tried.unseen:
                console.print(f"{name}: written by no call that is counted: {escape(file)}", soft_wrap=True)
            for problem, places in tried.problems.items():
                console.print(f"{name}: {len(places)} x {escape(problem)}; first {escape(places[0])}", soft_wrap=True)
    console.print(table)
    console.print(f"{time.perf_counter() - started:.0f} s")
    sys.exit(not good)


if __name__ == "__main__":
    main()
