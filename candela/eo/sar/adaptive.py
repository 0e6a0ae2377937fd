"""Change by joint non-local means, an adaptive threshold and self-training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.smoothing import gaussian, gaussian_reach
from candela.eo.sar.detector import LEAST_PROBABILITY, Change
from candela.eo.sar.log_ratio import smooth as smooth_intensity
from candela.eo.sar.nonlocal_means import Search, joint_means
from candela.eo.sar.pair_test import robust_centre
from candela.eo.sar.self_training import Classifier, train
from candela.eo.sar.survey import PairSurvey

MEDIAN_AMPLITUDE = 100.0  # that amplitudes are scaled to
OFFSET = 12.0  # c of ln(a + c): differences between dark levels count less
NOISE_SIGMA = 0.8  # pixels
NOISE_SIDE = 7  # pixels, of the windows in which speckle is estimated
NOISE_QUANTILE = 0.3
# Areas that a picture of 8 bits shows in one level have no speckle to learn from.
CONSTANT_VARIANCE, CONSTANT_DIFFERENCE = 1e-6, 1e-5
LEAST_DEVIATION = 1e-3
FIRST = Search(radius=7, step=2, near=3, patch=5, bandwidth=2.25, expected=2.0)
SECOND = Search(radius=10, step=2, near=3, patch=3, bandwidth=0.5, expected=0.0)
DIFFERENCE_SIGMA = 0.8
START, LEAST_CLASS, LEAST_THRESHOLD, RARE_THRESHOLD = 6.0, 2.0, 4.0, 5.5  # deviations
RARE_SHARE = 0.03
SHARES = (0.04, 0.06, 0.09, 0.13)  # of pixels above a threshold
BOUNDS = (5.5, 4.0, 3.0, 2.0)  # of the threshold there, deviations
LARGEST_RATIO = 4.0  # of a distance to its threshold
BROAD_SIGMA, BROAD_SCALE, BROAD_WEIGHT = 1.5, 0.75, 0.4
FEATURE_SIGMAS = (1.0, 2.0)
DISTANCE_GAIN, LEARNED_GAIN, LEARNED_SIGMA = 2.0, 1.8, 0.7
POTTS_STEPS, POTTS_GAIN, POTTS_SIGMA = 5, 1.0, 1.5

Intensity = NDArray[np.float32]
Image = NDArray[np.float32]


class Normalisation(NamedTuple):
    """How intensity becomes the logarithm of amplitude.

    Attributes
    ----------
    gain : tuple of float
        Of the amplitude, by polarisation.
    noise : tuple of two tuple of float
        Standard deviation of ln(a + c) by speckle, smoothed by 0.8 pixels; by date, polarisation.
    fill : tuple of float
        Median intensity by polarisation, which stands for nodata.
    """

    gain: tuple[float, ...]
    noise: tuple[tuple[float, ...], tuple[float, ...]]
    fill: tuple[float, ...]


class Smoothed(NamedTuple):
    """Non-local means of both dates: logarithms of amplitude, (polarisations, rows, cols)."""

    before: Image
    after: Image
    valid: NDArray[np.bool_]


class Differences(NamedTuple):
    """Scaled differences of a pair.

    Attributes
    ----------
    difference : ndarray, shape (polarisations, rows, cols)
        d: of the non-local means, without gain.
    fine : ndarray, shape (rows, cols)
        |d|, smoothed by 0.8 pixels, in deviations; root mean square over the polarisations.
    broad : ndarray, shape (rows, cols)
        The same of images smoothed by a Gaussian of 1.5 pixels.
    """

    difference: Image
    fine: Image
    broad: Image


class Level(NamedTuple):
    """Centre and robust standard deviation of a difference without change."""

    centre: float
    deviation: float


@dataclass(frozen=True, eq=False)
class AdaptiveDetector:
    """The method, fitted to a pair.

    Attributes
    ----------
    normalisation : Normalisation
    fine, broad : tuple of Level
        Of both differences, by polarisation.
    thresholds : tuple of two float
        Of the fine and the broad difference, in deviations.
    classifier : Classifier, optional
        None where too few pixels were surely changed.
    """

    normalisation: Normalisation
    fine: tuple[Level, ...]
    broad: tuple[Level, ...]
    thresholds: tuple[float, float] = (1.0, 1.0)
    classifier: Classifier | None = None

    @property
    def halo(self) -> int:
        """All reaches together."""
        smoothing = (NOISE_SIGMA, DIFFERENCE_SIGMA, FEATURE_SIGMAS[-1], LEARNED_SIGMA)
        potts = POTTS_STEPS * gaussian_reach(POTTS_SIGMA)
        return FIRST.reach + SECOND.reach + sum(map(gaussian_reach, smoothing)) + potts

    def probability(self, before: Intensity, after: Intensity) -> Change:
        """Return the probability of change; see ``Detector``. It is ordered, not calibrated."""
        smooth = smoothed(before, after, self.normalisation)
        differences = self.differences(before, after, smooth)
        logit = np.float32(DISTANCE_GAIN) * (self.exceedance(differences) - 1)
        if self.classifier is not None:
            score = self.classifier.score(_features(smooth, differences.difference))
            logit += np.float32(LEARNED_GAIN) * gaussian(score, LEARNED_SIGMA)
        change = _regularised(logit)
        change[~smooth.valid] = np.nan
        return np.maximum(change, LEAST_PROBABILITY)

    def differences(self, before: Intensity, after: Intensity, smooth: Smoothed) -> Differences:
        """Return the scaled differences of two blocks."""
        difference = smooth.after - smooth.before - _column([each.centre for each in self.fine])
        deviation = _column([each.deviation for each in self.fine])
        fine = gaussian(difference, DIFFERENCE_SIGMA) / deviation
        broad = _broad(before, after, self.normalisation)
        broad -= _column([each.centre for each in self.broad])
        broad /= _column([each.deviation for each in self.broad])
        return Differences(difference, _norm(fine), _norm(broad))

    def exceedance(self, differences: Differences) -> Image:
        """Return the differences in units of their thresholds, the weighted mean of both."""
        fine, broad = (
            np.minimum(values / np.float32(threshold), np.float32(LARGEST_RATIO))
            for values, threshold in zip(differences[1:], self.thresholds, strict=True)
        )
        return np.asarray((1 - BROAD_WEIGHT) * fine + BROAD_WEIGHT * broad, np.float32)

    def levelled(self, before: Intensity, after: Intensity) -> tuple[Intensity, Intensity]:
        """Return both dates smoothed, the later one at the level of the earlier one."""
        factors = np.exp(-2 * _column([each.centre for each in self.fine]))
        return smooth_intensity(before), smooth_intensity(after) * factors

    def facts(self) -> dict[str, object]:
        """Return what was estimated, as JSON values."""
        decibel = 20 * float(np.log10(np.e))  # of a logarithm of amplitude
        return {
            "gain_db": [round(decibel * each.centre, 3) for each in self.fine],
            "speckle_deviation": [
                [round(each, 4) for each in date] for date in self.normalisation.noise
            ],
            "difference_deviation": [round(each.deviation, 4) for each in self.fine],
            "thresholds_in_deviations": [round(each, 3) for each in self.thresholds],
            "self_trained": self.classifier is not None,
        }


def fit_adaptive(surveyed: PairSurvey) -> AdaptiveDetector:
    """Fit the method to the samples of a pair.

    1. ln(a + 12) of both dates, a the amplitude scaled to a joint median of 100; the deviation of
       its speckle is estimated for each date.
    2. Joint non-local means in two passes (``smoothed``), and beside them Gaussians of 1.5 pixels.
    3. Both differences, centred at their modes, in robust deviations; a threshold for each
       (``find_threshold``).
    4. Pixels surely changed or unchanged train a classifier of the pair.

    Parameters
    ----------
    surveyed : PairSurvey

    Returns
    -------
    AdaptiveDetector
    """
    samples = surveyed.samples
    normalisation = _normalise(samples)
    means = [smoothed(before, after, normalisation) for before, after in samples]
    plain = [mean.after - mean.before for mean in means]
    wide = [_broad(before, after, normalisation) for before, after in samples]
    masks = [mean.valid for mean in means]
    detector = AdaptiveDetector(
        normalisation,
        tuple(_level(each, masks, DIFFERENCE_SIGMA) for each in zip(*plain, strict=True)),
        tuple(_level(each, masks, None) for each in zip(*wide, strict=True)),
    )
    differences = [
        detector.differences(*pair, mean) for pair, mean in zip(samples, means, strict=True)
    ]
    fine, broad = (
        np.concatenate([each[k][mask] for each, mask in zip(differences, masks, strict=True)])
        for k in (1, 2)
    )
    thresholds = find_threshold(fine), find_threshold(broad, scale=BROAD_SCALE)
    detector = replace(detector, thresholds=thresholds)
    ratios = [
        detector.exceedance(each)[mask] for each, mask in zip(differences, masks, strict=True)
    ]
    features = [
        _features(mean, each.difference)[:, mean.valid]
        for mean, each in zip(means, differences, strict=True)
    ]
    classifier = train(np.concatenate(features, axis=1), np.concatenate(ratios))
    return replace(detector, classifier=classifier)


def _level(
    images: Sequence[Image], masks: Sequence[NDArray[np.bool_]], sigma: float | None
) -> Level:
    """Return centre and deviation of a polarisation's difference, smoothed by ``sigma``."""
    pairs = list(zip(images, masks, strict=True))
    centre, _ = robust_centre(
        np.concatenate([image[mask] for image, mask in pairs]).astype(np.float64)
    )
    smooth = [(gaussian(image, sigma) if sigma else image)[mask] for image, mask in pairs]
    return Level(centre, _iterated_deviation(np.concatenate(smooth) - np.float32(centre)))


