"""Tampered data sets through every command: what each makes of sets that come from elsewhere.

    python -m benchmarks.robustness.tampered [--sets 10000] [--first 0] [--only NUMBER] [--command merge ...]

A small data set is built, its parts for `merge`, its labels alone for `restore`, and put into shards. A copy of each is
changed in one to three ways (tampering.py); then all commands run on the copies, one after the other, in an order of
chance. What must hold:

- A command ends well, or refuses in plain sentences. It shows no traceback and does not hang.
- Nothing outside the set changes: a canary folder, to which planted links lead, and the photographs are compared before
  and after, to the byte and the time.
- No label or picture file of the set is lost.

Every set follows from its number, so that `--only` repeats one and prints what the commands said. Linux only.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from io import StringIO
from itertools import chain
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from benchmarks.robustness.fault_scenarios import BUILD, TRAIN, prepare_workspace, scenario, training
from benchmarks.robustness.tampering import tamper
from redweb_builder.commands.main import main as redweb
from redweb_builder.commands.options import DATA_SET_FORMATS
from redweb_builder.dataset.curation import Curation, write_curation
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.dataset.unknown import write_unknown
from redweb_builder.errors import UserError

HANG_S = 30
PAGES = ("photo", "preview", "picture/depth", "picture/mask", "picture/parallax", "picture/right", "points")
CPU = ("--device", "cpu")
FROM_PHOTOGRAPHS = ("rectified", "labels-only")  # of which shards do not say where they lie
LABELS = ("Imgs", "RDs", "masks", "confidence")
COPIED = ("set", "parts", "labels", "shards")
TAMPERED = ("set", "parts/part-1-of-2", "labels", "shards")  # in the copies
SAFE = ("stereo", "run")  # in the workspace: what commands read beside them, and may not change
Tree = dict[str, tuple[int, bytes]]
OK, REFUSED, BUG, HANG, TOUCHED, LOST = "ok", "refused", "bug", "hang", "outside touched", "files lost"
OUTCOMES = (OK, REFUSED, BUG, HANG, TOUCHED, LOST)


class Hang(BaseException):
    """A command that did not end in time; no handler of errors may take it for one."""


def commands(here: Path, workspace: Path) -> dict[str, Callable[[], int]]:
    """name -> a command on what is tampered with, which returns its exit status.

    here: the folder with the TAMPERED and, for what is exported, `out`. workspace: with what is not tampered with.
    """
    folder, out, run = here / "set", here / "out", str(workspace / "run")

    def line(*arguments: str) -> Callable[[], int]:
        return lambda: exit_status(arguments)

    def of_set(folder: Path, out: Path, name: str = "") -> dict[str, Callable[[], int]]:
        exports = {
            f"export {form}{name}": line(
                *("export", str(folder), "--format", form, "--out", str(out / form)),
                *(("--source", str(workspace / "stereo")) if form in FROM_PHOTOGRAPHS else ()),
            )
            for form in DATA_SET_FORMATS
        }
        return exports | {
            f"check{name}": line("check", str(folder), "--read-data", "100%"),
            f"upgrade{name}": line("upgrade", str(folder)),
            f"status{name}": line("status", str(folder)),
            f"report{name}": line("report", str(folder)),
            f"grid{name}": line("grid", str(folder)),
            f"decisions{name}": line("decisions", str(folder), str(workspace / "others" / "decisions.jsonl")),
            f"review{name}": lambda: _review(folder),
            f"train{name}": line("train", "--data", str(folder), "--out", str(out / "run"), *TRAIN, "--epochs", "1"),
            f"evaluate{name}": line("evaluate", run, "--on", str(folder), "--out", str(out / "figures"), *CPU),
            f"refilter{name}": line("refilter", str(folder), "--set", "max_vertical=0.01"),
        }

    return {
        **of_set(folder, out),
        **of_set(here / "shards", here / "out-shards", " of shards"),
        "curate": line("curate", str(folder), "--folds", "2", "--steps", "1"),
        "predict": line("predict", run, str(folder / "Imgs"), "--out", str(out / "depth"), *CPU),
        "merge": line("merge", str(here / "parts")),
        "restore": line("restore", str(here / "labels"), "--from", str(workspace / "stereo")),
        "build": line("build", str(workspace / "stereo"), "--out", str(folder), *BUILD),
    }


def exit_status(arguments: Sequence[str]) -> int:
    """The exit status of a command line of cli.py, which is run here."""
    try:
        redweb([*arguments], prog_name="cli.py")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _review(folder: Path) -> int:
    """Every page and picture, and a decision about every pair."""
    from redweb_builder.review.server import create_app
    from redweb_builder.review.session import Session

    app = create_app(Session(folder, "ana"), "token")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    client = app.test_client()
    client.get("/?token=token")
    table = client.get("/api/samples").get_json()
    client.get("/api/decisions")
    at = table["columns"].index("key")
    for key in [row[at] for row in table["rows"]][:8]:
        name = json.dumps(key)[1:-1].replace("/", "%2F").replace("?", "%3F").replace("#", "%23")[:2000]
        for kind in PAGES:
            client.get(f"/{kind}/{name}")
        client.get(f"/api/order/{name}?ax=1&ay=1&bx=50&by=50")
        client.post("/api/decide", json={"key": key, "decision": "accept"}, headers={"Origin": "http://localhost"})
    client.post("/api/undo", json={}, headers={"Origin": "http://localhost"})
    return 0


def tree_of(folder: Path) -> Tree:
    """Every entry below a folder: its time of change in ns, and its content or where it leads."""
    tree = {}
    for entry in sorted(folder.rglob("*")):
        content = b""
        if entry.is_symlink():
            content = os.fsencode(entry.readlink())
        elif entry.is_file():
            content = entry.read_bytes()
        tree[entry.relative_to(folder).as_posix()] = entry.lstat().st_mtime_ns, content
    return tree


def _outside(canary: Path, workspace: Path) -> list[Tree | set[str]]:
    """What no command on the set may change."""
    return [
        tree_of(canary),
        *(tree_of(workspace / name) for name in SAFE),
        {entry.name for entry in workspace.iterdir()},
    ]


def label_files(here: Path) -> Counter[str]:
    """The contents of the regular files below the folders of labels and pictures, wherever a verdict has moved them."""
    sets = (here / "set", here / "labels", here / "parts", *(here / "parts").glob("part-*"))
    tars = [*(here / "shards").glob("*.tar"), *(here / "shards" / "rejected").glob("*.tar")]
    homes = (home for folder in sets for home in (folder, folder / "rejected"))
    files = chain(tars, (file for home in homes for kind in LABELS for file in (home / kind).glob("*.*g")))
    return Counter(sha256(file.read_bytes()).hexdigest() for file in files if file.is_file() and not file.is_symlink())


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise Hang in the block when it takes longer."""

    def end(_: int, __: FrameType | None) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def outcome_of(command: Callable[[], int], seconds: int = HANG_S) -> tuple[str, str]:
    """What became of a command, and what it said: of a bug the traceback, else what it printed.

    seconds: after which it hangs.
    """
    said = StringIO()
    streams = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = said
    try:
        with time_limit(seconds):
            status = command()
    except (UserError, OSError) as error:
        return (REFUSED, str(error)) if str(error) else (BUG, f"an empty {type(error).__name__}")
    except Hang:
        return HANG, traceback.format_exc()
    except BaseException:  # whatever else a command lets through is what is looked for
        return BUG, traceback.format_exc()
    finally:
        sys.stdout, sys.stderr = streams
    text = said.getvalue()
    if status == 70:
        return BUG, _bug_log(text)
    if status not in (0, 1, 3) or "Traceback" in text or text.rstrip().endswith(":"):
        return BUG, f"status {status}: {text}"
    return (OK if status in (0, 3) else REFUSED), text


