"""Every command under a real pseudo-terminal: what is left on the screen of people, at several sizes and settings.

Output that is captured takes other ways through rich than a terminal does: no bar, no live table. So the commands run
here with their file descriptors on a pseudo-terminal, and an emulator tells what its screen shows at the end.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyte
import pytest

from cli import main

QUICK = ("--flow", "dis", "--segmenter", "builtin", "--device", "cpu")
SIZES = [(80, 24), (200, 50), (40, 24)]
TERMINALS: list[dict[str, Any]] = [*({"size": size} for size in SIZES), {"TERM": "dumb"}, {"NO_COLOR": "1"}]
MOST_LINES = 30  # more than any command leaves on a screen of 40 columns


@dataclass
class Shown:
    """What a terminal got. lines: its history and its screen at the end, at full width, without empty ones."""

    status: int
    raw: str
    lines: list[str]

    @property
    def text(self) -> str:
        """The lines as one, so that what the terminal has folded is whole again."""
        return " ".join("".join(self.lines).split())


class Terminal:
    """A pseudo-terminal of one size; `command` is given the file descriptor of its inner end."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._outer, self.inner = pty.openpty()
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._bytes: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._outer, 65536)
            except OSError:  # Linux's word for the end of a pseudo-terminal
                return
            self._bytes.append(part)

    def written(self) -> str:
        """All so far."""
        return b"".join(self._bytes).decode()

    def close(self, status: int) -> Shown:
        """What was shown, once nobody writes any more."""
        os.close(self.inner)
        self._reader.join(timeout=20)
        os.close(self._outer)
        screen = pyte.HistoryScreen(self.columns, self.rows, history=5000, ratio=0.5)
        pyte.Stream(screen).feed(self.written())
        past = ["".join(line[x].data for x in range(self.columns)) for line in screen.history.top]
        return Shown(status, self.written(), [line for line in (*past, *screen.display) if line.strip()])


@contextmanager
def standard_streams(inner: int) -> Iterator[None]:
    """File descriptors 0 to 2, and Python's streams, on a terminal: rich asks both."""
    kept, streams = [os.dup(number) for number in range(3)], (sys.stdin, sys.stdout, sys.stderr)
    for number in range(3):
        os.dup2(inner, number)
    sys.stdin = os.fdopen(os.dup(inner), "r")
    sys.stdout, sys.stderr = (os.fdopen(os.dup(inner), "w", buffering=1) for _ in range(2))
    try:
        yield
    finally:
        for opened in (sys.stdin, sys.stdout, sys.stderr):
            opened.close()
        sys.stdin, sys.stdout, sys.stderr = streams
        for number, before in enumerate(kept):
            os.dup2(before, number)
            os.close(before)


def start(command: list[str], folder: Path, terminal: Terminal) -> subprocess.Popen[bytes]:
    """Another process on the terminal."""
    environment = os.environ | {"TERM": "xterm"}
    inner = terminal.inner
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=inner,
        stdout=inner,
        stderr=inner,
        # A shell's background jobs ignore SIGINT and hand that on to theirs, unlike a person's terminal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


Run = Callable[..., Shown]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Run:
    """run(*arguments, size, **environment): a command, in this process, on a terminal of its own."""

    def command(*arguments: object, size: tuple[int, int] = (80, 24), **environment: str) -> Shown:
        with capfd.disabled(), monkeypatch.context() as patch:
            for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
                patch.delenv(name, raising=False)
            for name, value in ({"TERM": "xterm-256color"} | environment).items():
                patch.setenv(name, value)
            terminal = Terminal(*size)
            status = 0
            with standard_streams(terminal.inner):
                try:
                    main([str(part) for part in arguments], prog_name="cli.py")
                except SystemExit as end:
                    status = int(end.code or 0)
            shown = terminal.close(status)
        assert "Traceback" not in shown.raw
        assert environment.get("TERM") != "dumb" or "\x1b" not in shown.raw
        return shown

    return command


