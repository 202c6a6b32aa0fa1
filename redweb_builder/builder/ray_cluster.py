"""The Ray cluster of a build: connected to or started, and how many workers it has room for."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from redweb_builder.config import BuildConfig
from redweb_builder.errors import EngineError

CONNECT_S = 15.0
OBJECT_STORE = 200 << 20  # bytes of the store of an own cluster: only records go through it


@contextmanager
def cluster(address: str | None) -> Iterator[bool]:
    """The cluster at an address; without one that of RAY_ADDRESS, else a new one on this machine for this build.

    address: as Ray has them. A cluster to which the program that calls is connected already is used as it is. Yields
    whether machines may join it, which none does a new one. Raises EngineError.
    """
    if ray.is_initialized():
        yield True
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    address = address or os.environ.get("RAY_ADDRESS") or None
    _require_answer(address or "")
    own = {"_node_ip_address": "127.0.0.1", "include_dashboard": False, "object_store_memory": OBJECT_STORE}
    try:
        with _own_signals():
            ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **({} if address else own))
    except Exception as error:  # Ray raises plain ones, too, where its processes end while they start
        raise EngineError(f"no Ray cluster at {address or 'this machine'}: {first_line(error)}") from error
    try:
        yield bool(address)
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Raise EngineError where nothing answers at HOST:PORT: Ray would try for minutes, and print each time."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"nothing answers at {address} ({error}): is the head of the Ray cluster there?") from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what SIGTERM does: ray.init makes it an exit without a word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def share(config: BuildConfig) -> tuple[int, int]:
    """Cores and GPUs of a worker: a GPU each where there are any, with its part of the cores; else one core.

    config: its device and jobs are used.
    """
    gpu_nodes = [node for node in _nodes() if node.get("GPU", 0) >= 1]
    if config.device == "cpu" or not (gpu_nodes or config.device.startswith("cuda")):
        return config.jobs or 1, 0
    return config.jobs or max(1, min((int(node["CPU"] / node["GPU"]) for node in gpu_nodes), default=1)), 1


def room(cores: int, gpus: int, grows: bool) -> int:
    """How many workers the cluster can hold now.

    cores, gpus: of a worker. grows: whether machines may join it. Raises EngineError where there is room for none, and
    none may join: Ray would wait without end.
    """
    nodes = _nodes()
    number = sum(
        int(min(node.get("CPU", 0) // cores, node.get("GPU", 0) // gpus if gpus else node.get("CPU", 0)))
        for node in nodes
    )
    if number or grows:
        return number
    if not nodes:
        raise EngineError("Ray's process of this machine (raylet) has ended; the same command goes on")
    gpu = " and a GPU" if gpus else ""
    raise EngineError(f"this machine has no room for a Ray worker of {cores} cores{gpu}: --jobs says how many")


def first_line(error: Exception) -> str:
    """What an error says, without the rest of its traceback. error: of Ray."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _nodes() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
