"""curation.json: how far networks that have not seen the labels agree with them (`redweb curate`).

It lies beside the labels and changes none. {"format": FORMAT, "identity": what it was made of, "agreement": {key: share
of point pairs in [0, 1], null where a label gave no basis}}. A data set may come from anywhere: every value is checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redweb_builder.criteria import CROSS_AGREEMENT
from redweb_builder.dataset.rows import is_key
from redweb_builder.dataset.storage import read_whole
from redweb_builder.errors import StoreError
from redweb_builder.files import parse_json, write_atomic

NAME = "curation.json"
FORMAT = "redweb-curation/1"
MAX_BYTES = 1 << 29  # some 5 million keys


@dataclass(frozen=True)
class Curation:
    """A curation. identity: what it was made of, plain data. agreement: by key, in [0, 1]; None = no basis."""

    identity: dict[str, Any] = field(default_factory=dict)
    agreement: dict[str, float | None] = field(default_factory=dict)


def write_curation(folder: Path, curation: Curation) -> None:
    """Write curation.json whole. Raises OSError. folder: of the data set. curation: its content."""
    content = {"format": FORMAT, "identity": curation.identity, "agreement": curation.agreement}
    write_atomic(folder / NAME, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_curation(folder: Path) -> Curation:
    """The curation of a data set, an empty one where there is none. folder: of the data set.

    Raises StoreError where the file is damaged or of another program.
    """
    file = folder / NAME
    try:
        content = parse_json(read_whole(folder, NAME, MAX_BYTES))
    except FileNotFoundError:
        return Curation()
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _damaged(file, f"its format is not {FORMAT}")
    identity, agreement = content.get("identity"), content.get("agreement")
    if not isinstance(identity, dict) or not isinstance(agreement, dict):
        raise _damaged(file, "it has no identity or no agreement")
    for key, value in agreement.items():
        if not is_key(key) or not _is_share(value):
            raise _damaged(file, f"{ascii(key)[:80]} has the agreement {ascii(value)[:80]}")
    return Curation(identity, agreement)


def usable_curation(folder: Path) -> tuple[Curation, list[str]]:
    """The same for those who go on without: empty, with a sentence, where the file is damaged. folder: as there."""
    try:
        return read_curation(folder), []
    except StoreError as error:
        return Curation(), [str(error)]


def with_agreement(rows: Iterable[Mapping[str, Any]], curation: Curation) -> list[dict[str, Any]]:
    """Rows of the manifest with the column CROSS_AGREEMENT; as they are where nothing was curated.

    rows: as decided. curation: of the data set.
    """
    if not curation.agreement:
        return [dict(row) for row in rows]
    return [{**row, CROSS_AGREEMENT: curation.agreement.get(row["key"])} for row in rows]


def _is_share(value: object) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= 1)  # type: ignore[operator]


def _damaged(file: Path, what: str) -> StoreError:
    return StoreError(f"{file} cannot be used ({' '.join(what.split())}): remove it, and run `curate` again")
