"""From two standardised images to the probability of change: arrays in, arrays out."""

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

from .views import Part, Views, describe

FINE_SIGMA = 0.7  # pixels
SMOOTHING_SIGMAS = (1.5, 5.0)  # pixels; a building, and a building site
GUIDE_RADIUS = 6  # pixels
GUIDE_EPSILON = 0.1  # variance of the standardised visible mean that counts as flat
FLOOR = 1e-3  # in units of noise; keeps the logarithm finite
SMALLEST_PROBABILITY = 1e-4  # consumers take exact zeros as missing
REACH = 48  # pixels: how far a kernel may look, a multiple of the coarsest level
# (shift 3 + encoder 17 + smoothing 15)
FRAME = 16  # pixels of it that are not only context: smoothing 15; even

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

_own = ThreadMemory(3)


class Comparison(Protocol):
    """Says how much two dates disagree."""

    def __call__(self, views: Views, valid: Mask) -> Image:
        """Return the disagreement of a window, shape (rows, cols), above 0."""

    def fitted_to(self, views: Views, valid: Mask) -> "Comparison":
        """Return the comparison that suits one window best, learnt from its valid pixels."""


class Rule(NamedTuple):
    """From the logarithm of the magnitude to a probability: a sigmoid.

    Attributes
    ----------
    share : float
        How much of the pair's typical log magnitude is subtracted.
    centre : float
        What is left at a probability of one half.
    width : float
        By how much it has to grow for the odds to grow by e.
    """

    share: float
    centre: float
    width: float


@dataclass(frozen=True)
class Detector:
    """All that was learnt about one pair.

    Attributes
    ----------
    encode : Encoder
    before, after : Standardisation
        Of both images.
    shift : Shift
        What brings the later image onto the earlier one; each of them goes half the way.
    compare : Comparison
        The comparison, fitted to the pair.
    local : bool
        Whether it is to be fitted again to each window.
    rule : Rule
    typical : float
        Median log magnitude of the pair.
    whole : ndarray, shape (rows, cols), float32, optional
        The log magnitude of an image that was surveyed whole.
    """

    encode: Encoder
    before: Standardisation
    after: Standardisation
    shift: Shift
    compare: Comparison
    local: bool
    rule: Rule
    typical: float = 0.0
    whole: Image | None = None

    def magnitude(self, before: Reflectance, after: Reflectance, part: Part) -> NDArray[np.float32]:
        """Return how much both dates of a part of a window disagree.

        Parameters
        ----------
        before, after : ndarray, shape (bands, rows, cols), uint16
            Reflectance times 10 000, nodata 0.
        part : tuple of two slices
            The rows and columns that are asked for.

        Returns
        -------
        ndarray, shape of the part, float32
            Natural logarithm, in units of noise; NaN where a band of either image has no data.
        """
        valid = valid_pixels(before, after)
        if not valid[part].any():
            return np.full(valid[part].shape, np.nan, np.float32)
        wider, inner = _framed(part, valid.shape)
        scales = self.before, self.after
        views = look((before, after), valid, scales, self.shift, self.encode, wider)
        compare = self.compare.fitted_to(views, valid[wider]) if self.local else self.compare
        disagreement = compare(views, valid[wider])
        magnitude = log_magnitude(disagreement, (views.before.guide, views.after.guide))
        return np.where(valid[part], magnitude[inner], np.float32(np.nan))

    def probability(self, magnitude: Image) -> Image:
        """Turn log magnitudes into probabilities, ``SMALLEST_PROBABILITY`` to 1; NaN stays."""
        return probability(magnitude, self.typical, self.rule)


def valid_pixels(before: Reflectance, after: Reflectance) -> Mask:
    """Tell where all bands of both dates, (bands, rows, cols), have data."""
    valid = np.ones(before.shape[1:], np.bool_)
    for band in (*before, *after):
        valid &= band > 0
    return valid


def look(
    images: tuple[Reflectance, Reflectance],
    valid: Mask,
    scales: tuple[Standardisation, Standardisation],
    shift: Shift,
    encode: Encoder,
    part: Part,
) -> Views:
    """Register two images half way each, and describe a part of them.

    What is returned holds until the next call in the same thread.
    """
    standard = _own.memories[0].array("standard", *images[0].shape)
    dates = (  # one after the other, in the same memory
        scale.apply(image, valid, shift.times(way), standard)
        for image, scale, way in zip(images, scales, (-0.5, 0.5), strict=True)
    )
    return describe(dates, standard.shape, encode, part, _own.memories)


def log_magnitude(disagreement: Image, guides: tuple[Image, Image]) -> Image:
    """Smooth the disagreement at several scales and put them together.

    The mean of logarithms is the logarithm of a geometric mean: a pixel must stand out at all
    scales.

    Parameters
    ----------
    disagreement : ndarray, shape (rows, cols), float32
        In units of noise.
    guides : tuple of two ndarray, shape (rows, cols), float32
        Brightness of both dates: its edges stay in the result.

    Returns
    -------
    ndarray, shape (rows, cols), float32
        Natural logarithm.
    """
    scales = [gaussian(disagreement, sigma) for sigma in SMOOTHING_SIGMAS]
    fine = gaussian(disagreement, FINE_SIGMA)
    edged = [
        guided_filter(fine, guide, radius=GUIDE_RADIUS, epsilon=GUIDE_EPSILON) for guide in guides
    ]
    coarse = np.log(np.maximum(scales, FLOOR)).mean(axis=0)
    kept = np.log(np.maximum(np.mean(edged, axis=0), FLOOR))
    return np.asarray((coarse + kept) / 2, np.float32)


def probability(magnitude: Image, typical: float, rule: Rule) -> Image:
    """Turn log magnitudes into probabilities.

    Parameters
    ----------
    magnitude : ndarray, float32
        Natural logarithm of the disagreement.
    typical : float
        Its median over the pair.
    rule : Rule

    Returns
    -------
    ndarray, same shape, float32
        ``SMALLEST_PROBABILITY`` to 1.
    """
    odds = (magnitude - rule.share * typical - rule.centre) / rule.width
    return np.asarray(np.maximum(1 / (1 + np.exp(-odds)), SMALLEST_PROBABILITY), np.float32)


def _framed(part: Part, shape: tuple[int, ...]) -> tuple[Part, Part]:
    """Widen a part by the frame, within the window; and tell where the part lies in that."""
    wider = [
        slice(max(0, inner.start - FRAME) // 2 * 2, min(side, inner.stop + FRAME))
        for inner, side in zip(part, shape, strict=True)
    ]
    inside = [
        slice(inner.start - outer.start, inner.stop - outer.start)
        for inner, outer in zip(part, wider, strict=True)
    ]
    return (wider[0], wider[1]), (inside[0], inside[1])
