"""An S3 server that is gone for a minute in the middle of a command; the command is given again until it is done.

Called by ray_kills. The server is moto's, in this process. It stops listening at a random request, with that request
unanswered, and comes back after GONE_S. The commands: an export of a data set to shards on the server, a training from
them, and a build of photographs on it.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Thread, Timer
from typing import Any

from benchmarks.robustness.fault_scenarios import TRAIN
from benchmarks.robustness.forked_python import Forks
from benchmarks.robustness.ray_trial import Tried, build_of
from benchmarks.robustness.write_faults import Tree, different_files, shows_bug, tree_of
from redweb_builder.export import webdataset

EXPORT, TRAINING, BUILD = COMMANDS = ("export to S3", "training from S3", "build from S3")
PHOTOS = "s3://sets/photos"
GONE_S = 60.0
SHARD_BYTES = 200_000  # of shards here, so that there are several
PAUSE_S, MOST_AGAIN = 5.0, 30  # before a command is given again, and how often
HANG_S = 600.0


class Server:
    """An S3 server that can be gone. leaves_at: the request with which it goes; 0 = it stays."""

    def __init__(self) -> None:
        """Start it, and name it to the commands of this process."""
        from moto.server import DomainDispatcherApplication, create_backend_app

        self._application: Any = DomainDispatcherApplication(create_backend_app)
        self.port, self.requests, self.leaves_at = 0, 0, 0
        self._listen()
        credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        os.environ |= {**credentials, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}

    def close(self) -> None:
        """Stop listening."""
        self._listening.shutdown()
        self._listening.server_close()

    def _listen(self) -> None:
        from werkzeug.serving import make_server

        listening: Any = make_server("127.0.0.1", self.port, self._answer, threaded=True)
        listening.block_on_close = False  # who closes it is one of its threads
        self._listening, self.port = listening, listening.server_port
        Thread(target=listening.serve_forever, daemon=True).start()

    def _answer(self, request: dict[str, Any], start: Any) -> Iterable[bytes]:
        self.requests += 1
        if self.requests == self.leaves_at:
            self.close()
            Timer(GONE_S, self._listen).start()
            raise ConnectionAbortedError  # the connection is closed without a word
        answer: Iterable[bytes] = self._application(request, start)
        return answer


class S3Trial:
    """A server, and what the undisturbed commands leave."""

    def __init__(self, folder: Path, forks: Forks) -> None:
        """Run the commands undisturbed.

        folder: to work in, with photographs in photos/ and a data set in expected/. forks: run the commands.
        """
        import boto3

        self._server = Server()
        self._client: Any = boto3.client("s3")
        self._client.create_bucket(Bucket="sets")
        for file in (folder / "photos").iterdir():
            self._client.put_object(Bucket="sets", Key=f"photos/{file.name}", Body=file.read_bytes())
        self._data, self._run, self._log, self._forks = (
            folder / "expected",
            folder / "run",
            folder / "s3-log.txt",
            forks,
        )
        self._expected: dict[str, Tree] = {}
        self._requests: dict[str, int] = {}
        for command in COMMANDS:
            self._clear(command)
            before = self._server.requests
            if self._status(command) != 0:
                raise RuntimeError(f"{command} fails undisturbed: {self._log.read_text()}")
            self._requests[command] = self._server.requests - before
            self._expected[command] = self._left(command)

    def disturbed(self, command: str, seed: int) -> Tried:
        """A command whose server is gone for a minute, given again until it is done. seed: of when the server goes."""
        at, tried = random.Random(f"{command} {seed}").randrange(self._requests[command]), Tried(command, seed)
        self._clear(command)
        self._server.leaves_at = self._server.requests + 1 + at
        tried.kills["working"] = 1
        while (status := self._status(command)) != 0:
            text = self._log.read_text(errors="replace")
            if status is None or shows_bug(status, text) or tried.again == MOST_AGAIN:
                tried.wrong = f"status {status}: {text[-400:]}"
                return tried
            tried.again += 1
            time.sleep(PAUSE_S)
        left, expected = self._left(command), self._expected[command]
        names = different_files(left, expected)
        tried.wrong = f"differs: {', '.join(names[:3])}" if names else ""
        return tried

    def close(self) -> None:
        """Stop the server."""
        self._server.close()

    def _status(self, command: str) -> int | None:
        arguments = {
            EXPORT: ["export", str(self._data), "--format", "webdataset", "--out", "s3://sets/exported"],
            TRAINING: ["train", "--data", "s3://sets/exported", "--out", str(self._run), *TRAIN],
            BUILD: build_of(PHOTOS, self._run),
        }
        process = self._forks.start(["-m", "redweb_builder", *arguments[command]], self._log)
        status = process.wait(HANG_S)
        if status is None:
            process.kill()
        return status

    def _clear(self, command: str) -> None:
        """Remove what the command leaves."""
        shutil.rmtree(self._run, ignore_errors=True)
        if command == EXPORT:
            for name in self._left(command):
                self._client.delete_object(Bucket="sets", Key=name)

    def _left(self, command: str) -> Tree:
        if command != EXPORT:
            return tree_of(self._run)
        listed = self._client.list_objects_v2(Bucket="sets", Prefix="exported/")
        names = [entry["Key"] for entry in listed.get("Contents", [])]
        return {name: self._client.get_object(Bucket="sets", Key=name)["Body"].read() for name in names}


def load() -> None:
    """For Forks: shards are small."""
    vars(webdataset).update(SHARD_BYTES=SHARD_BYTES)
