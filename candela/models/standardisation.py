"""Standardised reflectance: what encoders and regressions take."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.registration import NO_SHIFT, Shift, translate

LOWEST, HIGHEST = -4.0, 8.0  # standardised reflectance is clipped: clouds must not rule the fit
QUARTILES_TO_SIGMA = 1.35  # interquartile range of a normal distribution, in standard deviations
PIXEL_SIGMA = 0.7  # pixels; about the sensor's own blur: noise goes, detail stays

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

    def apply(
        self,
        image: NDArray[np.uint16],
        valid: Mask,
        shift: Shift = NO_SHIFT,
        out: Image | None = None,
    ) -> Image:
        """Bring every band to centre 0 and spread 1, and move its content.

        Pixels that are not valid become 0. The result, float32, is written to ``out`` if given.
        """
        if out is None:
            out = np.empty(image.shape, np.float32)
        return translate(self._bands(image, valid), shift, out)

    def _bands(self, image: NDArray[np.uint16], valid: Mask) -> Iterator[Image]:
        """Yield the standardised bands: one stays in the processor's cache, all do not."""
        for band, centre, spread in zip(image, self.centre, self.spread, strict=True):
            standard = np.subtract(band, centre, dtype=np.float32)
            standard /= spread
            np.clip(standard, LOWEST, HIGHEST, out=standard)
            standard *= valid
            yield standard
