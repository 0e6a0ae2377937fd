"""The WGS 84 ellipsoid: from degrees and heights to Earth-fixed coordinates."""

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform

Floats = NDArray[np.float64]

SEMI_MAJOR = 6_378_137.0  # m
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)
GEOGRAPHIC = CRS.from_epsg(4326)


def earth_fixed(longitudes: Floats, latitudes: Floats, heights: Floats | float) -> Floats:
    """Return Earth-fixed coordinates.

    Parameters
    ----------
    longitudes, latitudes : ndarray
        Degrees, of one shape.
    heights : ndarray or float
        Metres above the ellipsoid.

    Returns
    -------
    ndarray, shape (3, ...), float64
        Metres.
    """
    up = vertical(longitudes, latitudes)
    normal = SEMI_MAJOR / np.sqrt(1 - ECCENTRICITY_SQUARED * up[2] ** 2)
    points: Floats = up * (normal + heights)
    points[2] -= ECCENTRICITY_SQUARED * normal * up[2]
    return points


def vertical(longitudes: Floats, latitudes: Floats) -> Floats:
    """Return the unit vectors that point up, normal to the ellipsoid, shape (3, ...)."""
    lon, lat = np.radians(longitudes), np.radians(latitudes)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def project(source: CRS, target: CRS, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Transform points between coordinate reference systems; arrays of any one shape."""
    if source == target:
        return x, y
    first, second = transform(source, target, x.ravel(), y.ravel())
    return np.asarray(first).reshape(x.shape), np.asarray(second).reshape(x.shape)
