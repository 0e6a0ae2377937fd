"""Spectral features: indices, quantiles, and a polar histogram around the mean spectrum."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Codes = NDArray[np.uint8]

LUMINANCE = (0.2126, 0.7152, 0.0722)  # of red, green and blue (ITU-R BT.709)
LEVELS = 64  # bins of the square root of reflectance, narrower at low reflectance
SECTORS = 12
RINGS = (0.5, 1.0, 1.5, 2.0, 3.0)  # inner radii of the second to the last ring
POLAR_CODES = SECTORS * (len(RINGS) + 1)
_TINY = np.float32(1e-6)


def luminance(red: Image, green: Image, blue: Image) -> Image:
    """Return 0.2126 R + 0.7152 G + 0.0722 B (ITU-R BT.709), shape (rows, cols), unitless."""
    weights = np.array(LUMINANCE, np.float32)
    return np.asarray(weights[0] * red + weights[1] * green + weights[2] * blue, np.float32)


def normalised_difference(first: Image, second: Image) -> Image:
    """Return (first - second) / (first + second), -1..1; 0 where both are 0.

    Notes
    -----
    NDVI [1]_ is that of B08 and B04, NDWI [2]_ of B03 and B08, NDBI [3]_ of B11 and B08.

    References
    ----------
    .. [1] Tucker, C. J. (1979). Red and photographic infrared linear combinations for monitoring
       vegetation. Remote Sens. Environ. 8(2), 127-150.
       https://doi.org/10.1016/0034-4257(79)90013-0
    .. [2] McFeeters, S. K. (1996). The use of the normalized difference water index (NDWI) in the
       delineation of open water features. Int. J. Remote Sens. 17(7), 1425-1432.
       https://doi.org/10.1080/01431169608948714
    .. [3] Zha, Y., Gao, J., Ni, S. (2003). Use of normalized difference built-up index in
       automatically mapping urban areas from TM imagery. Int. J. Remote Sens. 24(3), 583-594.
       https://doi.org/10.1080/01431160304987
    """
    total = first + second
    difference = first - second
    ratio: Image = np.divide(difference, total, out=np.zeros_like(total), where=total > _TINY)
    return ratio


def reflectance_levels(reflectance: Image) -> Codes:
    """Return the bin of each reflectance x, floor(64 sqrt(clip(x, 0, 1))), at most 63; uint8."""
    root = np.sqrt(np.clip(reflectance, 0, 1))
    return np.minimum((root * LEVELS).astype(np.uint8), LEVELS - 1)


def level_quantile(shares: Image, quantile: float) -> Image:
    """Return a quantile of reflectance from its histogram, by linear interpolation in a bin.

    Parameters
    ----------
    shares : ndarray, shape (64, n), float32
        Histograms of ``reflectance_levels``, of any sum.
    quantile : float
        0..1.

    Returns
    -------
    ndarray, shape (n,), float32
        Reflectance, interpolated linearly in its square root; 0 where a histogram is empty.
    """
    total = np.cumsum(shares, axis=0, dtype=np.float32)
    wanted = np.float32(quantile) * total[-1]
    level = np.argmax(total >= wanted, axis=0)
    column = np.arange(shares.shape[1])
    here = shares[level, column]
    before = total[level, column] - here
    within = np.divide(wanted - before, here, out=np.zeros_like(wanted), where=here > 0)
    return np.asarray(np.square((level + within) / LEVELS), np.float32)


class PolarPlane(NamedTuple):
    """The plane of the first two principal components of spectra, whitened.

    Coordinate k of a spectrum x is a_k (x - m), a_k = v_k / sqrt(l_k), with the mean m and the
    eigenvectors v and eigenvalues l of the covariance of spectra.

    Attributes
    ----------
    centre : tuple of float
        m, the mean reflectance of each band.
    axes : tuple of two tuple of float
        a_1 and a_2; both coordinates have variance 1.
    """

    centre: tuple[float, ...]
    axes: tuple[tuple[float, ...], tuple[float, ...]]

    @classmethod
    def of(cls, spectra: NDArray[np.float64]) -> "PolarPlane":
        """Compute the plane of spectra (bands, n); the weights of each axis have a positive sum."""
        centre = spectra.mean(axis=1)
        values, vectors = np.linalg.eigh(np.cov(spectra))
        first, second = (
            vectors[:, index] * np.sign(vectors[:, index].sum()) / np.sqrt(values[index])
            for index in (-1, -2)
        )
        return cls(tuple(centre.tolist()), (tuple(first.tolist()), tuple(second.tolist())))


def polar_codes(bands: Image, plane: PolarPlane) -> Codes:
    """Return the bin of each pixel in a polar histogram around the mean spectrum.

    With both coordinates p and q of the plane, sector = floor(12 atan2(q, p) / 2 pi) mod 12, and
    ring is that of hypot(p, q) with the radii 0.5, 1, 1.5, 2 and 3 standard deviations.

    Parameters
    ----------
    bands : ndarray, shape (bands, rows, cols), float32
        Reflectance, unitless, without NaN.
    plane : PolarPlane
        The same for all images that are to be compared.

    Returns
    -------
    ndarray, shape (rows, cols), uint8
        ``ring * 12 + sector``, 0..71.
    """
    count, rows, cols = bands.shape
    axes = np.array(plane.axes, np.float32)
    offset = axes @ np.array(plane.centre, np.float32)
    first, second = axes @ bands.reshape(count, -1) - offset[:, None]
    angle = np.arctan2(second, first) * np.float32(SECTORS / (2 * np.pi))
    sector = np.floor(angle).astype(np.int8) % SECTORS
    ring = np.searchsorted(np.array(RINGS, np.float32), np.hypot(first, second), side="right")
    return np.asarray(ring * SECTORS + sector, np.uint8).reshape(rows, cols)
