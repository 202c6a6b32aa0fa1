"""The part of the Ray engine that runs on the machines of the cluster: the local engine in a process of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2

from redweb_builder.builder.engines import run_local
from redweb_builder.builder.models import LoadModels, identity, versions
from redweb_builder.config import BuildConfig
from redweb_builder.errors import EngineError
from redweb_builder.inputs.isolation import isolate_all
from redweb_builder.inputs.remote import address_of, shown
from redweb_builder.inputs.walk import state_of
from redweb_builder.networks.device import choose_device, limit_threads
from redweb_builder.pipeline import Models, Outcome
from redweb_builder.process import keep_freed_memory
from redweb_builder.types import PairSource

Done = TypeVar("Done")


@dataclass(frozen=True)
class Terms:
    """What must be on a worker's machine as it is where the build runs.

    folder: from which relative paths count, where it is there. marker: a folder in that of the data set. source: one of
    the pairs; states: state_of its files. identity: of the build. versions: of the packages. safe: decode every picture
    in a process with limits.
    """

    folder: Path
    marker: Path
    source: PairSource
    states: list[list[int]]
    identity: dict[str, Any]
    versions: dict[str, str]
    safe: bool


class RayWorker(Generic[Done]):
    """An actor. `run` and `in_work` are called side by side."""

    def __init__(
        self, config: BuildConfig, finish: Callable[[Outcome, float], Done], load: LoadModels, terms: Terms
    ) -> None:
        """Load nothing yet: what fails here would be no answer. config, finish, load: of run_ray. terms: to be met."""
        self._config, self._finish, self._load, self._terms = config, finish, load, terms
        self._models: Models | None = None
        self._steps: dict[str, str] = {}

    def open(self) -> dict[str, str]:
        """Load the networks, and answer as `in_work`. Raises EngineError where the terms are not met."""
        with suppress(OSError):
            os.chdir(self._terms.folder)
        _check_folders(self._terms)
        cv2.setNumThreads(1)  # run_local does so, but gives the threads back while another call of it may still run
        keep_freed_memory()
        limit_threads(self._config.jobs)
        if self._terms.safe:
            isolate_all()
        self._models, _ = self._load(self._config, choose_device(self._config.device))
        _check_same("networks or settings", identity(self._config, self._models), self._terms.identity)
        _check_same("packages", versions(), self._terms.versions)
        return {}

    def run(self, sources: Sequence[PairSource], done: Collection[str]) -> list[Done]:
        """What run_local yields for some sources. done: keys of those that are recorded. Raises OSError."""
        assert self._models is not None
        try:
            return list(
                run_local(sources, self._models, self._config, done.__contains__, self._finish, self._steps.__setitem__)
            )
        finally:
            for source in sources:
                self._steps.pop(source.key, None)

    def in_work(self) -> dict[str, str]:
        """The step that each pair in work has begun, by key."""
        return dict(self._steps)


def _check_folders(terms: Terms) -> None:
    """Raise EngineError where this machine does not see the data set's folder, or other photographs."""
    host, source = socket.gethostname(), terms.source
    if not terms.marker.is_dir():
        raise EngineError(
            f"the machine {host} does not see {terms.marker.parent}: with --engine ray the data set must lie in a "
            "folder that all machines of the cluster share, under the same path"
        )
    if state_of((source.left, source.right)) != terms.states:
        remedy = (
            "give it the keys of the storage by the environment"
            if address_of(source.left)
            else ("the photographs must lie in a folder that all machines of the cluster share, under the same path")
        )
        raise EngineError(
            f"the machine {host} does not see {shown(source.left)} as it is here: with --engine ray {remedy}"
        )


def _check_same(what: str, here: dict[str, Any], there: dict[str, Any]) -> None:
    """Raise EngineError where a worker would label otherwise than the others."""
    names = [name for name in there if here.get(name) != there[name]]
    if names:
        differences = ", ".join(f"{name}: {here.get(name)!s:.80}, not {there[name]!s:.80}" for name in names)
        raise EngineError(
            f"the machine {socket.gethostname()} has other {what} ({differences}): install the same there, and name "
            "--flow, --segmenter and their weight files, since `auto` takes what a machine has"
        )
