"""Pages of Parquet: texts are read as they are only where every page holds each of them itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redweb_builder.dataset.parquet_pages import PlainPage, plain_pages

TEXTS = [f"pair-{number:06}" for number in range(50_000)]  # of more than two pages


def written(texts: Sequence[str | None] | pa.Array, **options: Any) -> tuple[BytesIO, Any]:
    """A file with one column of texts, and what its index says of it."""
    file = BytesIO()
    column = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    pq.write_table(pa.table({"key": column}), file, **options)
    return file, pq.read_metadata(file).row_group(0).column(0)


def is_plain(file: BytesIO, chunk: Any) -> bool:
    return plain_pages(file, chunk) is not None


def lying(chunk: Any, **what: Any) -> Any:
    """What an index says of a column, with some of it changed."""
    names = (
        "has_dictionary_page",
        "data_page_offset",
        "num_values",
        "total_compressed_size",
        "total_uncompressed_size",
    )
    return SimpleNamespace(**({name: getattr(chunk, name) for name in names} | what))


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        ({"use_dictionary": False}, True),
        ({"use_dictionary": False, "compression": "zstd"}, True),
        ({"use_dictionary": False, "compression": "none", "write_statistics": False}, True),
        ({"use_dictionary": False, "write_page_checksum": True}, True),
        ({"use_dictionary": True}, False),
        ({"use_dictionary": True, "dictionary_pagesize_limit": 1000}, False),  # most pages are plain, the first is not
        ({"use_dictionary": False, "column_encoding": {"key": "DELTA_BYTE_ARRAY"}}, False),
        ({"use_dictionary": False, "data_page_version": "2.0"}, False),  # of another form, which is not looked at
    ],
)
def test_what_arrow_writes(options: Mapping[str, Any], plain: bool) -> None:
    assert is_plain(*written([*TEXTS, None], **options)) is plain


def test_what_pages_state() -> None:
    file, chunk = written([*TEXTS, None], use_dictionary=False)
    assert plain_pages(file, chunk) == [
        PlainPage(b"pair-000000", b"pair-019999", 0),
        PlainPage(b"pair-020000", b"pair-039999", 0),
        PlainPage(b"pair-040000", b"pair-049999", 1),
    ]
    file, chunk = written(TEXTS[:9], use_dictionary=False, write_statistics=False)
    assert plain_pages(file, chunk) == [PlainPage(None, None, None)]


def test_an_index_that_hides_the_dictionary() -> None:
    text = pa.array(["x" * 100_000])
    file, chunk = written(pa.DictionaryArray.from_arrays(pa.array([0] * 60_000, pa.int32()), text))
    first = chunk.dictionary_page_offset
    for start in (first, chunk.data_page_offset):
        size = chunk.total_compressed_size - (start - first)
        assert not is_plain(file, lying(chunk, has_dictionary_page=False, data_page_offset=start))
        assert not is_plain(
            file, lying(chunk, has_dictionary_page=False, data_page_offset=start, total_compressed_size=size)
        )


@pytest.mark.parametrize("name", ["num_values", "total_compressed_size", "total_uncompressed_size"])
@pytest.mark.parametrize("more", [-1, 1, 100, 2**32])
def test_an_index_that_states_other_sizes(name: str, more: int) -> None:
    """Arrow reads on where values are missing, into whatever comes next."""
    file, chunk = written(TEXTS, use_dictionary=False)
    assert is_plain(file, lying(chunk))
    assert not is_plain(file, lying(chunk, **{name: getattr(chunk, name) + more}))


def test_every_changed_byte_of_a_header() -> None:
    """A header may only differ in what it says of its values: none adds a page, or a text that is not there."""
    file, chunk = written(TEXTS[:100], use_dictionary=False, compression="none")
    raw = file.getvalue()
    size = raw.index(b"\x00\x03\x00\x00\x00", chunk.data_page_offset) - chunk.data_page_offset  # levels follow
    for at in range(chunk.data_page_offset, chunk.data_page_offset + size):
        for value in range(256):
            changed = BytesIO(raw[:at] + bytes([value]) + raw[at + 1 :])
            if is_plain(changed, chunk):
                changed.seek(0)
                try:
                    texts = pq.read_table(changed)["key"].to_pylist()
                except (OSError, pa.ArrowException):
                    continue
                assert texts == TEXTS[:100]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x15",  # cut
        b"\x15\x80\x80\x80\x80\x20",  # a page of 2**32 + 0 bytes, of which Arrow takes the lower half
        b"\x05\x02\x00",  # a field in the long form
        b"\x19\xfc\xff\xff\xff\x0f",  # a list
        b"\x1c" * 5000,  # structs in structs
        b"\x18\xff\xff\xff\xff\x0f",  # a text of 4 GB
        b"\x00" * 100,
    ],
)
def test_other_headers(header: bytes) -> None:
    chunk = SimpleNamespace(
        has_dictionary_page=False,
        data_page_offset=0,
        num_values=0,
        total_compressed_size=100,
        total_uncompressed_size=100,
    )
    assert not is_plain(BytesIO(header), chunk)
