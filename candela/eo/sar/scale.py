"""What the numbers of a SAR image are: intensity, amplitude or decibels."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Scale = Literal["auto", "intensity", "amplitude", "db"]
Known = Literal["intensity", "amplitude", "db"]
SCALES: tuple[Known, ...] = ("intensity", "amplitude", "db")

LEAST_INTENSITY = 1e-7  # S1tiling's, of pixels with no more power than the noise
NEGATIVE_SHARE = 0.2  # of the values, from which an image is in dB
DARKEST_BYTE = 0.5  # amplitude of a 0 of 8 bits, where 0 is dark and not nodata

Numbers = NDArray[Any]
Intensity = NDArray[np.float32]


def guess_scale(values: Numbers, *, is_whole: bool) -> Known:
    """Decide what the values of all dates are.

    Parameters
    ----------
    values : ndarray, any shape
        A sample of the valid values of all dates.
    is_whole : bool
        Whether the images have an integer type.

    Returns
    -------
    str
        ``db`` if more than a fifth of the values is negative; else ``amplitude`` if they are whole
        numbers, as detected images are stored; else ``intensity``.
    """
    if values.size and np.mean(values < 0) > NEGATIVE_SHARE:
        return "db"
    return "amplitude" if is_whole else "intensity"


def intensity_of(values: Numbers, scale: Known, *, is_byte: bool = False) -> Intensity:
    """Convert stored values to intensity: linear power up to a constant.

    Parameters
    ----------
    values : ndarray, any shape
        Nodata is NaN, or for whole numbers without nodata any number.
    scale : str
        ``amplitude`` A gives A^2, ``db`` d gives 10^(d / 10).
    is_byte : bool
        Whether the values are of 8 bits; a 0 then is the darkest level.

    Returns
    -------
    ndarray, same shape, float32
        At least 1e-7; nodata is NaN.
    """
    numbers = np.asarray(values, np.float32)
    if scale == "db":
        numbers = np.power(np.float32(10), numbers / np.float32(10))
    else:
        if is_byte:
            numbers = np.maximum(numbers, np.float32(DARKEST_BYTE))
        if scale == "amplitude":
            numbers = numbers * numbers
    intensity: Intensity = np.maximum(numbers, np.float32(LEAST_INTENSITY))
    intensity[~np.isfinite(intensity)] = np.nan
    return intensity