def _bug_log(text: str) -> str:
    """The traceback that the command has put into a file, which is removed."""
    file = Path(text.rpartition("Its traceback is in ")[2].split(";")[0])
    log = file.read_text()
    file.unlink()
    return log


def try_set(number: int, workspace: Path, report: Path, only: Collection[str] = ()) -> None:
    """Tamper with copies of the sets, run every command on them, and write what became of them as lines of JSON."""
    random, here = Random(number), workspace / "here"
    canary = here / "canary"
    for name in ("canary", *COPIED):
        shutil.copytree(workspace / name, here / name)
    done = ", ".join(f"{name}: {tamper(random, here / name, canary)}" for name in TAMPERED)
    outside = _outside(canary, workspace)
    labels = label_files(here)
    with report.open("w") as lines:
        lines.write(json.dumps({"done": done}) + "\n")
        todo = [(name, command) for name, command in commands(here, workspace).items() if not only or name in only]
        random.shuffle(todo)  # a build mends things, so that later commands would see less
        for name, command in todo:
            lines.write(json.dumps({"command": name}) + "\n")
            lines.flush()
            started = time.perf_counter()
            outcome, said = outcome_of(command)
            seconds = time.perf_counter() - started
            if _outside(canary, workspace) != outside:
                outcome = TOUCHED
            elif name == "build":  # it makes damaged pairs anew
                labels = label_files(here)
            elif lost := labels - label_files(here):
                outcome, said = LOST, f"{lost.total()} files; {said}"
            lines.write(json.dumps({"command": name, "outcome": outcome, "said": said, "seconds": seconds}) + "\n")
            if outcome in (TOUCHED, LOST):
                return


