"""WebDataset shards: plain tar files of samples one after the other, the files of a sample named alike.

A sample has image.jpg or image.png, rd.png (16 bit, scale and offset in its text), mask.png, confidence.png, and its
manifest row as json. The same data set gives the same bytes.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.splits import split_keys
from redweb_builder.export.names import file_names
from redweb_builder.export.stored import maps_of
from redweb_builder.files import create

SHARD = 500  # samples, some 500 MB at 768 px


def write_webdataset(dataset: Dataset, keys: Sequence[str], folder: Path) -> Iterator[str]:
    """Write train-000000.tar, validation-000000.tar and on, SHARD samples each; yields each key when it is done.

    dataset, keys: what is exported. folder: an empty folder. Raises StoreError, OSError.
    """
    names = file_names(keys, dots=False)  # a sample's name ends at its first dot
    for part, chosen in split_keys(dataset, keys).items():
        for number, start in enumerate(range(0, len(chosen), SHARD)):
            shard = folder / f"{part}-{number:06}.tar"
            with create(shard) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for key in chosen[start : start + SHARD]:
                    for name, content in _members(dataset, key, names[key]):
                        entry = tarfile.TarInfo(name)
                        entry.size = len(content)
                        tar.addfile(entry, io.BytesIO(content))
                    yield key


def _members(dataset: Dataset, key: str, name: str) -> list[tuple[str, bytes]]:
    """(file name, content) of the files of a sample, all named alike up to the first dot."""
    image = dataset.image_path(key)
    row = json.dumps(dataset.record(key), ensure_ascii=False)
    files = [(f"image{image.suffix}", image.read_bytes()), ("json", row.encode())]
    files += [(f"{what}.png", content) for what, content in maps_of(dataset, key).items()]
    return [(f"{name}.{ending}", content) for ending, content in sorted(files)]
