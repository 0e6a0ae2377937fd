"""Cross-prediction: each date is predicted from the other, and the residual is change.

From the features h of one date (spectrum, fine features and code of the encoder), the spectrum y of
the other is predicted by a robust ridge regression C, fitted to the pair itself:

    r_k = (y_k - C_k h) / s_k,  s_k = max(1.4826 median |y_k - C_k h|, 0.15)

The regression absorbs sun, atmosphere and season, which act on each land cover in their own way.
What it leaves, the residual r in units of the pair's own noise s, is comparable between images.
With the bands as features, ordinary least squares and the Mahalanobis distance of the residual, it
would be the chronochrome detector [1]_.

References
----------
.. [1] Theiler, J. (2008). Quantitative comparison of quadratic covariance-based anomalous change
   detectors. Applied Optics 47(28), F12-F26. https://doi.org/10.1364/AO.47.000F12
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
from candela.models.code import doubled_pixels, doubled_rows
from candela.models.encoder import BANDS, VISIBLE

from .cells import Cells
from .kind import Radiometry, Signature
from .loss import one_sided, vegetation_gate
from .views import BLUE, RED, SHORTWAVE, View, Views

SMALLEST_NOISE = 0.15  # lower limit of s, in standardised reflectance
PARTS = {
    "all": BANDS,
    "visible": BANDS[VISIBLE],
    "infrared": BANDS[3:8],  # red edge to NIR
    "shortwave": BANDS[SHORTWAVE],
}
VISIBLE_PART, BEYOND_SHORTWAVE, AGREED = "visible", "beyond_shortwave", "agreed"
MAXIMUM_TO_RMS = 0.8**2  # squared: brings the largest of three bands of noise to their RMS
FLOOR = 0.1  # in units of noise; added to each factor of the geometric mean

LOCAL_SAMPLES = 3000  # pixels of the local fit
FEWEST_LOCAL_SAMPLES = 1024  # with fewer valid pixels, the global fit is kept
STRIP_PIXELS = 32_768  # about; fit into the processor's cache
SEED = 20200706

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Matrix = NDArray[np.float32]
Indexes = NDArray[np.intp]


class Disagreement(NamedTuple):
    """The disagreement of two dates, in units of noise, above 0.

    Attributes
    ----------
    change : ndarray, shape (rows, cols), float32
    loss, gain : ndarray, shape (rows, cols), float32, optional
        By loss and by gain of vegetation: see ``one_sided``.
    green : ndarray, shape (rows, cols), float32, optional
        See ``vegetation_gate``.
    code_sums : ndarray, shape (targets, rows / 2, cols / 2), float32, optional
        Part of the code and intercept in the prediction of the later date.
    """

    change: Image
    loss: Image | None = None
    gain: Image | None = None
    green: Image | None = None
    code_sums: Image | None = None


class Samples(NamedTuple):
    """Sampled pixels of one date, for the regression.

    Attributes
    ----------
    pixel : ndarray, shape (pixels, features), float32
        Spectrum and fine features.
    code : ndarray, shape (pixels, units), float32
    shortwave : ndarray, shape (pixels, 4 or 0), float32
        B11 and B12, then the same smoothed by a Gaussian of 3 pixels.
    """

    pixel: Matrix
    code: Matrix
    shortwave: Matrix

    @classmethod
    def of(cls, source: View, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> "Samples":
        """Sample pixels of a view."""
        bands, pixel, smooth = (
            planes[:, rows, cols]
            for planes in (source.bands[SHORTWAVE], source.pixel, source.smooth)
        )
        return cls(
            pixel.T,
            source.code.doubled_at(rows, cols).T,
            np.concatenate([bands, smooth]).T,
        )

    @classmethod
    def joined(cls, parts: Sequence["Samples"]) -> "Samples":
        """Concatenate the samples of several windows."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Predictor:
    """Robust linear prediction of one date from the other, in units of its own noise.

    The residual of target k is r_k = (m_k y) / s_k - w_k h - b_k, with the rows m of the mixture.

    Attributes
    ----------
    pixel : ndarray, shape (targets, features), float32
        Weights w of spectrum and fine features.
    code : ndarray, shape (targets, units), float32
        Weights w of the code.
    shortwave : ndarray, shape (last targets, 4), float32
        Weights of the short-wave infrared of the predicted date, for the last targets.
    intercept, precision : ndarray, shape (targets,), float32
        b, and 1 / s.
    mixture : ndarray, shape (targets, bands), float32
        Each target as a linear combination of bands.
    """

    pixel: Matrix
    code: Matrix
    shortwave: Matrix
    intercept: Matrix
    precision: Matrix
    mixture: Matrix

    @classmethod
    def fit(cls, source: Samples, target: Samples, *, bands: int, covariates: bool) -> "Predictor":
        """Fit the regression of all bands, and with ``covariates`` a second one.

        Targets of the second are the visible bands and their colour, red less blue, whose noise is
        smaller than that of either. The short-wave infrared of the predicted date is a covariate,
        so that its residual is what neither the other date nor the short-wave infrared explains.
        """
        features = np.concatenate([source.pixel, source.code], axis=1)
        spectrum = target.pixel[:, :bands]
        fits = [fit_robust(features, spectrum, smallest_noise=SMALLEST_NOISE)]
        single = np.eye(bands, dtype=np.float32)
        mixtures = [single]
        if covariates:
            features = np.concatenate([features, target.shortwave], axis=1)
            visible = np.concatenate([single[VISIBLE], single[[RED]] - single[[BLUE]]])
            fits.append(fit_robust(features, spectrum @ visible.T, smallest_noise=SMALLEST_NOISE))
            mixtures.append(visible)
        count = source.pixel.shape[1]
        edge = count + source.code.shape[1]
        weights = [fit.coefficients.T / fit.noise[:, None] for fit in fits]
        return cls(
            pixel=np.concatenate([part[:, :count] for part in weights]),
            code=np.concatenate([part[:, count:edge] for part in weights]),
            shortwave=weights[-1][:, edge:],
            intercept=np.concatenate([fit.intercept / fit.noise for fit in fits]),
            precision=np.concatenate([_one_over_noise(fit) for fit in fits]),
            mixture=np.concatenate(mixtures),
        )

    def refined(self, source: Samples, target: Samples) -> "Predictor":
        """Return the prediction plus a regression of its residual, fitted to the pixels given.

        The weights of the short-wave infrared are kept. See ``refine_robust``.
        """
        features = np.concatenate([source.pixel, source.code], axis=1)
        rest = self.residual(source, target)
        fit = refine_robust(features, rest, smallest_noise=SMALLEST_NOISE * self.precision)
        scale = _one_over_noise(fit)
        added = fit.coefficients.T
        count = self.pixel.shape[1]
        return Predictor(
            pixel=_rows_times(scale, self.pixel + added[:, :count]),
            code=_rows_times(scale, self.code + added[:, count:]),
            shortwave=_rows_times(scale[len(scale) - len(self.shortwave) :], self.shortwave),
            intercept=np.multiply(scale, self.intercept + fit.intercept),
            precision=np.multiply(scale, self.precision),
            mixture=self.mixture,
        )

    def residual(self, source: Samples, target: Samples) -> Matrix:
        """Return the residuals of samples, shape (pixels, targets), in units of noise."""
        rest = target.pixel[:, : self.mixture.shape[1]] @ self._observed().T - self.intercept
        rest -= source.pixel @ self.pixel.T + source.code @ self.code.T
        if self.shortwave.size:
            rest[:, -len(self.shortwave) :] -= target.shortwave @ self.shortwave.T
        return np.asarray(rest, np.float32)

    def code_sums(self, source: View, out: Image) -> None:
        """Write the part of the code and the intercept, w u + b, (targets, rows / 2, cols / 2).

        It is upsampled to 10 m afterwards, which commutes with the linear combination of units.
        """
        source.code.weighted(self.code, out)
        out += self.intercept[:, None, None]

    def plane_weights(self, planes: int) -> tuple[Matrix, Matrix]:
        """Return the residual as weights of the planes of both dates, without the part of the code.

        Parameters
        ----------
        planes : int
            Number of planes of a view.

        Returns
        -------
        source, target : ndarray, shape (targets, planes), float32
            Weights of the planes of the predicting and of the predicted date.
        """
        source = np.zeros((len(self.pixel), planes), np.float32)
        source[:, : self.pixel.shape[1]] = -self.pixel
        target = np.zeros_like(source)
        target[:, : self.mixture.shape[1]] = self._observed()
        if self.shortwave.size:
            last = target[-len(self.shortwave) :]
            sharp, smooth = np.split(self.shortwave, 2, axis=1)
            last[:, SHORTWAVE] -= sharp
            last[:, self.pixel.shape[1] :] = -smooth
        return source, target

    def _observed(self) -> Matrix:
        """Return the mixture in units of noise, m_k / s_k."""
        return _rows_times(self.precision, self.mixture)


