"""Where the files of a data set lie. Nothing is read that lies outside: a data set may come from anywhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from redweb_builder.dataset.codec import FORMAT, decode
from redweb_builder.errors import InputError, StoreError
from redweb_builder.inputs.picture import STORED, open_picture, read_picture, read_values, values_of
from redweb_builder.types import Label, Picture

FOLDERS = ("Imgs", "RDs", "masks", "confidence")


def is_data_set(out: Path) -> bool:
    """Whether `out` holds a data set of this program, finished or not: others write a build.json too."""
    return str(read_build(out).get("format")).startswith(FORMAT.split("/")[0])


def refuse_data_set(stereo_dir: Path) -> None:
    """Raise StoreError, with the command that goes on, where the input folder is a data set or a part of one."""
    inside = stereo_dir.absolute().name in (*FOLDERS, "rejected")
    home = next(
        (place for place in (stereo_dir, stereo_dir.absolute().parent)[: 1 + inside] if is_data_set(place)), None
    )
    if home is not None:
        photographs = read_build(home).get("input") or "PHOTOGRAPHS"
        raise StoreError(
            f"{stereo_dir} is a data set that this program built, not a folder of photographs; "
            f"to go on with it: build-redweb {photographs} --out {home}"
        )


def read_build(out: Path) -> dict[str, Any]:
    """build.json, empty where there is none or it is none of ours."""
    try:
        build = json.loads((out / "build.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return build if isinstance(build, dict) else {}


def input_folder(out: Path) -> Path | None:
    """The folder of the stereo photographs, as build.json names it; None where it is not there.

    A share of the network is not looked for: a data set from elsewhere must not make this machine call another.
    """
    stated = read_build(out).get("input")
    if not isinstance(stated, str) or stated.startswith(("//", "\\\\")) or not os.path.exists(stated):  # noqa: PTH110
        return None
    return Path(stated) if Path(stated).is_dir() else Path(stated).parent


def sample_root(out: Path, key: str) -> Path:
    """The folder, OUT or OUT/rejected, below which the files of a labelled pair lie now.

    Asked of the files, since a verdict that changes moves them. Raises StoreError where there are none, or where the
    key or a link would lead out of the data set: a manifest may come from anywhere.
    """
    name = f"{key}.png"
    if Path(name).name == name and "\\" not in key and "\0" not in key:
        for home in (out, out / "rejected"):
            label = home / "RDs" / name
            if label.is_file() and label.resolve().is_relative_to(out.resolve()):
                return home
    raise StoreError(f"{out} has no label of {key!r}")


def image_of(out: Path, key: str) -> Path:
    """The stored left view of a labelled pair. Raises StoreError as home_of does."""
    png = sample_root(out, key) / "Imgs" / f"{key}.png"
    return require_inside(out, png if png.exists() else png.with_name(f"{key}.jpg"))


def require_inside(folder: Path, file: Path) -> Path:
    """`file`, checked to be one and to lie below `folder`, wherever links lead: a data set may come from anywhere.

    Raises StoreError.
    """
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        raise StoreError(f"{folder} has no {file.name} in {file.parent.name}")
    return file


def read_stored(file: Path) -> Picture:
    """A stored picture or preview, HxWx3 uint8 RGB. Raises StoreError where it is damaged."""
    try:
        return read_picture(file, min_side=1, orientation=1, formats=STORED)
    except InputError as error:
        raise StoreError(str(error)) from error


def read_label(home: Path, key: str) -> Label:
    """The label of a key below `home`.

    Raises StoreError where a file is missing, damaged, of another format, or a link that leads out of `home`.
    """
    rd = home / "RDs" / f"{key}.png"
    try:
        with open_picture(require_inside(home, rd), min_side=1, formats=("PNG",)) as image:
            values = values_of(image).astype(np.uint16)
            text = dict(image.text)  # type: ignore[attr-defined]
        mask, confidence = (
            read_values(require_inside(home, home / name / rd.name)).astype(np.uint8)
            for name in ("masks", "confidence")
        )
    except InputError as error:
        raise StoreError(f"{rd.name}: cannot be read ({error})") from error
    if text.get("format") != FORMAT:
        raise StoreError(f"{rd}: its format is {text.get('format')!r}, this version reads {FORMAT!r}")
    for name, beside in (("mask", mask), ("confidence", confidence)):
        if values.shape != beside.shape:
            raise StoreError(f"{rd}: its size {values.shape} is not that of its {name}, {beside.shape}")
    return Label(decode(values, mask, float(text["scale"]), float(text["offset"])), mask, confidence)
