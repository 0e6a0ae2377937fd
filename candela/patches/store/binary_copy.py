"""Vectors as PostgreSQL's binary COPY has them: many times faster than as text.

Each field has its length in bytes in front, and so has each element of an array, which begins
with: dimensions, whether there are nulls, type, length, first index. Rows of one feature set all
have the same length.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

REAL_OID = 700  # of float4 in PostgreSQL
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"

Vectors = NDArray[np.float32]


def binary_rows(numbers: Mapping[str, int | NDArray[np.int64]], vectors: Vectors) -> bytes:
    """Return rows of some numbers (bigint) and a vector (real[]) each.

    Parameters
    ----------
    numbers : mapping of str to int or ndarray, shape (n,)
        By column, in their order.
    vectors : ndarray, shape (n, dimension), float32
    """
    count, dimension = vectors.shape
    rows = np.zeros(count, _row_type(list(numbers), dimension))
    rows["fields"] = len(numbers) + 1
    for name, value in numbers.items():
        rows[f"{name}_length"], rows[name] = 8, value
    rows["vector_length"] = 20 + 8 * dimension
    rows["head"] = (1, 0, REAL_OID, dimension, 1)
    rows["vector"]["length"], rows["vector"]["value"] = 4, vectors
    return rows.tobytes()


def read_vectors(content: Iterable[bytes], dimension: int, rows: int) -> Iterator[Vectors]:
    """Yield the vectors, which are all that was copied, in blocks of so many rows at most."""
    row = _row_type([], dimension)
    waiting = bytearray()
    start = len(COPY_HEADER)
    for part in content:
        waiting += part
        whole = (len(waiting) - start) // row.itemsize
        if whole >= rows:
            yield _values(waiting, row, start, whole)
            del waiting[: start + whole * row.itemsize]
            start = 0
    rest = (len(waiting) - start) // row.itemsize
    if rest > 0:
        yield _values(waiting, row, start, rest)


def _values(content: bytearray, row: np.dtype[Any], start: int, count: int) -> Vectors:
    rows = np.frombuffer(bytes(content[start : start + count * row.itemsize]), row)
    return rows["vector"]["value"].astype(np.float32)


def _row_type(numbers: Sequence[str], dimension: int) -> np.dtype[Any]:
    element = np.dtype([("length", ">i4"), ("value", ">f4")])
    fields: list[Any] = [("fields", ">i2")]
    for name in numbers:
        fields += [(f"{name}_length", ">i4"), (name, ">i8")]
    fields += [("vector_length", ">i4"), ("head", ">i4", 5), ("vector", element, dimension)]
    return np.dtype(fields)
