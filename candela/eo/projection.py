"""From one coordinate reference system to another, within what both can express.

Outside of its domain a projection answers with an error, with numbers that are not finite, or with
the place of another point: all of these are the same here, a point without a place.
"""

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.warp import transform

from candela.errors import InputError

Floats = NDArray[np.float64]
Corners = tuple[float, float, float, float]

MOST_LONGITUDE = 540.0  # degrees: once around beyond the antimeridian
MOST_METRES = 1e9
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
        raise InputError(f"{what} {shown(bounds)} has a number that is not finite")
    corners = np.array(bounds)
    if _is_sensible(corners[::2], corners[1::2], crs).all():
        return
    if crs.is_geographic:
        raise InputError(
            f"{what} {shown(bounds)} is not in degrees, but its reference system {crs} is: "
            "name the one that it is in, such as EPSG:32631"
        )
    raise InputError(f"{what} {shown(bounds)} is nowhere on the Earth in {crs}")


def shown(bounds: Corners) -> str:
    """Return the corners of a rectangle for people."""
    return "(" + ", ".join(f"{number:.8g}" for number in bounds) + ")"


def _is_sensible(x: Floats, y: Floats, crs: CRS) -> NDArray[np.bool_]:
    finite = np.isfinite(x) & np.isfinite(y)
    if crs.is_geographic:
        degree = crs.units_factor[1] / np.radians(1)  # some count in gradians
        near = (np.abs(x * degree) <= MOST_LONGITUDE) & (np.abs(y * degree) <= 90 + 1e-9)
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
