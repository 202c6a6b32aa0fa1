"""The Ray engine on a small cluster of this machine: what comes out, and what happens when its processes die.

The pairs have no pictures: their stages are stand-ins that do what a pair's name says.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from redweb_builder import pipeline
from redweb_builder.builder import engines
from redweb_builder.builder.models import identity, versions
from redweb_builder.config import BuildConfig
from redweb_builder.errors import EngineError
from redweb_builder.inputs import isolation
from redweb_builder.pipeline import Inferred, Models, Outcome, Prepared
from redweb_builder.progress import Progress
from redweb_builder.types import PairSource, Rejection

ray = pytest.importorskip("ray", reason="Ray is not installed")

from redweb_builder.builder import ray_cluster, ray_engine, ray_worker  # noqa: E402

pytestmark = pytest.mark.timeout(400)  # each worker loads PyTorch

CONFIG = BuildConfig(max_side=128, engine="ray", device="cpu")
NOTHING: Any = None


class Network:
    """A flow estimator and segmenter of which only the settings are asked."""

    name, batch, fills_cpu, precision, weights = "stand-in", 1, False, None, None


def prepare(source: PairSource, *_: object) -> Prepared | Outcome:
    """Do what the key says; files beside the pair's say what was tried before."""
    if source.key.startswith("unreadable"):
        return Outcome(source, Rejection("read", "corrupt"))
    if source.key.startswith("endless"):
        return prepare_with_a_decoder_that_hangs(source)
    if source.key.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    if source.key.startswith("slow"):
        source.left.write_text(str(os.getpid()))
        deadline = time.monotonic() + 30
        while not source.right.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    return Prepared(source, NOTHING, 0.0, False, NOTHING, NOTHING, NOTHING)


def prepare_with_a_decoder_that_hangs(source: PairSource) -> Prepared | Outcome:
    """What the pipeline makes of a film, in a worker whose decoder never ends."""
    site = source.left.with_name("site")
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import time, redweb_builder.inputs.read as read\nread._read_pair = lambda *_: time.sleep(600)"
    )
    film = source.left.with_suffix(".mp4")
    film.touch()
    root = Path(isolation.__file__).parents[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{site}{os.pathsep}{root}")
        patch.setattr(isolation, "SECONDS", 1.0)
        return pipeline.prepare(replace(source, left=film, right=film, layout="side-by-side"), CONFIG)


def load(*_: object) -> tuple[Models, dict[str, str]]:
    """Networks that are none, and stages that are stand-ins for those of the pipeline."""
    network: Any = Network()
    stages: Any = engines
    stages.prepare = prepare
    stages.infer = lambda batch, models: [Inferred(prepared, NOTHING) for prepared in batch]
    stages.label_pair = lambda inferred, *_: Outcome(inferred.prepared.source, None)
    return Models(network, network), {}


def finish(outcome: Outcome, _: float) -> tuple[str, str]:
    if outcome.source.key.startswith("no space"):
        raise OSError(28, "No space left on device")
    return outcome.source.key, outcome.rejection.reason if outcome.rejection else "kept"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two cores of a cluster that is this machine; nothing of it can be reached from elsewhere."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        "local",
        num_cpus=2,
        num_gpus=0,
        _node_ip_address="127.0.0.1",
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=100 << 20,
    )
    with pytest.MonkeyPatch.context() as patch:
        for stage in ("prepare", "infer", "label_pair"):
            patch.setattr(engines, stage, getattr(engines, stage))  # put back at the end
        patch.setattr(ray_engine, "POLL_S", 0.2)
        yield
    ray.shutdown()


Run = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run(keys, done=(), progress=...): what the engine yields for pairs of these names."""

    def start(keys: list[str], done: tuple[str, ...] = (), progress: Progress | None = None) -> list[tuple[str, str]]:
        sources = [PairSource(key, tmp_path / f"{key}.pid", tmp_path / f"{key}.go", "files", "") for key in keys]
        models, _ = load()
        progress = progress or Progress()
        return list(
            ray_engine.run_ray(sources, models, CONFIG, done.__contains__, finish, progress, tmp_path, load=load)
        )

    return start


def send(number: int, folder: Path, key: str) -> None:
    """Wait for the pair to begin, send its process a signal, and let the pair go on in whatever process comes next."""
    file = folder / f"{key}.pid"
    while not file.exists() or not file.read_text():
        time.sleep(0.01)
    (folder / f"{key}.go").touch()
    os.kill(int(file.read_text()), number)


def test_all_pairs_come_once_and_in_order_whatever_becomes_of_the_workers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker is killed, one hangs: it no longer answers."""
    monkeypatch.setattr(ray_engine, "SILENT_S", 5.0)
    faults = [
        threading.Thread(target=send, args=(signal.SIGKILL, tmp_path, "slow to be killed")),
        threading.Thread(target=send, args=(signal.SIGSTOP, tmp_path, "slow to be stopped")),
    ]
    for fault in faults:
        fault.start()
    numbers = [f"{number:02}" for number in range(20)]
    keys = ["unreadable", "slow to be killed", *numbers, "slow to be stopped", "unreadable too"]
    workers = set()
    results = run(keys, done=("03", "17"), progress=Progress(lambda progress: workers.add(progress.workers)))
    for fault in faults:
        fault.join()
    expected = [(key, "corrupt" if key.startswith("unreadable") else "kept") for key in keys]
    assert results == [result for result in expected if result[0] not in ("03", "17")]
    assert 1 in workers or 2 in workers
    assert run(keys, done=tuple(keys)) == []


