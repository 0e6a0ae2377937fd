"""Likelihood ratio tests for change of multi-looked intensities: pairs and sequences.

Intensities of n looks are gamma distributed with shape n, independently for each polarisation: a
diagonal complex Wishart matrix. Of p polarisations and k dates, the null hypothesis is that the
means of each polarisation are equal on all dates.

The statistic -2 rho ln Q has, up to terms of order n^-3, the distribution

    P(-2 rho ln Q <= z) = (1 - w2) P(chi2(f) <= z) + w2 P(chi2(f + 4) <= z),   f = p (k - 1)

with, for dates of n_i looks and N = sum n_i,

    rho = 1 - (sum 1/n_i - 1/N) / (6 (k - 1)),   w2 = -f/4 (1 - 1/rho)^2.

References
----------
.. [1] Conradsen, K., Nielsen, A. A., Schou, J., Skriver, H. (2003). A test statistic in the complex
   Wishart distribution and its application to change detection in polarimetric SAR data. IEEE TGRS
   41(1), 4-19. https://doi.org/10.1109/TGRS.2002.808066
.. [2] Conradsen, K., Nielsen, A. A., Skriver, H. (2016). Determining the points of change in time
   series of polarimetric SAR data. IEEE TGRS 54(5), 3007-3024.
   https://doi.org/10.1109/TGRS.2015.2510160
.. [3] Nielsen, A. A., Skriver, H., Conradsen, K. (2020). The Loewner order and direction of
   detected change in Sentinel-1 and Radarsat-2 data. IEEE GRSL 17(2), 242-246.
   https://doi.org/10.1109/LGRS.2019.2918636
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

Intensity = NDArray[np.float32]
Values = NDArray[np.floating[Any]]
Looks = float | Values


class Direction(IntEnum):
    """How backscatter changed, by the Loewner order of the covariance matrices [3]_."""

    NONE = 0
    BRIGHTER = 1  # the difference is positive definite: more power in all polarisations
    DARKER = 2  # negative definite: less power in all
    OTHER = 3  # indefinite: more in one, less in another


class LikelihoodRatio(NamedTuple):
    """A test statistic and its significance.

    Attributes
    ----------
    statistic : ndarray, shape (rows, cols), float64
        -2 ln Q, at least 0; nodata is NaN.
    p_value : ndarray, shape (rows, cols), float64
        Probability of a statistic at least as large without change; nodata is NaN.
    """

    statistic: NDArray[np.float64]
    p_value: NDArray[np.float64]


def corrected_p_value(
    statistic: Values, freedom: int | Values, inverse: float | Values
) -> NDArray[np.float64]:
    """Return the upper tail probability of -2 ln Q, with the correction terms of order n^-2.

    Parameters
    ----------
    statistic : ndarray, any shape
        -2 ln Q.
    freedom : int, or ndarray of the same shape
        f = p (k - 1), degrees of freedom.
    inverse : float, or ndarray of the same shape
        (sum 1/n_i - 1/N) / (k - 1), 1 / looks.

    Returns
    -------
    ndarray, same shape, float64
        0 to 1; nodata is NaN.
    """
    rho = 1 - np.asarray(inverse, np.float64) / 6
    omega = -np.asarray(freedom) / 4 * (1 - 1 / rho) ** 2
    scaled = rho * np.asarray(statistic, np.float64)
    tail = (1 - omega) * _upper_tail(freedom, scaled)
    tail += omega * _upper_tail(freedom + 4, scaled)
    return np.asarray(np.clip(tail, 0, 1))


def _upper_tail(freedom: int | Values, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P(chi2(f) > value); a sum of Poisson probabilities where f is one even number."""
    if not isinstance(freedom, int) or freedom % 2:
        return np.asarray(chdtrc(freedom, value))
    half = value / 2
    term = np.exp(-half)
    total = term.copy()
    for k in range(1, freedom // 2):
        term *= half / k
        total += term
    return np.asarray(total)


def compare(before: Intensity, after: Intensity, looks: tuple[Looks, Looks]) -> LikelihoodRatio:
    """Test two dates, or two groups of dates, for equal means.

    For n and m looks and means x and y of each polarisation,

        -2 ln Q = 2 sum [ (n + m) ln((n x + m y) / (n + m)) - n ln x - m ln y ].

    Parameters
    ----------
    before, after : ndarray, shape (polarisations, rows, cols), float32
        Intensity in any unit, above 0; nodata is NaN.
    looks : tuple
        n and m: numbers, or arrays of shape (rows, cols) or (polarisations, rows or 1, cols or 1).

    Returns
    -------
    LikelihoodRatio
    """
    n, m = (_by_polarisation(each) for each in looks)
    statistic = np.zeros(before.shape[1:])
    for k, (x, y) in enumerate(zip(before.astype(np.float64), after, strict=True)):
        first, second = n[min(k, len(n) - 1)], m[min(k, len(m) - 1)]
        pooled = (first * x + second * y) / (first + second)
        statistic -= 2 * (first * np.log(x / pooled) + second * np.log(y / pooled))
    statistic = np.maximum(statistic, 0)
    inverse = (1 / n + 1 / m - 1 / (n + m)).mean(axis=0)
    return LikelihoodRatio(statistic, corrected_p_value(statistic, len(before), inverse))


def _by_polarisation(looks: Looks) -> NDArray[np.float64]:
    """Return looks with an axis of polarisations."""
    array = np.asarray(looks, np.float64)
    return array if array.ndim == 3 else np.broadcast_to(array, (1, *(array.shape or (1, 1))))


def omnibus(images: Sequence[Intensity], looks: Sequence[float]) -> LikelihoodRatio:
    """Test all dates for equal means [1]_.

        -2 ln Q = 2 sum [ N ln(sum n_i x_i / N) - sum n_i ln x_i ]

    Parameters
    ----------
    images : sequence of ndarray, shape (polarisations, rows, cols), float32
        Intensity of each date, above 0; a date with nodata, NaN, at a pixel is left out there.
    looks : sequence of float
        n_i, equivalent number of looks of each date.

    Returns
    -------
    LikelihoodRatio
        NaN where fewer than two dates have data.
    """
    pooled = _Pooled(images[0].shape)
    for image, n in zip(images, looks, strict=True):
        pooled.add(image, n)
    return pooled.test()


class _Pooled:
    """Sums over dates that the omnibus statistic follows from."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._power = np.zeros(shape)
        self._logs = np.zeros(shape[1:])
        self._looks = np.zeros(shape[1:])
        self._inverse = np.zeros(shape[1:])
        self._count = np.zeros(shape[1:], np.int16)

    def add(self, image: Intensity, looks: float) -> None:
        """Add a date."""
        valid = np.isfinite(image).all(axis=0)
        filled = np.where(valid, image, 1).astype(np.float64)
        self._power += looks * valid * filled
        self._logs += looks * np.log(filled).sum(axis=0)
        self._looks += looks * valid
        self._inverse += valid / looks
        self._count += valid

    def test(self) -> LikelihoodRatio:
        """Test the dates added so far."""
        bands = len(self._power)
        groups = np.where(self._count > 1, self._count - 1, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            means = np.log(self._power / self._looks).sum(axis=0)
            statistic = np.maximum(2 * (self._looks * means - self._logs), 0)
            statistic[self._count < 2] = np.nan
            inverse = (self._inverse - 1 / self._looks) / groups
            return LikelihoodRatio(statistic, corrected_p_value(statistic, bands * groups, inverse))


def find_changes(
    images: Sequence[Intensity], looks: Sequence[float], significance: float
) -> NDArray[np.uint8]:
    """Find the intervals in which each pixel changed, and how [2]_.

    From the first date l of a segment, the omnibus test of all dates from l on decides whether
    there is any change left; if so, the first date j whose mean differs from the pooled mean of
    l ... j - 1 (factor R_j of the omnibus statistic) is a change, and begins the next segment.

    Parameters
    ----------
    images : sequence of ndarray, shape (polarisations, rows, cols), float32
        Intensity of each date in order, above 0. A date with nodata, NaN, at a pixel is passed
        over there.
    looks : sequence of float
        Equivalent number of looks of each date.
    significance : float
        Level of both tests, 0 to 1.

    Returns
    -------
    ndarray, shape (dates - 1, rows, cols), uint8
        ``Direction`` of the change in the interval that ends with each date but the first, against
        the mean of the segment before.
    """
    remaining = _tests_from_each_date(images, looks, significance)
    found = np.zeros((len(images) - 1, *images[0].shape[1:]), np.uint8)
    mean, total = images[0], np.where(np.isfinite(images[0][0]), looks[0], 0.0)
    is_open = remaining[0]  # whether a change is left in the dates from the segment's first on
    for j, (image, n) in enumerate(zip(images[1:], looks[1:], strict=True), 1):
        valid = np.isfinite(image).all(axis=0)
        known = total > 0
        tested = compare(mean, image, (np.where(known, total, n), n))
        changed = is_open & (tested.p_value <= significance)  # NaN compares as false
        found[j - 1][changed] = direction(mean, image)[changed]
        is_open = np.where(changed | (valid & ~known), remaining[j], is_open)
        total = np.where(changed, 0.0, total)
        share = np.where(valid, n / (total + n), 0)
        before = np.where(total > 0, mean, 0)
        mean = np.where(valid, before + share * (image - before), mean).astype(np.float32)
        total = total + n * valid
    return found


def _tests_from_each_date(
    images: Sequence[Intensity], looks: Sequence[float], significance: float
) -> list[NDArray[np.bool_]]:
    """Return for each date whether the omnibus test of it and all later ones is significant."""
    pooled = _Pooled(images[0].shape)
    results = []
    for image, n in zip(reversed(images), reversed(looks), strict=True):
        pooled.add(image, n)
        results.append(np.asarray(pooled.test().p_value <= significance))
    return results[::-1]


def direction(before: Intensity, after: Intensity) -> NDArray[np.uint8]:
    """Return the ``Direction`` of the difference of two dates, shape (rows, cols).

    Parameters
    ----------
    before, after : ndarray, shape (polarisations, rows, cols), float32
        Intensity; nodata is NaN and gives ``Direction.NONE``.
    """
    difference = after - before
    brighter, darker = (difference > 0).all(axis=0), (difference < 0).all(axis=0)
    result = np.full(brighter.shape, Direction.OTHER, np.uint8)
    result[brighter] = Direction.BRIGHTER
    result[darker] = Direction.DARKER
    result[np.isnan(difference).any(axis=0)] = Direction.NONE
    return result
