"""A build that is killed, wherever, goes on when it is started again and ends with the bytes of an undisturbed one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli import main
from redweb_builder import BuildConfig, build, open_dataset
from redweb_builder import progress as progress_module
from redweb_builder.builder.merge import merge
from redweb_builder.commands.scale import prometheus_text
from redweb_builder.dataset import heartbeat
from redweb_builder.dataset import writer as store_module
from redweb_builder.dataset.heartbeat import Heartbeat
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.status import BuildStatus, status_of
from redweb_builder.errors import StoreError
from redweb_builder.files import write_atomic
from redweb_builder.progress import Progress, Recorded
from redweb_builder.version import FORMAT
from samples.scenes import Scene

Render = Callable[..., Scene]
Snapshot = Callable[[Path], dict[str, bytes]]
QUICK = BuildConfig(flow="dis", segmenter="builtin", device="cpu")
OPTIONS = ("--flow", "dis", "--segmenter", "builtin", "--device", "cpu")
PAIRS = 6
pytestmark = pytest.mark.timeout(400)  # builds in processes of their own, killed again and again
PATIENCE_S = 150  # for a build to begin, beside another test process on a busy machine


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory, rendered: Render, save_pair: Callable[..., None]) -> Path:
    """Kept, rejected, unreadable, a duplicate that has to move when the build ends, and a widow."""
    folder = tmp_path_factory.mktemp("six")
    meadow, room = rendered(0), rendered(3, "indoor", convergence=10)
    spoilt = meadow.right.copy()
    spoilt[100:140, 60:160] = np.random.default_rng(0).integers(0, 256, (40, 100, 3), dtype=np.uint8)
    save_pair(folder, "a-duplicate", meadow.left, spoilt)
    save_pair(folder, "broken", meadow.left, meadow.right)
    (folder / "broken_R.png").write_bytes((folder / "broken_R.png").read_bytes()[:2000])
    save_pair(folder, "meadow", meadow.left, meadow.right)
    save_pair(folder, "room", room.left, room.right, "jpg")
    save_pair(folder, "swapped", rendered(6).right, rendered(6).left)
    save_pair(folder, "twice", room.left, room.left)
    save_pair(folder, "widow", meadow.left, meadow.right)
    (folder / "widow_R.png").unlink()
    return folder


@pytest.fixture(scope="module")
def undisturbed(six: Path, tmp_path_factory: pytest.TempPathFactory, snapshot: Snapshot) -> dict[str, bytes]:
    """Every file of a build that nobody disturbed."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    summary = build(six, out, QUICK)
    assert (summary.kept, summary.rejected) == (3, 3)
    return comparable(snapshot(out))


