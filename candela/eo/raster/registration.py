"""Find and undo the small shift between two images of the same grid."""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.smoothing import gaussian

UPSAMPLING = 20  # the shift is found to 1 / UPSAMPLING of a pixel
HIGH_PASS_SIGMA = 4.0  # pixels; what is smoother does not tell where things are
HIGHEST_FREQUENCY = 0.3  # cycles per pixel; aliasing above pulls the peak towards whole pixels
CUBIC = -0.75  # the free parameter of the cubic convolution kernel (Keys 1981; as OpenCV has it)

Image = NDArray[np.float32]


class Shift(NamedTuple):
    """How far the content of an image has to be moved, in pixels (down, right)."""

    rows: float
    cols: float

    @property
    def largest(self) -> float:
        """The larger of both components, without sign."""
        return max(abs(self.rows), abs(self.cols))

    def times(self, factor: float) -> "Shift":
        """Return the shift, longer by a factor."""
        return Shift(self.rows * factor, self.cols * factor)


NO_SHIFT = Shift(0.0, 0.0)


def estimate_shift(pairs: Iterable[tuple[Image, Image]]) -> Shift:
    """Find the shift that brings the second image of each pair onto the first.

    The phase correlation of all pairs is summed, then looked up around its peak on a raster of
    1/20 pixel.

    Parameters
    ----------
    pairs : iterable of (ndarray, ndarray), shape (rows, cols), float32
        Windows of the same place in both images, all of one shape.

    Returns
    -------
    Shift

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
    """Move the content of an image by bicubic interpolation.

    Parameters
    ----------
    bands : iterable of ndarray, shape (rows, cols), float32
        Mirrored at their edges.
    shift : Shift
        Pixels down and right; may be fractions.
    out : ndarray, shape (bands, rows, cols), float32, optional
        Where the result is written; contiguous.

    Returns
    -------
    ndarray, shape (bands, rows, cols), float32
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
    """Turn the index of a discrete Fourier transform into a signed distance."""
    return (index + size // 2) % size - size // 2


def _cubic_kernel(shift: float) -> NDArray[np.float32]:
    """Return the taps that interpolate an image at ``x - shift``."""
    radius = int(np.ceil(abs(shift))) + 1
    distance = np.abs(np.arange(-radius, radius + 1) + shift)
    near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1
    far = CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    taps = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    return np.asarray(taps / taps.sum(), np.float32)
