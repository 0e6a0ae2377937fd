"""Filters on single-band images; the same value whether an image is whole or in blocks.

Every filter looks no further than its reach (``gaussian_reach``, ``2 * radius``), and mirrors the
image at its edges.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

GAUSSIAN_EXTENT = 3.0  # sigmas; 0.3 % of the kernel's mass lies beyond


def gaussian_reach(sigma: float) -> int:
    """Return how many pixels away a Gaussian of ``sigma`` pixels still looks."""
    return math.ceil(GAUSSIAN_EXTENT * sigma)


def gaussian(image: Image, sigma: float, *, out: Image | None = None) -> Image:
    """Smooth an image with a Gaussian.

    Parameters
    ----------
    image : ndarray, shape (rows, cols) or (bands, rows, cols), float32
        Without NaN; bands are smoothed one by one.
    sigma : float
        Standard deviation of the kernel in pixels.
    out : ndarray, same shape, float32, optional
        Where the result is written: contiguous in its last two axes, and not the image itself.

    Returns
    -------
    ndarray, same shape, float32
    """
    smooth = np.empty(image.shape, np.float32) if out is None else out
    if image.ndim == 3:
        for source, target in zip(image, smooth, strict=True):
            gaussian(source, sigma, out=target)
        return smooth
    side = 2 * gaussian_reach(sigma) + 1
    cv2.GaussianBlur(image, (side, side), sigma, dst=smooth, borderType=cv2.BORDER_REFLECT)
    return smooth


def mean_filter(image: Image, radius: int) -> Image:
    """Return the mean over a square of ``2 * radius + 1`` pixels around each pixel."""
    side = 2 * radius + 1
    return np.asarray(cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def guided_filter(image: Image, guide: Image, *, radius: int, epsilon: float) -> Image:
    """Smooth an image except across the edges of another one.

    Parameters
    ----------
    image, guide : ndarray, shape (rows, cols), float32
        What is smoothed, and what has the edges.
    radius : int
        Half the side of the square in which ``image`` is taken as linear in ``guide``, pixels.
    epsilon : float
        Variance of the guide, in its own unit squared, below which it counts as flat.

    Returns
    -------
    ndarray, shape (rows, cols), float32

    References
    ----------
    .. [1] He, K., Sun, J., Tang, X. (2013). Guided image filtering. IEEE TPAMI 35(6), 1397-1409.
       https://doi.org/10.1109/TPAMI.2012.213
    """
    guide_mean, image_mean = mean_filter(guide, radius), mean_filter(image, radius)
    covariance = mean_filter(guide * image, radius) - guide_mean * image_mean
    variance = mean_filter(guide * guide, radius) - guide_mean * guide_mean
    slope = np.asarray(covariance / (np.maximum(variance, 0) + epsilon), np.float32)
    offset = image_mean - slope * guide_mean
    return mean_filter(slope, radius) * guide + mean_filter(offset, radius)