def test_a_pair_that_takes_workers_down_costs_itself_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "DEATHS", 1)
    assert run(["before", "deadly", "after"]) == [("before", "kept"), ("deadly", "WorkerDied"), ("after", "kept")]


def test_workers_that_die_whatever_they_do_end_the_build(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "MOST_DEATHS", 0)
    with pytest.raises(EngineError, match=r"1 Ray workers died one after the other; the last: .+"):
        run(["deadly"])


@pytest.mark.skipif(os.name != "posix", reason="decoding stays in the process here")
def test_a_decoder_that_hangs_in_a_worker_costs_its_film(run: Run) -> None:
    assert run(["before", "endless", "after"]) == [("before", "kept"), ("endless", "decoder-failed"), ("after", "kept")]


def test_a_full_disk_ends_the_build(run: Run) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        run(["fine", "no space", "after"])
    assert caught.value.errno == 28


def test_a_machine_on_which_a_pair_would_become_another_one_is_refused(tmp_path: Path) -> None:
    source = PairSource("pair", tmp_path / "left.png", tmp_path / "right.png", "files", "")
    mine, theirs = identity(CONFIG, load()[0]), versions()

    def open_with(**changes: Any) -> None:
        terms = ray_worker.Terms(Path.cwd(), tmp_path, source, [[], []], mine, theirs, False)
        ray_worker.RayWorker(CONFIG, finish, load, replace(terms, **changes)).open()

    open_with()
    with pytest.raises(EngineError, match=r"does not see .*the data set must lie in"):
        open_with(marker=tmp_path / "marker")
    with pytest.raises(EngineError, match=r"does not see .*left\.png as it is here"):
        open_with(states=[[1, 2], []])
    with pytest.raises(EngineError, match=r"has other networks or settings .flow: stand-in, not dis.: install"):
        open_with(identity=mine | {"flow": "dis"})
    with pytest.raises(EngineError, match=r"has other packages .torch: .*, not 1.0."):
        open_with(versions=theirs | {"torch": "1.0"})


def test_an_address_at_which_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    for address in ("127.0.0.1:1", "ray://[::1]:1", "head:99999999"):
        with pytest.raises(EngineError, match="nothing answers at"), ray_cluster.cluster(address):
            pass


def test_a_worker_has_a_gpu_with_its_part_of_the_cores_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 36.0, "GPU": 4.0}, {"CPU": 64.0}]
    monkeypatch.setattr(ray_cluster, "_nodes", lambda: nodes)
    assert ray_cluster.share(BuildConfig()) == (8, 1)
    assert ray_cluster.share(BuildConfig(jobs=4)) == (4, 1)
    assert ray_cluster.share(CONFIG) == (1, 0)
    assert ray_cluster.room(8, 1, grows=False) == 6
    assert ray_cluster.room(1, 0, grows=False) == 116
    assert ray_cluster.room(100, 0, grows=True) == 0


def test_a_cluster_whose_processes_end_while_they_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object, **__: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", ended)
    with pytest.raises(EngineError, match="at this machine: The current node timed out"), ray_cluster.cluster(None):
        pass


def test_a_cluster_without_room_that_no_machine_can_join_ends_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would wait for one without end."""
    monkeypatch.setattr(ray_cluster, "_nodes", lambda: [{"CPU": 2.0}])
    with pytest.raises(EngineError, match="no room for a Ray worker of 8 cores: --jobs says"):
        ray_cluster.room(8, 0, grows=False)
    monkeypatch.setattr(ray_cluster, "_nodes", list)
    with pytest.raises(EngineError, match="has ended; the same command goes on"):
        ray_cluster.room(1, 0, grows=False)
    with ray_cluster.cluster(None) as grows:  # that of the tests, to which this process is connected
        assert grows
