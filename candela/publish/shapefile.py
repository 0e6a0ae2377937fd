"""Tile indexes as shapefiles: outlines of rasters with their paths and times.

MapServer reads these itself; an index in another format goes through a library which takes a
raster that was just removed for an error of the index.

References
----------
.. [1] ESRI Shapefile Technical Description, July 1998.
.. [2] dBASE III table files: a header, 32 bytes for each field, records of fixed width.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

Box = tuple[float, float, float, float]  # left, bottom, right, top

POLYGON = 5
CORNERS = 5
CONTENT_BYTES = 4 + 32 + 4 + 4 + 4 + 16 * CORNERS
LOCATION_BYTES = 254  # the most that a field of text holds
TIME_BYTES = 20


class Tile(NamedTuple):
    """A raster in an index: where it lies, where its file is, and when it was seen."""

    outline: Box
    location: str
    time: str


def shapefile(tiles: Sequence[Tile]) -> dict[str, bytes]:
    """Write an index.

    Parameters
    ----------
    tiles : sequence of Tile
        Locations have at most 254 bytes, times 20.

    Returns
    -------
    dict of bytes
        The files by suffix: ``shp``, ``shx``, ``dbf``.
    """
    header_bytes = 100
    records, offsets = [], []
    offset = header_bytes
    for number, tile in enumerate(tiles, 1):
        left, bottom, right, top = tile.outline
        ring = (left, bottom, left, top, right, top, right, bottom, left, bottom)  # clockwise
        content = struct.pack("<i4diii", POLYGON, *tile.outline, 1, CORNERS, 0)
        content += struct.pack("<10d", *ring)
        records.append(struct.pack(">ii", number, CONTENT_BYTES // 2) + content)
        offsets.append(struct.pack(">ii", offset // 2, CONTENT_BYTES // 2))
        offset += len(records[-1])
    box = _around([tile.outline for tile in tiles])
    return {
        "shp": _header(offset, box) + b"".join(records),
        "shx": _header(header_bytes + 8 * len(tiles), box) + b"".join(offsets),
        "dbf": _table(tiles),
    }


def _header(length: int, box: Box) -> bytes:
    """Write the header of a shp or shx file; lengths are in words of two bytes."""
    return struct.pack(">i20xi", 9994, length // 2) + struct.pack(
        "<ii8d", 1000, POLYGON, *box, 0, 0, 0, 0
    )


def _around(boxes: Sequence[Box]) -> Box:
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    return min(lefts), min(bottoms), max(rights), max(tops)


def _table(tiles: Sequence[Tile]) -> bytes:
    fields = {"location": LOCATION_BYTES, "time": TIME_BYTES}
    width = 1 + sum(fields.values())
    header_bytes = 32 + 32 * len(fields) + 1
    table = struct.pack("<B3BIHH20x", 3, 100, 1, 1, len(tiles), header_bytes, width)
    for name, length in fields.items():
        table += struct.pack("<11sc4xBB14x", name.encode(), b"C", length, 0)
    rows = (
        b" " + tile.location.encode().ljust(LOCATION_BYTES) + tile.time.encode().ljust(TIME_BYTES)
        for tile in tiles
    )
    return table + b"\r" + b"".join(rows) + b"\x1a"
