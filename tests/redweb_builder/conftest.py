"""What the tests of the builder share: an S3 server on this machine, with troubles."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from threading import Thread
from typing import Any

import pytest

from redweb_builder.dataset.storage import storage_of
from redweb_builder.inputs import remote


class Troubled:
    """A WSGI application before another one: requests for a file meet the troubles in turn, then the other one.

    broken: what has this in its path fails for good; None = nothing.
    """

    def __init__(self, application: Any) -> None:
        self.application = application
        self.troubles: list[str] = []
        self.broken: str | None = None
        self.requests = 0

    def __call__(self, request: dict[str, Any], start: Any) -> Iterable[bytes]:
        self.requests += 1
        trouble = self.troubles.pop(0) if self.troubles else ""
        if self.broken is not None and self.broken in request["PATH_INFO"]:
            trouble = "500"
        if trouble == "late":
            time.sleep(1.5)
        elif trouble:
            start(f"{trouble} Trouble", [("Content-Length", "0")])
            return [b""]
        answer: Iterable[bytes] = self.application(request, start)
        return answer


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[Troubled, str]]:
    pytest.importorskip("s3fs", reason="needs the extra: pip install 'redweb-builder[remote]'")
    moto = pytest.importorskip("moto.server", reason="needs moto and flask-cors, of the extra [dev]")
    from werkzeug.serving import make_server

    troubled = Troubled(moto.DomainDispatcherApplication(moto.create_backend_app))
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
    monkeypatch.setattr(remote, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(remote, "READ_S", 0.5)
    application.troubles, application.broken = [], None
    remote._opened_once.cache_clear()
    storage_of.cache_clear()
    client = boto3.client("s3")
    client.create_bucket(Bucket="sets")
    client.put_object(Bucket="sets", Key="redweb/train-000000.tar", Body=bytes(range(100)))
    return application
