"""What other thresholds for a built data set would do: its stored measurements are judged anew, no network runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from redweb_builder.config import Thresholds
from redweb_builder.dataset.decisions import FILE, read_decisions, standing, verdict_of
from redweb_builder.dataset.manifest import DUPLICATE, codes_of, floats_of, index_in, one_chunk
from redweb_builder.dataset.manifest_file import NAME, encoded_blocks, manifest_blocks
from redweb_builder.dataset.rows import STATUSES
from redweb_builder.dataset.verdicts import COMPARED, Compared, are_judged, compare, thresholds_of
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.filters.checks import checks, first_failed
from redweb_builder.inputs.remote import shown

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
    enabled = checks(thresholds)
    names = (*VERDICT, *COMPARED, *(check.measurement for check in enabled))
    keys, before, after = [], [], []
    codes: Codes = {}
    possible = [*(("rejected", check.reason) for check in enabled), ("kept", None)]  # the last one where none fails
    of_failed = np.array([_code_of(codes, *verdict) for verdict in possible], np.int32)

    def judged_blocks() -> Iterator[pa.Table]:
        for block in usable_blocks(folder, names):
            keys.extend(block["key"].chunks)
            before.append(_verdict_codes(block, codes))
            failed = first_failed(enabled, lambda name: floats_of(block[name]), len(block))  # noqa: B023
            after.append(np.where(are_judged(block), of_failed.take(failed), before[-1]))
            yield block.set_column(block.schema.get_field_index("status"), "status", _statuses(after[-1], codes))

    compared = compare(judged_blocks(), thresholds.duplicate_bits)
    verdicts = [np.concatenate([np.zeros(0, np.int32), *side]) for side in (before, after)]
    verdicts[1][compared.duplicates] = _code_of(codes, "rejected", DUPLICATE)
    counts: Counter[str] = Counter()
    for (status, _), number in zip(codes, np.bincount(verdicts[1], minlength=len(codes)).tolist(), strict=True):
        counts[status] += number
    people = standing(read_decisions(folder / FILE)[0])
    decided = [key for key, by_reviewer in people.items() if verdict_of(by_reviewer)]
    texts = [str(reason if status == "rejected" else status) for status, reason in codes]
    changes, decided_changes = _changes(pa.chunked_array(keys, pa.string()), verdicts, texts, decided)
    return Plan(thresholds, counts, changes, decided_changes, compared)


def _code_of(codes: Codes, status: str, reason: str | None = None) -> int:
    """The number of a verdict. codes: the numbers of the verdicts so far; a new one is added."""
    return codes.setdefault((status, reason if status == "rejected" else None), len(codes))


def _verdict_codes(rows: pa.Table, codes: Codes) -> NDArray[np.int32]:
    """_code_of each row. rows: with VERDICT in the type DICTIONARY. codes: as of _code_of."""
    status = index_in(rows["status"], STATUSES)
    reasons = one_chunk(rows["reason"])
    texts = [*reasons.dictionary.to_pylist(), None]  # the last one for -1
    table = np.array([[_code_of(codes, status, reason) for reason in texts] for status in STATUSES], np.int32)
    verdicts: NDArray[np.int32] = table[status, codes_of(reasons)]
    return verdicts


def _statuses(verdicts: NDArray[np.int32], codes: Codes) -> pa.DictionaryArray:
    """The status of each row. verdicts: their numbers. codes: as of _code_of."""
    of_verdict = np.array([STATUSES.index(status) for status, _ in codes], np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(of_verdict.take(verdicts)), STATUSES)


def _changes(
    keys: pa.ChunkedArray, verdicts: Sequence[NDArray[np.int32]], names: Sequence[str], decided: Sequence[str]
) -> tuple[list[Change], int]:
    """The kinds of change, the most frequent first, and how many pairs that change are decided.

    keys: of N rows. verdicts: their numbers before and after, N each. names: of the verdicts, by number. decided: the
    keys of the pairs that a person has decided about.
    """
    places = np.flatnonzero(verdicts[0] != verdicts[1])
    both = verdicts[0][places].astype(np.int64) * len(names) + verdicts[1][places]
    encoded = pa.array(both).dictionary_encode()
    of_kinds, kinds = np.asarray(encoded.indices), encoded.dictionary.to_pylist()
    first = np.zeros(len(kinds), np.int64)
    first[of_kinds[::-1]] = places[::-1]  # the last one assigned stays
    changes = [
        Change(names[kind // len(names)], names[kind % len(names)], count, keys[place].as_py())
        for kind, count, place in zip(kinds, np.bincount(of_kinds).tolist(), first.tolist(), strict=True)
    ]
    changes.sort(key=lambda change: (-change.pairs, change.example))
    if not decided:
        return changes, 0
    are_decided = np.asarray(pc.is_in(keys, pa.array(decided, pa.string())))
    return changes, int(are_decided[places].sum())


def usable_blocks(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a manifest, some at a time. Raises StoreError where a row cannot be used.

    folder: of the data set. columns: those to read, as encoded_blocks gives them; None = all, as manifest_blocks does.
    """
    refused: list[str] = []
    blocks = manifest_blocks(folder, None, refused) if columns is None else encoded_blocks(folder, columns, refused)
    for block in blocks:
        if refused:
            break
        yield block
    if refused:
        raise StoreError(
            f"{shown(folder / NAME)}: {refused[0]}. A data set with a row that cannot be used is not filtered "
            "anew; the command that made it, build-redweb or export, writes the manifest again"
        )
