"""Change by the likelihood ratio test of each pixel."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.eo.sar.detector import Change, odds_of
from candela.eo.sar.looks import LAG, Speckle, estimate_speckle
from candela.eo.sar.pair_test import PairTest, fit_pair_test, quiet_pixels
from candela.eo.sar.survey import PairSurvey

Intensity = NDArray[np.float32]


@dataclass(frozen=True)
class SignificanceDetector:
    """The test of a pair at a level.

    Attributes
    ----------
    test : PairTest
    level : float
        p-value at which the probability of change is 0.5.
    multilook : int
        Side of the window that intensity is averaged over; odd.
    speckle : tuple of two list of Speckle
        Of the averaged images, by date and polarisation.
    """

    test: PairTest
    level: float
    multilook: int
    speckle: tuple[list[Speckle], list[Speckle]]

    @property
    def halo(self) -> int:
        """Half the window."""
        return self.multilook // 2

    def probability(self, before: Intensity, after: Intensity) -> Change:
        """Return the probability with odds level / p; see ``Detector``."""
        first, second = (average(image, self.multilook) for image in (before, after))
        return odds_of(self.test.p_value(first, second), self.level)

    def levelled(self, before: Intensity, after: Intensity) -> tuple[Intensity, Intensity]:
        """Return both dates averaged, the later one at the level of the earlier one."""
        first, second = (average(image, self.multilook) for image in (before, after))
        return first, self.test.without_gain(second)

    def facts(self) -> dict[str, object]:
        """Return looks, gain and null distribution, as JSON values."""
        is_fitted = np.isfinite(self.test.tail)
        return {
            "false_alarm_rate": self.level,
            "multilook": self.multilook,
            "looks_estimated": [[round(each.looks, 3) for each in date] for date in self.speckle],
            "speckle_correlation": [
                [round(each.correlation, 3) for each in date] for date in self.speckle
            ],
            "looks_effective": [[round(each, 3) for each in date] for date in self.test.looks],
            "gain_db": [round(10 * float(np.log10(np.e)) * each, 3) for each in self.test.gain],
            "null_distribution": {
                "fitted_to_the_pair": bool(is_fitted),
                "spread": round(self.test.spread, 4),
                "tail_degrees_of_freedom": round(self.test.tail, 1) if is_fitted else None,
            },
        }


def fit_significance(
    surveyed: PairSurvey, level: float, *, multilook: int = 1, looks: float | None = None
) -> SignificanceDetector:
    """Fit the test to a pair.

    Parameters
    ----------
    surveyed : PairSurvey
    level : float
        False-alarm rate, 0 to 1.
    multilook : int
        Side of the window that intensity is averaged over.
    looks : float, optional
        Equivalent number of looks of both images, for the theoretical null distribution; by
        default it is fitted to the pair.
    """
    averaged = [
        (average(before, multilook), average(after, multilook))
        for before, after in surveyed.samples
    ]
    speckle = surveyed.speckle if multilook == 1 else _speckle_of(averaged, multilook, surveyed)
    bands = len(surveyed.samples[0][0])
    if looks is not None:
        same = (looks,) * bands
        test = PairTest((same, same), (0.0,) * bands)
        return SignificanceDetector(test, level, multilook, speckle)
    before, after = _quiet(averaged)
    first, second = ([each.looks for each in date] for date in speckle)
    test = fit_pair_test(before, after, (first, second))
    return SignificanceDetector(test, level, multilook, speckle)


def _quiet(samples: list[tuple[Intensity, Intensity]]) -> tuple[Intensity, Intensity]:
    """Return the pixels of both dates without clusters of change, each (polarisations, pixels)."""
    masks = [quiet_pixels(before, after) for before, after in samples]
    first, second = (
        np.concatenate([pair[date][:, mask] for pair, mask in zip(samples, masks, strict=True)], 1)
        for date in (0, 1)
    )
    return first, second


def average(image: Intensity, side: int) -> Intensity:
    """Average intensity over a square window; nodata takes no part and stays NaN.

    Parameters
    ----------
    image : ndarray, shape (polarisations, rows, cols), float32
    side : int
        Odd number of pixels; 1 changes nothing.
    """
    if side == 1:
        return image
    result = np.empty_like(image)
    for source, target in zip(image, result, strict=True):
        valid = np.isfinite(source)
        filled = np.where(valid, source, np.float32(0))
        weight = cv2.blur(valid.astype(np.float32), (side, side), borderType=cv2.BORDER_CONSTANT)
        total = cv2.blur(filled, (side, side), borderType=cv2.BORDER_CONSTANT)
        target[:] = np.where(valid, total / np.maximum(weight, np.float32(1e-6)), np.nan)
    return result


def _speckle_of(
    samples: list[tuple[Intensity, Intensity]], multilook: int, surveyed: PairSurvey
) -> tuple[list[Speckle], list[Speckle]]:
    """Estimate speckle after averaging: it is correlated over the window."""
    try:
        first, second = (
            [
                estimate_speckle([pair[date][band] for pair in samples], lag=LAG + multilook - 1)
                for band in range(len(samples[0][0]))
            ]
            for date in (0, 1)
        )
    except ValueError:
        return surveyed.speckle
    return first, second
