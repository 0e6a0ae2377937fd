"""The tiles of Sentinel-2: where each lies by its id, and which of them lie over an area.

An id such as ``31TCJ`` is that of a square of 100 km in the Military Grid Reference System: zone,
latitude band, column and row. The tile is that square, widened to 109.8 km.
"""

import lzma
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import rasterio.warp
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely import affinity

from candela.eo.projection import check_box, move_geometry, shown
from candela.eo.raster.grid import Area, Grid, Shape
from candela.eo.reference_system import LONGITUDE_LATITUDE, reference_system
from candela.errors import InputError

SIDE_M = 109_800
SQUARE_M = 100_000
LATTICE_M = 60  # corners lie on it, counted from the equator
BANDS = "CDEFGHJKLMNPQRSTUVWX"  # of 8 degrees each from 80 degrees south; X has 12
COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")  # by zone
ROWS = "ABCDEFGHJKLMNPQRSTUV"
ROW_CYCLE_M = 2_000_000
FALSE_NORTHING_M = 10_000_000  # of the south
METRES_PER_DEGREE = 110_900  # along a meridian at middle latitudes; enough to tell cycles apart
ZONE_REACH_DEGREES = 6.5  # half a zone, or what 31V, 32V and Svalbard's zones have beyond it
EDGE_STEP_DEGREES = 0.1

_ID = re.compile(
    r"T?(?P<zone>\d{2})(?P<band>[C-HJ-NP-X])(?P<column>[A-HJ-NP-Z])(?P<row>[A-HJ-NP-V])"
)
_ID_FILE = "tiles.txt.xz"


class Corner(NamedTuple):
    """Where a tile lies.

    Attributes
    ----------
    epsg : int
        326zz in the north, 327zz in the south.
    left, top : int
        Outer corner in metres.
    """

    epsg: int
    left: int
    top: int

    @property
    def top_from_equator(self) -> int:
        """Metres from the equator, negative in the south."""
        return self.top - (FALSE_NORTHING_M if self.epsg > 32700 else 0)


def tile_corner(tile_id: str) -> Corner:
    """Return the upper left corner of a tile.

    Parameters
    ----------
    tile_id : str
        ``31TCJ`` or ``T31TCJ``.

    Returns
    -------
    Corner

    Raises
    ------
    InputError
        If there is no such tile.

    Notes
    -----
    The square's corner is widened outward to a lattice of 60 m whose origin is the equator, in the
    south too. Rows repeat every 2000 km; the band says which of the repetitions is meant.
    """
    tile_id = known_tile(tile_id)
    zone, band, column, row = int(tile_id[:2]), *tile_id[2:]
    east = (COLUMNS[(zone - 1) % 3].index(column) + 1) * SQUARE_M
    index = (ROWS.index(row) - (0 if zone % 2 else 5)) % len(ROWS)
    south = -80 + 8 * BANDS.index(band)
    middle = (south + (6 if band == "X" else 4)) * METRES_PER_DEGREE
    cycle = round((middle - index * SQUARE_M - SQUARE_M / 2) / ROW_CYCLE_M)
    north = index * SQUARE_M + cycle * ROW_CYCLE_M
    top = -(-(north + SQUARE_M) // LATTICE_M) * LATTICE_M
    is_north = band >= "N"
    return Corner(
        (32600 if is_north else 32700) + zone,
        east // LATTICE_M * LATTICE_M,
        top + (0 if is_north else FALSE_NORTHING_M),
    )


def tile_grid(tile_id: str, pixel_m: int = 10) -> Grid:
    """Return the lattice that Sentinel-2 images of a tile have.

    Parameters
    ----------
    tile_id : str
        ``31TCJ`` or ``T31TCJ``.
    pixel_m : int
        Pixel size, a divisor of 109 800 m.

    Raises
    ------
    InputError
        If there is no such tile, or no whole number of pixels fits.
    """
    if pixel_m < 1 or SIDE_M % pixel_m:
        raise InputError(f"tiles of {SIDE_M} m cannot be divided into pixels of {pixel_m} m")
    corner = tile_corner(tile_id)
    side = SIDE_M // pixel_m
    transform = Affine(pixel_m, 0, corner.left, 0, -pixel_m, corner.top)
    return Grid(CRS.from_epsg(corner.epsg), transform, Shape(side, side))


def known_tile(tile_id: str) -> str:
    """Return the id of a tile in the form ``31TCJ``.

    Raises
    ------
    InputError
        If it is not an id, or Sentinel-2 has no such tile.
    """
    found = _ID.fullmatch(tile_id.strip().upper())
    if not found:
        raise InputError(f"{tile_id!r} is no tile id, expected one such as 31TCJ")
    name = "".join(found.groups())
    if name not in tile_ids():
        raise InputError(f"Sentinel-2 has no tile {name}")
    return name


@cache
def tile_ids() -> frozenset[str]:
    """Return the ids of all tiles in ESA's tiling grid of Sentinel-2."""
    return frozenset(unpack_ids(files(__package__).joinpath(_ID_FILE).read_bytes()))


def pack_ids(ids: Iterable[str]) -> bytes:
    """Write ids compactly: a line for each zone and band, a word for each column."""
    lines: dict[str, dict[str, str]] = defaultdict(lambda: defaultdict(str))
    for tile_id in sorted(set(ids)):
        lines[tile_id[:3]][tile_id[3]] += tile_id[4]
    text = "\n".join(
        " ".join((start, *(column + rows for column, rows in columns.items())))
        for start, columns in lines.items()
    )
    return lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)


