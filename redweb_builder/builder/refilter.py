"""Other thresholds for a built data set: its stored measurements are judged anew, no network runs, nothing is deleted.

Pairs that change sides move between the folder and its rejected/, in shards they stay where they are; what people
decided stands whatever the thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import Timeout

from redweb_builder.builder.refilter_plan import Plan, plan_refilter, usable_blocks
from redweb_builder.dataset.manifest_file import NAME, write_manifest
from redweb_builder.dataset.paths import build_text, read_build
from redweb_builder.dataset.shards import is_shard_set
from redweb_builder.dataset.storage import storage_of
from redweb_builder.dataset.verdicts import judged
from redweb_builder.dataset.writer import LOCK, Store, keys_of_sides
from redweb_builder.errors import StoreError
from redweb_builder.files import lock, remove_temporaries
from redweb_builder.inputs.remote import address_of
from redweb_builder.inspect.report import write_report
from redweb_builder.inspect.show import write_grid


def refilter(folder: Path, limits: Mapping[str, float | None]) -> Plan:
    """plan_refilter, then do it: files moved, manifest, build.json, grid and report written anew.

    Of shards nothing is moved, since the manifest says what is kept; those in remote storage get neither grid nor
    report. folder, limits: as plan_refilter. Interrupted, the same call finishes it. Raises StoreError also where a
    build is writing to the folder, UnsafePath where a folder of the data set leads out of it.
    """
    for _ in usable_blocks(folder):  # what is wrong is raised before anything is opened for writing
        pass
    plan = (_refilter_shards if is_shard_set(folder) else _refilter_folder)(folder, limits)
    if address_of(folder) is None:
        write_grid(folder)
        write_report(folder)
    return plan


def _refilter_folder(folder: Path, limits: Mapping[str, float | None]) -> Plan:
    with Store(folder, read_build(folder).get("identity", {})) as store:
        build = read_build(folder)  # once nobody else writes it
        plan = plan_refilter(folder, limits)
        store.finish(_moved(store, _judged_anew(folder, plan)), _entries(build, plan))
    return plan


def _refilter_shards(folder: Path, limits: Mapping[str, float | None]) -> Plan:
    storage = storage_of(folder)
    with _held(folder) if address_of(folder) is None else nullcontext():
        build = read_build(folder)
        plan = plan_refilter(folder, limits)
        with storage.writing(NAME) as file:
            write_manifest(file, _judged_anew(folder, plan))
        identity = {name: build[name] for name in ("format", "identity") if name in build}
        storage.write("build.json", build_text(identity | _entries(build, plan)))
    return plan


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine from filtering the same shards. Raises StoreError where one does."""
    try:
        with lock(folder / LOCK).acquire(timeout=0):
            remove_temporaries(folder)
            yield
    except Timeout as error:
        raise StoreError(f"another process is writing to {folder}: wait for it") from error


def _entries(build: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The entries of build.json beside format and identity, as they would be. build: as it is."""
    more = {name: value for name, value in build.items() if name not in ("format", "identity", "thresholds")}
    identity = build.get("identity")
    if not isinstance(identity, dict) or asdict(plan.thresholds) != identity.get("thresholds"):
        more["thresholds"] = asdict(plan.thresholds)  # beside the build's own, so that the build can go on
    counts = {side: plan.counts[side] for side in ("kept", "rejected")}
    before = build.get("counts")
    return more | {"counts": (before if isinstance(before, dict) else {}) | counts}


def _judged_anew(folder: Path, plan: Plan) -> Iterator[pa.Table]:
    """The rows of the manifest as they would be, some at a time."""
    start = 0
    for block in usable_blocks(folder):
        yield plan.compared.applied(judged(block, plan.thresholds), start)
        start += len(block)


def _moved(store: Store, blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, with the files of their pairs moved to where the verdicts put them."""
    for block in blocks:
        store.move_to_final_place(*keys_of_sides(block))
        yield block
