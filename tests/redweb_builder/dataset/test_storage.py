"""Remote storage: a real S3 server on this machine that answers late, with errors, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from redweb_builder import build
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.storage import Storage
from redweb_builder.errors import StoreError
from redweb_builder.inputs import remote
from tests.redweb_builder.conftest import Troubled


@pytest.mark.parametrize("troubles", [[], ["500"], ["503", "500", "late"]], ids=str)
def test_what_fails_for_a_moment_is_tried_again(troubled: Troubled, troubles: list[str]) -> None:
    place = Storage("s3://sets/redweb")
    troubled.troubles = list(troubles)
    assert place.read("train-000000.tar", 10, 5) == bytes(range(10, 15))
    assert not troubled.troubles
    troubled.troubles = list(troubles)
    place.write("a.parquet", b"rows")
    troubled.troubles = list(troubles)
    assert place.names() == ["a.parquet", "train-000000.tar"]


def test_a_server_that_is_gone_is_one_sentence(troubled: Troubled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match=r"s3://sets/redweb: cannot read x, tried 2 times .* goes on once"):
        Storage("s3://sets/redweb").read("x", 0, 1)


def test_what_is_not_there_is_not_asked_for_again(troubled: Troubled) -> None:
    before = troubled.requests
    with pytest.raises(StoreError, match="s3://sets/redweb has no nothing"):
        Storage("s3://sets/redweb").read("nothing", 0, 5)
    assert troubled.requests - before <= 3
    with pytest.raises(StoreError, match="ends before byte 105"):
        Storage("s3://sets/redweb").read("train-000000.tar", 95, 10)
    assert Storage("s3://sets/none").names() == []


def test_where_a_folder_is_needed_an_address_or_shards_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="s3://bucket/set is no folder of this machine: give the data set"):
        read_manifest(Path("s3://bucket/set"))
    with pytest.raises(StoreError, match=r"s3://bucket/set is no folder of this machine: build on a disk"):
        build(tmp_path, "s3://bucket/set")
    (tmp_path / "train-000000.tar").touch()
    with pytest.raises(StoreError, match="it holds shards: give the data set"):
        read_manifest(tmp_path)
