"""Training from shards: on any number of processes, killed and gone on with, it is one run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redweb_builder.dataset.manifest import table_of
from redweb_builder.dataset.writer import Store
from redweb_builder.export import webdataset
from redweb_builder.export.dataset import export_dataset
from redweb_builder.inputs import remote
from redweb_builder.types import Label, Mask
from tests.trainer.training.test_loop import SETTINGS, curve, run
from trainer.data.open import open_data
from trainer.data.sample_stream import SampleStream, Source
from trainer.data.transforms import augmentation
from trainer.progress import Progress
from trainer.training.distributed import Ranks
from trainer.training.loop import own_numbers
from trainer.types import DataError

CONFIG = replace(SETTINGS, epochs=2, validations=4)  # 4 steps, each validated and saved


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures whose brightness is their nearness, in shards of four."""
    home = tmp_path_factory.mktemp("sharded")
    y, x = np.mgrid[0:80, 0:100]
    with Store(home / "set", {"thresholds": {}}) as store, pytest.MonkeyPatch.context() as patch:
        for number in range(12):
            near = (120 + 70 * np.sin(x / (9 + number)) + y / 2).clip(0, 255)
            picture = np.repeat(near.astype(np.uint8)[..., None], 3, 2)
            mask = np.full(near.shape, Mask.MEASURED, np.uint8)
            label = Label(near.astype(np.float32), mask, np.full(near.shape, 255, np.uint8))
            store.write_label(f"{number:02}", picture, True, label, picture, True)
        rows = [{"key": f"{n:02}", "status": "kept", "width": 100, "height": 80} for n in range(12)]
        store.finish(table_of(rows), {"finished": True})
        patch.setattr(webdataset, "SHARD", 4)
        export_dataset(home / "set", "webdataset", home / "shards")
    return home / "shards"


def test_an_epoch_has_each_sample_once_on_any_number_of_processes(shards: Path) -> None:
    data = open_data(shards)
    train = [index for index in range(len(data)) if data.part(index) == "train"]
    assert (len(train), [data.part(index) for index in range(len(data))].count("val")) == (10, 2)
    stream = SampleStream([Source(data, train)], augmentation("none", 64), seed=3)
    for world in (1, 2, 5):
        numbers = [number for rank in range(world) for number in own_numbers(range(10, 20), 10, Ranks(rank, world))]
        assert sorted(numbers) == list(range(10, 20))
    images = {stream[number].image.numpy().tobytes() for number in range(10, 20)}
    assert len(images) == 10


def test_the_numbers_of_a_long_run_are_not_held() -> None:
    numbers = own_numbers(range(10**15), 8, Ranks(1, 2))
    assert [next(numbers) for _ in range(6)] == [4, 5, 6, 7, 12, 13]


def ranks_killed(shards: Path, out: Path) -> list[tuple[int, str]]:
    """How two processes ended of which the second one is killed in its third step: status and output."""
    script = (
        "import os, signal, sys; from pathlib import Path; import click\n"
        "import tests.trainer.training.test_shards as t, trainer.training.loop as loop\n"
        "from redweb_builder.commands.errors import errors_for_people\n"
        "plain, steps = loop.pair_numbers, []\n"
        "def dying(config, step, ranks):\n"
        "    if ranks.rank == 1 and step == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return plain(config, step, ranks)\n"
        "loop.pair_numbers = dying\n"
        "@click.command()\n"
        "def train():\n"
        "    with errors_for_people(): t.run(Path(sys.argv[1]), Path(sys.argv[2]), t.CONFIG)\n"
        "train([])"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    environment = {**os.environ, **shared, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(shards), str(out)],
            env=environment | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=110)[0] for process in started]
    return [(process.returncode, output) for process, output in zip(started, outputs, strict=True)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the loopback device has another name elsewhere")
def test_a_killed_process_ends_all_of_them_and_the_run_goes_on_to_the_same_curve(shards: Path, tmp_path: Path) -> None:
    run(shards, tmp_path / "whole", CONFIG)
    (status, output), (killed, _) = ranks_killed(shards, tmp_path / "out")
    assert (status, killed) == (1, -signal.SIGKILL), output
    assert "process 0 of 2: another process of this run is gone" in output
    assert "The same command goes on after step 2, the last that was saved" in output
    assert "Traceback" not in output
    seen: list[Progress] = []
    run(shards, tmp_path / "out", replace(CONFIG, workers=1), watch=seen.append)  # alone, in the middle of an epoch
    assert "going on after step 2" in seen[0].notes
    assert curve(tmp_path / "out") == pytest.approx(curve(tmp_path / "whole"), rel=1e-4)


@pytest.mark.parametrize("failing", [remote.ATTEMPTS + 1, 10**6], ids=["for a while", "for good"])
def test_storage_that_is_gone_leaves_no_sample_out(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Back in time, the run is what it would have been; else it ends at once, in place of trying every sample."""
    fsspec = pytest.importorskip("fsspec", reason="needs the extra: pip install 'redweb-builder[remote]'")
    store = fsspec.filesystem("memory")
    store.put(f"{shards}/", "/shards/", recursive=True)
    asked = 0

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            monkeypatch.setattr(type(store), "cat_file", gone)
            monkeypatch.setattr(type(store), "info", gone)

    def gone(*_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == failing:
            monkeypatch.undo()
        raise ConnectionError("no answer")

    monkeypatch.setattr(remote, "FIRST_PAUSE_S", 0.0)
    run(shards, tmp_path / "whole", CONFIG)
    with (
        nullcontext() if failing < 100 else pytest.raises(DataError, match=r"^memory://shards: cannot read .* tried 6")
    ):
        run(Path("memory://shards"), tmp_path / "out", CONFIG, watch=stop)
    assert asked <= 2 * remote.ATTEMPTS
    assert curve(tmp_path / "out") == curve(tmp_path / "whole")[: 4 if failing < 100 else 2]
