"""Smoothing filters with finite support: blocks with a halo give the values of the whole image.

The support of a filter reaches ``gaussian_reach`` or ``2 * radius`` pixels; images are mirrored at
their edges.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

GAUSSIAN_EXTENT = 3.0  # sigmas; the truncated tails have 0.3 % of the mass


def gaussian_reach(sigma: float) -> int:
    """Return the radius in pixels at which a Gaussian of ``sigma`` pixels is truncated."""
    return math.ceil(GAUSSIAN_EXTENT * sigma)


def gaussian(image: Image, sigma: float, *, out: Image | None = None) -> Image:
    """Convolve an image with a Gaussian, exp(-(i^2 + j^2) / (2 sigma^2)), truncated at 3 sigma.

    Parameters
    ----------
    image : ndarray, shape (rows, cols) or (bands, rows, cols), float32
        In any unit, without NaN; bands are smoothed one by one.
    sigma : float
        Standard deviation of the kernel in pixels.
    out : ndarray, same shape, float32, optional
        Where the result is written: contiguous in its last two axes, and not the image itself.

    Returns
    -------
    ndarray, same shape, float32
        In the unit of the image; the kernel has a sum of 1.
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
    """Smooth an image p, preserving the edges of a guide I [1]_.

    In each square of radius r the result is linear in the guide, q = a I + b, with

        a = cov(I, p) / (var(I) + epsilon),  b = mean(p) - a mean(I)

    and at each pixel a and b are averaged over the squares that contain it.

    Parameters
    ----------
    image, guide : ndarray, shape (rows, cols), float32
        p and I, without NaN.
    radius : int
        r in pixels; the squares have sides of 2 r + 1.
    epsilon : float
        Regularisation in the unit of the guide squared: edges of less variance are smoothed.

    Returns
    -------
    ndarray, shape (rows, cols), float32
        q, in the unit of the image.

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
