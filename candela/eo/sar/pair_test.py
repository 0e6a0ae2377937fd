"""The likelihood ratio test of a pair of dates, with its null distribution.

Land that has not changed differs between two dates by more than speckle: moisture, growth and wind
change backscatter a little everywhere. The empirical null distribution takes that up: a gain of
each polarisation, the looks that the spread of the log-ratio stands for, and the weight of the
tails, all of them from the pair itself.

References
----------
.. [1] Efron, B. (2004). Large-scale simultaneous hypothesis testing: the choice of a null
   hypothesis. JASA 99(465), 96-104. https://doi.org/10.1198/016214504000000089
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import fdtrc, fdtri, polygamma

from candela.eo.sar.mode import density_mode
from candela.eo.sar.omnibus import compare

QUANTILES = (0.5, 0.97)  # of the statistic, which its null distribution is fitted at
HEAVIEST, LIGHTEST = 10.0, 1e4  # degrees of freedom of the denominator
LOOKS_RANGE = (0.2, 1e4)
MAD_TO_DEVIATION = 1.4826
CLUSTER_SIDE = 5  # pixels
CLUSTER_DEVIATIONS = 5.0
CLUSTER_PASSES = 3
MODE_BANDWIDTH = 0.3  # of the mode of the log-ratio, in standard deviations

Intensity = NDArray[np.float32]
Looks = tuple[float, ...]  # of each polarisation


@dataclass(frozen=True)
class PairTest:
    """A test for change between two dates.

    Attributes
    ----------
    looks : tuple of two tuple of float
        Equivalent number of looks of each date and polarisation.
    gain : tuple of float
        ln of the ratio, after to before, of what has not changed, for each polarisation.
    spread : float
        Factor of the statistic -2 ln Q relative to its theoretical distribution.
    tail : float
        Degrees of freedom of the denominator of the F distribution; infinite for the theoretical
        one, chi-squared with correction terms.
    """

    looks: tuple[Looks, Looks]
    gain: tuple[float, ...]
    spread: float = 1.0
    tail: float = math.inf

    def p_value(self, before: Intensity, after: Intensity) -> NDArray[np.float64]:
        """Return the probability of a difference at least as large without change.

        Parameters
        ----------
        before, after : ndarray, shape (polarisations, rows, cols), float32
            Intensity above 0; nodata is NaN.

        Returns
        -------
        ndarray, shape (rows, cols), float64
            0 to 1; nodata is NaN.
        """
        n, m = (np.array(looks)[:, None, None] for looks in self.looks)
        tested = compare(before, self.without_gain(after), (n, m))
        if math.isinf(self.tail):
            return tested.p_value
        return f_upper_tail(len(before), self.tail, tested.statistic / self.spread)

    def without_gain(self, after: Intensity) -> Intensity:
        """Return the later date at the level of the earlier one."""
        factors = np.exp(-np.array(self.gain, np.float32))
        return np.asarray(after * factors[:, None, None])


def f_upper_tail(freedom: int, tail: float, statistic: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P(f F(f, tail) > statistic): of chi-squared over chi-squared per degree of freedom."""
    if freedom == 2:
        return np.asarray((1 + statistic / tail) ** (-tail / 2))
    return np.asarray(fdtrc(freedom, tail, statistic / freedom))


def quiet_pixels(before: Intensity, after: Intensity) -> NDArray[np.bool_]:
    """Tell which pixels may stand for no change: those without a cluster of change around them.

    The log-ratio is averaged over 5 x 5 pixels; where it is further from its mode than five robust
    standard deviations in any polarisation, the pixel is left out. The standard deviation is
    estimated again without what was left out.

    Parameters
    ----------
    before, after : ndarray, shape (polarisations, rows, cols), float32
        Intensity above 0; nodata is NaN.

    Returns
    -------
    ndarray, shape (rows, cols), bool
        False where a date has nodata.
    """
    valid = np.asarray(np.isfinite(before).all(axis=0) & np.isfinite(after).all(axis=0))
    weight = np.maximum(_box(valid.astype(np.float32)), np.float32(1e-6))
    quiet = valid.copy()
    for x, y in zip(before, after, strict=True):
        with np.errstate(invalid="ignore"):
            ratio = np.where(valid, np.log(y / x), np.float32(0)).astype(np.float32)
        mean = _box(ratio) / weight
        kept = valid
        for _ in range(CLUSTER_PASSES):
            values = mean[kept].astype(np.float64)
            if values.size == 0:
                break
            middle, deviation = robust_centre(values)
            kept = valid & (np.abs(mean - middle) <= CLUSTER_DEVIATIONS * deviation)
        quiet &= kept
    return quiet


