"""curate: a wrong label comes first, no label is changed, and an interrupted one goes on to the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import main
from redweb_builder.dataset.codec import pngs_of_label
from redweb_builder.dataset.curation import NAME, Curation, read_curation
from redweb_builder.dataset.decisions import append_decisions, decide
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.export.dataset import export_dataset
from redweb_builder.inspect.report import write_report
from redweb_builder.types import Mask
from trainer.config import CURATE
from trainer.progress import Progress, Watch
from trainer.training.curate import curate, digest_of
from trainer.types import DataError

SMALL = replace(CURATE, size=96, batch=2, pairs=300, workers=0, threads=1, device="cpu")
STEPS = 2


@pytest.fixture(scope="module")
def wrong(built: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy of the built set in which one label is inside out, and its key."""
    out = tmp_path_factory.mktemp("curated") / "set"
    shutil.copytree(built.out, out)
    data = open_dataset(out)
    key = next(key for key in data.keys if key.startswith("good-meadow"))
    label = data.label(key)
    known = (label.mask == Mask.MEASURED) | (label.mask == Mask.FILLED)
    label.disparity[known] *= -1
    for folder, content in zip(("RDs", "masks", "confidence"), pngs_of_label(label), strict=True):
        (out / folder / f"{key}.png").write_bytes(content)
    return out, key


@contextmanager
def interrupted(part: str) -> Iterator[Watch]:
    """Breaks off in the second part, between its steps."""

    def watch(progress: Progress) -> None:
        if part.startswith("part 2") and progress.step == 1:
            raise KeyboardInterrupt

    yield watch


def test_a_wrong_label_comes_first_and_an_interrupted_curation_goes_on_to_the_same_bytes(
    wrong: tuple[Path, str], tmp_path: Path, snapshot: Any
) -> None:
    whole, key = wrong
    broken = tmp_path / "set"
    shutil.copytree(whole, broken)
    before = snapshot(whole)
    curation, faults = curate(whole, 2, STEPS, SMALL)
    assert faults == []
    assert min(curation.agreement, key=lambda name: curation.agreement[name] or 0) == key
    assert sorted(curation.agreement) == open_dataset(whole).keys
    after = {name: content for name, content in snapshot(whole).items() if name.split("/")[0] != "curation"}
    assert after.keys() - before.keys() == {NAME}
    assert all(after[name] == content for name, content in before.items())

    with pytest.raises(KeyboardInterrupt):
        curate(broken, 2, STEPS, SMALL, training=interrupted)
    assert not (broken / NAME).exists()
    curate(broken, 2, STEPS, SMALL)
    assert (broken / NAME).read_bytes() == (whole / NAME).read_bytes()


def test_the_report_shows_the_worst_and_what_people_reject_is_not_learned_from_again(wrong: tuple[Path, str]) -> None:
    folder, key = wrong
    first, _ = curate(folder, 2, STEPS, SMALL)  # as it is there: nothing is trained
    append_decisions(folder, [decide(key, "reject", "somebody", "wrong-depth")])
    second, _ = curate(folder, 2, STEPS, SMALL)
    assert first.agreement.keys() - second.agreement.keys() == {key}
    assert read_curation(folder) == second
    write_report(folder)
    assert "unseen network agrees" in (folder / "report.html").read_text()


def test_the_screen_shows_no_command_that_trains_otherwise(
    wrong: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(wrong[0], tmp_path / "set")
    monkeypatch.setattr("trainer.training.curate.curate", lambda *_, **__: (Curation({}, {wrong[1]: 0.5}), []))
    result = CliRunner().invoke(main, ["curate", str(folder), "--folds", "2", "--steps", "9"])
    assert "the same command trains again" in result.output
    assert "cli.py curate" not in result.output


def test_a_label_that_cannot_be_read_is_named_each_time(wrong: tuple[Path, str], tmp_path: Path) -> None:
    folder = shutil.copytree(wrong[0], tmp_path / "set")
    file = folder / "RDs" / f"{open_dataset(folder).keys[0]}.png"
    file.write_bytes(file.read_bytes()[:-100])
    first, faults = curate(folder, 2, STEPS, SMALL)
    assert [file.name in fault for fault in faults] == [True]
    assert curate(folder, 2, STEPS, SMALL) == (first, faults)


def test_labels_are_told_apart_by_what_they_hold_wherever_they_lie(wrong: tuple[Path, str], tmp_path: Path) -> None:
    folder = shutil.copytree(wrong[0], tmp_path / "set")
    key = open_dataset(folder).keys[0]
    before = digest_of(open_dataset(folder))
    append_decisions(folder, [decide(key, "accept", "somebody")])
    for name in ("Imgs", "RDs", "masks", "confidence"):
        (file,) = (folder / name).glob(f"{key}.*")
        file.rename(folder / "rejected" / name / file.name)
    assert digest_of(open_dataset(folder)) == before
    assert digest_of(open_dataset(export_dataset(folder, "webdataset", tmp_path / "shards").out)) == before
    assert (
        digest_of(open_dataset(export_dataset(folder, "webdataset", tmp_path / "sure", min_confidence=200).out))
        != before
    )


def test_too_few_scenes_are_a_sentence(wrong: tuple[Path, str]) -> None:
    with pytest.raises(DataError, match="too few for 20 parts"):
        curate(wrong[0], 20, STEPS, SMALL)
