"""The equivalent number of looks of an image, estimated from the image itself.

For uncorrelated speckle of L looks, an area of constant mean power m has the variance m^2 / L. In
the window of an image the variance is smaller, since neighbouring pixels are correlated, by the
instrument's impulse response and by resampling. Differences between pixels further apart than the
correlation reaches are free of that.
"""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.eo.sar.mode import density_mode

LAG = 4  # pixels; speckle is uncorrelated there
RADIUS = 7  # of the windows, pixels
BANDWIDTH = 0.12  # of the density of ln(variance / mean^2)
LIMITS = (0.3, 2000.0)  # what an estimate may be
LEAST_WINDOWS = 20

Intensity = NDArray[np.float32]


class Speckle(NamedTuple):
    """Speckle of an image.

    Attributes
    ----------
    looks : float
        Equivalent number of looks.
    correlation : float
        Correlation coefficient of neighbouring pixels, mean of rows and columns.
    """

    looks: float
    correlation: float


def estimate_speckle(samples: Iterable[Intensity], *, lag: int = LAG) -> Speckle:
    """Estimate the equivalent number of looks.

    In windows of 15 x 15 pixels the variogram at a lag of h pixels (4 by default), along
    rows and columns,

        g(h) = mean (x_i - x_(i+h))^2 / 2,

    is the variance of speckle where the mean is constant, whatever the correlation at shorter
    lags; 1 / L is g(h) / m^2. Texture and edges make it larger: L is taken at the mode of
    ln(g / m^2) over the windows. The correlation is 1 - g(1) / g(h) in the windows near the mode.

    Parameters
    ----------
    samples : iterable of ndarray, shape (rows, cols), float32
        Windows of the image, intensity; nodata is NaN. Some 10^5 pixels are enough.
    lag : int
        h in pixels, beyond the correlation of the speckle.

    Returns
    -------
    Speckle

    Raises
    ------
    ValueError
        If no window is free of nodata.
    """
    ratios, near = [], []
    for sample in samples:
        ratio, neighbours = _windows(sample, lag)
        ratios.append(ratio)
        near.append(neighbours)
    ratio, neighbours = np.concatenate(ratios), np.concatenate(near)
    if len(ratio) < LEAST_WINDOWS:
        raise ValueError(f"{len(ratio)} windows of {2 * RADIUS + 1} pixels without nodata")
    mode = density_mode(np.log(ratio), BANDWIDTH)
    low, high = LIMITS
    homogeneous = np.abs(np.log(ratio) - mode) < 2 * BANDWIDTH
    correlation = float(np.median(1 - neighbours[homogeneous] / ratio[homogeneous]))
    return Speckle(float(np.clip(np.exp(-mode), low, high)), min(max(correlation, 0.0), 1.0))


def _windows(image: Intensity, lag: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return g(h) / m^2 and g(1) / m^2 of windows half of whose side they are apart."""
    side = 2 * RADIUS + 1
    if min(image.shape) < side + 2 * lag:
        return np.empty(0), np.empty(0)
    valid = np.isfinite(image)
    power = np.where(valid, image, 0).astype(np.float64)
    mean = _box(power)
    complete = _box(valid.astype(np.float64)) > 1 - 1e-6
    values = [_semivariance(power, each) for each in (lag, 1)]
    inner = (slice(RADIUS + lag, -RADIUS - lag, RADIUS),) * 2
    chosen = complete[inner] & (mean[inner] > 0) & (values[0][inner] > 0)
    scale = mean[inner][chosen] ** 2
    return values[0][inner][chosen] / scale, values[1][inner][chosen] / scale


def _semivariance(power: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    """Return g(lag) of the window around each pixel, mean of rows and columns."""
    total = np.zeros(power.shape)
    for axis in (0, 1):
        difference = np.zeros(power.shape)
        later = [slice(None)] * 2
        earlier = [slice(None)] * 2
        later[axis], earlier[axis] = slice(lag, None), slice(None, -lag)
        middle = [slice(None)] * 2
        middle[axis] = slice(lag // 2, lag // 2 - lag)
        difference[tuple(middle)] = (power[tuple(later)] - power[tuple(earlier)]) ** 2
        total += _box(difference) / 4
    return total


def _box(values: NDArray[np.float64]) -> NDArray[np.float64]:
    side = (2 * RADIUS + 1,) * 2
    return np.asarray(cv2.blur(values, side, borderType=cv2.BORDER_REFLECT))
