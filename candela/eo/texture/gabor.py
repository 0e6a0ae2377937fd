"""The texture of an image at several scales and orientations: a bank of Gabor filters."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Image = NDArray[np.float32]

SPACING = (2, 2, 4, 4)  # pixels between the values kept, of the finest scale first
SIGMAS = 2.85  # how far a filter looks, in standard deviations of its widest envelope


class GaborBank(NamedTuple):
    """A bank of Gabor filters whose half-peak contours touch in the frequency plane.

    Attributes
    ----------
    scales, orientations : int
        How many of them; orientations are ``180 / orientations`` degrees apart.
    low, high : float
        Centre frequencies of the coarsest and the finest scale, cycles per pixel.
    """

    scales: int = 4
    orientations: int = 6
    low: float = 0.05
    high: float = 0.4

    @property
    def ratio(self) -> float:
        """The frequency of a scale divided by that of the next coarser one."""
        return float((self.high / self.low) ** (1 / (self.scales - 1)))

    @property
    def frequencies(self) -> list[float]:
        """Centre frequencies in cycles per pixel, the finest first."""
        return [self.high / self.ratio**scale for scale in range(self.scales)]

    def widths(self, frequency: float) -> tuple[float, float]:
        """Return the standard deviations along and across the filter, cycles per pixel."""
        ratio, half = self.ratio, 2 * math.log(2)
        along = (ratio - 1) / ((ratio + 1) * math.sqrt(half))  # of a frequency of 1
        across = math.tan(math.pi / (2 * self.orientations)) * (1 - half * along**2)
        across /= math.sqrt(half - half**2 * along**2)
        return along * frequency, across * frequency


BANK = GaborBank()
REACH = 4 * math.ceil(SIGMAS / (2 * math.pi * BANK.widths(BANK.low)[1]) / 4)  # pixels


class Window(NamedTuple):
    """The part of the frequency plane in which a filter is, and the filter there.

    Attributes
    ----------
    rows, cols : ndarray, shape (n,), int
        Which frequencies.
    response : ndarray, shape (n rows, n cols), float32
        The filter's response, scaled for the inverse transform of so many values.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    response: Image


def gabor_magnitudes(image: Image, bank: GaborBank = BANK) -> list[Image]:
    """Return the magnitude of each filter's response, on a coarser raster where it is smooth.

    Parameters
    ----------
    image : ndarray, shape (rows, cols), float32
        Without NaN; rows and cols are multiples of 4. The image is taken as periodic: mirror it
        by ``REACH`` pixels on each side where that matters.
    bank : GaborBank, optional

    Returns
    -------
    list of ndarray, shape (orientations, rows / spacing, cols / spacing), float32
        For each scale, the finest first, the amplitude of the texture in the unit of the image, at
        every ``SPACING[scale]``-th pixel from the first one on. Orientation k is that of waves
        which run along ``k * 180 / orientations`` degrees, from the columns towards the rows.

    Notes
    -----
    The filters are those of [1]_ with a gain of 1 at their centre instead of equal energy, so
    that values are amplitudes in the unit of the image; each has its own envelope subtracted in the
    measure that makes its response to even ground 0. A filter answers in a small part of the
    frequency plane only: that part alone is transformed back, which gives the response at fewer
    points with the same magnitude there. Of the finest scale's envelope, what is further than a
    quarter of the sampling frequency (2.2 standard deviations) from its centre is left out.

    References
    ----------
    .. [1] Manjunath, B. S., Ma, W. Y. (1996). Texture features for browsing and retrieval of image
       data. IEEE TPAMI 18(8), 837-842. https://doi.org/10.1109/34.531803
    """
    spectrum = scipy.fft.fft2(image)
    return [
        np.stack(
            [
                _magnitude(spectrum, _window(bank, scale, orientation, *image.shape))
                for orientation in range(bank.orientations)
            ]
        )
        for scale in range(bank.scales)
    ]


def _magnitude(spectrum: NDArray[np.complex64], window: Window) -> Image:
    part = spectrum[window.rows][:, window.cols]
    part *= window.response
    response = scipy.fft.ifft2(part, overwrite_x=True)
    return np.asarray(np.abs(response), np.float32)


@lru_cache(maxsize=256)
def _window(bank: GaborBank, scale: int, orientation: int, rows: int, cols: int) -> Window:
    frequency = bank.frequencies[scale]
    spacing = SPACING[min(scale, len(SPACING) - 1)]
    angle = math.pi * orientation / bank.orientations
    row, row_index = _nearby(frequency * math.sin(angle), rows, rows // spacing)
    col, col_index = _nearby(frequency * math.cos(angle), cols, cols // spacing)
    along = col[None] * math.cos(angle) + row[:, None] * math.sin(angle) - frequency
    across = row[:, None] * math.cos(angle) - col[None] * math.sin(angle)
    along_width, across_width = bank.widths(frequency)
    response = np.exp(-0.5 * ((along / along_width) ** 2 + (across / across_width) ** 2))
    smooth = ((along + frequency) / along_width) ** 2 + (across / across_width) ** 2
    response -= math.exp(-0.5 * (frequency / along_width) ** 2) * np.exp(-0.5 * smooth)
    return Window(row_index, col_index, (response / spacing**2).astype(np.float32))


def _nearby(centre: float, length: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the ``count`` frequencies around a centre, cycles per pixel, and where they are."""
    numbers = np.arange(count) - count // 2 + round(centre * length)
    return numbers / length, numbers % length
