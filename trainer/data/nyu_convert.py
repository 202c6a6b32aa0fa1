"""Any set in metres -> folders of files that everybody reads: rgb/KEY.png, depth/KEY.png, depth.json, split.csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from redweb_builder.dataset.depth_png import IN_MILLIMETRES, depth_png
from redweb_builder.files import remove_temporaries, write_atomic
from trainer.data.depth_scale import DEPTH_JSON, MILLIMETRES, DepthScale
from trainer.data.depth_set import in_metres
from trainer.data.open import open_data
from trainer.data.readers.protocols import NYU
from trainer.data.readers.rgb_depth import SPLIT
from trainer.types import DataError


def convert_nyu(
    source: Path,
    out: Path,
    watch: Callable[[int, int], None] = lambda done, of: None,
    scale: DepthScale | None = None,
) -> int:
    """Write every frame of a set in metres: PNG, and 16-bit PNG in millimetres with 0 = unknown. Returns how many.

    source: the set. out: a folder. watch: (frames done, of all). scale: what the numbers of the source's depth files
    mean. Frames that are there already are left as they are, so an interrupted conversion goes on. depth.json, which
    says that the numbers are millimetres, and split.csv, with part and scene, are written last. Raises DataError.
    """
    data = open_data(source, scale)
    if not in_metres(data):
        raise DataError(f"{source}: its labels are not in metres")
    for folder in ("rgb", "depth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        remove_temporaries(out / folder)
    remove_temporaries(out)
    for index in range(len(data)):
        name = f"{_flat(data.key(index))}.png"
        if not (out / "depth" / name).is_file():
            sample = data[index]
            millimetres = np.nan_to_num(np.rint(1000 / sample.disparity).clip(0, 65535)).astype(np.uint16)
            _write(out / "rgb" / name, cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR))
            write_atomic(out / "depth" / name, depth_png(millimetres, IN_MILLIMETRES))
        watch(index + 1, len(data))
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("key", "part", "scene"))
    rows.writerows((_flat(data.key(i)), data.part(i) or "train", data.group(i)) for i in range(len(data)))
    protocol = {"protocol": "nyu"} if data.farthest == NYU.farthest else {}
    write_atomic(out / DEPTH_JSON, (json.dumps({"scale": MILLIMETRES.per_metre, **protocol}) + "\n").encode())
    write_atomic(out / SPLIT, table.getvalue().encode())
    return len(data)


def _flat(key: str) -> str:
    return key.replace("/", "_")


def _write(file: Path, picture: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> None:
    done, content = cv2.imencode(".png", picture)
    assert done
    write_atomic(file, content.tobytes())