def check_screen(shown: Shown) -> None:
    """Nothing that was live is left; each redraw of what is wider than the screen would leave a line."""
    assert not any("━" in line or "loading the program" in line for line in shown.lines), shown.lines
    assert len(shown.lines) < MOST_LINES


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, rendered: Any, save_pair: Any) -> Path:
    """Three pairs, two of them of one view, with names that rich could take for markup, or a terminal for too long."""
    folder = tmp_path_factory.mktemp("few")
    for name, seed in (("[red]meadow" + "-long" * 16, 0), ("hut", 4), ("hut again", 4)):
        save_pair(folder, name, rendered(seed).left, rendered(seed).right)
    return folder


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("size", SIZES)
def test_a_build_tells_each_pair_and_leaves_a_clean_screen(
    run: Run, few: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    shown = run("build-redweb", few, "--out", tmp_path / "out", *QUICK, size=size)
    assert shown.status == 0
    check_screen(shown)
    assert "2 kept, 1 rejected in " in shown.text
    assert "3 pairs passed the filters, 1 of them rejected as like a better one" in shown.text
    for stage in ("loading the program", "finding pairs", "loading the networks"):
        assert stage in shown.raw


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_build_where_the_terminal_can_do_less(
    run: Run, few: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    shown = run("build-redweb", few, "--out", tmp_path / "out", *QUICK, **environment)
    assert shown.status == 0
    assert "2 kept, 1 rejected in " in shown.text
    if environment == {"TERM": "dumb"}:
        assert "\x1b" not in shown.raw
        assert "3 of 3 pairs, " in shown.text
    else:
        check_screen(shown)
        assert not re.search(r"\x1b\[(3|4|9)\d(;\d+)*m", shown.raw)  # no colour, neither of the letters nor behind


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("terminal", TERMINALS)
def test_verbose_and_quiet(run: Run, few: Path, tmp_path: Path, terminal: dict[str, Any]) -> None:
    shown = run("build-redweb", few, "--out", tmp_path / "out", *QUICK, "--verbose", **terminal)
    assert shown.status == 0
    assert len(re.findall(r"(?:kept    |rejected)  \S+  \d+\.\d s", "".join(shown.lines))) == 3
    assert not any("━" in line for line in shown.lines)
    silent = run("build-redweb", few, "--out", tmp_path / "out", *QUICK, "--quiet", **terminal)
    assert (silent.status, silent.raw) == (0, "")


def test_the_first_command_of_the_readme(project: Path, python: str, few: Path, tmp_path: Path) -> None:
    """As people start it: another process, from its first second on."""
    terminal = Terminal(80, 24)
    command = [python, "cli.py", "build-redweb", str(few), "--out", str(tmp_path / "out"), *QUICK]
    status = start(command, project, terminal).wait()
    shown = terminal.close(status)
    assert status == 0
    check_screen(shown)
    assert "2 kept, 1 rejected" in shown.text
    assert re.search(r" [012] of 3 pairs, \d\.\d\d pairs/s, 0:00:\d\d left", shown.raw)
    # which of the steps are drawn depends on the machine: a step may be over before the next picture of the screen
    assert re.search(r"(reading|matching|labelling) \S*(hut|meadow)", shown.raw)
    assert (tmp_path / "out" / "grid.png").is_file()
    assert "python cli.py review" in " ".join(shown.text.split())  # as it is typed


def test_ctrl_c_says_how_many_pairs_are_recorded(
    project: Path, python: str, rendered: Any, save_pair: Any, tmp_path: Path
) -> None:
    for seed in range(12):
        save_pair(tmp_path / "in", f"scene {seed}", rendered(seed % 8).left, rendered(seed % 8).right)
    terminal = Terminal(80, 24)
    command = [python, "cli.py", "build-redweb", str(tmp_path / "in"), "--out", str(tmp_path / "out"), *QUICK]
    build = start(command, project, terminal)
    journal = tmp_path / "out" / "journal.jsonl"
    while build.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n")):
        time.sleep(0.01)
    build.send_signal(signal.SIGINT)
    shown = terminal.close(build.wait(timeout=60))
    assert build.returncode == 130
    recorded = journal.read_bytes().count(b"\n")
    assert 0 < recorded < 12
    message = re.search(r"Interrupted\. (\d+) of 12 pairs are recorded\. Nothing is lost", shown.text)
    assert message
    assert int(message[1]) in (recorded - 1, recorded)  # the signal may fall between the line and its count
    check_screen(shown)


@pytest.mark.parametrize("terminal", TERMINALS)
def test_commands_on_a_data_set(run: Run, built: Any, tmp_path: Path, terminal: dict[str, Any]) -> None:
    copy = shutil.copytree(built.out, tmp_path / "copy")
    exported = run("export", copy, "--format", "redweb-v1", "--out", tmp_path / "v1", **terminal)
    assert exported.status == 0
    check_screen(exported)
    assert f"{built.summary.kept} samples in " in exported.text
    checked = run("check", copy, "--read-data", "100%", **terminal)
    assert checked.status == 0
    assert "Nothing is wrong." in checked.text
    changed = run("refilter", copy, "--set", "max_vertical=off", **terminal)
    assert changed.status == 0
    assert "Done. The filters keep " in changed.text
    listed = run("build-redweb", built.source, "--dry-run", **terminal)
    assert listed.status == 0
    assert "14 pairs" in listed.text
    assert "about 0.7 min" in listed.text
    assert not any("looking at" in line for line in listed.lines)
    for command in (("grid", copy), ("report", copy), ("decisions", copy)):
        assert run(*command, **terminal).status == 0


@pytest.mark.parametrize("terminal", TERMINALS)
def test_labels_without_pictures_and_an_older_set(
    run: Run, built: Any, tmp_path: Path, terminal: dict[str, Any]
) -> None:
    labels = tmp_path / "labels"
    exported = run("export", built.out, "--format", "labels-only", "--out", labels, **terminal)
    restored = run("restore", labels, "--from", built.source, **terminal)
    rectified = run("export", built.out, "--format", "rectified", "--out", tmp_path / "pairs", **terminal)
    for shown in (exported, restored, rectified):
        assert shown.status == 0
        check_screen(shown)
    assert f"{built.summary.kept} pictures made in " in restored.text
    assert "A new build would change nothing" in run("upgrade", built.out, **terminal).text
    assert run("status", built.out, **terminal).status == 0


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("terminal", TERMINALS)
def test_parts_and_one_photograph(run: Run, few: Path, tmp_path: Path, terminal: dict[str, Any]) -> None:
    out = tmp_path / "out"
    for part in ("1/2", "2/2"):
        assert run("build-redweb", few, "--out", out, *QUICK, "--part", part, **terminal).status in (0, 3)
    merged = run("merge", out, **terminal)
    assert merged.status == 0
    check_screen(merged)
    assert "2 kept" in merged.text
    (pair := tmp_path / "hut").mkdir()
    for file in few.glob("hut_?.png"):
        shutil.copy(file, pair)
    shown = run("depth", pair, "--out", tmp_path / "depth", "--flow", "dis", **terminal)
    assert shown.status == 0
    if terminal.get("TERM") != "dumb":  # where each stage is a line that stays
        check_screen(shown)
    assert "_colour.png" in shown.text


@pytest.mark.parametrize("terminal", TERMINALS)
def test_training_and_what_follows_it(run: Run, built: Any, tmp_path: Path, terminal: dict[str, Any]) -> None:
    out = tmp_path / "run"
    small = "--encoder tu-mobilenetv3_small_050 --encoder-weights none --size 64 --batch 2 --epochs 2 --workers 0"
    trained = run("train", "--data", built.out, "--out", out, "--device", "cpu", *small.split(), **terminal)
    assert trained.status == 0
    steps = re.search(r"step (\d+) of (\d+), loss \d", trained.text)
    assert steps
    assert steps[1] == (steps[2] if terminal.get("TERM") != "dumb" else "1")  # lines by the minute, not a live line
    assert "best WKDR" in trained.text
    judged = run("evaluate", out, "--on", built.out, "--device", "cpu", **terminal)
    assert judged.status == 0
    assert "lower is nearer" in judged.text
    photograph = next((built.out / "Imgs").iterdir())
    predicted = run("predict", out, photograph, "--out", tmp_path / "depth", **terminal)
    assert predicted.status == 0
    assert f"{photograph.stem}_colour.png" in predicted.text
    for shown in (judged, predicted):
        check_screen(shown)


@pytest.mark.timeout(300)  # a training in a process of its own
def test_a_training_interrupted_says_where_it_goes_on(
    run: Run, built: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.training.run import Run as TrainingRun

    take_step = TrainingRun.take_step

    def interrupted(self: Any, *arguments: Any) -> float:
        if self.step == 3:
            raise KeyboardInterrupt
        return take_step(self, *arguments)

    monkeypatch.setattr(TrainingRun, "take_step", interrupted)
    small = "--encoder tu-mobilenetv3_small_050 --encoder-weights none --size 64 --batch 1 --epochs 20 --workers 0"
    shown = run("train", "--data", built.out, "--out", tmp_path / "run", "--device", "cpu", *small.split())
    assert shown.status == 130
    steps = 20 * (built.summary.kept - 1)
    message = f"Interrupted. Step 3 of {steps} was done; the same command goes on after step "
    assert message in shown.text
    saved = int(shown.text.partition(message)[2].split(",")[0])
    monkeypatch.undo()
    again = run("train", "--data", built.out, "--out", tmp_path / "run", "--device", "cpu", *small.split())
    assert again.status == 0
    assert f"going on after step {saved}" in again.text


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory, save: Any) -> Path:
    """Three pictures with a mask of their sky."""
    folder = tmp_path_factory.mktemp("masks")
    for number in range(3):
        picture = np.full((48, 64, 3), (70, 50, 30), np.uint8)
        picture[: 10 + 4 * number] = (90, 140, 220)
        save(picture, folder / f"{number}.png")
        save(np.uint8(255 * (picture[..., 2] > 100)), folder / f"{number}_sky.png")
    return folder


@pytest.mark.parametrize("terminal", TERMINALS)
def test_the_segmenter_is_trained(run: Run, masks: Path, tmp_path: Path, terminal: dict[str, Any]) -> None:
    options = "--encoder-weights none --size 64 --batch 3 --epochs 1 --device cpu"
    shown = run("train-segmenter", "--data", f"masks:{masks}", "--out", tmp_path / "run", *options.split(), **terminal)
    assert shown.status == 0
    assert re.search(r"step 1 of 1, loss \d", shown.text)
    assert "copy both into" in shown.text
    assert not any("pictures prepared" in line for line in shown.lines) or terminal.get("TERM") == "dumb"


@pytest.mark.parametrize("terminal", TERMINALS)
def test_frames_are_converted(run: Run, save: Any, tmp_path: Path, terminal: dict[str, Any]) -> None:
    for number in range(3):
        save(np.zeros((240, 320, 3), np.uint8), tmp_path / "nyu" / "rgb" / f"{number}.png")
        save(np.full((240, 320), 2000, np.uint16), tmp_path / "nyu" / "depth" / f"{number}.png")
    shown = run("convert-nyu", tmp_path / "nyu", tmp_path / "converted", **terminal)
    assert shown.status == 0
    assert shown.text.endswith("3 frames")
    check_screen(shown)


@pytest.mark.parametrize("terminal", TERMINALS)
def test_the_review_page_says_where_it_is(
    run: Run, built: Any, monkeypatch: pytest.MonkeyPatch, terminal: dict[str, Any]
) -> None:
    """What is printed; the server itself is that of the next test."""

    def serve(_session: Any, port: int, announce: Callable[[str], None], _host: str) -> None:
        announce(f"http://127.0.0.1:{port}/?token=abc")

    monkeypatch.setattr("redweb_builder.review.server.serve", serve)
    shown = run("review", built.out, "--no-browser", "--reviewer", "me", "--port", "4711", **terminal)
    assert shown.status == 0
    assert f"me reviews {built.out}" in shown.text
    assert "http://127.0.0.1:4711/?token=abc" in shown.text
    assert "Nothing was decided." in shown.text
    assert "decisions.jsonl" in shown.text
    check_screen(shown)


def test_the_review_page_is_started_and_ended(project: Path, python: str, built: Any) -> None:
    terminal = Terminal(80, 24)
    command = [python, "cli.py", "review", str(built.out), "--no-browser", "--reviewer", "me"]
    server = start(command, project, terminal)
    while server.poll() is None and "http://127.0.0.1" not in terminal.written():
        time.sleep(0.05)
    server.send_signal(signal.SIGINT)
    shown = terminal.close(server.wait(timeout=60))
    assert server.returncode == 0
    assert "me reviews " in shown.text
    assert "decisions.jsonl" in shown.text
    assert "`python cli.py decisions" in " ".join(shown.text.split())
