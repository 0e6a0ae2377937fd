"""Compare two dates by predicting each from the other.

The sun, the atmosphere and the season change every pixel; a regression from the features of one
date to the spectrum of the other, fitted on the pair itself, learns what they do to each kind of
surface. What it cannot predict has changed for a reason of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.regression import RobustFit, fit_robust

from .encoder import BANDS
from .views import VISIBLE, View, sample_features, upsample

SMALLEST_NOISE = 0.15  # of the standardised spectrum: flat surfaces are not judged finer
INFRARED = slice(BANDS.index("B05"), BANDS.index("B8A") + 1)
EMPHASES = {
    "construction": ("all", "visible", "beyond_shortwave"),
    "vegetation": ("all", "infrared"),
}

Image = NDArray[np.float32]


class Samples(NamedTuple):
    """Pixels of one date, for the regression.

    Attributes
    ----------
    features : ndarray, shape (pixels, features), float32
    shortwave : ndarray, shape (pixels, 4), float32
    """

    features: NDArray[np.float32]
    shortwave: NDArray[np.float32]

    @property
    def spectrum(self) -> NDArray[np.float32]:
        """The spectra, shape (pixels, bands)."""
        return self.features[:, : len(BANDS)]

    @classmethod
    def of(cls, source: View, pixels: NDArray[np.int64]) -> "Samples":
        """Take some pixels of a view."""
        shortwave = source.shortwave.reshape(len(source.shortwave), -1)[:, pixels].T
        return cls(sample_features(source, pixels), shortwave)

    @classmethod
    def joined(cls, parts: Sequence["Samples"]) -> "Samples":
        """Put the samples of several windows together."""
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.shortwave for part in parts]),
        )


@dataclass(frozen=True)
class Predictor:
    """Predicts bands of one date from the features of the other.

    Attributes
    ----------
    fit : RobustFit
        From (spectrum, levels, helper) to the target bands.
    """

    fit: RobustFit

    def residual(self, source: View, target: Image, helper: Image | None = None) -> Image:
        """Return what the prediction leaves, in units of its noise.

        Parameters
        ----------
        source : View
            The date that predicts.
        target : ndarray, shape (targets, rows, cols), float32
            The bands of the date that is predicted.
        helper : ndarray, shape (4, rows, cols), float32, optional
            More features at full resolution.
        """
        count, rows, cols = target.shape
        weights = self.fit.coefficients.T / self.fit.noise[:, None]
        bands = len(source.spectrum)
        edges = np.cumsum([bands, *(len(level) for level in source.levels)])
        prediction = _combine(weights[:, :bands], source.spectrum)
        if helper is not None:
            prediction += _combine(weights[:, edges[-1] :], helper)
        coarse = np.zeros((count, 1, 1), np.float32)
        for number in reversed(range(len(source.levels))):
            level = source.levels[number]
            own = _combine(weights[:, edges[number] : edges[number + 1]], level)
            # Upsampling and weighting commute: the sums are upsampled, not the features.
            coarse = own if number == len(source.levels) - 1 else own + upsample(coarse, 1)
        prediction += coarse[:, :rows, :cols]
        intercept, noise = self.fit.intercept, self.fit.noise
        prediction += (intercept / noise)[:, None, None]
        return target / noise[:, None, None] - prediction


@dataclass(frozen=True)
class CrossPrediction:
    """A fitted pair: measures how badly each date is predicted from the other.

    Attributes
    ----------
    emphasis : tuple of str
        The maps to make: ``all`` bands, the ``visible`` or ``infrared`` ones, or
        ``beyond_shortwave``: the visible ones, when the short-wave infrared of their own date
        helps to predict them.
    forward, backward : Predictor
        All bands of the later date from the earlier one, and the reverse.
    forward_helped, backward_helped : Predictor or None
        The visible bands with the help of the short-wave infrared.
    """

    emphasis: tuple[str, ...]
    forward: Predictor
    backward: Predictor
    forward_helped: Predictor | None
    backward_helped: Predictor | None

    @classmethod
    def fit_pair(
        cls, before: Samples, after: Samples, emphasis: tuple[str, ...]
    ) -> "CrossPrediction":
        """Fit the regressions on the same pixels of both dates."""
        helped = "beyond_shortwave" in emphasis
        return cls(
            emphasis,
            _fit(before, after),
            _fit(after, before),
            _fit_helped(before, after) if helped else None,
            _fit_helped(after, before) if helped else None,
        )

    def __call__(self, before: View, after: View) -> Image:
        """Return the maps of the emphasis, shape (maps, rows, cols), in units of noise.

        Each is the smaller of both directions: what one of them explains has not changed.
        """
        forward = self.forward.residual(before, after.spectrum)
        backward = self.backward.residual(after, before.spectrum)
        parts = {"all": slice(None), "visible": VISIBLE, "infrared": INFRARED}
        maps = [
            np.minimum(_magnitude(forward[parts[name]]), _magnitude(backward[parts[name]]))
            for name in self.emphasis
            if name in parts
        ]
        if self.forward_helped is not None and self.backward_helped is not None:
            forward = self.forward_helped.residual(before, after.spectrum[VISIBLE], after.shortwave)
            backward = self.backward_helped.residual(
                after, before.spectrum[VISIBLE], before.shortwave
            )
            maps.append(np.minimum(_magnitude(forward), _magnitude(backward)))
        return np.stack(maps)


def _fit(source: Samples, target: Samples) -> Predictor:
    return Predictor(fit_robust(source.features, target.spectrum, smallest_noise=SMALLEST_NOISE))


def _fit_helped(source: Samples, target: Samples) -> Predictor:
    features = np.concatenate([source.features, target.shortwave], axis=1)
    visible = target.spectrum[:, VISIBLE]
    return Predictor(fit_robust(features, visible, smallest_noise=SMALLEST_NOISE))


def _combine(weights: NDArray[np.float32], bands: Image) -> Image:
    """Weight and add bands: (targets, bands) times (bands, rows, cols)."""
    count, rows, cols = bands.shape
    return (weights @ bands.reshape(count, -1)).reshape(-1, rows, cols)


def _magnitude(residual: Image) -> Image:
    """Return the root of the mean square over the bands."""
    squares = np.einsum("brc,brc->rc", residual, residual) / len(residual)
    return np.asarray(np.sqrt(squares), np.float32)
