"""What every method of change detection between two SAR images is to its caller."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Intensity = NDArray[np.float32]
Change = NDArray[np.float32]
LEAST_PROBABILITY = np.float32(1e-6)  # a map is never 0: nodata of many programs


class Detector(Protocol):
    """A method, fitted to a pair of dates."""

    @property
    def halo(self) -> int:
        """Pixels around a block that its values depend on."""
        ...

    def probability(self, before: Intensity, after: Intensity) -> Change:
        """Return the probability of change, above 0 and up to 1; nodata is NaN.

        Parameters
        ----------
        before, after : ndarray, shape (polarisations, rows, cols), float32
            Intensity above 0; nodata is NaN.
        """
        ...

    def levelled(self, before: Intensity, after: Intensity) -> tuple[Intensity, Intensity]:
        """Return both dates as they are compared: smoothed, without a gain between them."""
        ...

    def facts(self) -> dict[str, object]:
        """Return what was estimated, as JSON values."""
        ...


def odds_of(p_value: NDArray[np.float64], level: float) -> Change:
    """Return the probability whose odds are level / p: 0.5 at the level.

    A p-value follows from it again: p = level (1 - c) / c.
    """
    change = (level / (level + p_value)).astype(np.float32)
    return np.maximum(change, LEAST_PROBABILITY)
