"""A data set in tar shards, as `export --format webdataset` writes them: here or in remote storage.

Beside each NAME.tar lies NAME.parquet: the rows of its samples in their order, and where in the tar their files begin
and how long they are. It is written last, so that a tar without it is none. A sample is one ranged read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.dataset.manifest import SCHEMA
from redweb_builder.dataset.manifest_file import checked_blocks, refusal_of, table_blocks
from redweb_builder.dataset.paths import label_from, read_stored
from redweb_builder.dataset.reader import Dataset, require_confidence, without
from redweb_builder.dataset.storage import Storage
from redweb_builder.errors import StoreError
from redweb_builder.inputs.remote import address_of
from redweb_builder.types import Label, Picture

MAPS = ("rd", "mask", "confidence")
FILES = ("image", *MAPS)
ENDINGS = ("jpg", "png")
MOST_BYTES = 1 << 30  # of a sample
REQUESTS = 16  # at a time, to open a set
POSITIONS = pa.schema(
    [("image_ending", pa.string())] + [(f"{name}_{what}", pa.int64()) for name in FILES for what in ("at", "bytes")]
)
INDEX = pa.schema([*SCHEMA, *POSITIONS])  # the columns of NAME.parquet


def shard_names(names: list[str]) -> list[str]:
    """The shards that are whole, without ending, sorted. names: of the files of a folder."""
    there = set(names)
    return sorted(name[:-4] for name in there if name.endswith(".tar") and f"{name[:-4]}.parquet" in there)


def is_shard_set(place: str | os.PathLike[str]) -> bool:
    """Whether shards with their indices lie in a folder, or may lie at an address, which is not asked.

    place: a folder, or an address of remote storage.
    """
    return address_of(place) is not None or bool(shard_names(Storage(place).names()))


class ShardedDataset(Dataset):
    """The samples of a set of shards, in the order of the shards.

    storage: where they lie. The rest is as of Dataset; nobody decides about shards, and none of them is rejected.
    """

    def __init__(self, place: str | os.PathLike[str], min_confidence: int = 0) -> None:
        """Read the indices.

        place: a folder, or an address of remote storage. min_confidence: as of Dataset. Raises StoreError where no
        shards are there, or an index is none of ours; SettingsError for another confidence.
        """
        require_confidence(min_confidence)
        self.folder, self.min_confidence, self._status = Path(place), min_confidence, "kept"
        self.storage = Storage(place)
        self._shards = shard_names(self.storage.names())
        if not self._shards:
            raise StoreError(f"{self.storage.address} holds no shards with their indices (NAME.tar and NAME.parquet)")
        refused: list[str] = []
        table = pa.concat_tables(checked_blocks(self._blocks(), refused))
        self.manifest = table.select(SCHEMA.names)
        self.refusal = refusal_of(self.storage.address, len(table), refused)
        self._take(table)

    def _blocks(self) -> Iterator[pa.Table]:
        """The rows of all indices, with the number of their shard. Raises StoreError."""
        with ThreadPoolExecutor(REQUESTS) as threads:
            contents = threads.map(lambda name: self.storage.read(f"{name}.parquet"), self._shards)
            yield from chain.from_iterable(map(self._index, range(len(self._shards)), contents))

    def _index(self, number: int, content: bytes) -> Iterator[pa.Table]:
        name = f"{self.storage.address}/{self._shards[number]}.parquet"
        for block in table_blocks(BytesIO(content), name, INDEX):
            _require_positions(block, name)
            yield block.append_column("shard", pa.array(np.full(len(block), number, np.int32)))

    def part(self, index: int) -> str:
        """The split that a sample was exported to: "train" or "validation". index: from 0."""
        shard: int = self.table["shard"][index].as_py()
        return self._shards[shard].rsplit("-", 1)[0]

    def contents(self, key: str) -> dict[str, bytes]:
        """The files of a sample by name: "image" and MAPS, in one read. Raises KeyError, StoreError. key: of it."""
        row = self.record(key)
        places = {name: (row[f"{name}_at"], row[f"{name}_bytes"]) for name in FILES}
        start = min(at for at, _ in places.values())
        end = max(at + size for at, size in places.values())
        content = self.storage.read(f"{self._shards[row['shard']]}.tar", start, end - start)
        return {name: content[at - start : at - start + size] for name, (at, size) in places.items()}

    def _read(self, key: str) -> tuple[Picture, Label]:
        contents, name = self.contents(key), f"{self.storage.address}: {key}"
        label = label_from(*((f"{name}, {part}", contents[part]) for part in MAPS))
        if self.min_confidence:
            label = without(label, label.confidence < self.min_confidence)
        return read_stored(contents["image"], f"{name}, image"), label

    def label(self, key: str) -> Label:
        """The label of a sample, unknown where its confidence is below the least asked for. Raises StoreError.

        key: of the sample.
        """
        return self._read(key)[1]

    def is_as_stored(self, key: str) -> bool:
        """Whether the label of a sample is what its files hold. key: of the sample."""
        return not self.min_confidence

    def stored_picture(self, key: str) -> tuple[str, bytes]:
        """The picture's file: "jpg" or "png", and its bytes. Raises KeyError, StoreError. key: of the sample."""
        return self.record(key)["image_ending"], self.contents(key)["image"]

    def stored_maps(self, key: str) -> dict[str, bytes]:
        """The PNG files of a label by name. Raises KeyError, StoreError. key: of the sample."""
        contents = self.contents(key)
        return {name: contents[name] for name in MAPS}

    def image_path(self, key: str) -> Path:
        """Raise StoreError: a sample of a shard has no file of its own. key: of the sample."""
        raise StoreError(f"{key} lies in a shard of {self.storage.address}: it has no file of its own")

    @property
    def rejected(self) -> Dataset:
        """None of the samples: what was not kept is not exported."""
        return self._part([])


def _require_positions(block: pa.Table, name: str) -> None:
    """Raise StoreError where an index does not say where the files of a sample lie."""
    usable = pc.is_in(block["image_ending"], pa.array(ENDINGS))
    for file in FILES:
        at, size = block[f"{file}_at"], block[f"{file}_bytes"]
        within = pc.and_(pc.greater_equal(at, 0), pc.and_(pc.greater(size, 0), pc.less(size, MOST_BYTES)))
        usable = pc.and_(usable, pc.fill_null(pc.and_(within, pc.less(at, 1 << 50)), False))
    starts = [block[f"{file}_at"] for file in FILES]
    apart = pc.less(pc.subtract(pc.max_element_wise(*starts), pc.min_element_wise(*starts)), MOST_BYTES)
    if not pc.all(pc.and_(usable, pc.fill_null(apart, False)), min_count=0).as_py():
        raise StoreError(f"{name} does not say where the files of each sample lie: export the set again")
