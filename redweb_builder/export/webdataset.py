"""WebDataset shards: plain tar files of samples one after the other, the files of a sample named alike.

A sample has image.jpg or image.png, rd.png (16 bit, scale and offset in its text), mask.png, confidence.png, and its
manifest row as json. Beside each shard lies its index (dataset/shards.py), by which samples are read without the rest
of the tar. The same data set gives the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.manifest_file import table_blocks
from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.shards import INDEX
from redweb_builder.dataset.splits import split_keys
from redweb_builder.dataset.storage import Storage
from redweb_builder.errors import StoreError
from redweb_builder.export.names import file_names
from redweb_builder.export.stored import maps_of
from redweb_builder.files import create

SHARD = 500  # samples at most, some 500 MB at 768 px
SHARD_BYTES = 1 << 30  # after which no further sample is begun


def write_webdataset(dataset: Dataset, keys: Sequence[str], folder: Path) -> Iterator[str]:
    """Write train-000000.tar, validation-000000.tar and on, each with its index; yields each key when it is done.

    dataset, keys: what is exported. folder: an empty folder. Raises StoreError, OSError.
    """
    names = file_names(keys, dots=False)  # a sample's name ends at its first dot
    for part, chosen in split_keys(dataset.table, keys).items():
        number, done = 0, 0
        while done < len(chosen):
            done += yield from _write_shard(dataset, chosen[done:], names, folder, f"{part}-{number:06}")
            number += 1


def upload_webdataset(dataset: Dataset, keys: Sequence[str], storage: Storage) -> Iterator[str]:
    """The same into remote storage, a shard at a time by way of this disk; yields each key when it is there.

    dataset, keys: what is exported. storage: a shard that an earlier call has written there is not written again.
    Raises StoreError, OSError.
    """
    names, there = file_names(keys, dots=False), set(storage.names())
    for part, chosen in split_keys(dataset.table, keys).items():
        number, done = 0, 0
        while done < len(chosen):
            shard = f"{part}-{number:06}"
            written = _keys_of(storage, shard) if f"{shard}.parquet" in there else []
            if not written or written != chosen[done : done + len(written)]:  # of another set
                with TemporaryDirectory() as scratch:
                    written = list(_write_shard(dataset, chosen[done:], names, Path(scratch), shard))
                    for ending in ("tar", "parquet"):  # the index last: it says that the shard is whole
                        storage.write(f"{shard}.{ending}", Path(scratch) / f"{shard}.{ending}")
            yield from written
            number, done = number + 1, done + len(written)


def _keys_of(storage: Storage, shard: str) -> list[str]:
    """The keys of a shard that is there; none where its index cannot be read."""
    content = storage.read(f"{shard}.parquet")
    try:
        blocks = list(table_blocks(io.BytesIO(content), shard, pa.schema([INDEX.field("key")])))
    except StoreError:
        return []
    return [key for block in blocks for key in block["key"].to_pylist()]


def _write_shard(
    dataset: Dataset, keys: Sequence[str], names: dict[str, str], folder: Path, shard: str
) -> Generator[str, None, int]:
    """Write the first of some samples into a shard, then its index; yields their keys, returns how many they are."""
    rows: list[dict[str, Any]] = []
    with (
        create(folder / f"{shard}.tar") as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for key in keys[:SHARD]:
            row = {name: value for name, value in dataset.record(key).items() if name in SCHEMA.names}
            rows.append(row | _add(tar, dataset, row, names[key]))
            yield key
            if tar.offset >= SHARD_BYTES:
                break
    with create(folder / f"{shard}.parquet") as file:
        pq.write_table(pa.Table.from_pylist(rows, INDEX), file)
    return len(rows)


def _add(tar: tarfile.TarFile, dataset: Dataset, row: dict[str, Any], name: str) -> dict[str, Any]:
    """Add the files of a sample, all named alike up to the first dot; returns where they lie, columns of POSITIONS.

    row: of the sample.
    """
    key = row["key"]
    ending, image = dataset.stored_picture(key)
    files = {f"image.{ending}": image, "json": json.dumps(row, ensure_ascii=False).encode()}
    files |= {f"{what}.png": content for what, content in maps_of(dataset, key).items()}
    positions: dict[str, Any] = {"image_ending": ending}
    for file, content in sorted(files.items()):
        entry = tarfile.TarInfo(f"{name}.{file}")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
        padded = -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        what = file.split(".")[0]
        positions |= {f"{what}_at": tar.offset - padded, f"{what}_bytes": len(content)}
    return positions
