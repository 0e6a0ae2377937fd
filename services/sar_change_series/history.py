"""What a series remembers of each pixel, as whole numbers of 16 bits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .detection import Expectation, Floats, Mask

Whole = NDArray[np.int16]
Place = tuple[NDArray[np.intp], ...]

DECIBEL = 0.01  # unit of stored means, shifts and magnitudes, dB
SPREAD = 2e-4  # unit of stored spreads, natural logarithm of power
EVIDENCE = 0.01  # unit of stored evidence, -ln of a probability
SEASON_DATES = 1.0  # dates of a season that weigh as much as all others do
PRIOR_SHIFT_DB, PRIOR_SHIFT_DATES = 1.0, 3.0
OUTLIER_DB = 6.0  # deviations from the neighbourhood beyond are learned as if they were this
OUTLIER_SPREAD = 1.5  # the same of windows, natural logarithm of power

CHANGE_BANDS = ("status", "since", "latest", "length", "misses", "direction", "evidence")


@dataclass(frozen=True)
class SpreadPrior:
    """How the variances of a scene's pixels are distributed.

    Attributes
    ----------
    variance : tuple of float
        Of the windows' deviations, one for each polarisation.
    freedom : tuple of float
        How many dates of a pixel's own weigh as much as the scene.
    dates : int
        Learned by most pixels.
    """

    variance: tuple[float, ...]
    freedom: tuple[float, ...]
    dates: int = 0


def season_bands(season: str, polarisations: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a season's bands."""
    return (f"count {season}", *(f"mean {season} {name}" for name in polarisations))


