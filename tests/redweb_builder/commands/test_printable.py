"""Names from files on a terminal: what could steer it is shown as an escape."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click import ClickException
from click.testing import CliRunner
from rich.console import Console

from cli import main
from redweb_builder.commands.console import exit_if_damaged
from redweb_builder.commands.status_line import StatusLine
from redweb_builder.commands.terminal import printable
from redweb_builder.review.session import Session
from trainer.commands.console import print_rows
from trainer.evaluation.results import ResultRow

HOSTILE = "a\x1b]0;owned\x07\x1b[2J\r\u202egnp.\x9b31m\n$(id)\u2066\udcff<b>[red]"


def test_only_what_steers_a_terminal_is_escaped() -> None:
    for name in ("käse ключ 東京　塔 \u05d0\u05d1 👩\u200d🚀 a\u00a0b [red] $(id)", ""):
        assert printable(name) == name
    assert printable(HOSTILE) == (r"a\x1b]0;owned\x07\x1b[2J\r\u202egnp.\x9b31m\n$(id)\u2066\udcff<b>[red]")


@pytest.mark.parametrize(
    ("damaged", "message"),
    [(["a"], "1 sample was left out: its files are damaged"), (["a", "b"], "2 samples were left out: their files are")],
)
def test_what_is_damaged_is_counted_in_the_singular_and_the_plural(damaged: list[str], message: str) -> None:
    with pytest.raises(ClickException, match=message):
        exit_if_damaged(Path("set"), damaged, "sample was left out", "samples were left out")


@pytest.mark.parametrize("command", ["grid", "report", "decisions", "review", "export --format ply"])
def test_a_message_about_a_hostile_name_is_one_plain_line(command: str, tmp_path: Path) -> None:
    folder = tmp_path / HOSTILE
    name, *options = command.split()
    result = CliRunner().invoke(main, [name, str(folder), *options])
    assert result.exit_code == 1
    assert r"a\x1b]0;owned\x07" in result.output
    assert len(result.output.splitlines()) == 1
    assert result.output.strip("\n").isprintable()


def test_decisions_of_hostile_reviewers_are_shown_as_text(built: Any, tmp_path: Path) -> None:
    """Whoever sends a decisions.jsonl must not write to the terminal of those who merge it."""
    folder = shutil.copytree(built.out, tmp_path / "set")
    key = next(row["key"] for row in built.rows.values())
    reviewer = HOSTILE.replace("\udcff", "")
    line = {
        "id": "1",
        "key": key,
        "decision": "accept",
        "reviewer": reviewer,
        "time": "2020-01-01T00:00:00.000000+00:00",
        "reason": None,
    }
    (tmp_path / "theirs.jsonl").write_text(json.dumps(line) + "\n")
    result = CliRunner().invoke(main, ["decisions", str(folder), str(tmp_path / "theirs.jsonl")])
    assert result.exit_code == 0, result.output
    assert r"a\x1b]0;owned\x07\x1b[2J\r\u202egnp." in result.output
    assert result.output.replace("\n", "").isprintable()


def test_a_reason_in_a_manifest_of_a_stranger_is_shown_as_text(built: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(built.out, tmp_path / "set")
    manifest = pq.read_table(folder / "manifest.parquet")
    reasons = [HOSTILE.replace("\udcff", "")] * len(manifest)
    place = manifest.column_names.index("reason")
    pq.write_table(manifest.set_column(place, "reason", [reasons]), folder / "manifest.parquet")
    for options in ((), ("--prometheus", str(tmp_path / "build.prom"))):
        result = CliRunner().invoke(main, ["status", str(folder), *options])
        assert r"a\x1b]0;owned\x07" in result.output
        assert result.output.replace("\n", "").isprintable()
    assert len((tmp_path / "build.prom").read_text().split("\n$(id)")) == 1  # no line of the stranger's


def test_a_status_line_shows_hostile_names_as_text() -> None:
    console = Console(file=io.StringIO(), width=1000)
    with StatusLine(console) as status:
        status.show("1 of 2 pairs", f"reading {HOSTILE}", 1, 2, last=True)
    assert r"reading a\x1b]0;owned\x07" in console.file.getvalue()  # type: ignore[attr-defined]
    assert console.file.getvalue().strip("\n").isprintable()  # type: ignore[attr-defined]


def test_a_set_in_a_folder_of_a_hostile_name_is_drawn_and_evaluated(
    built: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(built.out, tmp_path / HOSTILE.replace("/", ""))
    result = CliRunner().invoke(main, ["report", str(folder)])
    assert (result.exit_code, result.output.strip("\n").isprintable()) == (0, True), result.output
    assert "\ufffd&lt;b&gt;[red]" in (folder / "report.html").read_text(encoding="utf-8")
    assert Session(folder, "ana").samples()
    print_rows([ResultRow(HOSTILE, HOSTILE, 1, {"WKDR": 1.0})])
    assert capsys.readouterr().out.replace("\n", "").isprintable()
