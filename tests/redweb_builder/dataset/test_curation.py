"""curation.json comes back as it was written, and what is none of ours is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from redweb_builder.criteria import CROSS_AGREEMENT
from redweb_builder.dataset.curation import FORMAT, NAME, Curation, read_curation, with_agreement, write_curation
from redweb_builder.errors import StoreError

CURATION = Curation({"folds": 3}, {"a": 0.25, "b": None})


def test_it_comes_back_and_its_values_get_a_column(tmp_path: Path) -> None:
    assert read_curation(tmp_path) == Curation()
    write_curation(tmp_path, CURATION)
    assert read_curation(tmp_path) == CURATION
    rows: list[dict[str, Any]] = [{"key": "a"}, {"key": "b"}, {"key": "c"}, {"key": None}]
    assert [row[CROSS_AGREEMENT] for row in with_agreement(rows, CURATION)] == [0.25, None, None, None]
    assert with_agreement(rows, Curation()) == rows


@pytest.mark.parametrize(
    "agreement", [{"../a": 0.5}, {"a": 1.5}, {"a": True}, {"a": "1"}, {"a": [0.5]}, {"a": -0.1}, [0.5], None]
)
def test_foreign_values_are_refused(tmp_path: Path, agreement: Any) -> None:
    (tmp_path / NAME).write_text(json.dumps({"format": FORMAT, "identity": {}, "agreement": agreement}))
    with pytest.raises(StoreError, match="remove it, and run `curate` again"):
        read_curation(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"format": "other/1"}', b'{"a": NaN}', b"[" * 100_000])
def test_foreign_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(StoreError, match=r"curation\.json cannot be used"):
        read_curation(tmp_path)
