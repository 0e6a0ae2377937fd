"""What a neighbourhood has in common, measured in cells of 80 metres.

Haze, the river after rain, a valley whose season is another: what differs alike over hundreds of
metres is no building.
"""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.smoothing import gaussian

SIDE = 8  # pixels, about
SIGMA = 1.5  # cells
LEAST = 1e-6  # share of valid pixels; no division by zero
ODD = 10.0  # mean squared residual, in units of noise, at which a cell counts half

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Cells:
    """Cells that tile a window.

    Parameters
    ----------
    valid : ndarray, shape (rows, cols), bool
        The pixels that count.
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
            The window, in pixels of any size.
        """
        if self._all:
            return _averaged(image, self._shape)
        valid = self._valid
        if image.shape[1:] != valid.shape[1:]:
            valid = _averaged(valid, image.shape[1:])
        means = _averaged((band * valid[0] for band in image), self._shape)
        means /= np.maximum(_averaged(valid, self._shape), LEAST)
        return means

    def common(self, residual: Image, *, judged: int, shape: tuple[int, ...]) -> Image:
        """Smooth a residual over the neighbours of each cell; what stands out counts less.

        Where all neighbours stand out, a large change is, and little is called common.

        Parameters
        ----------
        residual : ndarray, shape (targets, rows, cols), float32
            Of each cell, in units of noise.
        judged : int
            How many of the targets, the first ones, tell whether a cell stands out.
        shape : tuple of int
            Rows and columns that the window shall have in the result.

        Returns
        -------
        ndarray, shape (targets, *shape), float32
        """
        weights = self._share / (1 + np.square(residual[:judged]).mean(axis=0) / ODD)
        smooth = gaussian(residual * weights, SIGMA)
        smooth /= gaussian(self._share, SIGMA) + np.float32(LEAST)
        return _resized(smooth, shape, cv2.INTER_LINEAR)


def _averaged(bands: Iterable[Image], shape: tuple[int, ...]) -> Image:
    return _resized(bands, shape, cv2.INTER_AREA)


def _resized(bands: Iterable[Image], shape: tuple[int, ...], interpolation: int) -> Image:
    return np.stack([cv2.resize(band, shape[::-1], interpolation=interpolation) for band in bands])
