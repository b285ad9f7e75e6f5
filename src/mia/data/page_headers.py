"""What a Parquet file unpacks to, added up from its pages' own headers before any page is unpacked.

PyArrow believes the headers: a file of 17 kB with zeros inside takes gigabytes. The footer says it too, but nobody
compares the two, so that it proves nothing. Headers are in Thrift's compact protocol; the fields are those of
https://github.com/apache/parquet-format, parquet.thrift.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

UNPACKED, RATIO = 64 << 20, 100  # a file may unpack to UNPACKED and RATIO times its own size; ours to 10 times
VALUE = 8  # bytes that a value takes in memory, beside those that its page has for it
UNCOMPRESSED, COMPRESSED, DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_2 = 2, 3, 5, 7, 8  # fields of PageHeader
NUM_VALUES, ENCODING, ENCODING_2 = 1, 2, 4  # of its parts
DELTA_BYTE_ARRAY = 7  # a value is the last one's beginning and an end of its own: one long value, and a byte for each
BOOL, BYTE, INTEGERS, DOUBLE, BINARY, STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, 12  # kinds of fields


def largest_dictionary(file: pq.ParquetFile, path: Path, columns: Sequence[str] | None = None) -> int:
    """The bytes of the largest dictionary, of which every value may come again in each row; 0 where there is none.

    columns: those that will be read, as Parquet names them; None: all.
    Raises pa.ArrowInvalid, as PyArrow does over damage, where their pages unpack to too much, or are none.
    """
    limit, unpacked, largest = UNPACKED + RATIO * path.stat().st_size, 0, 0
    with path.open("rb") as opened:
        for header in _headers(opened, file.metadata, columns):
            data = header.get(DATA_PAGE) or header.get(DATA_PAGE_2) or {}
            if data.get(ENCODING if DATA_PAGE in header else ENCODING_2) == DELTA_BYTE_ARRAY:
                raise pa.ArrowInvalid("DELTA_BYTE_ARRAY is not read here")
            unpacked += header[UNCOMPRESSED] + VALUE * data.get(NUM_VALUES, 0)
            if unpacked > limit:
                raise pa.ArrowInvalid(f"it unpacks to more than the {limit:,} bytes that a file of its size may")
            if DICTIONARY_PAGE in header:
                largest = max(largest, header[UNCOMPRESSED])
    return largest


def _headers(
    opened: io.BufferedReader, metadata: pq.FileMetaData, columns: Sequence[str] | None
) -> Iterator[dict[int, Any]]:
    """The header of every page, in the order of row groups, columns and pages."""
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            if chunk.num_values == 0 or (columns is not None and chunk.path_in_schema not in columns):
                continue  # of none PyArrow reads no page
            place = chunk.data_page_offset
            if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < place:
                place = chunk.dictionary_page_offset
            end = place + chunk.total_compressed_size
            while place < end:
                opened.seek(place)
                header = _struct(opened)
                if min(header.get(UNCOMPRESSED, -1), header.get(COMPRESSED, -1)) < 0:
                    raise pa.ArrowInvalid("a page without its size")
                yield header
                place = opened.tell() + header[COMPRESSED]


def _struct(opened: io.BufferedReader, depth: int = 0) -> dict[int, Any]:
    """Fields by their number: integers and structs; None of the others."""
    values: dict[int, Any] = {}
    field = 0
    while head := _byte(opened):
        field = field + (head >> 4) if head >> 4 else _integer(opened)
        kind = head & 15
        if kind in INTEGERS:
            values[field] = _integer(opened)
        elif kind == STRUCT and depth < 4:
            values[field] = _struct(opened, depth + 1)
        elif kind in (BYTE, DOUBLE, BINARY):
            opened.seek({BYTE: 1, DOUBLE: 8}.get(kind) or _varint(opened), io.SEEK_CUR)
        elif kind not in BOOL:  # whose value is its kind
            raise pa.ArrowInvalid("no header of a page where one should be")
    return values


def _integer(opened: io.BufferedReader) -> int:
    value = _varint(opened)
    return (value >> 1) ^ -(value & 1)


def _varint(opened: io.BufferedReader) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = _byte(opened)
        value |= (byte & 127) << shift
        if byte < 128:
            return value
    raise pa.ArrowInvalid("a number of more than 64 bits")


def _byte(opened: io.BufferedReader) -> int:
    byte = opened.read(1)
    if not byte:
        raise pa.ArrowInvalid("a page beyond the file's end")
    return byte[0]
