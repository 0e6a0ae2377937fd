"""What one date shows of a window: standardised spectra and the encoder's features."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.eo.registration import Shift, translate
from candela.eo.smoothing import gaussian

from .encoder import BANDS, COARSEST, Encoder, Levels

LOWEST, HIGHEST = -4.0, 8.0  # standardised reflectance is clipped: clouds must not rule the fit
QUARTILES_TO_SIGMA = 1.35  # distance of a normal law's quartiles, in standard deviations
PIXEL_SIGMA = 0.7  # pixels; about the sensor's own blur: noise goes, detail stays
SHORTWAVE_SIGMA = 3.0  # pixels; the 20 m bands at the scale of their own neighbourhood
VISIBLE = slice(0, 3)  # B02, B03, B04
SHORTWAVE = slice(BANDS.index("B11"), BANDS.index("B12") + 1)

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Standardisation(NamedTuple):
    """Centre and spread of each band of one image.

    Attributes
    ----------
    centre, spread : ndarray, shape (bands,), float32
        Median, and distance of the quartiles as a normal law's standard deviation.
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: NDArray[np.uint16]) -> "Standardisation":
        """Measure pixels of shape (bands, pixels), all of them valid."""
        low, middle, high = np.percentile(pixels, [25, 50, 75], axis=1)
        spread = np.maximum(high - low, 1.0) / QUARTILES_TO_SIGMA
        return cls(middle.astype(np.float32), spread.astype(np.float32))

    def apply(self, image: NDArray[np.uint16], valid: Mask) -> Image:
        """Bring every band to centre 0 and spread 1; pixels that are not valid become 0."""
        standard = (image - self.centre[:, None, None]) / self.spread[:, None, None]
        return np.asarray(np.clip(standard, LOWEST, HIGHEST) * valid, np.float32)


class View(NamedTuple):
    """One date of a window.

    Attributes
    ----------
    spectrum : ndarray, shape (bands, rows, cols), float32
        Standardised reflectance, slightly smoothed.
    levels : tuple of ndarray, shape (width, rows / 2^level, cols / 2^level), float32
        The encoder's feature maps; the sides are rounded up.
    shortwave : ndarray, shape (4, rows, cols), float32
        B11 and B12 of the spectrum, then the same smoothed.
    guide : ndarray, shape (rows, cols), float32
        Mean of the visible bands: it has the edges.
    """

    spectrum: Image
    levels: Levels
    shortwave: Image
    guide: Image


def view(standard: Image, shift: Shift, encode: Encoder) -> View:
    """Describe one date of a window.

    Parameters
    ----------
    standard : ndarray, shape (bands, rows, cols), float32
        Standardised reflectance without NaN.
    shift : Shift
        How far the content is moved first.
    encode : Encoder
    """
    moved = translate(standard, shift)
    spectrum = gaussian(moved, PIXEL_SIGMA)
    shortwave = np.concatenate([spectrum[SHORTWAVE], gaussian(moved[SHORTWAVE], SHORTWAVE_SIGMA)])
    return View(spectrum, encode(_pad(moved)), shortwave, moved[VISIBLE].mean(axis=0))


def upsample(level: Image, times: int) -> Image:
    """Double the resolution of feature maps ``times`` times, by bilinear interpolation."""
    for _ in range(times):
        size = (2 * level.shape[2], 2 * level.shape[1])
        level = np.stack([cv2.resize(band, size, interpolation=cv2.INTER_LINEAR) for band in level])
    return level


def sample_features(source: View, pixels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Take the features of some pixels at full resolution.

    Parameters
    ----------
    source : View
    pixels : ndarray, shape (pixels,), int64
        Flat indexes into the window.

    Returns
    -------
    ndarray, shape (pixels, bands + sum of widths), float32
        The spectrum, then the levels from fine to coarse.
    """
    bands, rows, cols = source.spectrum.shape
    taken = [source.spectrum.reshape(bands, -1)[:, pixels]]
    for number, level in enumerate(source.levels):
        full = upsample(level, number)[:, :rows, :cols]
        taken.append(full.reshape(len(full), -1)[:, pixels])
    return np.concatenate(taken).T


def _pad(image: Image) -> Image:
    """Mirror the image at its lower and right edge until the encoder's levels fit."""
    _, rows, cols = image.shape
    margins = ((0, 0), (0, -rows % COARSEST), (0, -cols % COARSEST))
    return np.pad(image, margins, mode="symmetric")
