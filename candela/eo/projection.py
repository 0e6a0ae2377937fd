"""Where on Earth points, rectangles and images lie, and from one reference system to another.

Outside of its domain a projection answers with an error, with numbers that are not finite, or with
the place of another point: all of these are the same here, a point without a place.

NOTE: PROJ may search for ever: of coordinates such as 1e30 in EPSG:3857 it subtracts one turn of
the Earth after the other. So no coordinate goes to PROJ before ``_is_sensible`` has seen it.
"""

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform, transform_bounds

from candela.eo.reference_system import LONGITUDE_LATITUDE
from candela.errors import InputError

Floats = NDArray[np.float64]
Corners = tuple[float, float, float, float]

MOST_LONGITUDE = 540.0  # degrees: once around beyond the antimeridian
MOST_LATITUDE = 91.0  # degrees: pixels may reach half over a pole
MOST_METRES = 1e9  # the Earth is 4e7 m around, zone numbers add up to 1.2e8 m
EDGE_POINTS = 21  # along each edge of a box, which bends
TOLERANCE_DEGREES = 1e-5  # on the way there and back
TOLERANCE_M = 1.0


def move_points(x: Floats, y: Floats, source: CRS, target: CRS) -> tuple[Floats, Floats]:
    """Bring points to another coordinate reference system.

    Parameters
    ----------
    x, y : ndarray of float64, of one shape
        x, y or longitude, latitude, whatever the order of the authority.
    source, target : CRS

    Returns
    -------
    tuple of two ndarray
        NaN where a point has no place in the target, or does not come back from there.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if source == target:
        return x, y
    moved_x, moved_y = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    usable = _is_sensible(x, y, source)
    there = _transform(x[usable], y[usable], source, target)
    arrived = _is_sensible(*there, target)
    back = _transform(there[0][arrived], there[1][arrived], target, source)
    same = _is_same(x[usable][arrived], y[usable][arrived], *back, source)
    places = np.flatnonzero(usable)[arrived][same]
    moved_x.ravel()[places] = there[0][arrived][same]
    moved_y.ravel()[places] = there[1][arrived][same]
    return moved_x, moved_y


def move_geometry(geometry: shapely.Geometry, source: CRS, target: CRS) -> shapely.Geometry | None:
    """Bring a geometry to another coordinate reference system; None if a point has no place there.

    See ``move_points``.
    """
    if source == target:
        return geometry
    points = shapely.get_coordinates(geometry)
    moved = np.column_stack(move_points(points[:, 0], points[:, 1], source, target))
    return shapely.set_coordinates(geometry, moved) if np.isfinite(moved).all() else None


def move_box(bounds: Corners, source: CRS, target: CRS, what: str) -> Corners:
    """Return the smallest rectangle in another reference system around a rectangle.

    Parameters
    ----------
    bounds : tuple of float
        Left, bottom, right, top.
    source, target : CRS
    what : str
        What messages call it.

    Raises
    ------
    InputError
        If a part of it has no place there.
    """
    check_box(bounds, source, what)
    if source == target:
        return bounds
    left, bottom, right, top = bounds
    along, across = np.linspace(left, right, EDGE_POINTS), np.linspace(bottom, top, EDGE_POINTS)
    xs, ys = np.meshgrid(along, across)
    x, y = move_points(xs.ravel(), ys.ravel(), source, target)
    if not np.isfinite(x).all():
        raise InputError(
            f"{what} {shown(bounds)} in {source} has parts without a place in {target}"
        )
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def check_box(bounds: Corners, crs: CRS, what: str) -> None:
    """Refuse a rectangle whose numbers cannot be in its reference system.

    Raises
    ------
    InputError
        If a number is not finite, or no degree where degrees are meant.
    """
    if not np.isfinite(bounds).all():
        raise InputError(f"{what} has an edge that is not finite: {shown(bounds)}")
    corners = np.array(bounds)
    if _is_sensible(corners[::2], corners[1::2], crs).all():
        return
    outside = f"{what} lies outside its reference system {_named(crs)}"
    if crs.is_geographic:
        raise InputError(
            f"{outside}: {shown(bounds)} is not in degrees; "
            "name the one that it is in, such as EPSG:32631"
        )
    raise InputError(f"{outside}: {shown(bounds)} is nowhere on the Earth")


def geographic_bounds(bounds: Corners, crs: CRS, what: str) -> Corners:
    """Return west, south, east and north edge of a rectangle in degrees (WGS 84), all finite.

    Raises
    ------
    InputError
        If an edge is no finite number, or does not lie on Earth.
    """
    check_box(bounds, crs, what)
    try:
        west, south, east, north = transform_bounds(crs, LONGITUDE_LATITUDE, *bounds)
    except (CRSError, CPLE_BaseError):  # a plan of a building, the Moon: GDAL says it at length
        raise InputError(
            f"{what} cannot be placed on Earth from its reference system ({_named(crs)})"
        ) from None
    if not np.isfinite((west, south, east, north)).all():
        raise InputError(f"{what} lies outside its projection ({shown(bounds)} in {_named(crs)})")
    return west, south, east, north


def check_place(dataset: rasterio.DatasetReader, what: str) -> None:
    """Refuse an image that has a place, but not on Earth, or whose place cannot be computed with.

    Raises
    ------
    InputError
        If its transform is not finite, its pixels have no area, or it lies outside its projection.
    """
    numbers = tuple(dataset.transform)[:6]
    if not np.isfinite(numbers).all():
        raise InputError(f"{what} has a transform with a number that is not finite: {numbers}")
    if dataset.crs is not None:  # of geoids, half a pixel lies beyond a pole
        geographic_bounds(_around(dataset, 0.5), dataset.crs, what)
    left, bottom, right, top = _around(dataset, 0)
    if not (left < right and bottom < top):
        raise InputError(f"{what} has pixels without an area (transform {numbers})")


def _around(dataset: rasterio.DatasetReader, inset: float) -> Corners:
    """Return the rectangle around an image, so many pixels within its edges."""
    cols, rows = (inset, dataset.width - inset), (inset, dataset.height - inset)
    xs, ys = np.array([dataset.transform @ (col, row) for col in cols for row in rows]).T
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


def shown(bounds: Corners) -> str:
    """Return the corners of a rectangle for people."""
    return "(" + ", ".join(f"{number:.8g}" for number in bounds) + ")"


def _named(crs: CRS) -> str:
    return str(crs.to_string())[:80]  # a definition may go on for pages


def _is_sensible(x: Floats, y: Floats, crs: CRS) -> NDArray[np.bool_]:
    finite = np.isfinite(x) & np.isfinite(y)
    if crs.is_geographic:
        degree = crs.units_factor[1] / np.radians(1)  # some count in gradians
        near = np.abs(x * degree) <= MOST_LONGITUDE
        near &= np.abs(y * degree) <= MOST_LATITUDE
        return np.asarray(finite & near)
    return np.asarray(finite & (np.abs(x) <= MOST_METRES) & (np.abs(y) <= MOST_METRES))


def _is_same(x: Floats, y: Floats, other_x: Floats, other_y: Floats, crs: CRS) -> NDArray[np.bool_]:
    across = np.abs(x - other_x)
    if crs.is_geographic:
        turn = 2 * np.pi / crs.units_factor[1]
        across = np.minimum(across % turn, -across % turn)
        across[np.abs(y) * 4 >= turn - 1e-6] = 0  # a pole has every longitude
        tolerance = TOLERANCE_DEGREES
    else:
        tolerance = TOLERANCE_M / crs.units_factor[1]
    return np.asarray((across <= tolerance) & (np.abs(y - other_y) <= tolerance))


def _transform(x: Floats, y: Floats, source: CRS, target: CRS) -> tuple[Floats, Floats]:
    """Transform points, NaN for those that PROJ refuses: one of them spoils the call for all."""
    if not len(x):
        return x, y
    try:
        first, second = transform(source, target, x, y)
        return np.asarray(first, np.float64), np.asarray(second, np.float64)
    except CPLE_BaseError:
        if len(x) == 1:
            return np.array([np.nan]), np.array([np.nan])
    middle = len(x) // 2
    halves = (
        _transform(x[part], y[part], source, target)
        for part in (slice(middle), slice(middle, None))
    )
    (left_x, left_y), (right_x, right_y) = halves
    return np.concatenate([left_x, right_x]), np.concatenate([left_y, right_y])
