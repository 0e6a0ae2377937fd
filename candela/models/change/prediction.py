"""Compare two dates by predicting each from the other.

The sun, the atmosphere and the season change every pixel; a regression from the features of one
date to the spectrum of the other, fitted on the pair itself, learns what they do to each kind of
surface. What it cannot predict has changed for a reason of its own.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.regression import RobustFit, fit_robust, refine_robust
from candela.eo.threads import one_thread_each, thread_count
from candela.models.code import doubled_rows
from candela.models.encoder import BANDS, VISIBLE

from .cells import Cells
from .views import BLUE, RED, SHORTWAVE, View, Views

SMALLEST_NOISE = 0.15  # of the standardised spectrum: flat surfaces are not judged finer
PARTS = {
    "all": BANDS,
    "visible": BANDS[VISIBLE],
    "infrared": BANDS[3:8],  # red edge to NIR
    "shortwave": BANDS[SHORTWAVE],
}
VISIBLE_MAP, HELPED, AGREED = "visible", "beyond_shortwave", "agreed"
STRIKING = 0.8**2  # squared: of noise, the largest of the visible bands is about as their mean then
SMALLEST = 0.1  # in units of noise: what no disagreement counts in a product

LOCAL_SAMPLES = 3000  # pixels for the fit to one place
FEWEST_LOCAL_SAMPLES = 1024  # with fewer, the fit to the whole image stays
STRIP_PIXELS = 32_768  # about
SEED = 20200706

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Matrix = NDArray[np.float32]


class Samples(NamedTuple):
    """Pixels of one date, for the regression.

    Attributes
    ----------
    own : ndarray, shape (pixels, features), float32
        Spectrum and fine features.
    code : ndarray, shape (pixels, units), float32
    shortwave : ndarray, shape (pixels, 4 or 0), float32
    """

    own: Matrix
    code: Matrix
    shortwave: Matrix

    @classmethod
    def of(cls, source: View, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> "Samples":
        """Take some pixels of a view."""
        bands, own, smooth = (
            planes[:, rows, cols] for planes in (source.bands[SHORTWAVE], source.own, source.smooth)
        )
        return cls(
            own.T,
            source.code.doubled_at(rows, cols).T,
            np.concatenate([bands, smooth]).T,
        )

    @classmethod
    def joined(cls, parts: Sequence["Samples"]) -> "Samples":
        """Put the samples of several windows together."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Predictor:
    """Predicts bands of one date from the other, in units of the noise of the prediction.

    Attributes
    ----------
    own : ndarray, shape (targets, features), float32
        Weights of spectrum and fine features.
    code : ndarray, shape (targets, units), float32
        Weights of the code.
    shortwave : ndarray, shape (helped targets, 4), float32
        Weights of the short-wave infrared of the date that is predicted; for the last targets.
    intercept, precision : ndarray, shape (targets,), float32
        The constant; one over the noise.
    mixture : ndarray, shape (targets, bands), float32
        Each target as a sum of bands.
    """

    own: Matrix
    code: Matrix
    shortwave: Matrix
    intercept: Matrix
    precision: Matrix
    mixture: Matrix

    @classmethod
    def fit(cls, source: Samples, target: Samples, *, bands: int, helped: bool) -> "Predictor":
        """Fit all bands; with ``helped``, also what is seen, with the short-wave infrared.

        What is seen are the visible bands and, finer than any of them, their colour.
        """
        features = np.concatenate([source.own, source.code], axis=1)
        spectrum = target.own[:, :bands]
        fits = [fit_robust(features, spectrum, smallest_noise=SMALLEST_NOISE)]
        single = np.eye(bands, dtype=np.float32)
        mixtures = [single]
        if helped:
            features = np.concatenate([features, target.shortwave], axis=1)
            seen = np.concatenate([single[VISIBLE], single[[RED]] - single[[BLUE]]])
            fits.append(fit_robust(features, spectrum @ seen.T, smallest_noise=SMALLEST_NOISE))
            mixtures.append(seen)
        count = source.own.shape[1]
        edge = count + source.code.shape[1]
        weights = [fit.coefficients.T / fit.noise[:, None] for fit in fits]
        return cls(
            own=np.concatenate([part[:, :count] for part in weights]),
            code=np.concatenate([part[:, count:edge] for part in weights]),
            shortwave=weights[-1][:, edge:],
            intercept=np.concatenate([fit.intercept / fit.noise for fit in fits]),
            precision=np.concatenate([_one_over_noise(fit) for fit in fits]),
            mixture=np.concatenate(mixtures),
        )

    def refined(self, source: Samples, target: Samples) -> "Predictor":
        """Fit what the prediction leaves of some pixels, and add it.

        The weights of the short-wave infrared stay as they are.
        """
        features = np.concatenate([source.own, source.code], axis=1)
        rest = target.own[:, : self.mixture.shape[1]] @ self._observed().T - self.intercept
        rest -= features @ np.concatenate([self.own, self.code], axis=1).T
        if self.shortwave.size:
            rest[:, -len(self.shortwave) :] -= target.shortwave @ self.shortwave.T
        fit = refine_robust(features, rest, smallest_noise=SMALLEST_NOISE * self.precision)
        scale = _one_over_noise(fit)
        added = fit.coefficients.T
        count = self.own.shape[1]
        return Predictor(
            own=_rows_times(scale, self.own + added[:, :count]),
            code=_rows_times(scale, self.code + added[:, count:]),
            shortwave=_rows_times(scale[len(scale) - len(self.shortwave) :], self.shortwave),
            intercept=np.multiply(scale, self.intercept + fit.intercept),
            precision=np.multiply(scale, self.precision),
            mixture=self.mixture,
        )

    def code_sums(self, source: View, out: Image) -> None:
        """Write what the code predicts, and the constant, (targets, rows / 2, cols / 2).

        Weighting and doubling commute: the sums are doubled, not the code.
        """
        source.code.weighted(self.code, out)
        out += self.intercept[:, None, None]

    def plane_weights(self, planes: int) -> tuple[Matrix, Matrix]:
        """Return what makes the residual, in units of noise, but for the code.

        Parameters
        ----------
        planes : int
            How many a view has.

        Returns
        -------
        source, target : ndarray, shape (targets, planes), float32
            Weights of the planes of the date that predicts, and of the one that is predicted.
        """
        source = np.zeros((len(self.own), planes), np.float32)
        source[:, : self.own.shape[1]] = -self.own
        target = np.zeros_like(source)
        target[:, : self.mixture.shape[1]] = self._observed()
        if self.shortwave.size:
            helped = target[-len(self.shortwave) :]
            sharp, smooth = np.split(self.shortwave, 2, axis=1)
            helped[:, SHORTWAVE] -= sharp
            helped[:, self.own.shape[1] :] = -smooth
        return source, target

    def _observed(self) -> Matrix:
        """Return the targets as sums of bands, in units of noise."""
        return _rows_times(self.precision, self.mixture)


