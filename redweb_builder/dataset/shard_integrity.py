"""Whether shards hold what their export wrote: every pair of the manifest, each tar as long as its index says."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.dataset.integrity import BUILD, Checked, Fault, faults_of_people, sample
from redweb_builder.dataset.manifest import one_chunk
from redweb_builder.dataset.manifest_file import NAME as MANIFEST
from redweb_builder.dataset.manifest_file import read_manifest
from redweb_builder.dataset.sample_files import FILES, PREVIEW, content_of
from redweb_builder.dataset.shards import REJECTED, ShardFiles
from redweb_builder.errors import StoreError


def check_shards(folder: Path, share: float = 0.0) -> Checked:
    """Check a data set in shards; nothing is written.

    folder: of the shards, which may lie in remote storage. share: of the pairs whose contents are read as well, 0 to 1,
    chosen at random. Raises StoreError where no shards with a manifest are there.
    """
    manifest, files = read_manifest(folder, ()), ShardFiles(folder)
    labelled = manifest.table["key"].filter(pc.fill_null(pc.greater(manifest.table["width"], 0), False))
    faults = [Fault(MANIFEST, sentence, BUILD) for sentence in manifest.refused]
    faults += [Fault("indices", sentence, BUILD) for sentence in files.refused]
    faults += [*_faults_of_keys(labelled, files.keys.column), *_faults_of_tars(files)]
    known = np.flatnonzero(pc.is_in(files.keys.column, one_chunk(labelled)))
    chosen = np.zeros(len(files.keys), bool)
    chosen[known[sorted(sample(len(known), share))]] = True
    for shard in range(len(files.shards)):
        rows = files.rows_of(shard)
        hashes = files.hashes(shard) if chosen[rows].any() else {}
        for index in rows.start + np.flatnonzero(chosen[rows]):
            key = files.keys[index]
            faults += _faults_of_contents(files, key, hashes.get(key))
    return Checked(len(labelled), int(np.sum(chosen)), [*faults, *faults_of_people(folder)])


def _faults_of_keys(labelled: pa.ChunkedArray, indexed: pa.ChunkedArray) -> Iterator[Fault]:
    """Pairs that stand in the manifest or in an index only."""
    for keys, others, file, what in (
        (labelled, indexed, MANIFEST, "is in no shard"),
        (indexed, labelled, "indices", f"has no label by {MANIFEST}"),
    ):
        missing = keys.filter(pc.invert(pc.is_in(keys, others.combine_chunks())))
        yield from (Fault(file, f"{key} {what}", BUILD) for key in missing.to_pylist())


def _faults_of_tars(files: ShardFiles) -> Iterator[Fault]:
    """Tars that end before the last of their samples, and those without an index."""
    sizes = files.storage.sizes()
    sizes |= {f"{REJECTED}/{name}": size for name, size in files.storage.sizes(REJECTED).items()}
    for number, shard in enumerate(files.shards):
        size, least = sizes.get(f"{shard}.tar", 0), files.least_size(number)
        if size < least:
            yield Fault(f"{shard}.tar", f"ends after {size} bytes, and has at least {least}", BUILD)
    for name in sizes:
        if name.endswith(".tar") and name[:-4] not in files.shards:
            yield Fault(name, "has no index", "")


def _faults_of_contents(files: ShardFiles, key: str, digest: str | None) -> Iterator[Fault]:
    """Whether the files of a pair are those that were written. digest: their SHA-256 by the index."""
    row = files.entry(key)
    names = [name for name in FILES if name != PREVIEW or row[f"{PREVIEW}_at"] is not None]
    tar = f"{files.shards[row['shard']]}.tar"
    try:
        content = b"".join(map(content_of, files.stored(key, *names)))
    except StoreError as error:
        yield Fault(tar, str(error), BUILD)
        return
    if sha256(content).hexdigest() != digest:
        yield Fault(tar, f"the content of {key} is not what was written (SHA-256)", BUILD)
