"""What both dates show of a window: standardised spectra and the encoder's features."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.memory import Memory
from candela.eo.raster.smoothing import gaussian
from candela.models.code import Code
from candela.models.encoder import COARSEST, VISIBLE, Encoder
from candela.models.standardisation import PIXEL_SIGMA

SHORTWAVE_SIGMA = 3.0  # pixels; the 20 m bands at the scale of their own neighbourhood
BLUE, RED = 0, 2
SHORTWAVE = slice(8, 10)  # B11, B12, where there are all ten bands

Image = NDArray[np.float32]
Part = tuple[slice, slice]


class View(NamedTuple):
    """One date of a window.

    Attributes
    ----------
    bands : ndarray, shape (bands, rows, cols), float32
        Slightly smoothed.
    own : ndarray, shape (bands + features, rows, cols), float32
        The bands, and the encoder's fine features.
    smooth : ndarray, shape (2 or 0, rows, cols), float32
        The short-wave infrared, if there is any, smoothed more.
    code : Code
        The encoder's, of rows / 2 and cols / 2, rounded up.
    guide : ndarray, shape (rows, cols), float32
        Mean of the visible bands: it has the edges.
    """

    bands: Image
    own: Image
    smooth: Image
    code: Code
    guide: Image


class Views(NamedTuple):
    """Both dates of a window.

    Attributes
    ----------
    before, after : View
    planes : ndarray, shape (planes, rows, cols), float32
        ``own`` and ``smooth`` of the earlier one, then of the later one: they lie there.
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
    """Describe two dates of a window.

    Parameters
    ----------
    dates : iterable of two ndarray, shape (bands, rows, cols), float32
        Standardised reflectance without NaN.
    shape : tuple of int
        Of each of them.
    encode : Encoder
    part : tuple of two slices
        The rows and columns to describe, from even to even ones: the rest is context.
    memories : sequence of three Memory
        Have what the views consist of, which holds until the next ones are made there: the first
        what both have, the others what one has.
    """
    count, rows, cols = shape
    own = count + encode.fine_features
    smooth = len(range(count)[SHORTWAVE])
    padded = rows + _missing(rows), cols + _missing(cols)
    whole = memories[0].array("planes", 2 * (own + smooth), *padded)
    views: list[View] = []
    for standard, planes, memory in zip(dates, np.split(whole, 2), memories[1:], strict=True):
        code = encode(_pad(standard), planes[count:own], memory).code
        gaussian(standard, PIXEL_SIGMA, out=planes[:count, :rows, :cols])
        gaussian(standard[SHORTWAVE], SHORTWAVE_SIGMA, out=planes[own:, :rows, :cols])
        inner = planes[:, *part]
        guide = standard[VISIBLE, *part].mean(axis=0)
        views.append(View(inner[:count], inner[:own], inner[own:], code.cropped(*part), guide))
    before, after = views
    return Views(before, after, whole[:, *part])


def _pad(image: Image) -> Image:
    """Mirror the image at its lower and right edge until the encoder's pyramid fits."""
    _, rows, cols = image.shape
    missing = _missing(rows), _missing(cols)
    if missing == (0, 0):
        return image
    return np.pad(image, ((0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")


def _missing(side: int) -> int:
    return -side % COARSEST
