"""How variances are distributed over a scene: the prior of each pixel's own."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from .history import SPREAD, SpreadPrior, Whole

STRIDE = 4  # pixels between those that are looked at
LEAST_FREEDOM = 3  # of a variance that says something
MOST_FREEDOM = 60.0
# Before dates tell: a window of nine pixels of 4.4 looks, half of them independent
EARLY = (0.05, 4.0)

Sums = NDArray[np.float64]


class SpreadSurvey:
    """Accumulates the log variances of blocks.

    Notes
    -----
    A pixel's variance v of d degrees of freedom is s0^2 times an F variable of d and d0 degrees
    of freedom. With e = ln v - digamma(d/2) + ln(d/2), the method of moments gives [1]_

        trigamma(d0/2) = var(e) - mean(trigamma(d/2)),
        s0^2 = exp(mean(e) + digamma(d0/2) - ln(d0/2)).

    References
    ----------
    .. [1] Smyth, G. K. (2004). Linear models and empirical Bayes methods for assessing
       differential expression in microarray experiments. SAGMB 3(1).
       https://doi.org/10.2202/1544-6115.1027
    """

    def __init__(self, polarisations: Sequence[str]) -> None:
        self.polarisations = tuple(polarisations)
        self.sums: Sums = np.zeros((len(self.polarisations), 4))
        self.dates = np.zeros(0, np.int64)

    def add(self, bands: Mapping[str, Whole], total: Whole) -> None:
        """Add a block; ``total`` is how many dates each pixel has learned."""
        thin = (slice(None, None, STRIDE), slice(None, None, STRIDE))
        freedom = total[thin].ravel().astype(np.int64) - 1
        counts = np.bincount(freedom + 1)
        longer = max(len(counts), len(self.dates))
        self.dates = np.pad(self.dates, (0, longer - len(self.dates)))
        self.dates[: len(counts)] += counts
        half = np.arange(1, longer + 1) / 2
        for row, name in zip(self.sums, self.polarisations, strict=True):
            spread = bands[f"spread {name}"][thin].ravel() * SPREAD
            used = (freedom >= LEAST_FREEDOM) & (spread > 0)
            number = freedom[used]
            excess = 2 * np.log(spread[used]) - (digamma(half) - np.log(half))[number - 1]
            own = polygamma(1, half)[number - 1]
            row += [len(excess), excess.sum(), (excess**2).sum(), own.sum()]

    def prior(self) -> SpreadPrior:
        """Return the prior that the blocks imply."""
        dates = int(self.dates[1:].argmax()) + 1 if self.dates[1:].any() else 0
        found = [_fitted(*row) for row in self.sums]
        return SpreadPrior(tuple(v for v, _ in found), tuple(d for _, d in found), dates)


def early_prior(polarisations: int) -> SpreadPrior:
    """Return the prior before dates tell of the scene."""
    return SpreadPrior((EARLY[0],) * polarisations, (EARLY[1],) * polarisations)


def _fitted(number: float, total: float, squares: float, own: float) -> tuple[float, float]:
    if number < 2:
        return EARLY
    mean = total / number
    half = _inverse_trigamma(max(squares / number - mean**2 - own / number, 1e-3))
    half = min(half, MOST_FREEDOM / 2)
    return float(np.exp(mean + digamma(half) - np.log(half))), 2 * half


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method on 1 / trigamma, which is nearly linear."""
    x = 0.5 + 1 / value
    for _ in range(20):
        here = polygamma(1, x)
        x += here * (1 - here / value) / polygamma(2, x)
    return float(x)