def robust_centre(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mode, and 1.4826 times the median absolute deviation from it."""
    width = MAD_TO_DEVIATION * float(np.median(np.abs(values - np.median(values))))
    if width <= 0:
        return float(np.median(values)), 0.0
    mode = density_mode(values, MODE_BANDWIDTH * width)
    return mode, MAD_TO_DEVIATION * float(np.median(np.abs(values - mode)))


def _box(image: NDArray[np.float32]) -> NDArray[np.float32]:
    side = (CLUSTER_SIDE, CLUSTER_SIDE)
    return np.asarray(cv2.blur(image, side, borderType=cv2.BORDER_CONSTANT), np.float32)


def fit_pair_test(
    before: Intensity, after: Intensity, looks: tuple[Sequence[float], Sequence[float]]
) -> PairTest:
    """Fit the empirical null distribution to a sample of pixels [1]_.

    1. The gain of each polarisation is the mode of d = ln(y / x).
    2. The looks n and m of the images are scaled by the factor k for which the variance of d,
       psi1(k n) + psi1(k m), is (1.4826 MAD)^2; their ratio is kept.
    3. -2 ln Q is taken as spread * f * F(f, tail), with the quantiles .5 and .97 of the sample.

    Parameters
    ----------
    before, after : ndarray, shape (polarisations, pixels), float32
        Intensity above 0, without NaN.
    looks : tuple of two sequence of float
        Equivalent number of looks of each date and polarisation.

    Returns
    -------
    PairTest

    Notes
    -----
    The sample should be without areas of change (``quiet_pixels``): they would be taken for part of
    the spread. Tails are limited to ``HEAVIEST``, so that change cannot hide itself.
    """
    gains: list[float] = []
    scaled: list[tuple[float, float]] = []
    for x, y, n, m in zip(before, after, *looks, strict=True):
        ratio = np.log(y.astype(np.float64) / x)
        gain, deviation = robust_centre(ratio)
        factor = _factor_of(deviation**2, n, m)
        gains.append(gain)
        scaled.append((n * factor, m * factor))
    first, second = (tuple(each) for each in zip(*scaled, strict=True))
    plain = PairTest((first, second), tuple(gains))
    columns = [np.array(each)[:, None, None] for each in plain.looks]
    later = plain.without_gain(after[..., None])
    statistic = compare(before[..., None], later, (columns[0], columns[1])).statistic
    spread, tail = _fit_tail(statistic, len(before))
    return PairTest(plain.looks, plain.gain, spread, tail)


def _factor_of(variance: float, n: float, m: float) -> float:
    """Return k for which log-ratios of k n and k m looks have a variance."""

    def excess(log_factor: float) -> float:
        k = math.exp(log_factor)
        return float(polygamma(1, k * n) + polygamma(1, k * m)) - variance

    low, high = (math.log(limit / max(n, m)) for limit in LOOKS_RANGE)
    if excess(low) <= 0 or excess(high) >= 0:
        return math.exp(low if excess(low) <= 0 else high)
    return math.exp(float(brentq(excess, low, high)))


def _fit_tail(statistic: NDArray[np.float64], freedom: int) -> tuple[float, float]:
    """Return spread and tail of the F distribution with both quantiles."""
    middle, far = np.quantile(statistic, QUANTILES)
    if middle <= 0:
        return 1.0, LIGHTEST

    def excess(log_tail: float) -> float:
        quantiles = [fdtri(freedom, math.exp(log_tail), level) for level in QUANTILES]
        return float(quantiles[1] / quantiles[0] - far / middle)

    low, high = math.log(HEAVIEST), math.log(LIGHTEST)
    if excess(low) <= 0:
        tail = HEAVIEST
    elif excess(high) >= 0:
        tail = LIGHTEST
    else:
        tail = math.exp(float(brentq(excess, low, high)))
    return float(middle / (freedom * fdtri(freedom, tail, QUANTILES[0]))), tail
