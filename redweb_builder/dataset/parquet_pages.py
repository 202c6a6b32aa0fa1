"""Headers of the pages of a Parquet file: whether texts are stored one by one, so that reading them is safe as it is.

Where a column has a dictionary, a few bytes of the file can stand for one long text in each of a million rows; Arrow
makes all of them, unless it is told to leave the dictionary as it is, which takes three times as long for texts that
differ from row to row. PLAIN pages hold each text themselves. What the file's own index says of this may be a lie, but
Arrow follows the headers, and so does this module. https://parquet.apache.org/docs/file-format/data-pages/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow.parquet as pq

DATA_PAGE, PLAIN = 0, 0
MAX_HEADER_BYTES = 1 << 14  # with the least and the greatest value, of which Arrow states 4096 bytes each at most
MAX_DEPTH = 4  # of structs in a header
_TRUE, _FALSE, _INTEGERS, _BYTES, _STRUCT = 1, 2, (4, 5, 6), 8, 12  # types of Thrift's compact protocol


@dataclass(frozen=True)
class PlainPage:
    """What the header of a page states; None = nothing.

    least, greatest: of its values, in UTF-8. nulls: their number.
    """

    least: bytes | None
    greatest: bytes | None
    nulls: int | None


def plain_pages(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> list[PlainPage] | None:
    """The pages of a column's chunk where each value is stored by itself, else None.

    The pages must have as many values and bytes as the chunk states: beyond them Arrow would read on. file: open for
    reading. chunk: a column of a group of rows. None also where a header is not as Arrow writes it. Raises OSError.
    """
    if chunk.has_dictionary_page or chunk.data_page_offset < 0:
        return None
    pages = []
    values = compressed = unpacked = 0
    while compressed < chunk.total_compressed_size:
        file.seek(chunk.data_page_offset + compressed)
        try:
            header, size = _struct(file.read(MAX_HEADER_BYTES), 0, MAX_DEPTH)
            kind, unpacked_page, compressed_page, data = header[1], header[2], header[3], header[5]
            count, encoding, stated = data[1], data[2], data.get(5, {})
            pages.append(PlainPage(stated.get(6), stated.get(5), stated.get(3)))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return None
        if (kind, encoding) != (DATA_PAGE, PLAIN) or min(unpacked_page, compressed_page, count) < 0:
            return None
        values += count
        compressed += size + compressed_page
        unpacked += size + unpacked_page
    stated_sizes = chunk.num_values, chunk.total_compressed_size, chunk.total_uncompressed_size
    return pages if (values, compressed, unpacked) == stated_sizes else None


def _struct(raw: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """A struct in Thrift's compact protocol: its values by the number of their field, and where it ends.

    Raises IndexError or ValueError where it is cut, or not as Arrow writes it: with fields that grow, each once.
    """
    if depth < 1:
        raise ValueError("structs in structs")
    values: dict[int, Any] = {}
    field = 0
    while raw[at]:
        step, kind = raw[at] >> 4, raw[at] & 15
        if step == 0:
            raise ValueError("a field that need not come after the one before")
        field, at = field + step, at + 1
        if kind in (_TRUE, _FALSE):
            values[field] = kind == _TRUE
        elif kind in _INTEGERS:
            number, at = _varint(raw, at)
            values[field] = number >> 1 ^ -(number & 1)
        elif kind == _BYTES:
            size, at = _varint(raw, at)
            values[field], at = raw[at : at + size], at + size
        elif kind == _STRUCT:
            values[field], at = _struct(raw, at, depth - 1)
        else:
            raise ValueError(f"type {kind}")
    return values, at + 1


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, the lowest first, and where it ends. Raises IndexError, ValueError."""
    number = 0
    for shift in range(0, 35, 7):
        number |= (raw[at] & 127) << shift
        at += 1
        if raw[at - 1] < 128 and number < 1 << 32:
            return number, at
    raise ValueError("a number of more than 32 bits, of which Arrow would take the lower ones")
