"""Change by a threshold on the smoothed log-ratio: the simple alternative."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, ndtri

from candela.eo.raster.smoothing import gaussian, gaussian_reach
from candela.eo.sar.detector import LEAST_PROBABILITY, Change
from candela.eo.sar.pair_test import MAD_TO_DEVIATION, robust_centre
from candela.eo.sar.survey import PairSurvey

SIGMA = 1.5  # pixels, of the Gaussian
BINS = 256
STEEPNESS = 6.0  # of the probability around the threshold
LEAST_SHARE = 1e-3  # of a side's values in the class of change
SHAPES = (0.4, 8.0)  # of generalised Gaussians

Intensity = NDArray[np.float32]
Values = NDArray[np.float64]
_BETAS = np.linspace(*SHAPES, 400)
_KURTOSES = np.exp(gammaln(1 / _BETAS) + gammaln(3 / _BETAS) - 2 * gammaln(2 / _BETAS))


class GeneralisedGaussian(NamedTuple):
    """p(x) = b / (2 a Gamma(1/b)) exp(-(|x - m| / a)^b), of scale a and shape b."""

    scale: float
    shape: float

    @classmethod
    def of_moments(cls, absolute: float, squared: float) -> "GeneralisedGaussian":
        """Fit to E|x - m| and E(x - m)^2: their ratio gives the shape."""
        ratio = squared / absolute**2
        shape = float(np.interp(ratio, _KURTOSES[::-1], _BETAS[::-1]))
        return cls(absolute * float(np.exp(gammaln(1 / shape) - gammaln(2 / shape))), shape)

    def log_density(self) -> float:
        """Return E ln p."""
        norm = np.log(self.shape / 2 / self.scale) - gammaln(1 / self.shape)
        return float(norm - 1 / self.shape)


@dataclass(frozen=True)
class LogRatioDetector:
    """Thresholds on the log-ratio.

    Attributes
    ----------
    gain : tuple of float
        ln of the ratio of what has not changed, for each polarisation.
    lower, upper : float
        Distances from no change at which darker and brighter have a probability of 0.5.
    """

    gain: tuple[float, ...]
    lower: float
    upper: float
    halo: int = gaussian_reach(SIGMA)

    def probability(self, before: Intensity, after: Intensity) -> Change:
        """Return 1 / (1 + exp(-6 (|d| / t - 1))) for the threshold t of the sign of d."""
        ratio = log_ratio(before, after, self.gain)
        threshold = np.where(ratio < 0, np.float32(self.lower), np.float32(self.upper))
        exceedance = np.abs(ratio) / threshold - 1
        change = 1 / (1 + np.exp(np.float32(-STEEPNESS) * exceedance))
        return np.asarray(np.maximum(change, LEAST_PROBABILITY), np.float32)

    def levelled(self, before: Intensity, after: Intensity) -> tuple[Intensity, Intensity]:
        """Return both dates smoothed, the later one at the level of the earlier one."""
        factors = np.exp(-np.array(self.gain, np.float32))[:, None, None]
        return smooth(before), smooth(after) * factors

    def facts(self) -> dict[str, object]:
        """Return gain and thresholds in decibels, as JSON values."""
        decibel = 10 * float(np.log10(np.e))
        return {
            "gain_db": [round(decibel * each, 3) for each in self.gain],
            "threshold_darker_db": round(decibel * self.lower, 3),
            "threshold_brighter_db": round(decibel * self.upper, 3),
        }


def fit_log_ratio(surveyed: PairSurvey, level: float) -> LogRatioDetector:
    """Find both thresholds by the criterion of Kittler and Illingworth [1]_, [2]_.

    d is the mean over the polarisations of ln(y / x) of the smoothed intensities, less its mode. On
    each side of 0, no change is half of a generalised Gaussian about 0, change one about its own
    mean; the threshold t minimises the cost of a wrong classification,

        J(t) = -sum_i P_i (ln P_i + E ln p_i).

    A threshold is at least the two-sided quantile at the level of a Gaussian with the standard
    deviation 1.4826 MAD of that side: an unchanged pair has no second class.

    Parameters
    ----------
    surveyed : PairSurvey
    level : float
        False-alarm rate, 0 to 1.

    References
    ----------
    .. [1] Kittler, J., Illingworth, J. (1986). Minimum error thresholding. Pattern Recognition
       19(1), 41-47. https://doi.org/10.1016/0031-3203(86)90030-0
    .. [2] Bazi, Y., Bruzzone, L., Melgani, F. (2005). An unsupervised approach based on the
       generalized Gaussian model to automatic change detection in multitemporal SAR images. IEEE
       TGRS 43(4), 874-887. https://doi.org/10.1109/TGRS.2004.842441
    """
    bands = len(surveyed.samples[0][0])
    plain = [np.log(smooth(after)) - np.log(smooth(before)) for before, after in surveyed.samples]
    ratios = np.concatenate([each[:, np.isfinite(each[0])] for each in plain], axis=1)
    gain = tuple(robust_centre(ratios[band].astype(np.float64))[0] for band in range(bands))
    d = (ratios - np.array(gain, np.float32)[:, None]).mean(axis=0).astype(np.float64)
    lower, upper = (_threshold(side, level) for side in (-d[d < 0], d[d > 0]))
    return LogRatioDetector(gain, lower, upper)


def log_ratio(before: Intensity, after: Intensity, gain: tuple[float, ...]) -> Change:
    """Return the mean log-ratio of the smoothed polarisations, without the gain."""
    shift = np.array(gain, np.float32)[:, None, None]
    ratio = np.log(smooth(after)) - np.log(smooth(before)) - shift
    return np.asarray(ratio.mean(axis=0), np.float32)


def smooth(image: Intensity) -> Intensity:
    """Smooth intensity by a Gaussian over valid pixels; nodata stays NaN."""
    valid = np.isfinite(image)
    if valid.all():
        return gaussian(image, SIGMA)
    total = gaussian(np.where(valid, image, np.float32(0)), SIGMA)
    weight = gaussian(valid.astype(np.float32), SIGMA)
    return np.where(valid, total / np.maximum(weight, np.float32(1e-6)), np.float32(np.nan))


def _threshold(distances: Values, level: float) -> float:
    """Return the threshold of one side; infinite if it has no values."""
    if distances.size < BINS:
        return float("inf")
    order = np.sort(distances)
    candidates = np.linspace(np.quantile(order, 0.3), np.quantile(order, 1 - LEAST_SHARE), BINS)
    costs = [_cost(order, candidate) for candidate in candidates]
    chosen = float(candidates[int(np.argmin(costs))])
    deviation = MAD_TO_DEVIATION * float(np.median(order))
    return max(chosen, deviation * float(ndtri(1 - level / 2)))


def _cost(order: Values, threshold: float) -> float:
    """Return J(t) of sorted distances."""
    split = int(np.searchsorted(order, threshold))
    low, high = order[:split], order[split:]
    if len(low) < 2 or len(high) < 2 or low[-1] <= 0:
        return float("inf")
    centred = high - high.mean()
    spread = float((centred**2).mean())
    if spread <= 0:
        return float("inf")
    unchanged = GeneralisedGaussian.of_moments(float(low.mean()), float((low**2).mean()))
    changed = GeneralisedGaussian.of_moments(float(np.abs(centred).mean()), spread)
    shares = split / len(order), 1 - split / len(order)
    densities = unchanged.log_density() + np.log(2), changed.log_density()
    return -float(sum(p * (np.log(p) + e) for p, e in zip(shares, densities, strict=True)))
