"""WebDataset shards: plain tar files of samples one after the other, the files of a sample named alike.

A sample has image.jpg or image.png, rd.png (16 bit, scale and offset in its text), mask.png, confidence.png, its
manifest row as json, and preview.jpg. Beside each shard lies its index, and beside all what makes them a data set
(dataset/shards.py). The same data set gives the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Generator, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redweb_builder.dataset.curation import NAME as CURATION
from redweb_builder.dataset.decisions import FILE as DECISIONS
from redweb_builder.dataset.decisions import merge_decisions
from redweb_builder.dataset.facts import shared_build
from redweb_builder.dataset.keys import Keys
from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.manifest_file import NAME as MANIFEST
from redweb_builder.dataset.manifest_file import table_blocks, write_manifest
from redweb_builder.dataset.paths import build_text, read_build
from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.sample_files import FILES, PREVIEW, content_of
from redweb_builder.dataset.shards import FORM, INDEX, REJECTED, shard_names
from redweb_builder.dataset.splits import split
from redweb_builder.dataset.storage import Storage, read_whole
from redweb_builder.errors import StoreError
from redweb_builder.export.names import file_namer
from redweb_builder.export.stored import maps_of
from redweb_builder.files import MOST_TEXT_BYTES
from redweb_builder.inputs.remote import address_of

SHARD = 500  # samples at most, some 500 MB at 768 px
SHARD_BYTES = 1 << 30  # after which no further sample is begun


def write_webdataset(dataset: Dataset, keys: Sequence[str], folder: Path) -> Iterator[str]:
    """Write train-000000.tar, validation-000000.tar and on, each with its index; yields each key when it is done.

    dataset, keys: what is exported, kept and rejected. folder: an empty folder. Raises StoreError, OSError.
    """
    yield from write_shards(dataset, keys, Storage(folder))


def write_shards(dataset: Dataset, keys: Sequence[str], storage: Storage) -> Iterator[str]:
    """The same, also into remote storage, a shard at a time by way of this disk.

    dataset, keys: as of write_webdataset. storage: a shard that an earlier call has written there is not written again.
    Raises StoreError, also where shards of another export stay there; OSError.
    """
    name_of = file_namer(keys, dots=False)  # a sample's name ends at its first dot
    there = {*shard_names(storage.sizes()), *shard_names(storage.sizes(REJECTED), f"{REJECTED}/")}
    written: set[str] = set()
    of_set = Keys.of(keys)
    for part, places in split(dataset.grouping(), of_set).items():
        done = number = 0
        while done < len(places):
            shard = f"{part}-{number:06}"
            before = _rows_of(storage, shard) if shard in there else []
            if before and _are_those_of(dataset, before, of_set.take(places[done : done + len(before)])):
                yield from (row["key"] for row in before)
                done += len(before)
            else:
                if shard in there:  # its index speaks of another tar: an export that was cut off would leave both
                    storage.write(f"{shard}.parquet", b"")
                coming = of_set.take(places[done : done + SHARD])
                done += yield from _write_shard(dataset, coming, name_of, storage, shard)
            written.add(shard)
            number += 1
    if others := sorted(there - written):
        raise StoreError(
            f"{storage.address} also holds {', '.join(others[:3])}, of another export: remove what is not wanted "
            "there, then give the same command again"
        )
    _write_set(dataset, keys, storage)


def _rows_of(storage: Storage, shard: str) -> list[dict[str, Any]]:
    """The rows of a shard that is there; none where its index cannot be read, or is of an earlier version."""
    content = storage.read(f"{shard}.parquet")
    try:
        rows = [row for block in table_blocks(io.BytesIO(content), shard, INDEX) for row in block.to_pylist()]
    except StoreError:
        return []
    return rows if all(row["sha256"] for row in rows) else []


def _are_those_of(dataset: Dataset, rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> bool:
    """Whether rows of a shard are those of some samples, in their order, with the same files.

    Keys alone do not say: a build with other settings, or another least confidence, has other labels by the same keys.
    """
    if [row["key"] for row in rows] != list(keys):
        return False
    of_samples = dataset.records(keys)
    return all(
        {name: row[name] for name in SCHEMA.names} == of_samples[row["key"]]
        and row["sha256"] == _digest(_files(dataset, row["key"])[1])
        for row in rows
    )


def _write_shard(
    dataset: Dataset, keys: Sequence[str], name_of: Callable[[str], str], storage: Storage, shard: str
) -> Generator[str, None, int]:
    """Write the first of at most SHARD samples and their index; yields their keys, returns how many they are."""
    rows: list[dict[str, Any]] = []
    with (
        storage.writing(f"{shard}.tar") as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for key, row in dataset.records(keys).items():
            rows.append(row | _add(tar, dataset, row, name_of(key)))
            yield key
            if tar.offset >= SHARD_BYTES:
                break
    with storage.writing(f"{shard}.parquet") as file:  # last: it says that the shard is whole
        pq.write_table(pa.Table.from_pylist(rows, INDEX), file)
    return len(rows)


def _add(tar: tarfile.TarFile, dataset: Dataset, row: dict[str, Any], name: str) -> dict[str, Any]:
    """Add the files of a sample, all named alike up to the first dot; returns where they lie, columns of POSITIONS.

    row: of the sample. The preview comes last: training reads what lies before it.
    """
    ending, files = _files(dataset, row["key"])
    files |= {"json": json.dumps(row, ensure_ascii=False).encode()}
    files = dict(sorted(files.items(), key=lambda file: (file[0] == PREVIEW, file[0])))
    endings = {"image": f"image.{ending}", "json": "json", PREVIEW: f"{PREVIEW}.jpg"}
    positions: dict[str, Any] = {"image_ending": ending, "sha256": _digest(files)}
    for what, content in files.items():
        entry = tarfile.TarInfo(f"{name}.{endings.get(what, f'{what}.png')}")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
        padded = -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        positions |= {f"{what}_at": tar.offset - padded, f"{what}_bytes": len(content)}
    return positions


def _files(dataset: Dataset, key: str) -> tuple[str, dict[str, bytes]]:
    """The ending of a sample's picture, and the content of its files by their names in FILES."""
    ending, image = dataset.stored_picture(key)
    return ending, {"image": image, **maps_of(dataset, key), **_preview(dataset, key)}