@dataclass(frozen=True)
class CrossPrediction:
    """A fitted pair: measures how badly each date is predicted from the other.

    Attributes
    ----------
    emphasis : tuple of str
        What disagreement is made of: the root mean square over ``all`` bands, the ``infrared`` or
        the ``shortwave`` ones; the most striking of the ``visible`` ones; ``beyond_shortwave``: of
        them and their colour, when the short-wave infrared of their own date helps to predict
        them; ``agreed``: the most striking geometric mean of what both directions leave of a
        visible band, where they see it brighter, or darker, alike.
    bands : tuple of str
    forward, backward : Predictor
        Of the later date from the earlier one, and the reverse.
    extensive : bool
        Whether change may be as large as a landscape. Then it is enough that one direction does
        not explain a pixel; if not, both must not, nor must what the neighbourhood has in common.
    """

    emphasis: tuple[str, ...]
    bands: tuple[str, ...]
    forward: Predictor
    backward: Predictor
    extensive: bool

    @classmethod
    def fit_pair(
        cls,
        before: Samples,
        after: Samples,
        emphasis: tuple[str, ...],
        bands: tuple[str, ...],
        *,
        extensive: bool,
    ) -> "CrossPrediction":
        """Fit the regressions on the same pixels of both dates, each direction in one thread."""
        fit = partial(Predictor.fit, bands=len(bands), helped=HELPED in emphasis)
        with one_thread_each(), ThreadPoolExecutor(min(2, thread_count())) as pool:
            forward, backward = pool.map(fit, (before, after), (after, before))
        return cls(emphasis, bands, forward, backward, extensive)

    def fitted_to(self, views: Views, valid: Mask) -> "CrossPrediction":
        """Fit it again to one place, beginning with what it is; as it is where hardly any is valid.

        Parameters
        ----------
        views : Views
            Both dates of the place.
        valid : ndarray, shape (rows, cols), bool
            The pixels to learn from.
        """
        candidates = np.flatnonzero(valid)
        if len(candidates) < FEWEST_LOCAL_SAMPLES:
            return self
        drawn = np.random.default_rng(SEED).choice(len(candidates), LOCAL_SAMPLES)
        drawn.sort()  # memory is read in its order
        rows, cols = np.unravel_index(candidates[drawn], valid.shape)
        first, second = (Samples.of(view, rows, cols) for view in (views.before, views.after))
        return replace(
            self,
            forward=self.forward.refined(first, second),
            backward=self.backward.refined(second, first),
        )

    def __call__(self, views: Views, valid: Mask) -> Image:
        """Return the disagreement, shape (rows, cols), in units of noise.

        It is the geometric mean of all parts of the emphasis. Each but ``agreed`` is the smaller of
        both directions: what one of them explains has not changed. With ``extensive``, the larger:
        harm to large areas, all alike, is soon learnt by the direction that has seen what it looks
        like, and not by the other.
        """
        sums = self._code_sums(views)
        weights = self._plane_weights(len(views.planes) // 2)
        if not self.extensive:
            cells = Cells(valid)
            rest = np.tensordot(weights, cells.means(views.planes), 1) - cells.means(sums)
            for each, own in zip(np.split(rest, 2), np.split(sums, 2), strict=True):
                own += cells.common(each, judged=len(self.bands), shape=own.shape[1:])
        height, width = valid.shape
        disagreement = np.empty((height, width), np.float32)
        for rows in _strips(height, width):
            rest = _weighted_sums(weights, views.planes[:, rows])
            rest -= doubled_rows(sums, rows, width)
            disagreement[rows] = self._combine(*np.split(rest, 2))
        return disagreement

    def _code_sums(self, views: Views) -> Image:
        """Return what is predicted from the codes, shape (2 targets, rows / 2, cols / 2)."""
        targets = len(self.forward.own)
        sums = np.empty((2 * targets, *views.before.code.met.shape[1:]), np.float32)
        self.forward.code_sums(views.before, sums[:targets])
        self.backward.code_sums(views.after, sums[targets:])
        return sums

    def _plane_weights(self, planes: int) -> Matrix:
        """Return what weighs the planes of both dates, shape (2 targets, 2 planes)."""
        before, after = self.forward.plane_weights(planes)
        later, earlier = self.backward.plane_weights(planes)
        return np.block([[before, after], [earlier, later]])

    def _combine(self, forward: Image, backward: Image) -> Image:
        """Put together what both directions leave; the arrays are written over."""
        squares = []
        if AGREED in self.emphasis:
            common = (forward[VISIBLE] * backward[VISIBLE]).min(axis=0)
            squares.append(np.float32(STRIKING) * np.maximum(-common, 0))
        np.square(forward, out=forward)
        np.square(backward, out=backward)
        decide = np.maximum if self.extensive else np.minimum
        for name in self.emphasis:
            if name != AGREED:
                squares.append(decide(self._part(name, forward), self._part(name, backward)))
        product = np.ones_like(forward[0])
        for part in squares:
            product *= np.sqrt(part, out=part) + np.float32(SMALLEST)
        return np.asarray(product ** np.float32(1 / len(squares)), np.float32)

    def _part(self, name: str, squares: Image) -> Image:
        """Return what a part of the emphasis is in one direction, squared."""
        chosen = squares[self._targets(name)]
        if name in (VISIBLE_MAP, HELPED):
            return np.asarray(np.float32(STRIKING) * chosen.max(axis=0), np.float32)
        return np.asarray(chosen.mean(axis=0), np.float32)

    def _targets(self, name: str) -> slice:
        """Tell which of the predictors' targets make a map."""
        if name == HELPED:
            return slice(len(self.bands), None)
        chosen = [i for i, band in enumerate(self.bands) if band in PARTS[name]]
        return slice(chosen[0], chosen[-1] + 1)


def _strips(rows: int, cols: int) -> Iterator[slice]:
    """Split rows so that what is computed of a strip stays in the processor's cache."""
    step = max(2, STRIP_PIXELS // cols // 2 * 2)
    for row in range(0, rows, step):
        yield slice(row, min(row + step, rows))


def _weighted_sums(weights: Matrix, bands: Image) -> Image:
    """Weight and add bands; row by row, for a part of an image is not one piece of memory."""
    sums: Image = np.matmul(weights, bands.swapaxes(0, 1))
    return sums.swapaxes(0, 1)


def _one_over_noise(fit: RobustFit) -> Matrix:
    return np.asarray(1 / fit.noise, np.float32)


def _rows_times(factors: Matrix, weights: Matrix) -> Matrix:
    return np.asarray(factors[:, None] * weights, np.float32)
