"""Remote storage: a real S3 server on this machine that answers late, with errors, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from redweb_builder import build
from redweb_builder.dataset import storage
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.storage import Storage
from redweb_builder.errors import StoreError

pytest.importorskip("s3fs", reason="needs the extra: pip install 'redweb-builder[remote]'")
moto_server = pytest.importorskip("moto.server", reason="needs moto and flask-cors, of the extra [dev]")


class Troubled:
    """A WSGI application before another one: requests for a file meet the troubles in turn, then the other one."""

    def __init__(self, application: Any) -> None:
        self.application = application
        self.troubles: list[str] = []
        self.requests = 0

    def __call__(self, request: dict[str, Any], start: Any) -> Iterable[bytes]:
        self.requests += 1
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble == "late":
            time.sleep(1.5)
        elif trouble:
            start(f"{trouble} Trouble", [("Content-Length", "0")])
            return [b""]
        answer: Iterable[bytes] = self.application(request, start)
        return answer


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Troubled, str]]:
    from werkzeug.serving import make_server

    troubled = Troubled(moto_server.DomainDispatcherApplication(moto_server.create_backend_app))
    listening = make_server("127.0.0.1", 0, troubled, threaded=True)
    thread = Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield troubled, f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()


@pytest.fixture
def troubled(server: tuple[Troubled, str], monkeypatch: pytest.MonkeyPatch) -> Troubled:
    """The server with one file in a bucket; pauses are short."""
    import boto3

    application, address = server
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setattr(storage, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(storage, "READ_S", 0.5)
    application.troubles = []
    client = boto3.client("s3")
    client.create_bucket(Bucket="sets")
    client.put_object(Bucket="sets", Key="redweb/train-000000.tar", Body=bytes(range(100)))
    return application


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
    monkeypatch.setattr(storage, "ATTEMPTS", 2)
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
    with pytest.raises(StoreError, match=r"s3://bucket/photos is no folder of this machine: .* mount"):
        build("s3://bucket/photos", tmp_path / "out")
    (tmp_path / "train-000000.tar").touch()
    with pytest.raises(StoreError, match="it holds shards: give the data set"):
        read_manifest(tmp_path)
