"""Where the files of a data set lie, and its labels. Nothing outside is read: a data set may come from anywhere."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redweb_builder.dataset.codec import FORMAT, decode
from redweb_builder.dataset.rows import is_key
from redweb_builder.dataset.storage import read_whole, require_inside
from redweb_builder.errors import InputError, SettingsError, StoreError
from redweb_builder.files import parse_json
from redweb_builder.inputs.picture import STORED, open_picture, read_picture, values_of
from redweb_builder.inputs.remote import address_of
from redweb_builder.types import Label, Mask, Picture

Stored = tuple[str, Path | bytes]  # a file: its name for messages, and its path or its bytes
LONGEST_PATH = 4096  # letters; what build.json claims to be longer is no path
FOLDERS = ("Imgs", "RDs", "masks", "confidence")
REVIEW_CACHE = ".review"  # folder of the pictures that the review page has made
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
            f"to go on with it: build-redweb {photographs} --out {home}"
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
    raise StoreError(f"{out} has no label of {key!r}: {folder}/{key}{endings[0]} is missing")


def image_of(out: Path, key: str) -> Path:
    """The stored left view of a labelled pair. Raises StoreError as stored_file does.

    out: folder of the data set. key: of the pair.
    """
    return stored_file(out, "Imgs", key, (".png", ".jpg"))


def read_stored(file: Path | bytes, name: str = "") -> Picture:
    """A stored picture or preview, HxWx3 uint8 RGB. Raises StoreError where it is damaged.

    file: its path, from stored_file, or its bytes. name: of these, for messages.
    """
    try:
        return read_picture(file, min_side=1, orientation=1, formats=STORED)
    except InputError as error:
        raise StoreError(str(error) if isinstance(file, Path) else f"{name}: {error}") from error


def read_label(out: Path, key: str) -> Label:
    """The label of a pair.

    out: folder of the data set. key: of the pair. Raises StoreError, with the file, where one is missing, damaged, of
    another format or size, or a link that leads out of the data set.
    """
    files = [stored_file(out, folder, key) for folder in ("RDs", "masks", "confidence")]
    return label_from(*((str(file), file) for file in files))


def label_from(rd: Stored, mask: Stored, confidence: Stored) -> Label:
    """The label that three files hold.

    rd, mask, confidence: of each its name for messages, and its path or its bytes. Raises StoreError as read_label.
    """
    name = rd[0]
    values, text = read_map(rd[1], name)
    if text.get("format") != FORMAT:
        raise StoreError(f"{name}: its format is {text.get('format')!r}, this version reads {FORMAT!r}")
    if values.dtype != np.uint16:
        raise StoreError(f"{name}: it is no grey PNG of 16 bits")
    scale, offset = _number(name, text, "scale"), _number(name, text, "offset")
    if not scale < 0:
        raise StoreError(f"{name}: its scale is {scale}, and must be negative")
    basis, certainty = (_read_beside(stored, values.shape) for stored in (mask, confidence))
    if basis.max(initial=0) > max(Mask):
        raise StoreError(f"{mask[0]}: a pixel has the value {basis.max()}, and {max(Mask)} is most")
    return Label(decode(values, basis, scale, offset), basis, certainty)


def read_map(file: Path | bytes, name: str = "") -> tuple[NDArray[Any], dict[str, str]]:
    """The values of a grey PNG, HxW uint8 or uint16, and its text. Raises StoreError where it is none, or damaged.

    file: its path, from stored_file, or its bytes. name: of the file, for messages; by default its path.
    """
    name = name or str(file)
    try:
        with open_picture(file, min_side=1, formats=("PNG",)) as image:
            if image.mode not in ("L", "I;16", "I"):
                raise StoreError(f"{name}: it is no grey PNG")
            values = values_of(image)
            text = dict(image.text)  # type: ignore[attr-defined]
    except InputError as error:
        raise StoreError(str(error) if isinstance(file, Path) else f"{name}: {error}") from error
    return values.astype(np.uint16) if values.dtype == np.int32 else values, text


def _read_beside(stored: Stored, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A map of 8 bits beside a label of a shape. Raises StoreError."""
    name, file = stored
    values, _ = read_map(file, name)
    if values.dtype != np.uint8 or values.shape != shape:
        raise StoreError(f"{name}: it is no grey PNG of 8 bits of the label's size, {shape[1]} x {shape[0]} px")
    return values


def _number(file: str, text: dict[str, str], name: str) -> float:
    try:
        number = float(text[name])
    except (KeyError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise StoreError(f"{file}: its text has no {name}")
    return number
