"""A folder that Hugging Face's `datasets` loads and the hub shows: Parquet files with the pictures in them, and a card.

Written with pyarrow alone: `datasets` recognises pictures by the "huggingface" entry of the Parquet schema.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from redweb_builder.colour import colour_scale, disparity_picture
from redweb_builder.dataset.codec import image_bytes, label_text
from redweb_builder.dataset.decisions import STAGE
from redweb_builder.dataset.facts import facts_of
from redweb_builder.dataset.keys import Keys
from redweb_builder.dataset.manifest import MEASUREMENTS, SCHEMA, count_values
from redweb_builder.dataset.paths import name_of, read_build
from redweb_builder.dataset.reader import Dataset, Sample
from redweb_builder.dataset.splits import split
from redweb_builder.dataset.verdicts import thresholds_of
from redweb_builder.export.stored import left_unknown, maps_of
from redweb_builder.files import create, write_atomic
from redweb_builder.filters.checks import checks
from redweb_builder.filters.wording import limit_text, value_text, wording
from redweb_builder.version import __version__

FILE_SAMPLES = 500  # a Parquet file; some 500 MB at 768 px
PREVIEW = "depth_preview"  # column
PREVIEW_QUALITY = 85  # of its JPEGs
GROUP = 50  # samples in memory at a time, and a row group of the file
_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TYPES = {"double": "float64"}  # where pyarrow and `datasets` call a type differently


def write_huggingface(dataset: Dataset, keys: Sequence[str], folder: Path) -> Iterator[str]:
    """Write data/train-*.parquet, data/validation-*.parquet and README.md; yields each key when it is done.

    dataset, keys: what is exported. folder: an empty folder. Raises StoreError, OSError.
    """
    (folder / "data").mkdir()
    maps = list(maps_of(dataset, keys[0]))
    of_set = Keys.of(keys)
    parts = split(dataset.grouping(), keys)
    for part, places in parts.items():
        starts = range(0, len(places), FILE_SAMPLES)
        for number, start in enumerate(starts):
            file = folder / "data" / f"{part}-{number:05}-of-{len(starts):05}.parquet"
            yield from _write_file(dataset, of_set.take(places[start : start + FILE_SAMPLES]), maps, file)
    write_atomic(folder / "README.md", _card(dataset, keys, maps, list(parts)).encode())


def _write_file(dataset: Dataset, keys: Sequence[str], maps: Sequence[str], file: Path) -> Iterator[str]:
    """Write one Parquet file; yields each key when it is done. No compression: PNG and JPEG are packed already."""
    schema = _schema(maps)
    with create(file) as opened, pq.ParquetWriter(opened, schema, compression="none") as writer:
        for first in range(0, len(keys), GROUP):
            group = keys[first : first + GROUP]
            writer.write_table(pa.Table.from_pylist([_row(dataset, key, maps) for key in group], schema=schema))
            yield from group


def _schema(maps: Sequence[str]) -> pa.Schema:
    pictures = ["image", PREVIEW, *maps]
    fields = [pa.field(name, _PICTURE) for name in pictures]
    fields += [pa.field("scale", pa.float64()), pa.field("offset", pa.float64()), *SCHEMA]
    kinds = {field.name: str(field.type) for field in fields[len(pictures) :]}
    plain = {name: {"dtype": _TYPES.get(kind, kind), "_type": "Value"} for name, kind in kinds.items()}
    features = {name: {"_type": "Image"} for name in pictures} | plain
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _row(dataset: Dataset, key: str, maps: Sequence[str]) -> dict[str, Any]:
    (ending, image), stored = dataset.stored_picture(key), maps_of(dataset, key)
    pictures = {"image": {"bytes": image, "path": f"{key}.{ending}"}}
    pictures[PREVIEW] = {"bytes": _preview(dataset[key]), "path": f"{key}_{PREVIEW}.jpg"}
    pictures |= {name: {"bytes": stored[name], "path": f"{key}.png"} for name in maps}
    scale, offset = label_text(stored["rd"])
    return dataset.record(key) | pictures | {"scale": scale, "offset": offset}


def _preview(sample: Sample) -> bytes:
    """The depth in colours as JPEG: viewers show 16-bit grey as white."""
    colours = disparity_picture(sample.disparity, *colour_scale(sample.disparity, sample.mask))
    return image_bytes(Image.fromarray(colours), "JPEG", quality=PREVIEW_QUALITY)


def _card(dataset: Dataset, keys: Sequence[str], maps: Sequence[str], parts: Sequence[str]) -> str:
    """README.md: what the set is, how it was made, how it is read; filled from build.json and the measurements.

    It names no files: `datasets` finds those of each split by their names. With `configs` of the card it would take two
    exports in folders of one name for the same, and give the first one's samples from its cache.
    """
    limits = checks(thresholds_of(dataset.folder))
    columns = dataset.columns("key", "stage", *MEASUREMENTS)
    samples = columns.filter(pc.is_in(columns["key"], pa.array(keys, pa.string())))
    pairs, reasons = 0, Counter[str]()
    for block in dataset.manifest_blocks():
        pairs += len(block) - block["key"].null_count
        reasons.update(count_values(block["reason"].filter(pc.equal(block["status"], "rejected"))))
    words = Environment(loader=PackageLoader("redweb_builder", "export"), undefined=StrictUndefined, trim_blocks=True)
    words.filters["inline"] = _inline
    return words.get_template("card.md").render(
        name=name_of(dataset.folder),
        version=__version__,
        facts=facts_of(read_build(dataset.folder)),
        maps=maps,
        parts=parts,
        left_unknown=left_unknown(dataset.min_confidence) if dataset.min_confidence else "",
        samples=len(samples),
        size_category=_size_category(len(samples)),
        pairs=pairs,
        by_people=pc.sum(pc.equal(samples["stage"], STAGE)).as_py() or 0,
        reasons=reasons.most_common(),
        limits=[(wording(check.measurement).title, limit_text(check)) for check in limits],
        measurements=[line for name in MEASUREMENTS if (line := _spread(name, samples))],
    )


def _inline(text: object) -> str:
    """A text from the data set as one line of Markdown: no markup of its own, and no cell of a table more."""
    return re.sub(r"([\\`*\[\]<>|&])", r"\\\1", " ".join(str(text).split()))


def _spread(name: str, samples: pa.Table) -> tuple[str, ...] | None:
    """A line of the card's table: title, 5th, 50th and 95th percentile, meaning."""
    values = samples[name].drop_null().to_numpy()
    if not len(values):
        return None
    percentiles = (value_text(name, float(value)) for value in np.percentile(values, (5, 50, 95)))
    return (wording(name).title, *percentiles, wording(name).sentence)


def _size_category(samples: int) -> str:
    """The hub's words for a size."""
    steps = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((category for limit, category in steps if samples < limit), "n>1M")
