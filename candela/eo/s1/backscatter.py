"""Radar backscatter: power and decibel."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

LEAST_POWER = 1e-4  # -40 dB: below the noise of Sentinel-1


def decibel(power: Image) -> Image:
    """Return 10 log10 of linear power; what is below -40 dB, or no number, becomes -40 dB."""
    return np.float32(10) * np.log10(np.maximum(power, np.float32(LEAST_POWER)))


def linear_power(decibels: Image) -> Image:
    """Return the linear power of backscatter in dB; NaN stays NaN."""
    return np.asarray(np.power(np.float32(10), decibels / np.float32(10)), np.float32)