def _digest(files: dict[str, bytes]) -> str:
    """SHA-256 of the files that are in FILES, in that order."""
    return sha256(b"".join(files[what] for what in FILES if what in files)).hexdigest()


def _preview(dataset: Dataset, key: str) -> dict[str, bytes]:
    """A sample's preview by its name; none where the data set has none."""
    try:
        return {PREVIEW: content_of(dataset.files.stored(key, PREVIEW)[0])}
    except (StoreError, OSError):
        return {}


def _write_set(dataset: Dataset, keys: Sequence[str], storage: Storage) -> None:
    """Write what makes the shards a data set; rows of pairs whose label was not exported are left out."""
    copied = [DECISIONS, CURATION]
    if address_of(storage.address):
        copied.remove(DECISIONS)  # people may have put others there since
        merge_decisions(Path(storage.address), [dataset.folder / DECISIONS])
    for name in copied:
        try:
            storage.write(name, read_whole(dataset.folder, name, MOST_TEXT_BYTES))
        except FileNotFoundError:
            continue
    storage.write("build.json", build_text(shared_build(read_build(dataset.folder)) | {"form": FORM}))
    blocks = dataset.manifest_blocks()
    if len(keys) < len(dataset):
        every = dataset.keys.column
        others = every.filter(pc.invert(pc.is_in(every, Keys.of(keys).column)))
        blocks = (block.filter(pc.invert(pc.is_in(block["key"], others))) for block in blocks)
    with storage.writing(MANIFEST) as file:
        write_manifest(file, blocks)
