"""Parts that lie about themselves are refused in a sentence, and no part becomes the whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli import main
from redweb_builder import open_dataset
from redweb_builder.builder.refilter import refilter
from redweb_builder.dataset.decisions import FILE, decide, read_decisions, record_decision
from redweb_builder.dataset.keys import Keys
from redweb_builder.dataset.unknown import MARKS, write_unknown
from redweb_builder.dataset.verdicts import thresholds_of

Snapshot = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def part(built: Any, tmp_path: Path) -> Path:
    copy: Path = shutil.copytree(built.out, tmp_path / "part")
    return copy


def state(folder: Path, **values: Any) -> None:
    build = json.loads((folder / "build.json").read_text())
    (folder / "build.json").write_text(json.dumps(build | values))


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        *(
            (value, "names no part")
            for value in ([], [1], ["1", "2"], [1.0, 2.0], [None, 1], [True, 1], {"a": 1}, "1/2")
        ),
        *((value, "cannot be") for value in ([1, 5_000_000_000], [3, 2], [0, 2], [1, -3])),
        ([1, 99_999], "2/99999, 3/99999"),
    ],
)
def test_a_part_that_lies_is_refused(part: Path, tmp_path: Path, stated: Any, words: str) -> None:
    state(part, part=stated)
    result = CliRunner().invoke(main, ["merge", str(tmp_path / "whole"), str(part)])
    assert result.exit_code == 1
    assert words in result.output
    assert len(result.output) < 1000


def test_a_part_does_not_become_the_whole(part: Path, snapshot: Snapshot) -> None:
    before = snapshot(part)
    result = CliRunner().invoke(main, ["merge", str(part), str(part)])
    assert result.exit_code == 1
    assert "is one of the parts" in result.output
    assert snapshot(part) == before


def test_an_input_that_is_no_text_is_only_compared(part: Path, tmp_path: Path) -> None:
    other = shutil.copytree(part, tmp_path / "other")
    for folder, number in ((part, 1), (other, 2)):
        state(folder, part=[number, 2], input_fingerprint={"a": number})
    result = CliRunner().invoke(main, ["merge", str(tmp_path / "whole"), str(part), str(other)])
    assert result.exit_code == 0, result.output


def test_a_part_that_limit_cut_off_is_named(part: Path, tmp_path: Path) -> None:
    other = shutil.copytree(part, tmp_path / "other")
    state(part, part=[1, 2], limit=1)
    state(other, part=[2, 2])
    result = CliRunner().invoke(main, ["merge", str(tmp_path / "whole"), str(part), str(other)])
    assert "--limit cut off part. Build without it" in result.output
    assert "limit" not in json.loads((tmp_path / "whole" / "build.json").read_text())


def test_a_merge_that_is_given_again_keeps_the_limits_of_refilter(part: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"

    def merged() -> tuple[Keys, str]:
        result = CliRunner().invoke(main, ["merge", str(whole), str(part)])
        assert result.exit_code == 0, result.output
        return open_dataset(whole).keys, result.output

    as_built, _ = merged()
    refilter(part, {"min_agreement": 0.99})
    shutil.rmtree(whole)
    of_parts, words = merged()  # a new whole has the limits of its parts
    assert of_parts == open_dataset(part).keys != as_built
    assert "The limits are" not in words
    for limits, keys in (({"min_agreement": 1.0}, []), ({"min_agreement": 0.5}, as_built)):
        refilter(whole, limits)
        again, words = merged()
        assert again == keys
        assert "The limits are those that" in words
        assert thresholds_of(whole).min_agreement == limits["min_agreement"]


def test_what_people_decided_and_marked_in_a_part_goes_with_it(part: Path, tmp_path: Path) -> None:
    whole, (first, second, third) = tmp_path / "whole", open_dataset(part).keys[:3]
    wrong = np.zeros(open_dataset(part)[first].mask.shape, bool)
    wrong[:9] = True
    write_unknown(part, first, wrong, "eve")
    record_decision(part, decide(second, "reject", "eve", "dark"))
    merge = ["merge", str(whole), str(part)]
    assert CliRunner().invoke(main, merge).exit_code == 0
    assert second not in open_dataset(whole)
    assert (open_dataset(whole)[first].mask[:9] == 0).all()
    write_unknown(whole, first, ~wrong, "ana")  # the whole goes on by itself
    write_unknown(part, third, np.ones(open_dataset(part)[third].mask.shape, bool), "eve")
    for _ in range(2):
        assert CliRunner().invoke(main, merge).exit_code == 0
    assert (open_dataset(whole)[first].mask[9:] == 0).all()
    assert (open_dataset(whole)[third].mask == 0).all()
    assert [json.loads(line)["key"] for line in (whole / MARKS).read_text().splitlines()] == [first, first, third]
    assert len(read_decisions(whole / FILE)[0]) == 1


@pytest.mark.parametrize("name", [MARKS, "unknown/{}.png", FILE])
def test_nothing_that_a_link_leads_to_gets_into_the_whole(
    part: Path, tmp_path: Path, snapshot: Snapshot, name: str
) -> None:
    key, whole, secret = open_dataset(part).keys[0], tmp_path / "whole", tmp_path / "secret"
    write_unknown(part, key, np.ones(open_dataset(part)[key].mask.shape, bool), "eve")
    secret.write_bytes(b"the only copy")
    file = part / name.format(key)
    file.unlink(missing_ok=True)
    file.symlink_to(secret)
    result = CliRunner().invoke(main, ["merge", str(whole), str(part)])
    assert result.exit_code == (1 if file.suffix == ".png" else 0), result.output
    assert not any(b"the only copy" in content for content in snapshot(whole).values())