def comparable(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a data set, less when and in how many goes it was built."""
    files = dict(files)
    build = json.loads(files.pop("build.json"))
    for name in ("seconds_of_this_run", "pairs_done_before_this_run", "parts"):
        build.pop(name, None)
    files["build.json"] = json.dumps(build, sort_keys=True).encode()
    # Pairs are recorded as they are finished: all of them, in whatever order.
    files["journal.jsonl"] = b"\n".join(sorted(files["journal.jsonl"].splitlines()))
    return files


def assert_same(there: dict[str, bytes], here: dict[str, bytes]) -> None:
    assert set(there) == set(here)
    assert [name for name in here if there[name] != here[name]] == []
    assert not [name for name in there if name.endswith(".part")]


def lines(out: Path) -> int:
    """Whole lines of the journal."""
    journal = out / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


class Command:
    """`python cli.py build-redweb`, running."""

    def __init__(self, project: Path, python: str, source: Path, out: Path, *more: str) -> None:
        # Python takes an interrupt only where it is not ignored from the start, as it is under a shell's "&".
        self.process = subprocess.Popen(
            [python, str(project / "cli.py"), "build-redweb", str(source), "--out", str(out), *OPTIONS, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )

    def stop_when(self, ready: Callable[[], bool], how: signal.Signals = signal.SIGKILL) -> tuple[int, str]:
        """Send a signal as soon as `ready`; exit status and output. Fails where the command ends before."""
        latest = time.monotonic() + PATIENCE_S
        try:
            while not ready():
                assert self.process.poll() is None, f"ended before it was stopped: {self.process.communicate()[0]}"
                assert time.monotonic() < latest
                time.sleep(0.001)
            self.process.send_signal(how)
            output, _ = self.process.communicate(timeout=PATIENCE_S)
        finally:
            self.process.kill()
        return self.process.returncode, output

    def end(self) -> tuple[int, str]:
        """Exit status and output."""
        try:
            output, _ = self.process.communicate(timeout=PATIENCE_S)
        finally:
            self.process.kill()
        return self.process.returncode, output


@pytest.mark.timeout(240)
def test_killed_again_and_again(
    six: Path, undisturbed: dict[str, bytes], tmp_path: Path, project: Path, python: str, snapshot: Snapshot
) -> None:
    """SIGKILL at the start, after the first pair and while finishing, and an interrupt between."""
    out = tmp_path / "out"

    def start() -> Command:
        return Command(project, python, six, out)

    begun = time.monotonic()
    kills: list[Callable[[], bool]] = [
        lambda: time.monotonic() - begun > 0.4,
        lambda: lines(out) >= 1,
    ]
    for ready in kills:
        assert start().stop_when(ready)[0] == -signal.SIGKILL
    assert 1 <= lines(out) < PAIRS
    done = lines(out)
    status, output = start().stop_when(lambda: lines(out) > done, signal.SIGINT)
    assert status == 130
    assert "Interrupted" in output
    assert "Traceback" not in output
    assert f"going on: {done} of 6" in output
    assert done < lines(out) <= PAIRS
    assert not (out / "manifest.parquet").exists()
    assert start().stop_when((out / "manifest.parquet").exists)[0] == -signal.SIGKILL
    assert json.loads((out / "build.json").read_text())["format"] == "redweb-builder/1"  # never torn
    status, output = start().end()
    assert status == 0
    assert "3 kept, 3 rejected" in output
    assert_same(comparable(snapshot(out)), undisturbed)


@pytest.mark.timeout(240)
def test_parts_at_once_one_of_them_killed(
    six: Path, undisturbed: dict[str, bytes], tmp_path: Path, project: Path, python: str, snapshot: Snapshot
) -> None:
    """Two parts in one folder, as two machines run them; merged, they are the data set of one undisturbed build."""
    out = tmp_path / "out"
    first, second = out / "part-1-of-2", out / "part-2-of-2"
    one, two = (Command(project, python, six, out, "--part", f"{number}/2") for number in (1, 2))
    assert one.stop_when(lambda: lines(first) >= 1)[0] == -signal.SIGKILL
    assert two.end()[0] == 0
    with pytest.raises(StoreError, match="not finished: part-1-of-2"):
        merge(out)
    (first / heartbeat.NAME).unlink(missing_ok=True)  # a slow machine has written one, which looks alive while fresh
    assert [build.state for build in status_of(out)] == ["stopped", "finished"]
    assert Command(project, python, six, out, "--part", "1/2").end()[0] == 0
    assert min(lines(first), lines(second)) >= 1
    assert lines(first) + lines(second) == PAIRS
    with pytest.raises(StoreError, match="parts are missing: 1/2"):
        merge(tmp_path / "half", [second])
    merged = merge(out)
    assert (merged.parts, merged.kept, merged.rejected, merged.inputs_differ) == (2, 3, 3, False)
    whole = {name: content for name, content in snapshot(out).items() if not name.startswith("part-")}
    assert_same(comparable(whole), undisturbed)
    assert merge(out, [first, second, first]).parts == 2  # again, one named twice: nothing changes
    build(six, out, QUICK)  # goes on with it: nothing is left to do
    whole = {name: content for name, content in snapshot(out).items() if not name.startswith("part-")}
    assert_same(comparable(whole), undisturbed)


def test_a_build_that_runs_can_be_watched(six: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From outside, without a lock; when it has ended only the result is there."""
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.0)
    out, watched = tmp_path / "out", list[BuildStatus]()

    def watch(progress: Progress) -> None:
        if progress.recorded is not None:
            watched.extend(status_of(out))

    summary = build(six, out, QUICK, watch=watch)
    assert {status.state for status in watched} == {"running"}
    assert (watched[0].total, [status.done for status in watched]) == (PAIRS, list(range(1, PAIRS + 1)))
    assert watched[-1].slowest[0][0] >= watched[-1].slowest[-1][0] >= 0
    (status,) = status_of(out)
    assert (status.state, status.done, status.kept + status.rejected) == ("finished", PAIRS, PAIRS)
    assert summary.kept == 3
    assert not (out / "status.json").exists()
    text = prometheus_text(watched)
    assert all(re.fullmatch(r'# .*|redweb_\w+{(\w+="[^"]*",?)+} [\d.e+-]+', line) for line in text.splitlines())
    assert 'redweb_pairs{part="out"} 6' in text


def test_late_pairs_and_workers_are_told_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.0)
    monkeypatch.setattr(progress_module, "LATE_S", 0.0)
    beat, now = Heartbeat(tmp_path), Progress()
    (tmp_path / "build.json").write_text(json.dumps({"format": FORMAT}))
    beat.start()
    now.start(5_000_001, Counter())
    now.step("held-up", "reading")
    now.watched(16)
    assert re.fullmatch(r"late, \d+ s: held-up", now.item)
    beat.beat(now)
    (status,) = status_of(tmp_path)
    assert (status.workers, [key for _, key in status.late]) == (16, ["held-up"])
    text = prometheus_text([status])
    assert f'redweb_workers{{part="{tmp_path.name}"}} 16\n' in text
    assert f'redweb_pairs{{part="{tmp_path.name}"}} 5000001\n' in text
    assert f'redweb_late_pair_seconds{{part="{tmp_path.name}",key="held-up"}} ' in text
    now.end(Recorded("held-up", "kept", None, None, 1.0))
    assert now.late() == []


class KilledError(BaseException):
    """Stands for the end of the process: nothing catches it, nothing cleans up after it."""


