"""Registration: the translation between two images of one grid, by phase correlation."""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.smoothing import gaussian

UPSAMPLING = 20  # the shift is found to 1 / UPSAMPLING of a pixel
HIGH_PASS_SIGMA = 4.0  # pixels; of the Gaussian that is subtracted
HIGHEST_FREQUENCY = 0.3  # cycles per pixel; aliasing above biases the peak to whole pixels
CUBIC = -0.75  # a of the cubic convolution kernel, as in OpenCV

Image = NDArray[np.float32]


class Shift(NamedTuple):
    """A translation of the content of an image, in pixels down and right."""

    rows: float
    cols: float

    @property
    def largest(self) -> float:
        """The larger absolute component."""
        return max(abs(self.rows), abs(self.cols))

    def times(self, factor: float) -> "Shift":
        """Return the shift times a factor."""
        return Shift(self.rows * factor, self.cols * factor)


NO_SHIFT = Shift(0.0, 0.0)


def estimate_shift(pairs: Iterable[tuple[Image, Image]]) -> Shift:
    """Estimate the shift that registers the second image of each pair to the first.

    With F and G the Fourier transforms of both images, high-passed and tapered by a Hann window,
    the cross-power spectra of all pairs are summed,

        R(f) = sum F(f) G*(f) / |F(f) G*(f)|  for |f| < 0.3 cycles per pixel, else 0,

    and the shift is the argument of the maximum of the inverse transform of R. Around the maximum
    at whole pixels, the transform is evaluated at steps of 1/20 pixel by products of matrices [1]_.

    Parameters
    ----------
    pairs : iterable of (ndarray, ndarray), shape (rows, cols), float32
        The same windows of both images, all of one shape, in any unit, without NaN.

    Returns
    -------
    Shift
        In pixels, a multiple of 1/20; no shift without pairs.

    References
    ----------
    .. [1] Guizar-Sicairos, M., Thurman, S. T., Fienup, J. R. (2008). Efficient subpixel image
       registration algorithms. Optics Letters 33(2), 156-158.
       https://doi.org/10.1364/OL.33.000156
    """
    spectrum = sum(_cross_phase(reference, moved) for reference, moved in pairs)
    if not isinstance(spectrum, np.ndarray):
        return NO_SHIFT
    rows, cols = spectrum.shape
    correlation = np.fft.ifft2(spectrum).real
    peak_row, peak_col = np.unravel_index(int(correlation.argmax()), correlation.shape)
    near_row, near_col = _signed(int(peak_row), rows), _signed(int(peak_col), cols)
    offsets = np.arange(-UPSAMPLING, UPSAMPLING + 1) / UPSAMPLING
    along_rows = np.exp(2j * np.pi * np.outer(near_row + offsets, np.fft.fftfreq(rows)))
    along_cols = np.exp(2j * np.pi * np.outer(np.fft.fftfreq(cols), near_col + offsets))
    fine = (along_rows @ spectrum @ along_cols).real
    fine_row, fine_col = np.unravel_index(int(fine.argmax()), fine.shape)
    return Shift(float(near_row + offsets[fine_row]), float(near_col + offsets[fine_col]))


def translate(bands: Iterable[Image], shift: Shift, out: Image | None = None) -> Image:
    """Translate an image by cubic convolution [1]_ with a = -0.75.

    The taps at distance t from x - shift are

        k(t) = (a + 2) |t|^3 - (a + 3) |t|^2 + 1   for |t| <= 1
        k(t) = a (|t|^3 - 5 |t|^2 + 8 |t| - 4)     for 1 < |t| < 2

    Parameters
    ----------
    bands : iterable of ndarray, shape (rows, cols), float32
        Mirrored at their edges; without NaN.
    shift : Shift
        Pixels down and right, with fractions.
    out : ndarray, shape (bands, rows, cols), float32, optional
        Where the result is written; contiguous.

    Returns
    -------
    ndarray, shape (bands, rows, cols), float32
        In the unit of the image.

    References
    ----------
    .. [1] Keys, R. G. (1981). Cubic convolution interpolation for digital image processing. IEEE
       Trans. Acoust. Speech Signal Process. 29(6), 1153-1160.
       https://doi.org/10.1109/TASSP.1981.1163711
    """
    if out is None:
        bands = np.stack(list(bands))
        out = np.empty(bands.shape, np.float32)
    kernel_rows, kernel_cols = _cubic_kernel(shift.rows), _cubic_kernel(shift.cols)
    for source, target in zip(bands, out, strict=True):
        if shift.largest == 0:
            target[:] = source
        else:
            cv2.sepFilter2D(
                source, cv2.CV_32F, kernel_cols, kernel_rows, target, borderType=cv2.BORDER_REFLECT
            )
    return out


def _cross_phase(reference: Image, moved: Image) -> NDArray[np.complex128]:
    window = np.outer(np.hanning(reference.shape[0]), np.hanning(reference.shape[1]))
    first, second = (
        np.fft.fft2((image - gaussian(image, HIGH_PASS_SIGMA)) * window)
        for image in (reference, moved)
    )
    product = first * np.conj(second)
    frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, reference.shape), indexing="ij"))
    trusted = frequency < HIGHEST_FREQUENCY
    return np.asarray(product / np.maximum(np.abs(product), 1e-9) * trusted)


def _signed(index: int, size: int) -> int:
    """Turn an index of a discrete Fourier transform into a signed one."""
    return (index + size // 2) % size - size // 2


def _cubic_kernel(shift: float) -> NDArray[np.float32]:
    """Return the taps of the cubic convolution at ``x - shift``, normalised to a sum of 1."""
    radius = int(np.ceil(abs(shift))) + 1
    distance = np.abs(np.arange(-radius, radius + 1) + shift)
    near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1
    far = CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    taps = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    return np.asarray(taps / taps.sum(), np.float32)
