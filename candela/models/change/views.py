"""Features of both dates of a window: standardised spectra and the encoder's features."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.memory import Memory
from candela.eo.raster.smoothing import gaussian
from candela.models.code import Code
from candela.models.encoder import COARSEST, VISIBLE, Encoder
from candela.models.standardisation import PIXEL_SIGMA

SHORTWAVE_SIGMA = 3.0  # pixels; context of the 20 m bands
BLUE, RED = 0, 2
SHORTWAVE = slice(8, 10)  # B11, B12, where there are all ten bands

Image = NDArray[np.float32]
Part = tuple[slice, slice]


class View(NamedTuple):
    """Features of one date of a window.

    Attributes
    ----------
    bands : ndarray, shape (bands, rows, cols), float32
        Standardised reflectance, smoothed by a Gaussian of ``PIXEL_SIGMA``.
    pixel : ndarray, shape (bands + features, rows, cols), float32
        Features at 10 m: the bands and the encoder's fine features.
    smooth : ndarray, shape (2 or 0, rows, cols), float32
        Short-wave infrared, smoothed by a Gaussian of ``SHORTWAVE_SIGMA``.
    code : Code
        Of the encoder, at 20 m: rows / 2 and cols / 2, rounded up.
    guide : ndarray, shape (rows, cols), float32
        Mean of the visible bands, the guide of the guided filter.
    """

    bands: Image
    pixel: Image
    smooth: Image
    code: Code
    guide: Image


class Views(NamedTuple):
    """Features of both dates of a window.

    Attributes
    ----------
    before, after : View
    planes : ndarray, shape (planes, rows, cols), float32
        ``pixel`` and ``smooth`` of the earlier date, then of the later one, in one memory.
    """

    before: View
    after: View
    planes: Image


def describe(
    dates: Iterable[Image],
    shape: tuple[int, ...],
    encode: Encoder,
    part: Part,
    memories: Sequence[Memory],
) -> Views:
    """Compute the features of two dates of a window.

    Parameters
    ----------
    dates : iterable of two ndarray, shape (bands, rows, cols), float32
        Standardised reflectance without NaN.
    shape : tuple of int
        Of each of them.
    encode : Encoder
    part : tuple of two slices
        Rows and columns of the result, with even limits; the rest of the window is context.
    memories : sequence of three Memory
        Hold the arrays of the result until the next call: the first those of both dates, the
        others those of one date each.

    Returns
    -------
    Views
    """
    count, rows, cols = shape
    pixel = count + encode.fine_features
    smooth = len(range(count)[SHORTWAVE])
    padded = rows + _missing(rows), cols + _missing(cols)
    whole = memories[0].array("planes", 2 * (pixel + smooth), *padded)
    views: list[View] = []
    for standard, planes, memory in zip(dates, np.split(whole, 2), memories[1:], strict=True):
        code = encode(_pad(standard), planes[count:pixel], memory).code
        gaussian(standard, PIXEL_SIGMA, out=planes[:count, :rows, :cols])
        gaussian(standard[SHORTWAVE], SHORTWAVE_SIGMA, out=planes[pixel:, :rows, :cols])
        inner = planes[:, *part]
        guide = standard[VISIBLE, *part].mean(axis=0)
        views.append(View(inner[:count], inner[:pixel], inner[pixel:], code.cropped(*part), guide))
    before, after = views
    return Views(before, after, whole[:, *part])


def _pad(image: Image) -> Image:
    """Pad an image at its lower and right edge, mirrored, to multiples of ``COARSEST``."""
    _, rows, cols = image.shape
    missing = _missing(rows), _missing(cols)
    if missing == (0, 0):
        return image
    return np.pad(image, ((0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")


def _missing(side: int) -> int:
    return -side % COARSEST
