"""What one date shows of a window: standardised spectra and the encoder's features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.registration import Shift, translate
from candela.eo.smoothing import gaussian

from .code import Code
from .encoder import COARSEST, Encoder

LOWEST, HIGHEST = -4.0, 8.0  # standardised reflectance is clipped: clouds must not rule the fit
QUARTILES_TO_SIGMA = 1.35  # distance of a normal law's quartiles, in standard deviations
PIXEL_SIGMA = 0.7  # pixels; about the sensor's own blur: noise goes, detail stays
SHORTWAVE_SIGMA = 3.0  # pixels; the 20 m bands at the scale of their own neighbourhood
VISIBLE = slice(0, 3)  # B02, B03, B04: the first bands of every encoder
SHORTWAVE = slice(8, 10)  # B11, B12, where there are all ten bands

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Part = tuple[slice, slice]


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
        standard = image.astype(np.float32)
        standard -= self.centre[:, None, None]
        standard /= self.spread[:, None, None]
        np.clip(standard, LOWEST, HIGHEST, out=standard)
        standard *= valid
        return standard


class View(NamedTuple):
    """One date of a window.

    Attributes
    ----------
    near : ndarray, shape (bands + fine features + 2 or 0, rows, cols), float32
        All there is at full resolution: the spectrum, slightly smoothed; the encoder's fine
        features; the short-wave infrared, if there is any, smoothed more.
    code : Code
        The encoder's, of rows / 2 and cols / 2, rounded up.
    guide : ndarray, shape (rows, cols), float32
        Mean of the visible bands: it has the edges.
    own_count : int
        How many bands and fine features there are.
    """

    near: Image
    code: Code
    guide: Image
    own_count: int

    @property
    def own(self) -> Image:
        """What predicts the other date, beside the code: the spectrum and the fine features."""
        return self.near[: self.own_count]

    @property
    def shortwave(self) -> Image:
        """B11 and B12, then the same smoothed, shape (4, rows, cols); (0, ...) without them."""
        smooth = self.near[self.own_count :]
        return np.concatenate([self.near[SHORTWAVE], smooth]) if len(smooth) else smooth


def view(standard: Image, shift: Shift, encode: Encoder, part: Part) -> View:
    """Describe one date of a window.

    Parameters
    ----------
    standard : ndarray, shape (bands, rows, cols), float32
        Standardised reflectance without NaN.
    shift : Shift
        How far the content is moved first.
    encode : Encoder
    part : tuple of two slices
        The rows and columns to describe, from even to even ones: the rest is context.
    """
    moved = translate(standard, shift)
    fine, code = encode(_pad(moved))
    moved, fine = moved[:, *part], fine[:, *part]
    bands, rows, cols = moved.shape
    own_count = bands + len(fine)
    shortwave = moved[SHORTWAVE]
    near = np.empty((own_count + len(shortwave), rows, cols), np.float32)
    gaussian(moved, PIXEL_SIGMA, out=near[:bands])
    near[bands:own_count] = fine
    gaussian(shortwave, SHORTWAVE_SIGMA, out=near[own_count:])
    return View(near, code.cropped(*part), moved[VISIBLE].mean(axis=0), own_count)


def _pad(image: Image) -> Image:
    """Mirror the image at its lower and right edge until the encoder's pyramid fits."""
    _, rows, cols = image.shape
    missing = (-rows % COARSEST, -cols % COARSEST)
    if missing == (0, 0):
        return image
    return np.pad(image, ((0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")
