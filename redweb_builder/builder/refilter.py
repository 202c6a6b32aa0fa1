"""Other thresholds for a built data set: its stored measurements are judged anew, no network runs, nothing is deleted.

Pairs that change sides move between the folder and its rejected/, in shards they stay where they are; what people
decided stands whatever the thresholds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from filelock import Timeout
from numpy.typing import NDArray

from redweb_builder.config import Thresholds
from redweb_builder.dataset.decisions import FILE, read_decisions, standing, verdict_of
from redweb_builder.dataset.manifest import DUPLICATE, one_chunk
from redweb_builder.dataset.manifest_file import NAME, manifest_blocks, write_manifest
from redweb_builder.dataset.paths import build_text, read_build
from redweb_builder.dataset.shards import is_shard_set
from redweb_builder.dataset.storage import storage_of
from redweb_builder.dataset.verdicts import COMPARED, Compared, compare, judged, thresholds_of
from redweb_builder.dataset.writer import LOCK, Store, keys_of_sides
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.files import lock, remove_temporaries
from redweb_builder.filters.checks import checks
from redweb_builder.inputs.remote import address_of, shown
from redweb_builder.inspect.report import write_report
from redweb_builder.inspect.show import write_grid

OFF = ("off", "none")
VERDICT = ("status", "reason")
Codes = dict[tuple[str, str | None], int]  # of a status, with the reason of a rejection


@dataclass(frozen=True)
class Change:
    """A kind of change of verdicts.

    before, after: "kept", or the reason of a rejection. pairs: how many change so. example: the key of the first one.
    """

    before: str
    after: str
    pairs: int
    example: str


@dataclass(frozen=True)
class Plan:
    """What other thresholds would do.

    counts: rows by status, as they would be. changes: the most frequent first. decided: of the pairs that change, those
    that a person has decided about, so that the data set keeps or leaves them as that person said. compared: the
    duplicates among the pairs, and the ranges of clips.
    """

    thresholds: Thresholds
    counts: Counter[str]
    changes: list[Change]
    decided: int
    compared: Compared

    @property
    def kept(self) -> int:
        """How many pairs the filters would keep."""
        return self.counts["kept"]


def parse_limits(settings: Sequence[str]) -> dict[str, float | None]:
    """The limits of --set.

    settings: such as ["max_vertical=0.2", "min_texture=off"]. Returns the limit, or None for off, by the name of its
    field in Thresholds. Raises SettingsError.
    """
    names = [limit.name for limit in fields(Thresholds)]
    limits: dict[str, float | None] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in names:
            raise SettingsError(f"--set {setting}: the thresholds are {', '.join(names)}")
        try:
            limits[name] = None if value in OFF else float(value)
        except ValueError as error:
            raise SettingsError(f"--set {setting}: {name} needs a number, or off") from error
    return limits


def plan_refilter(folder: Path, limits: Mapping[str, float | None]) -> Plan:
    """Judge a finished data set by other thresholds; nothing is written, and only the columns that decide are read.

    folder: of the data set. limits: those that take the place of its own, by name. Raises StoreError where `folder`
    holds no finished data set or a row of its manifest cannot be used, ValueError on a limit out of range.
    """
    thresholds = replace(thresholds_of(folder), **limits)
    names = (*VERDICT, *COMPARED, *(check.measurement for check in checks(thresholds)))
    keys, before, after = [], [], []
    codes: Codes = {("rejected", DUPLICATE): 0}

    def judged_blocks() -> Iterator[pa.Table]:
        for block in _usable_blocks(folder, names):
            rows = judged(block, thresholds)
            keys.extend(block["key"].chunks)
            before.append(_verdict_codes(block, codes))
            after.append(_verdict_codes(rows, codes))
            yield rows

    compared = compare(judged_blocks(), thresholds.duplicate_bits)
    verdicts = np.array([np.concatenate([np.zeros(0, np.int32), *side]) for side in (before, after)])
    verdicts[1, compared.duplicates] = codes["rejected", DUPLICATE]
    counts: Counter[str] = Counter()
    for (status, _), number in zip(codes, np.bincount(verdicts[1], minlength=len(codes)).tolist(), strict=True):
        counts[status] += number
    people = standing(read_decisions(folder / FILE)[0])
    decided = [key for key, by_reviewer in people.items() if verdict_of(by_reviewer)]
    texts = [str(reason if status == "rejected" else status) for status, reason in codes]
    changes, decided_changes = _changes(pa.chunked_array(keys, pa.string()), verdicts, texts, decided)
    return Plan(thresholds, counts, changes, decided_changes, compared)


def _verdict_codes(rows: pa.Table, codes: Codes) -> NDArray[np.int32]:
    """A number for the verdict on each row. codes: the numbers of the verdicts so far; new ones are added."""
    statuses, reasons = (one_chunk(rows[name]).dictionary_encode(null_encoding="encode") for name in VERDICT)
    numbers = [
        codes.setdefault((status, reason if status == "rejected" else None), len(codes))
        for status in statuses.dictionary.to_pylist()
        for reason in reasons.dictionary.to_pylist()
    ]
    table = np.array(numbers, np.int32).reshape(len(statuses.dictionary), len(reasons.dictionary))
    verdicts: NDArray[np.int32] = table[np.asarray(statuses.indices), np.asarray(reasons.indices)]
    return verdicts


def _changes(
    keys: pa.ChunkedArray, verdicts: NDArray[np.int32], names: Sequence[str], decided: Sequence[str]
) -> tuple[list[Change], int]:
    """The kinds of change, the most frequent first, and how many pairs that change are decided.

    keys: of N rows. verdicts: 2 x N, their numbers before and after. names: of the verdicts, by number. decided: the
    keys of the pairs that a person has decided about.
    """
    places = np.flatnonzero(verdicts[0] != verdicts[1])
    both = verdicts[0, places].astype(np.int64) * len(names) + verdicts[1, places]
    kinds, pairs = np.unique(both, return_counts=True)
    first = np.zeros(len(kinds), np.int64)
    first[np.searchsorted(kinds, both)[::-1]] = places[::-1]  # the last one assigned stays
    changes = [
        Change(names[kind // len(names)], names[kind % len(names)], count, keys[place].as_py())
        for kind, count, place in zip(kinds.tolist(), pairs.tolist(), first.tolist(), strict=True)
    ]
    changes.sort(key=lambda change: (-change.pairs, change.example))
    if not decided:
        return changes, 0
    are_decided = np.asarray(pc.is_in(keys, pa.array(decided, pa.string())))
    return changes, int(are_decided[places].sum())


def refilter(folder: Path, limits: Mapping[str, float | None]) -> Plan:
    """plan_refilter, then do it: files moved, manifest, build.json, grid and report written anew.

    Of shards nothing is moved, since the manifest says what is kept; those in remote storage get neither grid nor
    report. folder, limits: as plan_refilter. Interrupted, the same call finishes it. Raises StoreError also where a
    build is writing to the folder, UnsafePath where a folder of the data set leads out of it.
    """
    for _ in _usable_blocks(folder):  # what is wrong is raised before anything is opened for writing
        pass
    plan = (_refilter_shards if is_shard_set(folder) else _refilter_folder)(folder, limits)
    if address_of(folder) is None:
        write_grid(folder)
        write_report(folder)
    return plan


def _refilter_folder(folder: Path, limits: Mapping[str, float | None]) -> Plan:
    build = read_build(folder)
    with Store(folder, build.get("identity", {})) as store:
        plan = plan_refilter(folder, limits)
        store.finish(_moved(store, _judged_anew(folder, plan)), _entries(build, plan))
    return plan


def _refilter_shards(folder: Path, limits: Mapping[str, float | None]) -> Plan:
    build, storage = read_build(folder), storage_of(folder)
    with _held(folder) if address_of(folder) is None else nullcontext():
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
    for block in _usable_blocks(folder):
        yield plan.compared.applied(judged(block, plan.thresholds), start)
        start += len(block)


def _moved(store: Store, blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, with the files of their pairs moved to where the verdicts put them."""
    for block in blocks:
        store.move_to_final_place(*keys_of_sides(block))
        yield block


def _usable_blocks(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a manifest, some at a time. Raises StoreError where a row cannot be used. columns: None = all."""
    refused: list[str] = []
    for block in manifest_blocks(folder, columns, refused):
        if refused:
            break
        yield block
    if refused:
        raise StoreError(
            f"{shown(folder / NAME)}: {refused[0]}. A data set with a row that cannot be used is not filtered "
            "anew; the command that made it, build-redweb or export, writes the manifest again"
        )