def run_forked(work: Callable[[], None], seconds: float) -> None:
    """Do something in a fork of this process; it is killed after some seconds."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # nothing of the parent may run in the child
            traceback.print_exc()
        finally:
            os._exit(0)
    deadline = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.005)


def run_set(number: int, workspace: Path, only: Collection[str] = ()) -> tuple[str, dict[str, tuple[str, str, float]]]:
    """`try_set` in a fork: what was done to the sets, and command -> (outcome, what it said, seconds).

    only: the commands that run; none = all.
    """
    here, report = workspace / "here", workspace / "report.jsonl"
    here.mkdir()
    report.touch()
    run_forked(lambda: try_set(number, workspace, report, only), 3 * HANG_S)
    lines: list[dict[str, Any]] = [json.loads(line) for line in report.read_text().splitlines()]
    shutil.rmtree(here)
    results = {
        line["command"]: (line.get("outcome", HANG), line.get("said", ""), line.get("seconds", HANG_S))
        for line in lines[1:]
    }
    return (lines[0]["done"] if lines else "not even tampered with"), results


def _summary(outcome: str, said: str) -> str:
    """One line by which like faults are counted: where in our code, and what."""
    lines = said.strip().splitlines() or [""]
    ours = [line.strip() for line in lines if "/redweb_builder/" in line or "/trainer/" in line]
    place = ours[-1].rpartition("/")[2].replace('"', "") if ours else ""
    return f"{outcome}: {place} {lines[-1][:160]}"


def prepare(workspace: Path) -> None:
    """Make the set that is tampered with, the canary, and whatever commands import, so that no fork need do it."""
    prepare_workspace(workspace)
    vars(os).update(fsync=lambda _: None)  # no power fails here, and a busy disk would take most of the time
    for name in ("merge", "restore", "refilter shards"):  # what they work on is made here
        scenario(name, workspace, workspace)
    exit_status(training(workspace, workspace / "run"))
    for name in ("last.safetensors", "state.pt"):  # large, and nothing reads them
        (workspace / "run" / name).unlink()
    (workspace / "canary").mkdir()
    (workspace / "canary" / "letter.txt").write_text("the only copy\n")
    built = open_dataset(workspace / "set")
    write_unknown(workspace / "set", built.keys[0], np.eye(*built[0].mask.shape) > 0, "eve")
    write_curation(workspace / "set", Curation({"seed": 0}, dict.fromkeys(built.keys, 0.9)))
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        here = workspace / "here"
        for name in COPIED:
            shutil.copytree(workspace / name, here / name)
        for name, command in commands(here, workspace).items():
            if command() not in (0, 3):
                raise RuntimeError(f"{name} does not work on what nobody has tampered with")
    shutil.rmtree(here)
    gc.collect()
    gc.freeze()  # a fork need not look through the libraries for garbage


@dataclass
class Tried:
    """What became of the sets. sets: how many. outcomes, seconds: by command. faults: in words -> numbers of sets."""

    sets: int = 0
    outcomes: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    faults: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, number: int, done: str, results: dict[str, tuple[str, str, float]]) -> None:
        """Count the results of a set. done: what was done to it."""
        self.sets += 1
        for command, (outcome, said, seconds) in results.items():
            self.outcomes[command][outcome] += 1
            self.seconds[command] += seconds
            if outcome not in (OK, REFUSED):
                self.faults[f"{command}: {_summary(outcome, said)}"].append(f"{number}: {done}")

    def show(self, console: Console) -> None:
        """Print the faults, the most frequent first, and a table of the outcomes."""
        for fault, where in sorted(self.faults.items(), key=lambda item: -len(item[1])):
            console.print(f"{len(where)} x {escape(fault)}\n    first {escape(where[0][:300])}", soft_wrap=True)
        table = Table("command", *OUTCOMES, "ms a set", box=None)
        for command, counter in self.outcomes.items():
            mean = 1000 * self.seconds[command] / counter.total()
            table.add_row(command, *(str(counter[outcome]) for outcome in OUTCOMES), f"{mean:.0f}")
        console.print(table)
        console.print(f"{self.sets} tampered sets, {sum(map(Counter.total, self.outcomes.values()))} commands")


def print_all(console: Console, done: str, results: dict[str, tuple[str, str, float]]) -> None:
    """Print what was done to a set, and everything that the commands printed."""
    console.print(escape(done), soft_wrap=True)
    for command, (outcome, said, _) in results.items():
        console.print(f"[bold]{command}[/] {outcome}\n{escape(said)}", soft_wrap=True)


@click.command()
@click.option("--sets", default=10_000, show_default=True, help="How many tampered sets.")
@click.option("--first", default=0, show_default=True, help="Number of the first.")
@click.option("--only", type=int, help="Only the set of this number; prints what every command said.")
@click.option("--command", "chosen", multiple=True, help="Only these commands (repeatable).  [default: all]")
def main(sets: int, first: int, only: int | None, chosen: tuple[str, ...]) -> None:
    """Print a table of what became of the commands; ends with status 1 where something does not hold."""
    tried, started = Tried(), time.perf_counter()
    console = Console(width=110)
    with TemporaryDirectory(prefix="tampered-") as name:
        workspace = Path(name).resolve()
        prepare(workspace)
        numbers = [only] if only is not None else range(first, first + sets)
        with suppress(KeyboardInterrupt):
            for number in track(numbers, "tampered sets", console=Console(stderr=True)):
                done, results = run_set(number, workspace, chosen)
                tried.add(number, done, results)
                if only is not None:
                    print_all(console, done, results)
    tried.show(console)
    console.print(f"{time.perf_counter() - started:.0f} s")
    sys.exit(bool(tried.faults))


if __name__ == "__main__":
    main()