# The files of six pairs: build.json, 5 labelled pairs of 4 files each, the manifest, build.json again, the grid.
@pytest.mark.parametrize("at", [0, 1, 2, 4, 5, 11, 19, 20, 21, 22, 23])
@pytest.mark.parametrize("torn", [True, False], ids=["torn", "before renaming"])
def test_killed_at_a_write(
    six: Path,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    remembered: None,
    snapshot: Snapshot,
    at: int,
    torn: bool,
) -> None:
    """Within one file or between its writing and its renaming: what a kill from outside hits only by luck."""
    out = tmp_path / "out"
    plain, count = Path.replace, 0

    def killed(self: Path, target: Any) -> Path:
        nonlocal count
        if self.suffix == ".part":
            count += 1
            if count > at:
                if torn:
                    self.write_bytes(self.read_bytes()[: self.stat().st_size // 2])
                raise KilledError
        return plain(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KilledError):
            build(six, out, QUICK)
    build(six, out, QUICK)
    assert_same(comparable(snapshot(out)), undisturbed)


@pytest.mark.usefixtures("remembered")
def test_killed_between_the_moves_of_a_duplicate(
    six: Path, undisturbed: dict[str, bytes], tmp_path: Path, snapshot: Snapshot
) -> None:
    """A duplicate's picture is in rejected/ already, its label not yet."""
    out = tmp_path / "out"
    plain, moved = Path.replace, 0

    def killed(self: Path, target: Any) -> Path:
        nonlocal moved
        if self.suffix != ".part":
            moved += 1
            if moved == 2:
                raise KilledError
        return plain(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KilledError):
            build(six, out, QUICK)
    build(six, out, QUICK)
    assert_same(comparable(snapshot(out)), undisturbed)


@pytest.mark.usefixtures("remembered")
def test_killed_within_a_journal_line(
    six: Path, undisturbed: dict[str, bytes], tmp_path: Path, snapshot: Snapshot
) -> None:
    """The machine went down: of the last line only a part came to the disk."""
    out = tmp_path / "out"
    build(six, out, QUICK)
    for name in ("manifest.parquet", "grid.png"):
        (out / name).unlink()
    journal = (out / "journal.jsonl").read_bytes()
    (out / "journal.jsonl").write_bytes(journal[:-30])
    build(six, out, QUICK)
    assert_same(comparable(snapshot(out)), undisturbed)


@pytest.mark.usefixtures("remembered")
def test_a_file_is_on_the_disk_before_its_pair_is_recorded(
    six: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every moment a recorded pair has all its files, flushed and whole."""
    plain = store_module.Store.record

    def checked(self: Any, record: dict[str, Any]) -> None:
        if record.get("width"):
            home = self.out if record["status"] == "kept" else self.out / "rejected"
            for folder in ("RDs", "masks", "confidence"):
                assert (home / folder / f"{record['key']}.png").stat().st_size > 0
            assert [file for file in (home / "Imgs").iterdir() if file.stem == record["key"]]
            assert (self.out / "previews" / f"{record['key']}.jpg").stat().st_size > 0
        plain(self, record)
        assert record["key"] in (self.out / "journal.jsonl").read_text()

    monkeypatch.setattr(store_module.Store, "record", checked)
    assert build(six, tmp_path / "out", QUICK).kept == 3


@pytest.mark.usefixtures("remembered")
def test_an_unfinished_data_set_says_so(six: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KilledError

    monkeypatch.setattr(store_module.Store, "finish", killed)
    with pytest.raises(KilledError):
        build(six, tmp_path / "out", QUICK)
    with pytest.raises(StoreError, match="not finished"):
        open_dataset(tmp_path / "out")


def test_writes_are_flushed_before_they_are_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    flush, rename = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        order.append("flush")
        flush(descriptor)

    def renamed(self: Path, target: Any) -> Path:
        order.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    write_atomic(tmp_path / "a", b"content")
    assert order == ["flush", "rename"]


@pytest.mark.parametrize("padded", [False, True])
def test_a_file_that_was_cut_while_it_was_copied_is_read_again(
    tmp_path: Path, rendered: Render, save_pair: Callable[..., None], padded: bool
) -> None:
    """padded: the copy has its full size from the start and is filled later, so that its key stays."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, scene in (("good", rendered(3, "indoor", convergence=10)), ("late", rendered(0))):
        save_pair(folder, name, scene.left, scene.right)
    late = folder / "late_R.png"
    whole = late.read_bytes()
    cut = whole[: int(0.9 * len(whole))]
    late.write_bytes(cut.ljust(len(whole), b"\0") if padded else cut)
    outcomes = []
    for content in (None, None, whole):
        if content:
            late.write_bytes(content)
        result = CliRunner().invoke(main, ["build-redweb", str(folder), "--out", str(out), *OPTIONS])
        assert result.exit_code == 0, result.output
        outcomes.append(sorted((row["status"], row["reason"]) for row in read_manifest(out).rows))
    kept, corrupt = ("kept", None), ("rejected", "corrupt")
    assert outcomes == [[kept, corrupt], [kept, corrupt], [kept, kept]]
