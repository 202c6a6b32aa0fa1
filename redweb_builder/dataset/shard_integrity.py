"""Whether shards hold what their export wrote: every pair of the manifest, each tar as long as its index says."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from redweb_builder.dataset.integrity import BUILD, Checked, Fault, faults_of_people, sample
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
    faults += [*_faults_of_keys(labelled, files.table["key"]), *_faults_of_tars(files)]
    known = labelled.filter(pc.is_in(labelled, files.table["key"].combine_chunks()))
    chosen = sorted(sample(len(known), share))
    for shard, rows in groupby(_places(files, known.take(pa.array(chosen, pa.int64()))), itemgetter("shard")):
        hashes = files.hashes(shard)
        for row in rows:
            faults += _faults_of_contents(files, row["key"], hashes.get(row["key"]))
    return Checked(len(labelled), len(chosen), [*faults, *faults_of_people(folder)])


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
    ends = [pc.add(files.table[f"{name}_at"], files.table[f"{name}_bytes"]) for name in FILES]
    last = pa.table({"shard": files.table["shard"], "end": pc.max_element_wise(*ends)})
    for row in last.group_by("shard", use_threads=False).aggregate([("end", "max")]).to_pylist():
        tar = f"{files.shards[row['shard']]}.tar"
        if sizes.get(tar, 0) < row["end_max"]:
            yield Fault(tar, f"ends after {sizes.get(tar, 0)} bytes, and has at least {row['end_max']}", BUILD)
    for name in sizes:
        if name.endswith(".tar") and name[:-4] not in files.shards:
            yield Fault(name, "has no index", "")


def _places(files: ShardFiles, keys: pa.ChunkedArray) -> list[dict[str, Any]]:
    """Some pairs with the numbers of their shards, shard by shard."""
    rows = files.table.select(["key", "shard"])
    places: list[dict[str, Any]] = rows.filter(pc.is_in(rows["key"], keys.combine_chunks())).to_pylist()
    return places


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
