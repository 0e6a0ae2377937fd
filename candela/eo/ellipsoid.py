"""The WGS 84 ellipsoid: from degrees and heights to Earth-fixed coordinates."""

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform

Floats = NDArray[np.float64]

SEMI_MAJOR = 6_378_137.0  # m
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)
EDGE_DEGREES = 0.01
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


def ellipsoidal_area(outline: shapely.Geometry) -> float:
    """Return the area of a polygon on the ellipsoid, square metres.

    Parameters
    ----------
    outline : shapely polygon or multipolygon
        Degrees of longitude and latitude; edges are straight between these, as in GeoJSON.

    Notes
    -----
    The polygon is laid out in the cylindrical equal-area projection, in which areas are true
    [1]_ (eqs. 3-12, 10-1 and 10-2): x = a lon, y = a q(lat) / 2. Edges are divided first, to
    0.01 degrees: the error is below 1e-6 of a parcel's area.

    References
    ----------
    .. [1] Snyder, J. P. (1987). Map projections, a working manual. USGS Professional Paper 1395.
       https://doi.org/10.3133/pp1395
    """

    def laid_out(points: Floats) -> Floats:
        sine = np.sin(np.radians(points[:, 1]))
        e = np.sqrt(ECCENTRICITY_SQUARED)
        q = (1 - ECCENTRICITY_SQUARED) * (
            sine / (1 - ECCENTRICITY_SQUARED * sine**2) + np.arctanh(e * sine) / e
        )
        return np.column_stack([SEMI_MAJOR * np.radians(points[:, 0]), SEMI_MAJOR * q / 2])

    divided = shapely.segmentize(outline, EDGE_DEGREES)
    return float(shapely.transform(divided, laid_out).area)


def project(source: CRS, target: CRS, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Transform points between coordinate reference systems; arrays of any one shape."""
    if source == target:
        return x, y
    first, second = transform(source, target, x.ravel(), y.ravel())
    return np.asarray(first).reshape(x.shape), np.asarray(second).reshape(x.shape)
