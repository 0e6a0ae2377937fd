"""How terrain looks from a radar: incidence angles, layover, shadow and radiometric correction."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Flags = NDArray[np.bool_]

HALO = 1  # pixels of heights around those that angles are wanted for
CELL = 3  # pixels of the image a side, over which the area of the terrain is summed
LEAST_AREA = 0.05  # of that of flat ground seen at 90 degrees, below which nothing is corrected


class Slopes(NamedTuple):
    """How the ground rises, metres per metre.

    Attributes
    ----------
    across, down : ndarray, shape (rows, cols), float32
        Along growing columns and rows.
    """

    across: Singles
    down: Singles


def slopes(heights: Singles, across_m: float, down_m: float) -> Slopes:
    """Return the slopes of a surface by central differences.

    Parameters
    ----------
    heights : ndarray, shape (rows + 2, cols + 2), float32
        With one pixel around those that are wanted, metres.
    across_m, down_m : float
        Size of a pixel, metres.

    Returns
    -------
    Slopes
        NaN beside unknown heights.
    """
    inner = heights[1:-1], heights[:, 1:-1]
    across = (inner[0][:, 2:] - inner[0][:, :-2]) * np.float32(0.5 / across_m)
    down = (inner[1][2:] - inner[1][:-2]) * np.float32(0.5 / down_m)
    return Slopes(across, down)


def facing(surface: Slopes, directions: Singles) -> Singles:
    """Return how much area of the ground faces the radar, per area of the map.

    Parameters
    ----------
    surface : Slopes
        Of the ground.
    directions : ndarray, shape (3, rows, cols), float32
        Unit vectors to the radar: along columns, along rows, up.

    Returns
    -------
    ndarray, shape (rows, cols), float32
        Area of a facet, projected onto the plane normal to the line of sight, over the area of
        its pixel: the cosine of the incidence angle on flat ground, more on slopes that face the
        radar, 0 and less where the ground faces away.
    """
    across, down, up = directions
    area: Singles = up - surface.across * across - surface.down * down
    return area


def local_incidence_angle(surface: Slopes, directions: Singles) -> Singles:
    """Return the angle between the line of sight and the normal of the ground.

    Parameters
    ----------
    surface, directions
        As for ``facing``.

    Returns
    -------
    ndarray, shape (rows, cols), float32
        Degrees, 0..180; above 90 where the ground faces away.
    """
    steepness = np.sqrt(1 + surface.across**2 + surface.down**2)
    cosine = np.clip(facing(surface, directions) / steepness, -1, 1)
    angle: Singles = np.degrees(np.arccos(cosine))
    return angle


def ellipsoid_incidence_angle(directions: Singles) -> Singles:
    """Return the angle between the line of sight and the vertical, degrees."""
    angle: Singles = np.degrees(np.arccos(np.clip(directions[2], -1, 1)))
    return angle


def layover(surface: Slopes, directions: Singles) -> Flags:
    """Tell where the ground is steeper than the line of sight, so that it is imaged upside down.

    Only slopes that cause layover count, not what lies below and above them in the same cells.
    """
    across, down, up = directions
    horizontal = np.sqrt(across**2 + down**2)
    rise = -(surface.across * across + surface.down * down) / horizontal
    flags: Flags = rise * up > horizontal
    return flags


def shadow(surface: Slopes, directions: Singles) -> Flags:
    """Tell where the ground faces away from the radar.

    Only slopes that cast shadow count, not what lies behind them.
    """
    flags: Flags = facing(surface, directions) <= 0
    return flags


def flattening_factor(
    lines: Singles, pixels: Singles, area: Singles, reference_area: Singles
) -> Singles:
    """Simulate the brightness that terrain alone gives an image.

    Parameters
    ----------
    lines, pixels : ndarray, shape (rows, cols), float32
        Where points of the ground lie in the image; NaN where they do not.
    area : ndarray, shape (rows, cols), float32
        What of the ground of each point faces the radar, square metres (``facing`` times the area
        of a pixel); what is not above 0 counts nothing.
    reference_area : ndarray, shape (rows, cols), float32
        Area of a pixel of the image in the slant range plane, square metres.

    Returns
    -------
    ndarray, shape (rows, cols), float32
        Area facing the radar of all points in the same cell of the image, over the reference area:
        the cotangent of the incidence angle on flat ground. beta0 divided by it is
        terrain-flattened gamma0. NaN outside of the image and where too little faces the radar.

    Notes
    -----
    The areas of all facets that are seen at the same time and distance are added up, so slopes in
    layover share their brightness, as in [1]_. Cells have 3 x 3 pixels of the image, and each
    point's area is spread over four of them by its distance from their centres. Points outside of
    the arrays are missing in cells at their border: they need a margin as wide as terrain is
    displaced. What hills in front hide is not left out.

    References
    ----------
    .. [1] D. Small, Flattening gamma: radiometric terrain correction for SAR imagery, IEEE
       Transactions on Geoscience and Remote Sensing 49(8), 3081-3093, 2011,
       doi:10.1109/TGRS.2011.2120616.
    """
    factor = np.full(lines.shape, np.nan, dtype=np.float32)
    seen = np.isfinite(lines) & np.isfinite(area)
    if not seen.any():
        return factor
    y, x = (axis[seen] / np.float32(CELL) for axis in (lines, pixels))
    y -= np.floor(y.min()) - 1
    x -= np.floor(x.min()) - 1
    total = _sum_over_cells(y, x, np.maximum(area[seen], 0))
    values = _look_up(total.astype(np.float32), y, x)
    values /= reference_area[seen] * np.float32(CELL**2)
    values[values < LEAST_AREA] = np.nan
    factor[seen] = values
    return factor


def _sum_over_cells(y: Singles, x: Singles, area: Singles) -> NDArray[np.float64]:
    """Spread areas over the four cells around each point, and add up."""
    rows, cols = int(y.max()) + 3, int(x.max()) + 3
    row, col = y.astype(np.int64), x.astype(np.int64)
    down, right = y - row, x - col
    cell = row * cols + col
    total = np.zeros(rows * cols)
    for offset, weight in (
        (0, (1 - down) * (1 - right)),
        (1, (1 - down) * right),
        (cols, down * (1 - right)),
        (cols + 1, down * right),
    ):
        total += np.bincount(cell + offset, weights=area * weight, minlength=rows * cols)
    return total.reshape(rows, cols)


def _look_up(values: Singles, y: Singles, x: Singles) -> Singles:
    """Interpolate bilinearly at points, some thousand side by side: cv2 takes no longer rows."""
    width = 4096
    padded = -len(y) % width
    places = [np.pad(axis, (0, padded), mode="edge").reshape(-1, width) for axis in (x, y)]
    found: Singles = cv2.remap(
        values, places[0], places[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found.reshape(-1)[: len(y)]
