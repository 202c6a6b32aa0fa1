"""What people decide is never lost, touches no label, and is honoured; other thresholds do no harm."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli import main
from redweb_builder import BuildConfig, build, open_dataset
from redweb_builder.builder.refilter import refilter
from redweb_builder.builder.refilter_plan import Change, parse_limits, plan_refilter
from redweb_builder.config import PRESETS
from redweb_builder.dataset.decisions import (
    FILE,
    Decision,
    append_decisions,
    as_decided,
    decide,
    is_disputed,
    merge_decisions,
    parse_decisions,
    read_decisions,
    record_decision,
    standing,
    verdict_of,
    verdicts_of,
)
from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.writer import Store
from redweb_builder.errors import StoreError

Snapshot = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def folder(built: Any, tmp_path: Path) -> Path:
    """A copy of the built data set, to be written to."""
    copy: Path = shutil.copytree(built.out, tmp_path / built.out.name)
    return copy


def key_of(built: Any, name: str) -> str:
    return str(built.rows[name]["key"])


def at(time: str, key: str, decision: str, reviewer: str, reason: str | None = None) -> Decision:
    return Decision(f"{key}{decision}{reviewer}{time}", key, decision, reviewer, time, reason)


# --- what stands -------------------------------------------------------------------------------------------------


def test_the_latest_verdict_counts_and_disagreement_shows() -> None:
    made = [at("3", "a", "reject", "eve"), at("1", "a", "accept", "ana"), at("4", "a", "skip", "bob")]
    stands = standing(made)["a"]
    verdict = verdict_of(stands)
    assert verdict is not None
    assert (verdict.decision, verdict.reviewer) == ("reject", "eve")  # by time, whatever the order of the lines
    assert is_disputed(stands)
    verdicts = standing([*made, at("5", "a", "reject", "ana")])["a"]
    assert not is_disputed(verdicts)
    assert verdict_of(standing([at("1", "b", "skip", "ana")])["b"]) is None


def test_a_skip_takes_back_no_verdict() -> None:
    rejected, skipped = at("1", "a", "reject", "ana", "wrong-sky"), at("2", "a", "skip", "ana")
    assert standing([rejected, skipped])["a"]["ana"] == rejected
    assert standing([skipped, at("3", "a", "accept", "ana")])["a"]["ana"].decision == "accept"
    built = pa.Table.from_pylist([{"key": key, "status": "kept", "width": 9} for key in "ba"], schema=SCHEMA)
    unchanged, decided = as_decided(built, verdicts_of([rejected, skipped])).to_pylist()
    assert unchanged == built.to_pylist()[0]
    assert decided == built.to_pylist()[1] | {
        "status": "rejected", "stage": "review", "reason": "wrong-sky", "detail": "reject by ana, 1",
    }  # fmt: skip


def test_undo_brings_back_what_stood_before_and_is_ones_own() -> None:
    first, second = decide("a", "accept", "ana"), decide("a", "reject", "ana", "wrong-sky")
    by_ana = decide("a", "undo", "ana", undoes=second.id)
    assert standing([first, second, by_ana])["a"]["ana"] == first
    by_eve = decide("a", "undo", "eve", undoes=second.id)
    assert standing([first, second, by_eve])["a"]["ana"] == second
    again = decide("a", "undo", "ana", undoes=first.id)
    assert standing([first, second, by_ana, again]) == {}


@pytest.mark.parametrize("change", [{"decision": "maybe"}, {"key": 3}, {"undoes": "x"}, {"reviewer": None}])
def test_what_is_no_decision_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"decision|text|undo"):
        Decision(**(asdict(decide("a", "accept", "ana")) | change))


# --- the file ----------------------------------------------------------------------------------------------------


def test_lines_come_back_as_they_were(tmp_path: Path) -> None:
    made = [decide("ключ", "reject", "Ana\nB", "слова\n{}"), decide("k", "accept", "ana")]
    append_decisions(tmp_path, made[:1])
    append_decisions(tmp_path, made[1:])
    assert read_decisions(tmp_path / FILE) == (made, 0)
    assert len((tmp_path / FILE).read_bytes().splitlines()) == 2


def test_a_torn_line_costs_itself_only(tmp_path: Path) -> None:
    mine, hers = decide("a", "accept", "ana"), decide("b", "reject", "ana")
    append_decisions(tmp_path, [mine])
    before = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(before + b'{"id": "cut off he')
    assert read_decisions(tmp_path / FILE) == ([mine], 1)
    append_decisions(tmp_path, [hers])
    assert read_decisions(tmp_path / FILE) == ([mine, hers], 1)
    assert (tmp_path / FILE).read_bytes().startswith(before)  # nothing is rewritten


def test_a_clock_that_was_ahead_does_not_make_later_verdicts_void(tmp_path: Path) -> None:
    ahead = Decision("1", "a", "accept", "ana", "2996-12-31T23:59:59.999999+00:00")
    beyond = replace(ahead, id="2", time="9999-12-31T23:59:59.999999+00:00")
    append_decisions(tmp_path, [ahead, beyond])
    later = record_decision(tmp_path, decide("a", "reject", "ana", 'says "time": "2997-01-01T00:00:00.000000+00:00"'))
    assert later.time == "2997-01-01T00:00:00.000000+00:00"
    undone = record_decision(tmp_path, decide("a", "undo", "ana", undoes=later.id))
    assert undone.time == "2997-01-01T00:00:00.000001+00:00"
    assert read_decisions(tmp_path / FILE) == ([ahead, later, undone], 1)
    assert standing([ahead, later])["a"]["ana"] == later
    assert standing([ahead, later, undone])["a"]["ana"] == ahead


def test_nobody_can_have_the_last_word(tmp_path: Path) -> None:
    last = Decision("1", "a", "accept", "eve", "8999-12-31T23:59:59.999999+00:00")
    append_decisions(tmp_path, [last])
    later = record_decision(tmp_path, decide("a", "reject", "ana"))
    decisions, damaged = read_decisions(tmp_path / FILE)
    assert (decisions, damaged) == ([last, later], 0)
    assert verdict_of(standing(decisions)["a"]) == later
    assert verdict_of(standing([*decisions, record_decision(tmp_path, decide("a", "accept", "ana"))])["a"]) != later


@pytest.mark.parametrize(("plain", "escaped"), [('"time"', '"\\u0074ime"'), ("+00:00", "+00\\u003a00")])
def test_a_time_that_is_hidden_by_escapes_is_damaged(plain: str, escaped: str) -> None:
    line = json.dumps(asdict(decide("a", "reject", "eve")))
    assert parse_decisions(line.encode())[1] == 0
    assert parse_decisions(line.replace(plain, escaped).encode()) == ([], 1)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "../../x"},
        {"key": "a b"},
        {"time": "yesterday"},
        {"time": "2026-01-01"},
        {"reason": "\ud800"},
        {"id": 1},
    ],
)
def test_a_line_that_is_no_decision_of_ours_is_damaged(change: dict[str, Any]) -> None:
    line = json.dumps(asdict(decide("a", "reject", "ana", "dark")) | change).encode()
    assert parse_decisions(line + b"\n" + b"[" * 100_000 + b"\n" + bytes(9)) == ([], 3)


WRITER = """
import sys
from pathlib import Path
from redweb_builder.dataset.decisions import append_decisions, decide
for number in range(int(sys.argv[3])):
    one = decide(f"key-{number}", "accept", sys.argv[2])
    append_decisions(Path(sys.argv[1]), [one])
    print(one.id, flush=True)
