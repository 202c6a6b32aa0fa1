"""The cache of the review page: bounded, and harmless in a folder that comes from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from redweb_builder.review import cache
from redweb_builder.review.cache import Cache


def test_a_cache_is_bounded_and_forgets_the_longest_unused(tmp_path: Path) -> None:
    kept, made = Cache(tmp_path / "cache", 3), []

    def make(name: str) -> bytes:
        made.append(name)
        return name.encode()

    for name in "abcabcd":
        assert kept.get(name, lambda name=name: make(name)) == name.encode()  # type: ignore[misc]
    assert made == list("abcd")
    assert len(list((tmp_path / "cache").iterdir())) == 3


def a_link(folder: Path, documents: Path) -> None:
    folder.symlink_to(documents, target_is_directory=True)


def a_file(folder: Path, _: Path) -> None:
    folder.write_text("in the way")


def a_fifo(folder: Path, _: Path) -> None:
    os.mkfifo(folder)


@pytest.mark.parametrize("plant", [a_link, a_file, a_fifo])
def test_what_is_no_plain_folder_is_no_cache(plant: Callable[[Path, Path], None], tmp_path: Path) -> None:
    documents, folder = tmp_path / "documents", tmp_path / "set" / ".review"
    documents.mkdir()
    folder.parent.mkdir()
    plant(folder, documents)
    kept = Cache(folder)
    assert not kept.is_usable
    assert kept.get("a", lambda: b"made") == b"made"
    assert not list(documents.iterdir())


def test_files_that_the_cache_did_not_make_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, letter = tmp_path / "cache", tmp_path / "letter"
    folder.mkdir()
    letter.write_text("the only copy")
    (folder / "notes.txt").write_text("mine")
    (folder / ("0" * 32)).symlink_to(letter)
    (folder / ("1" * 32)).mkdir()
    kept = Cache(folder, 1)
    for name in "abc":
        assert kept.get(name, lambda: b"made") == b"made"
    names = sorted(file.name for file in folder.iterdir())
    assert len(names) == 4
    assert {"notes.txt", "0" * 32, "1" * 32} < set(names)
    assert letter.read_text() == "the only copy"
    monkeypatch.setattr(cache, "MAX_BYTES", 3)
    assert kept.get("large", lambda: b"made") == b"made"
    assert len(list(folder.iterdir())) == 4


def test_a_link_in_the_place_of_a_picture_is_neither_read_nor_written(tmp_path: Path) -> None:
    kept = Cache(tmp_path / "cache")
    kept.get("a", lambda: b"made")
    (file,) = (tmp_path / "cache").iterdir()
    letter = tmp_path / "letter"
    letter.write_text("the only copy")
    file.unlink()
    file.symlink_to(letter)
    assert kept.get("a", lambda: b"again") == b"again"
    assert letter.read_text() == "the only copy"


def test_what_a_killed_review_left_is_removed(tmp_path: Path) -> None:
    part = tmp_path / ".redweb-0123456789abcdef.part"
    part.write_bytes(b"half")
    Cache(tmp_path)
    assert not part.exists()
