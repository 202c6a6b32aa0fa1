"""A data set without its pictures, for those whose owners do not allow them to be shared.

What is there of a data set: RDs/, masks/, confidence/, manifest.parquet with the rows of the samples, build.json
without the path of the input. sources.jsonl has the SHA-256 of the photographs; `restore` makes the pictures again from
copies of them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from redweb_builder.dataset.codec import picture_bytes, picture_name
from redweb_builder.dataset.facts import shared_build
from redweb_builder.dataset.manifest import SCHEMA, calibration_names, source_file
from redweb_builder.dataset.manifest_file import NAME as MANIFEST
from redweb_builder.dataset.paths import build_text, photographs_of, read_build
from redweb_builder.dataset.reader import Dataset
from redweb_builder.dataset.sample_files import MAPS
from redweb_builder.dataset.source_views import source_views
from redweb_builder.dataset.sources import NAME as SOURCES
from redweb_builder.dataset.sources import Sources, sources_lines, stamp_of, stamp_of_file
from redweb_builder.errors import StoreError
from redweb_builder.export.stored import maps_of
from redweb_builder.files import create
from redweb_builder.process import one_opencv_thread


def write_labels_only(
    dataset: Dataset, keys: Sequence[str], folder: Path, source: Path | None = None
) -> Iterator[str | StoreError]:
    """Write the labels and what their pictures are made from; yields each key when it is done, or why it is left out.

    Each picture is made again once, so that it is known that this can be done. dataset, keys: what is exported. folder:
    an empty folder. source: of the stereo photographs; default: the one that build.json names. Raises OSError;
    StoreError where a folder that is given is not there.
    """
    source = photographs_of(dataset.folder, source)
    stamp = lru_cache(maxsize=64)(stamp_of_file)  # of a film there are many frames
    sources: list[tuple[str, Sources]] = []
    for key in keys:
        row = dataset.record(key)
        try:
            with one_opencv_thread():  # pictures are rectified as the build did it
                picture = _made_again(dataset, row, source)
            assert source is not None
            names = dict.fromkeys((row["left"], row["right"], *calibration_names(row)))
            files = {name: stamp(source_file(source, name)) for name in names}
        except (StoreError, OSError) as error:
            yield StoreError(f"{key}: {error}")
            continue
        for name, content in maps_of(dataset, key).items():
            (folder / MAPS[name]).mkdir(exist_ok=True)
            _write(folder / MAPS[name] / f"{key}.png", content)
        sources.append((key, Sources(picture_name(key, _is_lossless(dataset, key)), stamp_of(picture), files)))
        yield key
    _write(folder / SOURCES, sources_lines(sources))
    _write(folder / MANIFEST, _manifest([dataset.record(key) for key, _ in sources]))
    build = {name: value for name, value in shared_build(read_build(dataset.folder)).items() if name != "form"}
    _write(folder / "build.json", build_text(build))


def _made_again(dataset: Dataset, row: Mapping[str, Any], source: Path | None) -> bytes:
    """The stored picture of a sample, made from its photographs. Raises StoreError where that gives another one."""
    key = row["key"]
    ending, stored = dataset.stored_picture(key)
    content = picture_bytes(source_views(dataset.folder, row, source).left, ending == "png")
    if content != stored:
        raise StoreError("its photographs give another picture than the stored one: was it changed, or made elsewhere?")
    return content


def _is_lossless(dataset: Dataset, key: str) -> bool:
    return dataset.stored_picture(key)[0] == "png"


def _manifest(rows: list[dict[str, Any]]) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), content)
    return content.getvalue()


def _write(file: Path, content: bytes) -> None:
    with create(file) as opened:
        opened.write(content)
