"""Robust standardisation of reflectance, the input of encoders and regressions.

z = 1.35 (x - q50) / (q75 - q25), clipped to -4..8, with the quartiles of each band of each image.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.registration import NO_SHIFT, Shift, translate

LOWEST, HIGHEST = -4.0, 8.0  # clipping limits of z: bounds the leverage of clouds
QUARTILES_TO_SIGMA = 1.35  # interquartile range of a normal distribution, in standard deviations
PIXEL_SIGMA = 0.7  # pixels; about the sensor's point spread function: denoises, keeps detail

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Standardisation(NamedTuple):
    """Robust location and scale of each band of one image.

    Attributes
    ----------
    centre, spread : ndarray, shape (bands,), float32
        Median, and interquartile range / 1.35: the standard deviation of a normal distribution.
        In the unit of the pixels.
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, pixels: NDArray[np.uint16]) -> "Standardisation":
        """Estimate both from valid pixels, shape (bands, pixels), reflectance times 10 000."""
        low, middle, high = np.percentile(pixels, [25, 50, 75], axis=1)
        spread = np.maximum(high - low, 1.0) / QUARTILES_TO_SIGMA
        return cls(middle.astype(np.float32), spread.astype(np.float32))

    def apply(
        self,
        image: NDArray[np.uint16],
        valid: Mask,
        shift: Shift = NO_SHIFT,
        out: Image | None = None,
    ) -> Image:
        """Standardise, clip and shift an image.

        Parameters
        ----------
        image : ndarray, shape (bands, rows, cols), uint16
            Reflectance times 10 000.
        valid : ndarray, shape (rows, cols), bool
            All other pixels become 0, the median.
        shift : Shift, optional
            Translation by bicubic interpolation.
        out : ndarray, shape (bands, rows, cols), float32, optional
            Where the result is written.

        Returns
        -------
        ndarray, shape (bands, rows, cols), float32
            Unitless, -4 to 8 but for the overshoot of the interpolation.
        """
        if out is None:
            out = np.empty(image.shape, np.float32)
        return translate(self._bands(image, valid), shift, out)

    def _bands(self, image: NDArray[np.uint16], valid: Mask) -> Iterator[Image]:
        """Yield the standardised bands one by one: one fits into the processor's cache."""
        for band, centre, spread in zip(image, self.centre, self.spread, strict=True):
            standard = np.subtract(band, centre, dtype=np.float32)
            standard /= spread
            np.clip(standard, LOWEST, HIGHEST, out=standard)
            standard *= valid
            yield standard