def _norm(differences: Image) -> Image:
    return np.asarray(np.sqrt(np.mean(differences * differences, axis=0)), np.float32)


def _broad(before: Intensity, after: Intensity, normalisation: Normalisation) -> Image:
    """Return the log-ratio of amplitudes smoothed by a Gaussian."""
    first, second = (_amplitudes(image, normalisation) for image in (before, after))
    offset = np.float32(OFFSET)
    ratio = (gaussian(second, BROAD_SIGMA) + offset) / (gaussian(first, BROAD_SIGMA) + offset)
    return np.asarray(np.log(ratio), np.float32)


def _amplitudes(intensity: Intensity, normalisation: Normalisation) -> Image:
    """Return scaled amplitudes; nodata becomes the median."""
    filled = np.where(np.isfinite(intensity), intensity, _column(normalisation.fill))
    return np.asarray(np.sqrt(filled) * _column(normalisation.gain), np.float32)


def _normalise(samples: Sequence[tuple[Intensity, Intensity]]) -> Normalisation:
    joint = np.concatenate(
        [image.reshape(len(image), -1) for pair in samples for image in pair], axis=1
    )
    fill = tuple(float(each) for each in np.nanmedian(joint, axis=1))
    plain = Normalisation(
        tuple(MEDIAN_AMPLITUDE / max(median, 1e-12) ** 0.5 for median in fill), ((), ()), fill
    )
    first, second = (
        tuple(
            _noise([np.log(_amplitudes(pair[date], plain)[band] + OFFSET) for pair in samples])
            for band in range(len(joint))
        )
        for date in (0, 1)
    )
    return plain._replace(noise=(first, second))


