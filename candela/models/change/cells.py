"""Background of the residuals: their robust local mean over cells of 80 m.

Haze, turbid water or a season shifted by altitude bias the residuals alike over hundreds of metres;
buildings do not.
"""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.smoothing import gaussian

SIDE = 8  # pixels, about
SIGMA = 1.5  # cells; of the Gaussian
LEAST = 1e-6  # share of valid pixels; avoids division by zero
CAUCHY = 10.0  # mean squared residual, in units of noise, at which a cell has weight 1/2

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Cells:
    """Cells of 8 x 8 pixels that tile a window.

    Parameters
    ----------
    valid : ndarray, shape (rows, cols), bool
        The pixels that enter the means.
    """

    def __init__(self, valid: Mask) -> None:
        rows, cols = valid.shape
        self._shape = -(-rows // SIDE), -(-cols // SIDE)
        self._all = bool(valid.all())
        self._valid = valid[None].astype(np.float32)
        self._share = _averaged(self._valid, self._shape)[0]

    def means(self, image: Image) -> Image:
        """Return the mean of each band over the valid pixels of each cell.

        Parameters
        ----------
        image : ndarray, shape (bands, rows, cols), float32
            The window, at any resolution.

        Returns
        -------
        ndarray, shape (bands, cell rows, cell cols), float32
            In the unit of the image; 0 in cells without a valid pixel.
        """
        if self._all:
            return _averaged(image, self._shape)
        valid = self._valid
        if image.shape[1:] != valid.shape[1:]:
            valid = _averaged(valid, image.shape[1:])
        means = _averaged((band * valid[0] for band in image), self._shape)
        means /= np.maximum(_averaged(valid, self._shape), LEAST)
        return means

    def background(self, residual: Image, *, weighting: int, shape: tuple[int, ...]) -> Image:
        """Estimate the background of the residuals R of all cells, with Cauchy weights.

        background = G(v w R) / G(v), w = 1 / (1 + mean_k R_k^2 / 10)

        with v the share of valid pixels of a cell and G a Gaussian of 1.5 cells (12 pixels).

        Parameters
        ----------
        residual : ndarray, shape (targets, cell rows, cell cols), float32
            R, in units of noise.
        weighting : int
            Number of targets k, the first ones, that enter the weights.
        shape : tuple of int
            Rows and columns of the result, to which it is interpolated.

        Returns
        -------
        ndarray, shape (targets, *shape), float32
            In units of noise.

        Notes
        -----
        The weights are not normalised: within a change larger than G they shrink the background to
        zero, so that the change is not subtracted from itself.
        """
        weights = self._share / (1 + np.square(residual[:weighting]).mean(axis=0) / CAUCHY)
        smooth = gaussian(residual * weights, SIGMA)
        smooth /= gaussian(self._share, SIGMA) + np.float32(LEAST)
        return _resized(smooth, shape, cv2.INTER_LINEAR)


def _averaged(bands: Iterable[Image], shape: tuple[int, ...]) -> Image:
    return _resized(bands, shape, cv2.INTER_AREA)


def _resized(bands: Iterable[Image], shape: tuple[int, ...], interpolation: int) -> Image:
    return np.stack([cv2.resize(band, shape[::-1], interpolation=interpolation) for band in bands])
