"""Any set in metres -> folders of files that everybody reads: rgb/KEY.png, depth/KEY.png, depth.json, split.csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from redweb_builder.dataset.depth_png import IN_MILLIMETRES, depth_png
from redweb_builder.files import remove_temporaries, require_other_folder, write_atomic
from trainer.data.check import refuse_many
from trainer.data.depth_scale import DEPTH_JSON, MILLIMETRES, DepthScale
from trainer.data.depth_set import in_metres
from trainer.data.open import open_data
from trainer.data.readers.protocols import FULL, NYU
from trainer.data.readers.rgb_depth import SPLIT
from trainer.types import DataError

LARGEST = 65535  # millimetres that 16 bits hold


def convert_nyu(
    source: Path,
    out: Path,
    watch: Callable[[int, int], None] = lambda done, of: None,
    scale: DepthScale | None = None,
) -> tuple[int, list[str]]:
    """Write every frame of a set in metres: PNG, and 16-bit PNG in millimetres with 0 = unknown, also beyond LARGEST.

    source: the set. out: a folder. watch: (frames begun, of those to write). scale: what the numbers of the source's
    depth files mean. Frames that are there already are left as they are, so an interrupted conversion goes on.
    depth.json, which says that the numbers are millimetres, and split.csv, with part and scene, are written last.
    Returns how many frames are there, and sentences about what is not. Raises DataError, also where more frames are
    broken than can be left out, or `out` has frames of another set; SettingsError where `out` is `source`.
    """
    if source.is_dir():
        require_other_folder(out, source)
    data = open_data(source, scale)
    if not in_metres(data):
        raise DataError(f"{source}: its labels are not in metres")
    _require_names_of_their_own(source, {data.key(index) for index in range(len(data))})
    for folder in ("rgb", "depth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        remove_temporaries(out / folder)
    remove_temporaries(out)
    depths = [out / "depth" / f"{_flat(data.key(index))}.png" for index in range(len(data))]
    _require_no_others(out, source, {depth.name for depth in depths})
    missing = [index for index, depth in enumerate(depths) if not depth.is_file()]
    faults: list[str] = []
    for begun, index in enumerate(missing, 1):
        watch(begun, len(missing))
        try:
            sample = data[index]
        except DataError as error:
            faults.append(str(error))
            refuse_many(faults, len(data))
            continue
        millimetres = np.rint(1000 / sample.disparity)
        millimetres = np.where(millimetres <= LARGEST, millimetres, 0).astype(np.uint16)  # NaN is 0 too
        _write(out / "rgb" / depths[index].name, cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR))
        write_atomic(depths[index], depth_png(millimetres, IN_MILLIMETRES))
    there = [index for index, depth in enumerate(depths) if depth.is_file()]
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("key", "part", "scene"))
    rows.writerows((_flat(data.key(i)), data.part(i) or "train", data.group(i)) for i in there)
    is_nyu = np.array_equal(data.evaluation_mask(FULL), NYU.mask(FULL))  # others are cut at 10 m too
    protocol = {"protocol": "nyu"} if is_nyu else {}
    write_atomic(out / DEPTH_JSON, (json.dumps({"scale": MILLIMETRES.per_metre, **protocol}) + "\n").encode())
    write_atomic(out / SPLIT, table.getvalue().encode())
    return len(there), [*data.notes, *faults]


def _flat(key: str) -> str:
    return key.replace("/", "_")


def _require_no_others(out: Path, source: Path, names: set[str]) -> None:
    """Raise DataError where a folder has frames of another set: depth.json would say of theirs what is not so.

    out: the folder. source: for the message. names: of the files that frames get.
    """
    for folder in (out / "rgb", out / "depth"):
        for file in sorted(folder.iterdir()):
            if file.name not in names and not file.name.startswith("."):
                raise DataError(f"{file} is no frame of {source}: name a new folder, or move it away")


def _require_names_of_their_own(source: Path, keys: Iterable[str]) -> None:
    """Raise DataError where two frames would be written to one file. source: for the message. keys: each once."""
    names: dict[str, str] = {}
    for key in sorted(keys):
        other = names.setdefault(_flat(key).lower(), key)
        if other != key:
            raise DataError(f"{source}: {other} and {key} would be one file, {_flat(key)}.png: rename one of them")


def _write(file: Path, picture: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> None:
    done, content = cv2.imencode(".png", picture)
    assert done
    write_atomic(file, content.tobytes())