def unpack_ids(packed: bytes) -> Iterator[str]:
    """Yield the ids that ``pack_ids`` wrote, in alphabetical order."""
    for line in lzma.decompress(packed).decode().splitlines():
        start, *words = line.split()
        yield from (start + word[0] + row for word in words for row in word[1:])


def tiles_over(outline: shapely.Geometry) -> dict[str, float]:
    """Find the tiles over a part of the Earth.

    Parameters
    ----------
    outline : shapely polygon
        In degrees of longitude and latitude (WGS 84); across the antimeridian, longitudes go on
        beyond 180.

    Returns
    -------
    dict of str to float
        The share of each tile that lies within, above 0 to 1; in alphabetical order.
    """
    shares: dict[str, float] = {}
    for turn in (-360, 0, 360):
        turned = affinity.translate(outline, xoff=turn)
        for zone in range(1, 61):
            shares |= _tiles_of_zone(zone, turned)
    return dict(sorted(shares.items()))


def tile_outline(tile_id: str) -> shapely.Polygon:
    """Return the outline of a tile in degrees of longitude and latitude."""
    epsg = tile_corner(tile_id).epsg
    return outline_of(Area(tile_grid(tile_id).bounds, f"EPSG:{epsg}"))


def outline_of(area: Area) -> shapely.Polygon:
    """Return the outline of a rectangle in degrees of longitude and latitude (WGS 84).

    Across the antimeridian, longitudes go on beyond 180.

    Raises
    ------
    InputError
        If its corners have no place on the Earth.
    """
    check_box(area.bounds, reference_system(area.crs, "the area"), "the area")
    left, bottom, right, top = area.bounds
    step = max(right - left, top - bottom, 1e-9) / 20  # follows the curve of edges
    box = shapely.segmentize(shapely.box(*area.bounds), step)
    return unwrap(to_degrees(box, area.crs))


def unwrap(outline: shapely.Polygon) -> shapely.Polygon:
    """Let the longitudes of an outline go on beyond 180 where it crosses the antimeridian."""
    west, _, east, _ = outline.bounds
    if east - west < 180:
        return outline
    return shapely.transform(
        outline, lambda points: np.column_stack([points[:, 0] % 360, points[:, 1]])
    )


def _tiles_of_zone(zone: int, outline: shapely.Geometry) -> dict[str, float]:
    west, south, east, north = outline.bounds
    meridian = 6 * zone - 183
    widest = np.cos(np.radians(min(max(abs(south), abs(north)) + 1, 85)))
    reach = ZONE_REACH_DEGREES + SIDE_M / METRES_PER_DEGREE / widest
    if east < meridian - reach or west > meridian + reach:
        return {}
    near = shapely.intersection(outline, shapely.box(meridian - reach, -90, meridian + reach, 90))
    if near.is_empty:
        return {}
    projected = project(
        shapely.segmentize(near, EDGE_STEP_DEGREES), "EPSG:4326", f"EPSG:{32600 + zone}"
    )
    names, boxes = _zone_boxes(zone)
    hit = shapely.intersects(boxes, projected)
    shares = shapely.area(shapely.intersection(boxes[hit], projected)) / SIDE_M**2
    return {
        str(name): float(share) for name, share in zip(names[hit], shares, strict=True) if share > 0
    }


@cache
def _zone_boxes(zone: int) -> tuple[NDArray[np.str_], NDArray[np.object_]]:
    """Return the tiles of a zone and their squares, northings counted from the equator."""
    names = sorted(name for name in tile_ids() if int(name[:2]) == zone)
    corners = [tile_corner(name) for name in names]
    left = np.array([corner.left for corner in corners], dtype=float)
    top = np.array([corner.top_from_equator for corner in corners], dtype=float)
    return np.array(names), shapely.box(left, top - SIDE_M, left + SIDE_M, top)


def to_degrees(geometry: shapely.Geometry, crs: CRS | str) -> shapely.Geometry:
    """Bring a geometry to degrees of longitude and latitude.

    Raises
    ------
    InputError
        If a part of it has no place on the Earth.
    """
    source = reference_system(crs, "the area") if isinstance(crs, str) else crs
    outline = move_geometry(geometry, source, LONGITUDE_LATITUDE)
    if outline is None:
        check_box(geometry.bounds, source, "the area")
        raise InputError(
            f"{shown(geometry.bounds)} in {crs} has parts that are nowhere on the Earth"
        )
    return outline


def project(geometry: shapely.Geometry, source: CRS | str, target: CRS | str) -> shapely.Geometry:
    """Bring a geometry to another CRS; the order of its axes is always x, y."""

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = rasterio.warp.transform(source, target, points[:, 0], points[:, 1])
        return np.column_stack([x, y])

    return shapely.transform(geometry, move)