def _noise(logs: Sequence[Image]) -> float:
    """Return the root of the 30 % quantile of the variance in windows."""
    side = (NOISE_SIDE, NOISE_SIDE)
    variances = []
    for image in logs:
        fine = gaussian(image, NOISE_SIGMA).astype(np.float64)
        mean = cv2.blur(fine, side)
        variances.append((cv2.blur(fine * fine, side) - mean * mean).ravel())
    every = np.concatenate(variances)
    uneven = every[every > CONSTANT_VARIANCE]
    if not uneven.size:
        return LEAST_DEVIATION
    return max(float(np.sqrt(np.quantile(uneven, NOISE_QUANTILE))), LEAST_DEVIATION)


def smoothed(before: Intensity, after: Intensity, normalisation: Normalisation) -> Smoothed:
    """Average both dates jointly in two passes, and take logarithms.

    The second pass averages the original amplitudes again, with distances of the first result.
    """
    bands = len(before)
    valid = np.asarray(np.isfinite(before).all(axis=0) & np.isfinite(after).all(axis=0))
    amplitudes = np.concatenate(
        [_amplitudes(before, normalisation), _amplitudes(after, normalisation)]
    )
    noise = _column([*normalisation.noise[0], *normalisation.noise[1]])
    offset = np.float32(OFFSET)
    guides = gaussian(np.log(amplitudes + offset), NOISE_SIGMA) / noise
    pilot = joint_means(guides, amplitudes, valid, FIRST)
    means = joint_means(np.log(pilot + offset) / noise, amplitudes, valid, SECOND)
    logs = np.log(means + offset)
    return Smoothed(logs[:bands], logs[bands:], valid)


