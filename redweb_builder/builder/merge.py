"""Parts of a build -> one data set, equal to that of one undisturbed build: files linked, duplicates decided anew.

What people decided about the pairs of a part, and marked in its labels, goes with them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.config import Thresholds
from redweb_builder.dataset.decisions import FILE as DECISIONS
from redweb_builder.dataset.decisions import merge_decisions
from redweb_builder.dataset.flicker import with_flicker
from redweb_builder.dataset.journal import Sizes, faults_of_files, read_journal
from redweb_builder.dataset.manifest import DUPLICATE, LEFT_OUT, left_out_row, table_of
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.parts import Part, part_folders
from redweb_builder.dataset.paths import is_data_set, read_build
from redweb_builder.dataset.unknown import merge_marks
from redweb_builder.dataset.verdicts import thresholds_of
from redweb_builder.dataset.writer import Store
from redweb_builder.errors import StoreError
from redweb_builder.files import real_path
from redweb_builder.inputs.remote import require_folder
from redweb_builder.inspect.report import write_report
from redweb_builder.inspect.show import write_grid

MOST_PARTS = 99_999  # as `build-redweb --part` takes
SHOWN = 10
ADOPTED_AT_ONCE = 1000  # pairs whose lines are flushed to the disk together
LEFT_OUT_COLUMNS = tuple(left_out_row("", "", ""))
_OF_A_RUN = ("part", "counts", "limit", "pairs_done_before_this_run", "seconds_of_this_run", "format", "identity")


@dataclass(frozen=True)
class Merged:
    """What a merge made. parts: how many. kept, rejected, duplicates: pairs; duplicates are among the rejected.

    inputs_differ: the parts found different files in their input folder. limited: names of the parts that --limit cut
    off, so that pairs of theirs are missing. limits_differ: the whole has other limits than its parts, by `refilter`.
    """

    parts: int
    kept: int
    rejected: int
    duplicates: int
    inputs_differ: bool
    limited: list[str]
    limits_differ: bool


def merge(out: Path, parts: Sequence[Path] = (), watch: Callable[[str], None] = lambda folder: None) -> Merged:
    """Put the finished parts of a build together; the parts stay as they are, and the same call goes on with one.

    out: folder of the whole, a new one or that of an earlier merge, which keeps its limits. parts: their folders; none
    = those in `out`. watch: called with the name of each part before it is taken over. Raises StoreError where a part
    is missing, unfinished, damaged or built otherwise; UnsafePath.
    """
    for folder in (out, *parts):
        require_folder(folder, "parts are put together on a disk")
    folders = list({real_path(folder): folder for folder in parts or part_folders(out)}.values())  # each once
    builds = _checked(out, folders)
    with Store(out, builds[0]["identity"]) as store:
        for folder in folders:
            watch(folder.name)
            _take_over(store, folder)
            merge_marks(out, folder)
        merge_decisions(out, [folder / DECISIONS for folder in folders])
        limits = _limits(out, folders[0])
        rows = pa.concat_tables([store.judge(limits), table_of(_left_out(folders))])
        rows = with_flicker(rows, out)
        counts = Counter(rows["status"].to_pylist())
        of_all = {name: value for name, value in builds[0].items() if name not in (*_OF_A_RUN, "thresholds")}
        if asdict(limits) != store.identity.get("thresholds"):
            of_all["thresholds"] = asdict(limits)
        store.finish(rows, of_all | {"counts": dict(sorted(counts.items())), "parts": len(folders)})
        write_grid(out)
        write_report(out)
    duplicates = pc.sum(pc.equal(rows["reason"], DUPLICATE)).as_py() or 0
    inputs = [build.get("input_fingerprint") for build in builds]
    inputs_differ = any(other != inputs[0] for other in inputs)
    limited = [folder.name for folder, build in zip(folders, builds, strict=True) if "limit" in build]
    limits_differ = limits != thresholds_of(folders[0])
    return Merged(len(folders), counts["kept"], counts["rejected"], duplicates, inputs_differ, limited, limits_differ)


def _limits(out: Path, part: Path) -> Thresholds:
    """The limits of a whole that was finished before, which `refilter` may have changed; else those of its parts.

    out: the folder of the whole. part: that of any part.
    """
    return thresholds_of(out if "counts" in read_build(out) else part)


def _checked(out: Path, folders: Sequence[Path]) -> list[dict[str, Any]]:
    """build.json of each part. Raises StoreError where they cannot be merged."""
    if not folders:
        raise StoreError(f"{out} holds no parts: build them with --part 1/N ... N/N, or name their folders")
    for folder in folders:
        if real_path(folder) == real_path(out):
            raise StoreError(f"{out} is one of the parts, which stay as they are: name another folder for the whole")
        if not is_data_set(folder):
            raise StoreError(f"{folder} is not a data set of this program")
    builds = [read_build(folder) for folder in folders]
    unfinished = [folder.name for folder, build in zip(folders, builds, strict=True) if not build.get("finished")]
    if unfinished:
        raise StoreError(f"not finished: {', '.join(unfinished)}; the same build-redweb command goes on with each")
    methods = {json.dumps([build.get("identity"), build.get("thresholds")], sort_keys=True) for build in builds}
    if len(methods) > 1:
        raise StoreError("the parts were built with different settings or weights; build them alike")
    named = {part for folder, build in zip(folders, builds, strict=True) if (part := _part_of(folder, build))}
    count = max((count for _, count in named), default=0)
    missing = [f"{number}/{count}" for number in range(1, count + 1) if (number, count) not in named]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise StoreError(f"parts are missing: {', '.join(missing[:SHOWN])}{more}")
    return builds


def _part_of(folder: Path, build: dict[str, Any]) -> Part | None:
    """Which part a data set says that it is. Raises StoreError where what it says is none."""
    part = build.get("part")
    if part is None:
        return None
    if not isinstance(part, list) or [type(number) for number in part] != [int, int]:
        raise StoreError(f"{folder / 'build.json'} names no part, such as [3, 16]")
    number, count = part
    if not 1 <= number <= count <= MOST_PARTS:
        raise StoreError(f"{folder / 'build.json'} names part {number} of {count}, which cannot be")
    return number, count


def _take_over(store: Store, folder: Path) -> None:
    journal, there = read_journal(folder), Sizes(folder)
    if journal.damaged:
        raise StoreError(f"{folder}: its journal is damaged ({journal.damaged[0]}); build this part again")
    keys = sorted(journal.records)
    for start in range(0, len(keys), ADOPTED_AT_ONCE):
        others = []
        for record in journal.records.read(keys[start : start + ADOPTED_AT_ONCE]):
            fault = next(iter(faults_of_files(record, there)), None)
            if fault is not None:
                raise StoreError(f"{folder}/{fault[0]}: {fault[1]}; build this part again")
            if store.records.get(record["key"]) != record:
                others.append(record)
        if others:
            store.adopt(others, folder, there)


def _left_out(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The rows of files in no pair: every part has found them all."""
    tables = [read_manifest(folder, LEFT_OUT_COLUMNS).table for folder in folders]
    rows = [row for table in tables for row in table.filter(pc.equal(table["status"], LEFT_OUT)).to_pylist()]
    once = {(row["left"], row["reason"], row["detail"]): row for row in rows}
    return sorted(once.values(), key=lambda row: str(row["left"]))
