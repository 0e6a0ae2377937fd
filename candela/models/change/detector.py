"""Change detector: from two images to the probability of change, arrays in, arrays out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from candela.eo.memory import ThreadMemory
from candela.eo.raster.registration import Shift
from candela.eo.raster.smoothing import gaussian, guided_filter
from candela.eo.s2.pair import Reflectance
from candela.models.encoder import Encoder
from candela.models.standardisation import Standardisation

from .kind import INDICES, NODATA, Kind, Signature, index_changes, kinds
from .prediction import Disagreement, Indexes
from .views import Part, Views, describe

FINE_SIGMA = 0.7  # pixels
SMOOTHING_SIGMAS = (1.5, 5.0)  # pixels; the scales of a building and of a building site
GUIDE_RADIUS = 6  # pixels
GUIDE_EPSILON = 0.1  # regularisation: variance of the standardised visible mean
QUANTIFICATION = np.float32(10_000)  # digital number of reflectance 1
LIKELY_ODDS = -1.0  # logarithm; the cross-fade may raise them to 0
LIKELY = 0.2  # log magnitude; below it, p is below 0.5 on any pair measured
GATE_SIGMA = 1.5  # pixels
LOSS_CENTRE = 0.0  # log magnitude above the pair's limit at which p = 0.5
LOSS_WIDTH = 0.15  # increase of log magnitude that multiplies the odds by e
FLOOR = 1e-3  # in units of noise; keeps the logarithm finite
SMALLEST_PROBABILITY = 1e-4  # some consumers read exact zeros as nodata
REACH = 48  # pixels: receptive field to each side, a multiple of the coarsest level
# (shift 3 + encoder 17 + smoothing 15)
FRAME = 16  # pixels of it whose disagreement is computed: smoothing 15; even

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

_own = ThreadMemory(3)


class Comparison(Protocol):
    """A measure of disagreement between two dates."""

    def __call__(self, views: Views, valid: Mask) -> Disagreement:
        """Return the disagreement in a window."""

    def signature(
        self, views: Views, found: Disagreement, rows: Indexes, cols: Indexes
    ) -> Signature | None:
        """Return the spectra of some pixels, where the comparison has them."""

    def fitted_to(self, views: Views, valid: Mask) -> "Comparison":
        """Return the comparison refitted to the valid pixels of one window."""


class LogisticCurve(NamedTuple):
    """Probability p of change by log magnitude: logit p = (log m - share scale - centre) / width.

    Attributes
    ----------
    share : float
        Coefficient of the pair's scale, its median log magnitude.
    centre : float
        Log magnitude above this offset at which p = 0.5.
    width : float
        Increase of log magnitude that multiplies the odds by e.
    """

    share: float
    centre: float
    width: float


class Evidence(NamedTuple):
    """Evidence of change in a window; NaN where a band of either image is nodata.

    Attributes
    ----------
    magnitude : ndarray, shape (rows, cols), float32
        Natural logarithm of the disagreement in units of noise.
    loss, gain : ndarray, shape (rows, cols), float32, optional
        The same of the loss and of the gain of vegetation.
    green : ndarray, shape (rows, cols), float32, optional
        How likely there was vegetation to be lost, 0 to 1.
    kind : ndarray, shape (rows, cols), uint8, optional
        Values of ``Kind``, of pixels that may have changed; nodata 255.
    indices : ndarray, shape (3, rows, cols), float16, optional
        See ``index_changes``, of the same pixels; elsewhere 0.
    """

    magnitude: Image
    loss: Image | None = None
    gain: Image | None = None
    green: Image | None = None
    kind: NDArray[np.uint8] | None = None
    indices: NDArray[np.float16] | None = None

    def kinds_in(self, part: Part) -> "Evidence":
        """Return the kinds alone, of a part."""
        kind = None if self.kind is None else self.kind[part]
        indices = None if self.indices is None else self.indices[:, *part]
        return Evidence(self.magnitude[:0], kind=kind, indices=indices)


@dataclass(frozen=True)
class Detector:
    """A change detector fitted to one pair.

    Attributes
    ----------
    encode : Encoder
    before, after : Standardisation
        Of both images.
    shift : Shift
        Registers the later image to the earlier one; each of them is moved by half of it.
    compare : Comparison
        Fitted to the pair.
    local : bool
        Whether the comparison is refitted to each window.
    curve : LogisticCurve
    scale : float
        Median log magnitude of the pair.
    loss_limit : float
        98 % quantile of the pair's log magnitude of gain of vegetation, 0.3 at least: the scale of
        the loss.
    whole : Evidence, optional
        That of an image that was surveyed whole.
    """

    encode: Encoder
    before: Standardisation
    after: Standardisation
    shift: Shift
    compare: Comparison
    local: bool
    curve: LogisticCurve
    scale: float = 0.0
    loss_limit: float = 0.0
    whole: Evidence | None = None

    def evidence(
        self, before: Reflectance, after: Reflectance, part: Part, *, gain: bool = False
    ) -> Evidence:
        """Return the evidence of change in a part of a window.

        Parameters
        ----------
        before, after : ndarray, shape (bands, rows, cols), uint16
            Reflectance times 10 000, nodata 0.
        part : tuple of two slices
            Rows and columns of the result.
        gain : bool
            Whether to measure the gain of vegetation, too, where its loss is measured.
        """
        valid = valid_pixels(before, after)
        if not valid[part].any():
            return _no_evidence(valid[part].shape)
        wider, inner = _framed(part, valid.shape)
        scales = self.before, self.after
        views = register_and_encode((before, after), valid, scales, self.shift, self.encode, wider)
        compare = self.compare.fitted_to(views, valid[wider]) if self.local else self.compare
        found = compare(views, valid[wider])
        guides = views.before.guide, views.after.guide

        def cut(image: Image) -> Image:
            return np.where(valid[part], image[inner], np.float32(np.nan))

        def measured(disagreement: Image | None) -> Image | None:
            return None if disagreement is None else cut(log_magnitude(disagreement, guides))

        evidence = Evidence(
            cut(log_magnitude(found.change, guides)),
            measured(found.loss),
            measured(found.gain) if gain else None,
            None if found.green is None else cut(gaussian(found.green, GATE_SIGMA)),
        )
        if gain and self.local:
            return evidence  # of a sample, for the scales
        likely = self.log_odds(evidence) > LIKELY_ODDS if self.local else _is_likely(evidence)
        inside = before[:, *part], after[:, *part]

        def signature(rows: Indexes, cols: Indexes) -> Signature | None:
            return compare.signature(views, found, rows + inner[0].start, cols + inner[1].start)

        return _with_kinds(evidence, likely, signature, inside)

    def log_odds(self, evidence: Evidence) -> Image:
        """Return the log odds of change, shape (rows, cols), float32; NaN stays NaN.

        Those of change, log p / (1 - p) = (log m - share scale - centre) / width, or of loss of
        vegetation, where these are larger: p = gate / (1 + exp(-(log m - limit - centre) / width)).
        """
        curve = self.curve
        odds = (evidence.magnitude - curve.share * self.scale - curve.centre) / curve.width
        if evidence.loss is not None and evidence.green is not None:
            rest = np.exp((self.loss_limit + LOSS_CENTRE - evidence.loss) / LOSS_WIDTH)
            with np.errstate(divide="ignore"):
                odds = np.maximum(odds, np.log(evidence.green / (1 + rest - evidence.green)))
        return np.asarray(odds, np.float32)


def probability(log_odds: Image) -> Image:
    """Return p = 1 / (1 + exp(-log odds)), ``SMALLEST_PROBABILITY`` to 1; NaN stays NaN."""
    return np.asarray(np.maximum(1 / (1 + np.exp(-log_odds)), SMALLEST_PROBABILITY), np.float32)


def valid_pixels(before: Reflectance, after: Reflectance) -> Mask:
    """Return where all bands of both dates, (bands, rows, cols), have data: are above 0."""
    valid = np.ones(before.shape[1:], np.bool_)
    for band in (*before, *after):
        valid &= band > 0
    return valid


def register_and_encode(
    images: tuple[Reflectance, Reflectance],
    valid: Mask,
    scales: tuple[Standardisation, Standardisation],
    shift: Shift,
    encode: Encoder,
    part: Part,
) -> Views:
    """Standardise two images, move each by half the shift, and compute the features of a part.

    The result is overwritten by the next call in the same thread.
    """
    standard = _own.memories[0].array("standard", *images[0].shape)
    dates = (  # one after the other, in the same memory
        scale.apply(image, valid, shift.times(way), standard)
        for image, scale, way in zip(images, scales, (-0.5, 0.5), strict=True)
    )
    return describe(dates, standard.shape, encode, part, _own.memories)


def log_magnitude(disagreement: Image, guides: tuple[Image, Image]) -> Image:
    """Return the log magnitude m of the disagreement d, a geometric mean over scales.

    log m = ((log G_1.5(d) + log G_5(d)) / 2 + log Q) / 2

    with G_s the Gaussian of s pixels and Q the mean over both dates of the guided filter [1]_
    (radius 6, epsilon 0.1) of G_0.7(d), guided by the brightness of the date. The geometric mean is
    low where any scale is low.

    Parameters
    ----------
    disagreement : ndarray, shape (rows, cols), float32
        In units of noise.
    guides : tuple of two ndarray, shape (rows, cols), float32
        Standardised brightness of both dates, whose edges the filter preserves.

    Returns
    -------
    ndarray, shape (rows, cols), float32
        Natural logarithm, unitless.

    References
    ----------
    .. [1] He, K., Sun, J., Tang, X. (2013). Guided image filtering. IEEE TPAMI 35(6), 1397-1409.
       https://doi.org/10.1109/TPAMI.2012.213
    """
    scales = [gaussian(disagreement, sigma) for sigma in SMOOTHING_SIGMAS]
    fine = gaussian(disagreement, FINE_SIGMA)
    edged = [
        guided_filter(fine, guide, radius=GUIDE_RADIUS, epsilon=GUIDE_EPSILON) for guide in guides
    ]
    coarse = np.log(np.maximum(scales, FLOOR)).mean(axis=0)
    kept = np.log(np.maximum(np.mean(edged, axis=0), FLOOR))
    return np.asarray((coarse + kept) / 2, np.float32)


def _no_evidence(shape: tuple[int, ...]) -> Evidence:
    """Return the evidence of a part without data."""
    empty: Image = np.full(shape, np.nan, np.float32)
    kind: NDArray[np.uint8] = np.full(shape, NODATA, np.uint8)
    indices: NDArray[np.float16] = np.zeros((len(INDICES), *shape), np.float16)
    return Evidence(empty, empty, empty, empty, kind, indices)


def _is_likely(evidence: Evidence) -> Mask:
    """Tell which pixels may have changed before the scale of the pair is known."""
    likely = evidence.magnitude > LIKELY
    return likely if evidence.loss is None else likely | (evidence.loss > LIKELY)


def _with_kinds(
    evidence: Evidence,
    likely: Mask,
    signature: Callable[[Indexes, Indexes], Signature | None],
    images: tuple[Reflectance, Reflectance],
) -> Evidence:
    """Add the kinds of the pixels that may have changed."""
    rows, cols = np.nonzero(likely)
    found = signature(rows, cols)
    if found is None:
        return evidence
    first, second = (image[:, rows, cols].astype(np.float32) / QUANTIFICATION for image in images)
    found = found._replace(measured=(first, second))
    kind = np.where(np.isnan(evidence.magnitude), NODATA, Kind.UNCHANGED).astype(np.uint8)
    kind[rows, cols] = kinds(found)
    indices = np.zeros((len(INDICES), *kind.shape), np.float16)
    indices[:, rows, cols] = index_changes(found)
    return evidence._replace(kind=kind, indices=indices)


def _framed(part: Part, shape: tuple[int, ...]) -> tuple[Part, Part]:
    """Widen a part by the frame, within the window; return that, and the part within it."""
    wider = [
        slice(max(0, inner.start - FRAME) // 2 * 2, min(side, inner.stop + FRAME))
        for inner, side in zip(part, shape, strict=True)
    ]
    inside = [
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in zip(part, wider, strict=True)
    ]
    return (wider[0], wider[1]), (inside[0], inside[1])
