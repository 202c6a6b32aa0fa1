"""Broken tables, lists, checkpoints and calibrations are read or refused in a sentence; so are old faults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.robustness.data_files import parsers
from benchmarks.robustness.fuzz import PHOTOGRAPHS, fuzz_parser, reader_of, try_file

EXAMPLES = sorted(file for file in (Path(__file__).parent / "examples").rglob("*") if file.is_file())


@pytest.mark.parametrize("name", parsers())
def test_broken_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    parser, outcomes = parsers()[name], set()
    good, broken = tmp_path / "good", tmp_path / "broken"
    for folder in (good, broken):
        folder.mkdir()
    for file, content in parser.good.items():
        (good / file).parent.mkdir(exist_ok=True)
        (good / file).write_bytes(content)
    read = reader_of(parser.read)
    assert {read(good / file) for file in parser.good.keys() - set(parser.kept)} <= {"read", "rectified", "left alone"}
    fuzz_parser(name, 40, broken, lambda file, outcome, seconds: outcomes.add(outcome))
    assert outcomes - {"read", "rectified", "left alone"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_files_that_were_a_fault_once(tmp_path: Path, example: Path) -> None:
    """examples/PARSER/NUMBER/FILE: what fuzzing has brought to light, kept by `benchmarks.robustness.fuzz --save`."""
    name = example.parent.parent.name
    if name != PHOTOGRAPHS:
        for file, content in parsers()[name].good.items():
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_bytes(content)
    shutil.copy(example, tmp_path / example.name)
    read = try_file if name == PHOTOGRAPHS else reader_of(parsers()[name].read)
    assert read(tmp_path / example.name)
