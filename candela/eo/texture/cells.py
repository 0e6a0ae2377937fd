"""Means and histograms over square cells; those of larger cells are means of them."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


def cell_means(image: Image, size: int) -> Image:
    """Return the mean of each cell.

    Parameters
    ----------
    image : ndarray, shape (rows, cols) or (bands, rows, cols), float32
        Without NaN; rows and cols are multiples of ``size``.
    size : int
        Side of a cell in pixels.

    Returns
    -------
    ndarray, shape (rows / size, cols / size) or (bands, rows / size, cols / size), float32
        In the unit of the image.
    """
    if image.ndim == 3:
        return np.stack([cell_means(band, size) for band in image])
    rows, cols = image.shape
    smaller = (cols // size, rows // size)
    return np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), np.float32)


def cell_histograms(
    codes: NDArray[np.integer[Any]], bins: int, size: int, *, usable: Mask | None = None
) -> Image:
    """Return the relative frequencies of codes in each cell.

    Parameters
    ----------
    codes : ndarray, shape (rows, cols), integer
        The bin of each pixel, 0..bins - 1; rows and cols are multiples of ``size``.
    bins : int
        Number of bins.
    size : int
        Side of a cell in pixels.
    usable : ndarray, shape (rows, cols), bool, optional
        The pixels that are counted; the frequencies of a cell sum to its share of usable pixels.

    Returns
    -------
    ndarray, shape (bins, rows / size, cols / size), float32
        Counts / size^2, 0 to 1.
    """
    rows, cols = codes.shape
    cell_rows, cell_cols = rows // size, cols // size
    of_row = (np.arange(rows) // size * cell_cols).astype(np.int64)
    cell = of_row[:, None] + np.arange(cols) // size
    index = cell * bins + codes
    counted = index.ravel() if usable is None else index[usable]
    counts = np.bincount(counted, minlength=cell_rows * cell_cols * bins)
    shares = counts.reshape(cell_rows, cell_cols, bins).astype(np.float32) / size**2
    return np.ascontiguousarray(np.moveaxis(shares, -1, 0))


def spread(mean: Image, mean_square: Image) -> Image:
    """Return the standard deviation sqrt(max(0, E[x^2] - E[x]^2))."""
    return np.sqrt(np.maximum(mean_square - mean * mean, 0))
