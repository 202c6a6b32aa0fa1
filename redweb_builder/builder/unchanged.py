"""A build that is asked for once more: where no file, package or setting is another than when it ended, it is done.

What is compared are names, sizes and times of change, as make does; nothing is opened and no network is loaded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.builder.summary import Summary, counts_of
from redweb_builder.config import BuildConfig
from redweb_builder.dataset.heartbeat import NAME as HEARTBEAT
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.parts import folder_of_part
from redweb_builder.dataset.paths import is_data_set, read_build
from redweb_builder.errors import StoreError
from redweb_builder.files import parse_json, read_regular, write_atomic
from redweb_builder.inputs.formats.stated import read_pair_list
from redweb_builder.inputs.remote import address_of
from redweb_builder.inputs.walk import files_below, state_of
from redweb_builder.progress import Progress
from redweb_builder.types import LeftOut
from redweb_builder.version import FORMAT, METHOD, __version__

NAME = ".unchanged.json"
MOST_BYTES = 1 << 16
SPEED = ("device", "jobs", "engine", "address")  # the settings that change no label
PASSING = ("unreadable", "decoder-failed")  # reasons that may not hold the next time, though no file is changed


def unchanged_build(
    stereo_dir: Path, out: Path, config: BuildConfig, watch: Callable[[Progress], None] = lambda progress: None
) -> Summary | None:
    """The summary of the build that was finished in a folder; None where the same build now might do anything else.

    stereo_dir, out, config, watch: as of build(). Where anything differs it is forgotten that the build was finished.
    """
    started = time.monotonic()
    out = folder_of_part(out, config.part) if config.part else out
    try:
        there = parse_json(read_regular(out / NAME, MOST_BYTES))
    except (OSError, ValueError):
        return None
    progress = Progress(watch)
    progress.enter("looking for changes")
    with suppress(OSError, StoreError):  # of a set that is damaged, or being changed: the build tells what is wrong
        is_input = isinstance(there, dict) and there.get("input") == digest_of_input(stereo_dir, config)
        if is_input and there.get("set") == _digest_of_set(out):
            return _summary(out, progress, started)
    forget(out)
    progress.enter("loading the program")
    return None


def _summary(out: Path, progress: Progress, started: float) -> Summary:
    """What the build in a folder ended with; its pairs are shown as done. started: of this run, monotonic s."""
    counts = counts_of(read_manifest(out, ("status", "reason")).table)
    identity = read_build(out).get("identity")
    if not isinstance(identity, dict):
        raise StoreError(f"{out}: its build.json names no settings")
    progress.notes.append("nothing has changed since this data set was finished; --overwrite builds it anew")
    progress.start(counts["kept"] + counts["rejected"], Counter({name: counts[name] for name in ("kept", "rejected")}))
    return Summary(
        out=out,
        **counts,
        failed=[],
        flow=str(identity.get("flow")),
        segmenter=str(identity.get("segmenter")),
        seconds=time.monotonic() - started,
        unchanged=True,
    )


def digest_of_input(stereo_dir: Path, config: BuildConfig) -> str:
    """A hash of what a build is made from: its settings and packages, and the files of its input.

    stereo_dir: the input; config: the settings. Empty where it is no folder of this machine. Raises OSError;
    SettingsError for a list of pairs that cannot be used.
    """
    if address_of(stereo_dir) or not stereo_dir.is_dir():
        return ""
    settings = {name: value for name, value in asdict(config).items() if name not in SPEED}
    left_out: list[LeftOut] = []
    below = map(stereo_dir.joinpath, files_below(stereo_dir, left_out, is_data_set))
    files = chain(_named_files(stereo_dir, config), below)
    return _digest(
        chain(
            [__version__, METHOD, FORMAT, _packages(), settings, os.path.realpath(stereo_dir)],
            ((file, state_of([file])) for file in files),
            ((file.path, file.detail) for file in left_out),
        )
    )


def _named_files(stereo_dir: Path, config: BuildConfig) -> Iterator[Path]:
    """The files that settings name, those of folders and of a list of pairs among them; a name of a network is none."""
    for name in (config.flow.partition(":")[2], config.mono, config.flow_weights, config.inputs.pairs):
        if name:
            yield Path(name)
    if folder := config.segmenter_weights:
        yield from [folder, *sorted(folder.iterdir())] if folder.is_dir() else [folder]
    if listed := config.inputs.pairs:  # they may lie in hidden folders, which no listing of the input shows
        yield from (stereo_dir / eye for pair in read_pair_list(listed, stereo_dir) for eye in (pair.left, pair.right))


def _packages() -> list[str]:
    """Names and versions of all installed packages: another one may read more forms, or read one otherwise."""
    found = []
    for folder in sys.path:
        with suppress(OSError):
            found += sorted(place.name for place in Path(folder).glob("*.*-info"))  # .dist-info, .egg-info
    return found


def remember(out: Path, of_input: str, rows: pa.Table) -> None:
    """Remember that a build is finished. Its folder is still locked.

    out: folder of the data set, as the build leaves it. of_input: digest_of_input, from before the input was first
    looked at. rows: of the manifest; where a disk was away, or a decoder had no time, nothing is remembered.
    """
    if of_input and not pc.any(pc.is_in(rows["reason"], pa.array(PASSING))).as_py():
        with suppress(OSError):  # of a full disk; the data set is finished
            write_atomic(out / NAME, json.dumps({"input": of_input, "set": _digest_of_set(out)}).encode())


def forget(out: Path) -> None:
    """A build begins, or has to. out: folder of the data set."""
    with suppress(OSError):  # of a folder that cannot be written; the build tells so
        (out / NAME).unlink()


def _digest_of_set(out: Path) -> str:
    """Of all files of a data set but the hidden ones, which are no part of it."""
    return _digest(_states_below(out, ""))


def _states_below(folder: Path, below: str) -> Iterator[tuple[str, int, int]]:
    """Path, size in bytes and time of change in ns of all files in a folder, links as they are. below: its own path."""
    with os.scandir(folder) as entries:
        listing = sorted(entries, key=lambda entry: entry.name)
    for entry in listing:
        if entry.name.startswith(".") or entry.name == HEARTBEAT:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _states_below(folder / entry.name, f"{below}{entry.name}/")
        else:
            status = entry.stat(follow_symlinks=False)
            yield below + entry.name, status.st_size, status.st_mtime_ns


def _digest(things: Iterable[Any]) -> str:
    """A hash of a sequence, item by item: it may be of millions."""
    digest = blake2b(digest_size=16)
    for thing in things:
        digest.update(f"{thing!r}\n".encode())
    return digest.hexdigest()
