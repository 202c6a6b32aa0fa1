"""Where the files of a data set lie. Nothing outside is named: a data set may come from anywhere."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from redweb_builder.dataset.rows import is_key
from redweb_builder.dataset.storage import read_whole, require_inside
from redweb_builder.errors import SettingsError, StoreError
from redweb_builder.files import parse_json
from redweb_builder.inputs.remote import address_of
from redweb_builder.version import FORMAT

Stored = tuple[str, Path | bytes]  # a file: its name for messages, and its path or its bytes
LONGEST_PATH = 4096  # letters; what build.json claims to be longer is no path
FOLDERS = ("Imgs", "RDs", "masks", "confidence")
ENDINGS = (".png", ".jpg")  # that a file of a pair may have
REVIEW_CACHE = ".review"  # folder of the pictures that the review page has made
EYE_ORDERS = ".eye_orders.jsonl"  # the orders that a build has asked pairs for
_CACHED = re.compile(r"[0-9a-f]{32}")
MAX_BUILD_BYTES = 16 << 20  # of build.json; those of other programs are looked into, too


def is_cached(name: str) -> bool:
    """Whether a name is one that the cache of the review page gives its files. name: without folder."""
    return _CACHED.fullmatch(name) is not None


def is_data_set(out: Path) -> bool:
    """Whether a folder holds a data set of this program, finished or not: others write a build.json too.

    Shards of one are none: nothing can be built into them. out: the folder.
    """
    build = read_build(out)
    return is_ours(build) and "form" not in build


def is_ours(build: Mapping[str, Any]) -> bool:
    """Whether a build.json is of this program. build: its content."""
    return str(build.get("format")).startswith(FORMAT.split("/")[0])


def name_of(folder: Path) -> str:
    """The name of a data set for pages and cards; bytes of it that are not UTF-8 become U+FFFD. folder: of the set."""
    return os.fsencode(folder.resolve().name).decode(errors="replace")


def refuse_data_set(stereo_dir: Path) -> None:
    """Raise StoreError, with the command that goes on, where the input folder is a data set or a part of one.

    stereo_dir: the input folder of a build.
    """
    inside = stereo_dir.absolute().name in (*FOLDERS, "rejected")
    home = next(
        (place for place in (stereo_dir, stereo_dir.absolute().parent)[: 1 + inside] if is_data_set(place)), None
    )
    if home is not None:
        source = read_build(home).get("input")
        photographs = source if isinstance(source, str) and 0 < len(source) < LONGEST_PATH else "PHOTOGRAPHS"
        raise StoreError(
            f"{stereo_dir} is a data set that this program built, not a folder of photographs; "
            f"to go on with it: build-redweb {quote(photographs)} --out {quote(str(home))}"
        )


def read_build(out: Path) -> dict[str, Any]:
    """build.json of a folder, empty where there is none or it is none of ours. out: the folder."""
    try:
        build = parse_json(read_whole(out, "build.json", MAX_BUILD_BYTES))
    except (OSError, ValueError):
        return {}
    return build if isinstance(build, dict) else {}


def build_text(build: Mapping[str, Any]) -> bytes:
    """The bytes of build.json. build: its entries."""
    return (json.dumps(build, indent=2, ensure_ascii=False) + "\n").encode()


def input_folder(out: Path) -> Path | None:
    """The folder of the stereo photographs, as build.json names it; None where it is not there.

    out: folder of the data set. A share of the network is not looked for: a data set from elsewhere must not make this
    machine call another.
    """
    stated = read_build(out).get("input")
    if not isinstance(stated, str) or stated.startswith(("//", "\\\\")) or not os.path.exists(stated):  # noqa: PTH110
        return None
    return Path(stated) if Path(stated).is_dir() else Path(stated).parent


def photographs_of(out: Path, stated: Path | None) -> Path | None:
    """The folder of the stereo photographs: the stated one, else `input_folder`.

    out: folder of the data set. stated: by a person, also an address; None = by nobody. Raises StoreError where there
    is no such folder.
    """
    if stated is not None and not (stated.is_dir() or address_of(stated)):
        raise StoreError(f"{stated}: there is no such folder of stereo photographs")
    return stated or input_folder(out)


def remote_input(out: Path) -> str | None:
    """The address of the photographs, as build.json names it; None where they are of this machine, or it names none.

    out: folder of the data set. For people to read: a data set from elsewhere must not make this machine call another.
    """
    stated = read_build(out).get("input")
    try:
        return address_of(stated) if isinstance(stated, str) and len(stated) < LONGEST_PATH else None
    except SettingsError:  # with a password in it
        return None


def sample_root(out: Path, key: str) -> Path:
    """The folder, OUT or OUT/rejected, in which the label of a pair lies now.

    The files are asked, since a verdict that changes moves them. out: folder of the data set. key: of the pair. Raises
    StoreError where there is none, or where the key or a link would lead out of the data set.
    """
    return stored_file(out, "RDs", key).parent.parent


def stored_file(out: Path, folder: str, key: str, endings: tuple[str, ...] = (".png",)) -> Path:
    """A file of a labelled pair.

    It is looked for in OUT and in OUT/rejected: a refilter that was killed may have moved some files of a pair only.
    out: folder of the data set. folder: one of FOLDERS. key: of the pair. endings: those the file may have, in order.
    Raises StoreError where there is none, or where the key or a link would lead out of the data set.
    """
    if is_key(key):
        for home in (f"{out}", f"{out}/rejected"):
            for ending in endings:
                name = f"{home}/{folder}/{key}{ending}"
                if os.path.isfile(name):  # noqa: PTH113 - a report asks for tens of thousands, and a Path takes longer
                    return require_inside(out, Path(name))
    names = " or ".join(f"{folder}/{key}{ending}" for ending in endings)
    what = "picture" if folder == "Imgs" else "label"
    raise StoreError(f"{out} has no {what} of {key!r}: {names} is missing")


def image_of(out: Path, key: str) -> Path:
    """The stored left view of a labelled pair. Raises StoreError as stored_file does.

    out: folder of the data set. key: of the pair.
    """
    return stored_file(out, "Imgs", key, ENDINGS)