"""


def writer(python: str, project: Path, folder: Path, who: str, times: int) -> subprocess.Popen[str]:
    arguments = [python, "-c", WRITER, str(folder), who, str(times)]
    return subprocess.Popen(arguments, cwd=project, stdout=subprocess.PIPE, text=True)


def test_two_reviewers_and_a_kill_lose_nothing(tmp_path: Path, python: str, project: Path) -> None:
    killed, other = (writer(python, project, tmp_path, who, times) for who, times in (("ana", 10**6), ("eve", 150)))
    assert killed.stdout is not None
    printed = [killed.stdout.readline().strip() for _ in range(40)]
    killed.send_signal(signal.SIGKILL)
    printed += killed.communicate()[0].split()
    printed += other.communicate()[0].split()
    assert other.returncode == 0
    made, damaged = read_decisions(tmp_path / FILE)
    assert {decision.id for decision in made} >= set(printed)
    assert sum(decision.reviewer == "eve" for decision in made) == 150
    assert damaged <= 1


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from redweb_builder.dataset.decisions import append_decisions, decide
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    append_decisions(folder, [decide("b", "accept", "ana")])
except OSError as error:
    print("printed", error.errno)
"""


def test_a_full_disk_is_reported_and_harms_no_line(tmp_path: Path, python: str, project: Path) -> None:
    append_decisions(tmp_path, [decide("a", "accept", "ana")])
    before = (tmp_path / FILE).read_bytes()
    arguments = [python, "-c", FULL_DISK, str(tmp_path), str(len(before) + 20)]
    answer = subprocess.run(arguments, cwd=project, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("printed")
    assert (tmp_path / FILE).read_bytes() == before


def test_files_of_several_reviewers_are_merged_once(tmp_path: Path) -> None:
    for name, made in (("a", decide("k", "accept", "ana")), ("b", decide("k", "reject", "eve"))):
        (tmp_path / name).mkdir()
        append_decisions(tmp_path / name, [made])
    assert merge_decisions(tmp_path / "a", [tmp_path / "b" / FILE]) == (1, 0)
    assert merge_decisions(tmp_path / "a", [tmp_path / "b" / FILE, tmp_path / "a" / FILE]) == (0, 0)
    assert is_disputed(standing(read_decisions(tmp_path / "a" / FILE)[0])["k"])


# --- honoured ----------------------------------------------------------------------------------------------------


def test_open_dataset_honours_decisions_and_labels_stay(built: Any, folder: Path, snapshot: Snapshot) -> None:
    before = snapshot(folder)
    dropped, rescued = key_of(built, "good-hut"), key_of(built, "torn")
    unread = key_of(built, "broken")
    append_decisions(folder, [decide(dropped, "reject", "ana", "wrong-sky"), decide(rescued, "accept", "ana")])
    append_decisions(folder, [decide(unread, "accept", "ana"), decide("nowhere", "accept", "ana")])
    plain, decided = open_dataset(built.out), open_dataset(folder)
    assert set(decided.keys) == set(plain.keys) - {dropped} | {rescued}
    assert set(decided.rejected.keys) == set(plain.rejected.keys) - {rescued} | {dropped}
    np.testing.assert_array_equal(decided[rescued].disparity, plain.rejected[rescued].disparity)
    np.testing.assert_array_equal(decided.rejected[dropped].image, plain[dropped].image)
    record = decided.rejected[dropped].record
    assert (record["status"], record["stage"], record["reason"]) == ("rejected", "review", "wrong-sky")
    assert "ana" in record["detail"]
    assert decided[rescued].record["status"] == "kept"
    assert {name: content for name, content in snapshot(folder).items() if name in before} == before


def test_the_decisions_command_counts_and_merges(built: Any, folder: Path, tmp_path: Path) -> None:
    key = key_of(built, "good-hut")
    (tmp_path / "eve").mkdir()
    append_decisions(folder, [decide(key, "accept", "ana")])
    append_decisions(tmp_path / "eve", [decide(key, "reject", "eve", "reflections")])
    result = CliRunner().invoke(main, ["decisions", str(folder), str(tmp_path / "eve" / FILE)])
    assert result.exit_code == 0, result.output
    assert "1 new lines merged" in result.output
    assert "1 of 14 pairs decided, 1 disputed" in result.output
    assert f"{key}: ana accept, eve reject" in result.output


# --- other thresholds --------------------------------------------------------------------------------------------


def test_refilter_moves_pairs_there_and_back(built: Any, folder: Path, snapshot: Snapshot) -> None:
    before = snapshot(folder)
    agreement = {row["key"]: row["agreement"] for row in built.rows.values() if row["status"] == "kept"}
    limit = sorted(agreement.values())[1]  # the poorest of the kept goes, the second lies on the limit and stays
    poorest = min(agreement, key=lambda key: agreement[key])
    plan = plan_refilter(folder, {"min_agreement": limit})
    from_kept, *others = sorted(plan.changes, key=lambda change: change.before != "kept")
    assert from_kept == Change("kept", "not-stereo", 1, poorest)
    assert all(change.after == "not-stereo" and change.before != "kept" for change in others)  # other reasons only
    assert plan.kept == len(agreement) - 1
    assert snapshot(folder) == before  # a plan writes nothing
    refilter(folder, {"min_agreement": limit})
    dataset = open_dataset(folder)
    assert set(dataset.keys) == set(agreement) - {poorest}
    assert (folder / "rejected" / "RDs" / f"{poorest}.png").read_bytes() == before[f"RDs/{poorest}.png"]
    np.testing.assert_array_equal(dataset.rejected[poorest].image, open_dataset(built.out)[poorest].image)
    build = json.loads((folder / "build.json").read_text())
    assert build["thresholds"]["min_agreement"] == limit
    assert build["counts"]["kept"] == len(dataset)
    refilter(folder, {"min_agreement": 0.5})
    assert snapshot(folder) == before


def test_refilter_frees_what_a_limit_or_a_twin_held_back(built: Any, folder: Path) -> None:
    off = parse_limits(["min_texture=off", "duplicate_bits=none", "min_range_px=0.5"])
    changes = plan_refilter(folder, off).changes
    assert Change("duplicate", "kept", 1, key_of(built, "a-copy-of-meadow")) in changes
    assert "unreadable" not in {change.before for change in changes}  # what could not be read has no measurements


def test_refilter_leaves_people_their_say(built: Any, folder: Path) -> None:
    key = key_of(built, "good-hut")
    append_decisions(folder, [decide(key, "accept", "ana")])
    plan = refilter(folder, {"max_vertical": 0.0, "min_agreement": 1.0})
    assert plan.decided == 1
    assert open_dataset(folder).keys == [key]
    assert open_dataset(folder)[key].image.shape[2] == 3


def test_an_interrupted_refilter_can_be_read_and_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = open_dataset(folder).keys

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish", crash)
        with pytest.raises(KeyboardInterrupt):
            refilter(folder, {"min_agreement": 1.0})
    half = open_dataset(folder)
    assert half.keys == keys
    assert all(np.isfinite(sample.disparity).any() for sample in half)
    refilter(folder, {"min_agreement": 1.0})
    assert len(open_dataset(folder)) == 0


def test_the_command_that_built_it_goes_on_and_does_not_undo_a_refilter(built: Any, folder: Path) -> None:
    refilter(folder, {"min_agreement": 1.0})
    (folder / "journal.jsonl").write_text((folder / "journal.jsonl").read_text().rsplit("\n", 2)[0] + "\n")  # one to do
    notes: list[str] = []
    config = BuildConfig(flow="dis", segmenter="builtin", device="cpu")
    assert build(built.source, folder, config, watch=lambda progress: notes.extend(progress.notes)).kept == 0
    assert any("refilter" in note for note in notes)
    assert len(open_dataset(folder)) == 0
    refilter(folder, {"min_agreement": 0.6})
    assert open_dataset(folder).keys == open_dataset(built.out).keys
    with pytest.raises(StoreError, match=r"thresholds\.min_range_px: 2\.5 there, 10\.0 now"):
        build(built.source, folder, replace(config, thresholds=PRESETS["midas"]))


def test_refilter_command(folder: Path, snapshot: Snapshot) -> None:
    before = snapshot(folder)
    shown = CliRunner().invoke(main, ["refilter", str(folder), "--set", "min_agreement=1", "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "kept -> not-stereo" in shown.output
    assert snapshot(folder) == before
    mistakes = {
        "max_vertical=inf": "finite",
        "min_texture=nan": "finite",
        "min_beauty=1": "the thresholds are",
        "min_agreement=x": "needs a number",
        "max_vertical=-1": "from 0 to 1",
        "min_agreement=7": "from 0 to 1",
    }
    for setting, message in mistakes.items():
        wrong = CliRunner().invoke(main, ["refilter", str(folder), "--set", setting])
        assert wrong.exit_code == 2
        assert message in wrong.output
    done = CliRunner().invoke(main, ["refilter", str(folder), "--set", "min_agreement=1"])
    assert "The filters keep 0 pairs" in done.output
    statuses = pq.read_table(folder / "manifest.parquet")["status"].to_pylist()
    assert "kept" not in statuses
