"""Where on Earth an image or a rectangle lies, if it does.

NOTE: PROJ answers infinity for what lies outside a projection, and it may search for ever: of
coordinates such as 1e30 in EPSG:3857 it subtracts one turn of the Earth after the other. So no
coordinate goes to PROJ before its size is checked.
"""

import math
from collections.abc import Iterable

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform_bounds

from candela.eo.grid import Bounds

WGS84 = "EPSG:4326"
LARGEST = 1e9  # of a coordinate; the Earth is 4e7 m around, zone numbers add up to 1.2e8 m
LARGEST_DEGREES = (540.0, 91.0)  # longitudes may count on, pixels may reach half over a pole


def geographic_bounds(crs: CRS, bounds: Iterable[float]) -> Bounds:
    """Return a rectangle in degrees (WGS 84).

    Parameters
    ----------
    crs : CRS
        The reference system of the rectangle.
    bounds : iterable of float
        Left, bottom, right and top edge, in its units.

    Returns
    -------
    Bounds
        West, south, east and north edge; all finite.

    Raises
    ------
    ValueError
        If an edge is no finite number, or does not lie on Earth.
    """
    edges = Bounds(*(float(edge) for edge in bounds))
    check_size(edges, is_geographic=crs.is_geographic)
    try:
        found = Bounds(*transform_bounds(crs, WGS84, *edges))
    except (CRSError, CPLE_BaseError):  # a plan of a building, the Moon: GDAL says it at length
        name = crs.to_string()[:80]
        raise ValueError(f"cannot be placed on Earth from its reference system ({name})") from None
    if not all(map(math.isfinite, found)):
        raise ValueError(f"lies outside its projection ({_told(edges)} in {crs.to_string()[:80]})")
    return found


def check_size(bounds: Bounds, *, is_geographic: bool) -> None:
    """Refuse edges that are no place on Earth, whatever the projection.

    Raises
    ------
    ValueError
        If one is not finite or too large.
    """
    if not all(map(math.isfinite, bounds)):
        raise ValueError(f"has edges that are no finite numbers ({_told(bounds)})")
    across, along = LARGEST_DEGREES if is_geographic else (LARGEST, LARGEST)
    if max(abs(bounds.left), abs(bounds.right)) > across:
        raise ValueError(f"lies outside its reference system ({_told(bounds)})")
    if max(abs(bounds.bottom), abs(bounds.top)) > along:
        raise ValueError(f"lies outside its reference system ({_told(bounds)})")


def check_place(dataset: rasterio.DatasetReader) -> None:
    """Refuse an image that has a place, but not on Earth, or whose place cannot be computed with.

    Raises
    ------
    ValueError
        If its transform is not finite, its pixels have no area, or it lies outside its projection.
    """
    transform = dataset.transform
    if not all(map(math.isfinite, transform)):
        raise ValueError(f"has a transform that is not finite {tuple(transform)[:6]}")
    corners = [transform @ (col, row) for col in (0, dataset.width) for row in (0, dataset.height)]
    xs, ys = zip(*corners, strict=True)
    bounds = Bounds(min(xs), min(ys), max(xs), max(ys))
    if not (bounds.left < bounds.right and bounds.bottom < bounds.top):
        raise ValueError(f"has pixels without an area (transform {tuple(transform)[:6]})")
    if dataset.crs is not None:
        geographic_bounds(dataset.crs, bounds)


def _told(bounds: Bounds) -> str:
    return ", ".join(f"{edge:g}" for edge in bounds)
