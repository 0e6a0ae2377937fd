"""Gabor filter bank: texture of an image at several scales and orientations."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Image = NDArray[np.float32]

SPACING = (2, 2, 4, 4)  # pixels; sampling of the magnitudes, the finest scale first
SIGMAS = 2.85  # radius of a filter in standard deviations of its widest envelope


class GaborBank(NamedTuple):
    """Gabor filters whose half-peak contours touch in the frequency plane [1]_.

    With the ratio a = (high / low)^(1 / (scales - 1)), the filter of scale m has the frequency
    f = high / a^m and the standard deviations, along and across its direction,

        u = (a - 1) f / ((a + 1) sqrt(2 ln 2))
        v = tan(pi / (2 orientations)) (f - 2 ln 2 u^2 / f) / sqrt(2 ln 2 - (2 ln 2 u / f)^2)

    Attributes
    ----------
    scales, orientations : int
        Their numbers; orientations are ``180 / orientations`` degrees apart.
    low, high : float
        Centre frequencies of the coarsest and the finest scale, cycles per pixel.

    References
    ----------
    .. [1] Manjunath, B. S., Ma, W. Y. (1996). Texture features for browsing and retrieval of image
       data. IEEE TPAMI 18(8), 837-842. https://doi.org/10.1109/34.531803
    """

    scales: int = 4
    orientations: int = 6
    low: float = 0.05
    high: float = 0.4

    @property
    def ratio(self) -> float:
        """a: the frequency of a scale divided by that of the next coarser one."""
        return float((self.high / self.low) ** (1 / (self.scales - 1)))

    @property
    def frequencies(self) -> list[float]:
        """Centre frequencies in cycles per pixel, the finest first."""
        return [self.high / self.ratio**scale for scale in range(self.scales)]

    def widths(self, frequency: float) -> tuple[float, float]:
        """Return u and v, the standard deviations along and across the filter, cycles per pixel."""
        ratio, half = self.ratio, 2 * math.log(2)
        along = (ratio - 1) / ((ratio + 1) * math.sqrt(half))  # of a frequency of 1
        across = math.tan(math.pi / (2 * self.orientations)) * (1 - half * along**2)
        across /= math.sqrt(half - half**2 * along**2)
        return along * frequency, across * frequency


BANK = GaborBank()
REACH = 4 * math.ceil(SIGMAS / (2 * math.pi * BANK.widths(BANK.low)[1]) / 4)  # pixels


class Window(NamedTuple):
    """A filter in the part of the frequency plane that it passes.

    Attributes
    ----------
    rows, cols : ndarray, shape (n,), int
        Indexes of the frequencies.
    response : ndarray, shape (n rows, n cols), float32
        Transfer function, scaled for the inverse transform of this size.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    response: Image


def gabor_magnitudes(image: Image, bank: GaborBank = BANK) -> list[Image]:
    """Return the magnitude of each filter's response, sampled at every second or fourth pixel.

    The filter of direction x has the transfer function

        H(f_x, f_y) = exp(-((f_x - f)^2 / u^2 + f_y^2 / v^2) / 2)
                      - exp(-f^2 / (2 u^2)) exp(-(f_x^2 / u^2 + f_y^2 / v^2) / 2)

    whose second term makes it zero at frequency 0; the magnitude is |F^-1[F(image) H]|.

    Parameters
    ----------
    image : ndarray, shape (rows, cols), float32
        In any unit, without NaN; rows and cols are multiples of 4. The transform is periodic: pad
        by ``REACH`` mirrored pixels on each side.
    bank : GaborBank, optional

    Returns
    -------
    list of ndarray, shape (orientations, rows / spacing, cols / spacing), float32
        For each scale, the finest first, amplitudes in the unit of the image, at every
        ``SPACING[scale]``-th pixel from the first one on. Orientation k has a wave vector at
        ``k * 180 / orientations`` degrees, from the columns towards the rows.

    Notes
    -----
    The filters are those of [1]_ with a gain of 1 at their centre frequency, not of equal energy:
    values are amplitudes in the unit of the image. Only the passband of a filter is transformed
    back, which subsamples the response at equal magnitude. The passband of the finest scale is
    truncated at a quarter of the sampling frequency (2.2 standard deviations) from its centre.

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
    """Return the ``count`` frequencies around a centre, cycles per pixel, and their indexes."""
    numbers = np.arange(count) - count // 2 + round(centre * length)
    return numbers / length, numbers % length
