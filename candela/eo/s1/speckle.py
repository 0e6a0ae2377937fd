"""Speckle filters for radar images in linear power, all with a square window.

The noise model is multiplicative: a homogeneous area of mean power m and L looks has the variance
m^2 / L. Pixels of 0 have no data: they stay 0 and take no part in their neighbours' windows. An
image's border is treated as if no data lay beyond it, so a block with a margin of ``radius``
pixels gives what the whole image gives.
"""

from collections import defaultdict
from typing import Literal, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Filter = Literal["lee", "kuan", "frost", "gamma_map"]
Power = NDArray[np.float32]

DAMPING = 2.0  # of Frost's filter
LEAST_MEAN = 1e-12  # below all powers: windows without data divide by it


class _Statistics(NamedTuple):
    """Mean and squared coefficient of variation of each pixel's window."""

    mean: Power
    variation: Power


def despeckle(
    power: Power, method: Filter, *, radius: int = 2, looks: float = 4.4, damping: float = DAMPING
) -> Power:
    """Reduce speckle.

    Parameters
    ----------
    power : ndarray, shape (rows, cols), float32
        Linear power, at least 0; 0 is nodata.
    method : str
        ``lee``, ``kuan``, ``frost`` or ``gamma_map``.
    radius : int
        The window has 2 * radius + 1 pixels a side.
    looks : float
        Equivalent number of looks; for Lee's, Kuan's and the gamma filter. That of Sentinel-1 IW
        GRDH is about 4.4.
    damping : float
        How fast weights fall with distance in Frost's filter.

    Returns
    -------
    ndarray, shape (rows, cols), float32
        Nodata is 0.

    Notes
    -----
    The formulas are those of Orfeo ToolBox, which goes by the variance over n - 1 pixels.
    Different are: the border of the image and of nodata (there it repeats the outermost pixels,
    and takes nodata as dark), and very dark areas (where the variance is below 1e-10 it gives the
    mean).

    References
    ----------
    .. [1] J.-S. Lee, Digital image enhancement and noise filtering by use of local statistics,
       IEEE PAMI 2 (1980), doi:10.1109/TPAMI.1980.4766994.
    .. [2] V. S. Frost et al., A model for radar images and its application to adaptive digital
       filtering of multiplicative noise, IEEE PAMI 4 (1982), doi:10.1109/TPAMI.1982.4767223.
    .. [3] D. T. Kuan et al., Adaptive noise smoothing filter for images with signal-dependent
       noise, IEEE PAMI 7 (1985), doi:10.1109/TPAMI.1985.4767641.
    .. [4] A. Lopes et al., Structure detection and statistical adaptive speckle filtering in SAR
       images, Int. J. Remote Sensing 14 (1993), doi:10.1080/01431169308953999.
    """
    statistics = _statistics(power, radius)
    with np.errstate(divide="ignore", invalid="ignore"):
        if method == "frost":
            filtered = _frost(power, statistics, radius, damping)
        elif method == "gamma_map":
            filtered = _gamma_map(power, statistics, looks)
        else:
            filtered = _linear(power, statistics, looks, dampened=method == "kuan")
    filtered[power == 0] = 0
    return filtered


def _statistics(power: Power, radius: int) -> _Statistics:
    side = (2 * radius + 1,) * 2
    double = cv2.CV_64F

    def total(values: NDArray[np.floating | np.uint8]) -> NDArray[np.float64]:
        return cast(
            "NDArray[np.float64]",
            cv2.boxFilter(values, double, side, normalize=False, borderType=cv2.BORDER_CONSTANT),
        )

    count = np.maximum(total((power > 0).view(np.uint8)), 1)
    mean = total(power)
    mean /= count
    variance = total(np.square(power, dtype=np.float64))
    variance -= count * mean**2
    variance /= np.maximum(count - 1, 1)
    variation = np.maximum(variance, 0) / np.maximum(mean, LEAST_MEAN) ** 2
    return _Statistics(mean.astype(np.float32), variation.astype(np.float32))


def _linear(power: Power, statistics: _Statistics, looks: float, *, dampened: bool) -> Power:
    """Blend pixel and mean, after Lee or (dampened) Kuan."""
    mean, variation = statistics
    speckle = np.float32(1 / looks)
    weight = 1 - speckle / variation
    if dampened:
        weight /= 1 + speckle
    weight[variation <= speckle] = 0
    blended: Power = mean + weight * (power - mean)
    return blended


def _gamma_map(power: Power, statistics: _Statistics, looks: float) -> Power:
    """Return the most probable power where the scene is gamma distributed."""
    mean, variation = statistics
    speckle = np.float32(1 / looks)
    shape = (1 + speckle) / (variation - speckle)
    linear = (shape - np.float32(looks) - 1) * mean
    root = np.sqrt(linear**2 + 4 * shape * np.float32(looks) * mean * power)
    result = (linear + root) / (2 * shape)
    result = np.where(variation < 2 * speckle, result, power)  # beyond: a point, kept as it is
    chosen: Power = np.where(variation <= speckle, mean, result)
    return chosen


def _frost(power: Power, statistics: _Statistics, radius: int, damping: float) -> Power:
    """Weight neighbours by exp(-damping * variation * distance).

    Pixels at one distance have one weight, so their sum is a convolution.
    """
    valid = (power > 0).astype(np.float32)
    total, norm = power.copy(), valid.copy()
    rate = np.float32(-damping) * statistics.variation
    for distance, ring in _rings(radius):
        weight = np.exp(rate * np.float32(distance))
        total += weight * cv2.filter2D(power, -1, ring, borderType=cv2.BORDER_CONSTANT)
        norm += weight * cv2.filter2D(valid, -1, ring, borderType=cv2.BORDER_CONSTANT)
    total /= norm
    return total


def _rings(radius: int) -> list[tuple[float, NDArray[np.float32]]]:
    """Return the distances of the window's pixels from its middle, and a kernel for each."""
    rings: dict[int, NDArray[np.float32]] = defaultdict(
        lambda: np.zeros((2 * radius + 1,) * 2, dtype=np.float32)
    )
    for row in range(-radius, radius + 1):
        for col in range(-radius, radius + 1):
            if row or col:
                rings[row**2 + col**2][row + radius, col + radius] = 1
    return [(float(np.sqrt(squared)), ring) for squared, ring in sorted(rings.items())]
