"""A folder that FiftyOne opens: pictures, heat maps of depth and confidence, masks, the manifest's columns as fields.

Written as the JSON of FiftyOne's own form on disk (fiftyone.types.FiftyOneDataset), so that FiftyOne need not be
installed. Rejected pairs that have a label are in it, too: verdict and reason are tags.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from redweb_builder.dataset.codec import FARTHEST, SKY_VALUE, image_bytes
from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.reader import Dataset
from redweb_builder.export.names import file_namer
from redweb_builder.export.stored import maps_of
from redweb_builder.files import create
from redweb_builder.inputs.picture import open_picture, values_of
from redweb_builder.types import Mask

VERSION = "1.0.0"  # of FiftyOne, whose form this is; later ones read it
NEAREST_8 = 255
FIELDS = {"string": "StringField", "bool": "BooleanField", "int32": "IntField", "double": "FloatField"}


def write_fiftyone(dataset: Dataset, keys: Sequence[str], folder: Path) -> Iterator[str]:
    """Write data/, fields/, samples.json and metadata.json; yields each key when it is done.

    dataset, keys: what is exported, kept and rejected. folder: an empty folder. Raises StoreError, OSError.
    """
    samples = []
    for place in ("data", "fields/nearness", "fields/confidence", "fields/mask", "fields/rd"):
        (folder / place).mkdir(parents=True)
    name_of = file_namer(keys)
    for key in keys:
        name = name_of(key)
        (ending, image), maps = dataset.stored_picture(key), maps_of(dataset, key)
        files = {f"data/{name}.{ending}": image, f"fields/nearness/{name}.png": nearness_png(maps)}
        files |= {f"fields/{field}/{name}.png": maps[field] for field in ("rd", "mask", "confidence")}
        for path, content in files.items():
            _write(folder / path, content)
        samples.append(_sample(dataset.record(key), f"{name}.{ending}", f"{name}.png"))
        yield key
    _write(folder / "samples.json", json.dumps({"samples": samples}, ensure_ascii=False).encode())
    _write(folder / "metadata.json", json.dumps(_metadata(dataset), ensure_ascii=False).encode())


def nearness_png(maps: dict[str, bytes]) -> bytes:
    """The depth in 8 bits for a heat map: 255 = nearest, 1 = farthest, 0 = sky or unknown.

    maps: PNG files of a sample, of stored.maps_of.
    """
    with open_picture(maps["rd"], min_side=1, formats=("PNG",)) as rd:
        values = values_of(rd)
    return image_bytes(Image.fromarray(nearness(values)), "PNG")


def nearness(values: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Label values, HxW (0 = nearest, 65535 = sky or unknown), in 8 bits: 255 = nearest, 1 = farthest, 0 = the rest."""
    grey = np.rint(NEAREST_8 - (NEAREST_8 - 1) * values.astype(np.float64) / FARTHEST)
    return np.where(values == SKY_VALUE, 0, grey).astype(np.uint8)


def _sample(row: dict[str, Any], image: str, png: str) -> dict[str, Any]:
    """A sample as FiftyOne stores it. row: of the manifest. image, png: file names."""
    key = row["key"]
    tags = [row["status"], *([row["reason"]] if row["reason"] else [])]
    return {
        "_id": _identity(key),
        "filepath": f"data/{image}",
        "tags": tags,
        "_media_type": "image",
        "_rand": int(_hash(key)[:8], 16) / 16**8,  # FiftyOne draws samples by it
        **row,
        "nearness": _label(key, "Heatmap", "nearness", map_path=f"fields/nearness/{png}", range=[0, NEAREST_8]),
        "confidence": _label(key, "Heatmap", "confidence", map_path=f"fields/confidence/{png}", range=[0, 255]),
        "mask": _label(key, "Segmentation", "mask", mask_path=f"fields/mask/{png}"),
        "rd": f"fields/rd/{png}",
    }


def _label(key: str, kind: str, field: str, **values: Any) -> dict[str, Any]:
    return {"_id": _identity(f"{key}/{field}"), "_cls": kind, "tags": [], **values}


def _metadata(dataset: Dataset) -> dict[str, Any]:
    """The document of the data set: its fields, what the mask's values mean, what is shown."""
    own = ["id", "filepath", "tags", "metadata", "created_at", "last_modified_at"]
    assert not {*own, "nearness", "confidence", "mask", "rd"} & set(SCHEMA.names)
    targets = {str(value.value): value.word for value in Mask if value != Mask.UNKNOWN}  # 0 is the background
    return {
        "name": _slug(dataset.folder.resolve().name),
        "version": VERSION,
        "media_type": "image",
        "mask_targets": {"mask": targets},
        "default_mask_targets": {},
        "info": {
            "nearness": "255 = nearest, 1 = farthest, 0 = sky or unknown",
            "confidence": "255 = sure, 0 = unknown",
        },
        "sample_fields": [
            _field("id", "ObjectIdField", db_field="_id"),
            _field("filepath", "StringField"),
            _field("tags", "ListField", subfield="fiftyone.core.fields.StringField"),
            _field("metadata", "EmbeddedDocumentField", document="fiftyone.core.metadata.ImageMetadata"),
            _field("created_at", "DateTimeField"),
            _field("last_modified_at", "DateTimeField"),
            *(_field(field.name, FIELDS[str(field.type)]) for field in SCHEMA),
            *(
                _field(name, "EmbeddedDocumentField", document=f"fiftyone.core.labels.{kind}")
                for name, kind in (("nearness", "Heatmap"), ("confidence", "Heatmap"), ("mask", "Segmentation"))
            ),
            _field("rd", "StringField"),
        ],
        "frame_fields": [],
    }


def _field(
    name: str, kind: str, subfield: str | None = None, document: str | None = None, db_field: str | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "ftype": f"fiftyone.core.fields.{kind}",
        "subfield": subfield,
        "embedded_doc_type": document,
        "db_field": db_field or name,
    }


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def _identity(text: str) -> dict[str, str]:
    """An identity of MongoDB's form that follows from a text."""
    return {"$oid": _hash(text)[:24]}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _write(file: Path, content: bytes) -> None:
    with create(file) as opened:
        opened.write(content)