def _iterated_deviation(values: Image) -> float:
    """Return 1.4826 MAD about 0 of the values within three of it, until it is stable."""
    sizes = np.abs(values)
    sizes = sizes[sizes > CONSTANT_DIFFERENCE]
    if not sizes.size:
        return LEAST_DEVIATION
    deviation = 1.4826 * float(np.median(sizes))
    for _ in range(10):
        inner = sizes[sizes < 3 * deviation]
        if not inner.size:
            break
        deviation = 1.4826 * float(np.median(inner))
    return max(deviation, LEAST_DEVIATION)


def find_threshold(distance: Image, *, scale: float = 1.0) -> float:
    """Return the threshold of a distance from no change, in deviations.

    t = (mean above t + mean below t) / 2 is iterated from 6 on [1]_. Where t falls below 2 there is
    one class alone; then, and where little exceeds t, the threshold is bounded below: by 5.5 if
    4 % exceed it or less, 4 at 6 %, 3 at 9 %, and 2 from 13 % on.

    Parameters
    ----------
    distance : ndarray, shape (pixels,), float32
        In deviations.
    scale : float
        Of the lower bounds: below 1 for distances with lighter tails.

    References
    ----------
    .. [1] Ridler, T. W., Calvard, S. (1978). Picture thresholding using an iterative selection
       method. IEEE SMC 8(8), 630-632. https://doi.org/10.1109/TSMC.1978.4310039
    """
    sample = distance.astype(np.float64)
    threshold = START
    for _ in range(60):
        above, below = sample[sample > threshold], sample[sample <= threshold]
        if not above.size or not below.size:
            break
        last, threshold = threshold, float(above.mean() + below.mean()) / 2
        if abs(threshold - last) < 1e-3:
            break
    if threshold < LEAST_CLASS or not np.any(sample > threshold):
        is_rare = np.mean(sample > LEAST_THRESHOLD * scale) < RARE_SHARE
        return max(RARE_THRESHOLD if is_rare else LEAST_THRESHOLD * scale, threshold)
    share = float(np.mean(sample > threshold))
    return max(threshold, float(np.interp(np.log(share), np.log(SHARES), BOUNDS)) * scale)


def _features(smooth: Smoothed, difference: Image) -> Image:
    wider = [gaussian(difference, sigma) for sigma in FEATURE_SIGMAS]
    return np.concatenate([smooth.before, smooth.after, difference, *wider])


def _regularised(logit: Image) -> Change:
    """Return probabilities after mean-field steps of a Potts model."""
    change = _sigmoid(logit)
    for _ in range(POTTS_STEPS):
        change = _sigmoid(logit + np.float32(POTTS_GAIN) * (2 * gaussian(change, POTTS_SIGMA) - 1))
    return change


def _sigmoid(logit: Image) -> Image:
    return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


def _column(values: Sequence[float]) -> Image:
    return np.array(values, np.float32)[:, None, None]