@dataclass(frozen=True)
class CrossPrediction:
    """Regressions in both directions of time, fitted to a pair; measure the disagreement.

    With the residuals r of one direction, the parts of the disagreement are

        all, infrared, shortwave    sqrt(mean_k r_k^2) over these bands
        visible                     0.8 max_k |r_k| over B02, B03, B04
        beyond_shortwave            0.8 max_k |r_k| over the same and their colour, from the
                                    regression with the short-wave infrared as covariate
        agreed                      0.8 max_k sqrt(max(0, -r_k r'_k)) over B02, B03, B04, with
                                    r' of the other direction: both see the pixel brighter, or
                                    both darker

    and the disagreement is their geometric mean, 0.1 added to each; and then the geometric mean of
    that of the residuals and that of the residuals less their background (``Cells``).

    Attributes
    ----------
    emphasis : tuple of str
        The parts.
    bands : tuple of str
    forward, backward : Predictor
        Of the later date from the earlier one, and the reverse.
    extensive : bool
        Whether a change may cover a landscape. Of each part but ``agreed``, the smaller of both
        directions counts: what one of them explains has not changed. With ``extensive`` it is the
        larger one, and the background is not subtracted: a regression that has seen large areas
        of one kind of damage predicts what they were before, the reverse one cannot predict them.
    losses : bool
        Whether loss of vegetation is measured, too.
    scales : Radiometry
        From standardised bands to reflectance.
    """

    emphasis: tuple[str, ...]
    bands: tuple[str, ...]
    forward: Predictor
    backward: Predictor
    extensive: bool
    losses: bool
    scales: Radiometry

    @classmethod
    def fit_pair(
        cls,
        before: Samples,
        after: Samples,
        emphasis: tuple[str, ...],
        bands: tuple[str, ...],
        *,
        extensive: bool,
        losses: bool,
        scales: Radiometry,
    ) -> "CrossPrediction":
        """Fit the regressions to the same pixels of both dates, each direction in one thread."""
        fit = partial(Predictor.fit, bands=len(bands), covariates=BEYOND_SHORTWAVE in emphasis)
        with one_thread_each(), ThreadPoolExecutor(min(2, thread_count())) as pool:
            forward, backward = pool.map(fit, (before, after), (after, before))
        return cls(emphasis, bands, forward, backward, extensive, losses, scales)

    def fitted_to(self, views: Views, valid: Mask) -> "CrossPrediction":
        """Refine the regressions on random pixels of one window.

        Parameters
        ----------
        views : Views
            Both dates of the window.
        valid : ndarray, shape (rows, cols), bool
            The pixels to draw from; with fewer than 1024 the regressions stay as they are.
        """
        candidates = np.flatnonzero(valid)
        if len(candidates) < FEWEST_LOCAL_SAMPLES:
            return self
        drawn = np.random.default_rng(SEED).choice(len(candidates), LOCAL_SAMPLES)
        drawn.sort()  # reads memory sequentially
        rows, cols = np.unravel_index(candidates[drawn], valid.shape)
        first, second = (Samples.of(view, rows, cols) for view in (views.before, views.after))
        return replace(
            self,
            forward=self.forward.refined(first, second),
            backward=self.backward.refined(second, first),
        )

    def __call__(self, views: Views, valid: Mask) -> Disagreement:
        """Return the disagreement, shape (rows, cols), float32, in units of noise."""
        sums = self._code_sums(views)
        weights = self._plane_weights(len(views.planes) // 2)
        background = None if self.extensive else self._background(weights, sums, views, valid)
        height, width = valid.shape
        found = np.empty((4 if self.losses else 1, height, width), np.float32)
        for rows in _strips(height, width):
            rest = _weighted_sums(weights, views.planes[:, rows])
            rest -= doubled_rows(sums, rows, width)
            if self.losses:
                gate = vegetation_gate(views.before.bands[:, rows], self.scales.before)
                found[1:, rows] = *one_sided(rest[: len(self.bands)]), gate
            if background is None:
                found[0, rows] = self._combine(*np.split(rest, 2))
                continue
            less = rest - doubled_rows(background, rows, width)
            both = (self._combine(*np.split(part, 2)) for part in (rest, less))
            found[0, rows] = np.sqrt(np.multiply(*both))
        count = len(self.bands)
        return Disagreement(*found)._replace(code_sums=sums[:count])

    def signature(
        self, views: Views, found: Disagreement, rows: Indexes, cols: Indexes
    ) -> Signature | None:
        """Return the spectra of some pixels; None without the short-wave infrared.

        The part of the code comes from ``found``: no unit is computed twice.
        """
        if len(self.bands) < len(BANDS) or found.code_sums is None:
            return None
        count, forward = len(self.bands), self.forward
        before, after = views.before.pixel[:, rows, cols], views.after.bands[:, rows, cols]
        residual = after * forward.precision[:count, None]
        residual -= forward.pixel[:count] @ before
        residual -= doubled_pixels(found.code_sums, rows, cols)
        noise = np.reciprocal(forward.precision[:count])
        return Signature.of(before[:count], after, residual, noise, self.scales)

    def _background(self, weights: Matrix, sums: Image, views: Views, valid: Mask) -> Image:
        """Return the background of the residuals, (2 targets, rows / 2, cols / 2)."""
        cells = Cells(valid)
        rest = np.tensordot(weights, cells.means(views.planes), 1) - cells.means(sums)
        return np.concatenate(
            [
                cells.background(part, weighting=len(self.bands), shape=sums.shape[1:])
                for part in np.split(rest, 2)
            ]
        )

    def _code_sums(self, views: Views) -> Image:
        """Return the part of the codes in both predictions, (2 targets, rows / 2, cols / 2)."""
        targets = len(self.forward.pixel)
        sums = np.empty((2 * targets, *views.before.code.inputs.shape[1:]), np.float32)
        self.forward.code_sums(views.before, sums[:targets])
        self.backward.code_sums(views.after, sums[targets:])
        return sums

    def _plane_weights(self, planes: int) -> Matrix:
        """Return the weights of the planes of both dates, shape (2 targets, 2 planes)."""
        before, after = self.forward.plane_weights(planes)
        later, earlier = self.backward.plane_weights(planes)
        return np.block([[before, after], [earlier, later]])

    def _combine(self, forward: Image, backward: Image) -> Image:
        """Return the disagreement of the residuals of both directions, which are overwritten."""
        squares = []
        if AGREED in self.emphasis:
            products = (forward[VISIBLE] * backward[VISIBLE]).min(axis=0)
            squares.append(np.float32(MAXIMUM_TO_RMS) * np.maximum(-products, 0))
        np.square(forward, out=forward)
        np.square(backward, out=backward)
        decide = np.maximum if self.extensive else np.minimum
        for name in self.emphasis:
            if name != AGREED:
                squares.append(decide(self._part(name, forward), self._part(name, backward)))
        product = np.ones_like(forward[0])
        for part in squares:
            product *= np.sqrt(part, out=part) + np.float32(FLOOR)
        return np.asarray(product ** np.float32(1 / len(squares)), np.float32)

    def _part(self, name: str, squares: Image) -> Image:
        """Return a part of the disagreement in one direction, squared."""
        chosen = squares[self._targets(name)]
        if name in (VISIBLE_PART, BEYOND_SHORTWAVE):
            return np.asarray(np.float32(MAXIMUM_TO_RMS) * chosen.max(axis=0), np.float32)
        return np.asarray(chosen.mean(axis=0), np.float32)

    def _targets(self, name: str) -> slice:
        """Return the targets of a part."""
        if name == BEYOND_SHORTWAVE:
            return slice(len(self.bands), None)
        chosen = [i for i, band in enumerate(self.bands) if band in PARTS[name]]
        return slice(chosen[0], chosen[-1] + 1)


def _strips(rows: int, cols: int) -> Iterator[slice]:
    """Split rows into strips that fit into the processor's cache."""
    step = max(2, STRIP_PIXELS // cols // 2 * 2)
    for row in range(0, rows, step):
        yield slice(row, min(row + step, rows))


def _weighted_sums(weights: Matrix, bands: Image) -> Image:
    """Return linear combinations of bands, row by row: a part of an image is not contiguous."""
    sums: Image = np.matmul(weights, bands.swapaxes(0, 1))
    return sums.swapaxes(0, 1)


def _one_over_noise(fit: RobustFit) -> Matrix:
    return np.asarray(1 / fit.noise, np.float32)


def _rows_times(factors: Matrix, weights: Matrix) -> Matrix:
    return np.asarray(factors[:, None] * weights, np.float32)
