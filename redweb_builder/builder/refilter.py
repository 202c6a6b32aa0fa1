"""Other thresholds for a built data set: its stored measurements are judged anew, no network runs, nothing is deleted.

Pairs that change sides move between the folder and its rejected/; what people decided stands whatever the thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.config import Thresholds
from redweb_builder.dataset.decisions import FILE, read_decisions, standing, verdict_of
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.paths import read_build
from redweb_builder.dataset.verdicts import judge_all, thresholds_of
from redweb_builder.dataset.writer import Store, keys_of_sides
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.inspect.report import write_report
from redweb_builder.inspect.show import write_grid

OFF = ("off", "none")


@dataclass(frozen=True)
class Change:
    """A pair whose verdict would be another one.

    key: of the pair. before, after: "kept", or the reason of its rejection. decided: a person has decided about it, so
    that the data set keeps or leaves it as that person said.
    """

    key: str
    before: str
    after: str
    decided: bool


@dataclass(frozen=True)
class Plan:
    """What other thresholds would do. rows: of the manifest as they would be. changes: the pairs that change."""

    thresholds: Thresholds
    rows: pa.Table
    changes: list[Change]

    @property
    def kept(self) -> int:
        """How many pairs the filters would keep."""
        return pc.sum(pc.equal(self.rows["status"], "kept")).as_py() or 0


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
    """Judge a finished data set by other thresholds; nothing is written.

    folder: of the data set. limits: those that take the place of its own, by name. Raises StoreError where `folder`
    holds no finished data set or a row of its manifest cannot be used, ValueError on a limit out of range.
    """
    manifest = read_manifest(folder)
    if manifest.refused:
        raise StoreError(
            f"{manifest.file}: {manifest.refused[0]}. A data set with a row that cannot be used is not filtered anew; "
            "the build-redweb command that made it writes the manifest again"
        )
    before = manifest.table
    thresholds = replace(thresholds_of(folder), **limits)
    after = judge_all(before, thresholds)
    people = standing(read_decisions(folder / FILE)[0])
    decided = {key for key, by_reviewer in people.items() if verdict_of(by_reviewer)}
    texts = [_verdict_texts(table) for table in (before, after)]
    places = pc.indices_nonzero(pc.not_equal(*texts))
    changes = [
        Change(key, old, new, key in decided)
        for key, old, new in zip(*(column.take(places).to_pylist() for column in (before["key"], *texts)), strict=True)
    ]
    return Plan(thresholds, after, changes)


def refilter(folder: Path, limits: Mapping[str, float | None]) -> Plan:
    """plan_refilter, then do it: files moved, manifest, build.json, grid and report written anew.

    folder, limits: as plan_refilter. Interrupted, the same call finishes it. Raises StoreError also where a build is
    writing to the folder, UnsafePath where a folder of the data set leads out of it.
    """
    plan_refilter(folder, limits)  # what is wrong is raised before anything is opened for writing
    build = read_build(folder)
    with Store(folder, build.get("identity", {})) as store:
        plan = plan_refilter(folder, limits)
        kept, rejected = keys_of_sides(plan.rows)
        store.move_to_final_place(kept, rejected)
        more = {name: value for name, value in build.items() if name not in ("format", "identity", "thresholds")}
        if asdict(plan.thresholds) != store.identity.get("thresholds"):
            more["thresholds"] = asdict(plan.thresholds)  # beside the build's own, so that the build can go on
        counts = {"kept": len(kept), "rejected": len(rejected)}
        before = build.get("counts")
        store.finish(plan.rows, more | {"counts": (before if isinstance(before, dict) else {}) | counts})
    write_grid(folder)
    write_report(folder)
    return plan


def _verdict_texts(rows: pa.Table) -> pa.ChunkedArray:
    """The reason of each rejected pair, the status of every other row."""
    return pc.if_else(pc.equal(rows["status"], "rejected"), rows["reason"], rows["status"])