def expectation_bands(seasons: Sequence[str], polarisations: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the bands that a date is compared with."""
    means = [name for season in seasons for name in season_bands(season, polarisations)]
    spreads = [f"{what} {name}" for what in ("spread", "shift") for name in polarisations]
    return (*means, *spreads)


def magnitude_bands(polarisations: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the bands of magnitudes."""
    return tuple(f"magnitude {name}" for name in polarisations)


def change_bands(polarisations: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the bands that changes are followed in."""
    return (*CHANGE_BANDS, *magnitude_bands(polarisations))


class History:
    """The memory of a window of a series.

    Parameters
    ----------
    bands : mapping of str to ndarray, shape (rows, cols), int16
        By name, see ``expectation_bands`` and ``change_bands``: all, or those that are needed. They
        are changed in place.
    polarisations : tuple of str
    """

    def __init__(self, bands: Mapping[str, Whole], polarisations: tuple[str, ...]) -> None:
        self.bands = bands
        self.polarisations = polarisations
        self.seasons = [name.split()[1] for name in bands if name.startswith("count ")]

    def counts(self) -> dict[str, Floats]:
        """Return how many dates of each season were learned."""
        return {name: self.bands[f"count {name}"].astype(np.float32) for name in self.seasons}

    def total(self) -> Whole:
        """Return how many dates were learned."""
        counts = [self.bands[f"count {name}"] for name in self.seasons]
        return np.asarray(np.sum(counts, axis=0, dtype=np.int16))

    def mean(self, season: str) -> Floats:
        """Return the mean backscatter of a season, dB, shape (polarisations, rows, cols)."""
        return self._values(f"mean {season}", DECIBEL)

    def _values(self, name: str, unit: float) -> Floats:
        stack = np.stack([self.bands[f"{name} {each}"] for each in self.polarisations])
        return np.asarray(stack * np.float32(unit), np.float32)

    def _store(self, name: str, values: Floats, unit: float, where: Mask) -> None:
        for each, band in zip(self.polarisations, values, strict=True):
            whole = np.clip(np.rint(band / np.float32(unit)), -32767, 32767).astype(np.int16)
            np.copyto(self.bands[f"{name} {each}"], whole, where=where)

    def store_magnitude(self, decibels: Floats, place: Place, where: Mask) -> None:
        """Store the magnitude of changes at some pixels.

        Parameters
        ----------
        decibels : ndarray, shape (polarisations, pixels), float32
        place : tuple of ndarray, shape (pixels,)
            Rows and columns of the pixels.
        where : ndarray, shape (pixels,), bool
            Which of them are stored.
        """
        for name, values in zip(self.polarisations, decibels, strict=True):
            band = self.bands[f"magnitude {name}"]
            whole = np.rint(values / np.float32(DECIBEL)).astype(np.int16)
            band[place] = np.where(where, whole, band[place])

    def magnitude(self) -> Floats:
        """Return the magnitude of changes, dB, shape (polarisations, rows, cols)."""
        return self._values("magnitude", DECIBEL)

    def expect(self, season: str, prior: SpreadPrior) -> Expectation:
        """Return what is expected of a date in a season.

        Notes
        -----
        The effect of a season on a pixel is random with the variance of SEASON_DATES-th part of
        that of a date. Its best linear unbiased prediction [1]_ from n_s dates of the season with
        mean m_s and n dates in all with mean m is

            level = (n_s m_s + k m) / (n_s + k),
            h = 1 / (n_s + k) + (k / (n_s + k))^2 / n.

        A date that is not in the mean departs from it with 1 + h times its variance. The variance
        of few dates is shrunk to that of the scene, as moderated statistics do [2]_:

            s^2 = (d0 s0^2 + d v) / (d0 + d),  d = n - 1.

        References
        ----------
        .. [1] Robinson, G. K. (1991). That BLUP is a good thing: the estimation of random
           effects. Statistical Science 6(1), 15-32. https://doi.org/10.1214/ss/1177011926
        .. [2] Smyth, G. K. (2004). Linear models and empirical Bayes methods for assessing
           differential expression in microarray experiments. SAGMB 3(1).
           https://doi.org/10.2202/1544-6115.1027
        """
        counts = self.counts()
        total = np.maximum(sum(counts.values(), np.float32(0)), np.float32(1))
        overall = np.sum([counts[name] * self.mean(name) for name in counts], axis=0) / total
        own, kept = counts[season], np.float32(SEASON_DATES if len(counts) > 1 else 0)
        weight = np.maximum(own + kept, np.float32(1))
        level = (own * self.mean(season) + kept * overall) / weight
        error = np.asarray(1 / weight + (kept / weight) ** 2 / total, np.float32)
        own_freedom = np.maximum(total - 1, 0)
        spread, shift = self._values("spread", SPREAD), self._values("shift", DECIBEL)
        for band, variance, freedom in zip(spread, prior.variance, prior.freedom, strict=True):
            pooled = np.float32(freedom * variance) + own_freedom * band * band
            band[:] = np.sqrt(pooled / (np.float32(freedom) + own_freedom) * (1 + error))
        prior_shift = np.float32(PRIOR_SHIFT_DATES * PRIOR_SHIFT_DB**2)
        shift = np.sqrt(
            (prior_shift + own_freedom * shift * shift) / (PRIOR_SHIFT_DATES + own_freedom)
        )
        freedom = float(np.mean(prior.freedom)) + max(prior.dates - 1, 0)
        return Expectation(level.astype(np.float32), spread, shift, freedom, error)

    def learn(
        self,
        season: str,
        where: Mask,
        decibels: Floats,
        expected: Expectation,
        scatter: Floats,
        shift: Floats,
    ) -> None:
        """Add a date to means and spreads.

        Parameters
        ----------
        season : str
        where : ndarray, shape (rows, cols), bool
            Pixels that learn it.
        decibels, scatter, shift : ndarray, shape (polarisations, rows, cols), float32
            Backscatter, and how it departs from what was expected: see ``detection.Deviation``.
        expected : Expectation
        """
        total = self.total()
        again = where & (total > 0)
        count = self.bands[f"count {season}"]
        excess = decibels - expected.level - shift
        usual = expected.level + shift + np.clip(excess, -OUTLIER_DB, OUTLIER_DB)
        learned = np.where(total > 0, usual, decibels)
        mean = self.mean(season)
        mean += (learned - mean) / (count + np.float32(1))
        self._store(f"mean {season}", mean, DECIBEL, where)
        freedom = np.maximum(total, 1).astype(np.float32)  # after this date
        news = np.clip(scatter, -OUTLIER_SPREAD, OUTLIER_SPREAD)
        for name, unit, new in (("spread", SPREAD, news), ("shift", DECIBEL, shift)):
            old = self._values(name, unit)
            variance = ((freedom - 1) * old * old + new * new / (1 + expected.error)) / freedom
            self._store(name, np.sqrt(variance), unit, again)
        np.copyto(count, count + np.int16(1), where=where)
