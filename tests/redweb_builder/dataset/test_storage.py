"""Remote storage: a real S3 server on this machine that answers late, with errors, or not at all."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from redweb_builder import build
from redweb_builder.builder.refilter import refilter
from redweb_builder.config import PRESETS
from redweb_builder.dataset.decisions import FILE, append_decisions, decide, merge_decisions
from redweb_builder.dataset.manifest import table_of
from redweb_builder.dataset.reader import open_dataset
from redweb_builder.dataset.shard_integrity import check_shards
from redweb_builder.dataset.status import status_of
from redweb_builder.dataset.storage import Storage
from redweb_builder.dataset.writer import Store
from redweb_builder.errors import StoreError
from redweb_builder.export.dataset import export_dataset
from redweb_builder.inputs import remote
from redweb_builder.inspect.report import write_report
from tests.redweb_builder.conftest import Troubled
from tests.redweb_builder.dataset.test_writer import label_like, picture_like, row


@pytest.mark.parametrize("troubles", [[], ["500"], ["503", "500", "late"]], ids=str)
def test_what_fails_for_a_moment_is_tried_again(troubled: Troubled, troubles: list[str]) -> None:
    place = Storage("s3://sets/redweb")
    troubled.troubles = list(troubles)
    assert place.read("train-000000.tar", 10, 5) == bytes(range(10, 15))
    assert not troubled.troubles
    troubled.troubles = list(troubles)
    place.write("a.parquet", b"rows")
    troubled.troubles = list(troubles)
    assert place.sizes() == {"a.parquet": 4, "train-000000.tar": 100}


def test_an_empty_file_is_read_as_such(troubled: Troubled) -> None:
    """S3 gives no range of it: an empty calibration beside photographs, or empty decisions, ended the command."""
    place = Storage("s3://sets/redweb")
    place.write("decisions.jsonl", b"")
    before = troubled.requests
    assert place.read_to_end("decisions.jsonl", 100) == b""
    assert troubled.requests <= before + 2
    with pytest.raises(StoreError, match="ends before byte 101"):
        place.read("train-000000.tar", 100, 1)


def test_a_set_in_a_bucket_is_filtered_and_drawn(troubled: Troubled, tmp_path: Path) -> None:
    """Its manifest is read by ranges and written again there, whatever the server answers first."""
    with Store(tmp_path / "set", {"max_side": 90, "thresholds": asdict(PRESETS["none"])}) as store:
        for key in "abc":
            store.write_label(key, picture_like(), True, label_like(), picture_like(150, 1460), True)
        store.finish(table_of(row(key, texture=number / 4) for number, key in enumerate("abc", 1)), {"finished": True})
    place = Path("s3://sets/shards")
    assert export_dataset(tmp_path / "set", "webdataset", place).samples == 3
    for limit, kept in ((0.6, ["c"]), (0.4, ["b", "c"])):
        troubled.troubles = ["503", "500"]
        refilter(place, {"min_texture": limit})
        assert open_dataset(place).keys == kept
        assert not troubled.troubles
    assert write_report(place, tmp_path / "report.html").damaged == []
    assert check_shards(place, 1.0).faults == []
    troubled.troubles = ["503"]
    assert status_of(place)[0].reasons == {"textureless": 1}
    assert merge_decisions(place, [_decided(tmp_path / "a"), _decided(tmp_path / "b")]) == (2, 0)
    assert open_dataset(place).keys == ["c"]


def _decided(folder: Path) -> Path:
    """A file of a reviewer who rejects b."""
    folder.mkdir()
    append_decisions(folder, [decide("b", "reject", folder.name)])
    return folder / FILE


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
    assert Storage("s3://sets/none").sizes() == {}


@pytest.mark.parametrize("as_file", [False, True])
def test_a_bucket_that_is_not_there_is_named_where_something_is_written(
    troubled: Troubled, tmp_path: Path, as_file: bool
) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(StoreError, match=r"s3://nothere/set: cannot write a \(.*bucket does not exist\)"):
        Storage("s3://nothere/set").write("a", tmp_path / "a" if as_file else b"a")


def test_where_a_folder_is_needed_an_address_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"s3://bucket/set is no folder of this machine: build on a disk"):
        build(tmp_path, "s3://bucket/set")
