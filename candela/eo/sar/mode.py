"""The mode of a sample: where its density is highest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 400  # of the histogram
TAILS = (0.5, 99.5)  # percentiles beyond which no mode is looked for


def density_mode(values: NDArray[np.floating[Any]], bandwidth: float) -> float:
    """Return the mode of a Gaussian kernel density estimate.

    Parameters
    ----------
    values : ndarray, any shape
        At least one finite value; no NaN.
    bandwidth : float
        Standard deviation of the kernel, in the unit of the values.
    """
    low, high = np.percentile(values, TAILS)
    edges = np.linspace(low - 4 * bandwidth, high + 4 * bandwidth, STEPS + 1)
    counts, _ = np.histogram(values, edges)
    step = edges[1] - edges[0]
    reach = min(max(1, round(3 * bandwidth / step)), STEPS // 2 - 1)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / bandwidth) ** 2)
    best = int(np.argmax(np.convolve(counts, kernel, "same")))
    return float((edges[best] + edges[best + 1]) / 2)
