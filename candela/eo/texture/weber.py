"""Weber local descriptor: differential excitation and gradient orientation of each pixel."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Codes = NDArray[np.uint8]

ORIENTATIONS, SEGMENTS, BINS = 8, 6, 3  # T, M and S of the paper
CODES = ORIENTATIONS * SEGMENTS * BINS  # 144
LEVELS = SEGMENTS * BINS  # of the differential excitation
SPECKLE_SIDE = 3  # pixels; side of the windows whose means are compared in radar images
REACH = 4  # pixels; largest radius of the support of a code
# By four bits: gradient to the right, downwards, mostly to the side, mostly up or down.
_SECTORS = np.array([5, 6, 4, 4, 3, 2, 4, 4, 7, 6, 0, 0, 1, 2, 0, 0], np.uint8)
_TINY = 1e-6  # reflectance or power; lower limit of the denominator


def weber_codes(image: Image) -> Codes:
    """Return the bin of each pixel in the joint histogram of excitation and orientation [1]_.

        excitation  = arctan(sum_i (x_i - x) / x), over the eight neighbours x_i
        orientation = atan2(x_below - x_above, x_right - x_left)

    Parameters
    ----------
    image : ndarray, shape (rows, cols), float32
        Reflectance or another quantity of 0 and more, without NaN. The edges are mirrored.

    Returns
    -------
    ndarray, shape (rows, cols), uint8
        ``orientation * 18 + level``, 0..143: the excitation in 18 equal bins of -pi/2..pi/2, and
        the orientation in eight sectors around 0, 45, ... degrees.

    Notes
    -----
    Codes are invariant to gain; a rotation by 90 degrees moves the orientation by two sectors. The
    histogram T x M x S of [1]_ has the same 144 numbers in another order; its weights are left out.

    References
    ----------
    .. [1] Chen, J., et al. (2010). WLD: a robust local image descriptor. IEEE TPAMI 32(9),
       1705-1720. https://doi.org/10.1109/TPAMI.2009.155
    """
    around = cv2.boxFilter(image, -1, (3, 3), normalize=False, borderType=cv2.BORDER_REFLECT_101)
    level = _levels((around - 9 * image) / np.maximum(image, _TINY))
    down, right = _differences(image, 1)
    return _orientation(down, right) * np.uint8(LEVELS) + level


def weber_speckle_codes(power: Image) -> Codes:
    """Return the bins of ``weber_codes`` for images with multiplicative noise (speckle).

    Parameters
    ----------
    power : ndarray, shape (rows, cols), float32
        Backscatter in linear power, above 0, without NaN. The edges are mirrored.

    Returns
    -------
    ndarray, shape (rows, cols), uint8
        As of ``weber_codes``, 0..143.

    Notes
    -----
    Under speckle the variance of differences grows with the mean, that of ratios does not [1]_. So
    pixels are replaced by means m of adjacent windows of 3 x 3 pixels: the excitation is
    arctan(sum_i (m_i - m) / m) over the eight windows around, and the gradient is the log ratio of
    the windows on both sides, as in [2]_.

    References
    ----------
    .. [1] Touzi, R., Lopes, A., Bousquet, P. (1988). A statistical and geometrical edge detector
       for SAR images. IEEE TGRS 26(6), 764-773. https://doi.org/10.1109/36.7708
    .. [2] Dellinger, F., et al. (2015). SAR-SIFT: a SIFT-like algorithm for SAR images. IEEE TGRS
       53(1), 453-466. https://doi.org/10.1109/TGRS.2014.2323552
    """
    mean = np.maximum(_mean(power, SPECKLE_SIDE), np.float32(_TINY))
    around = _mean(power, 3 * SPECKLE_SIDE)
    level = _levels(np.asarray(9 * (around / mean - 1), np.float32))
    down, right = _differences(np.log(mean), SPECKLE_SIDE)
    return _orientation(down, right) * np.uint8(LEVELS) + level


def _mean(image: Image, side: int) -> Image:
    blurred = cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float32)


def _levels(excitation: Image) -> Codes:
    """Quantise arctan of the excitation, -pi/2..pi/2, into 18 equal bins."""
    angle = np.arctan(excitation)
    angle += np.float32(math.pi / 2)
    angle *= np.float32(LEVELS / math.pi)
    return np.minimum(angle.astype(np.uint8), LEVELS - 1)


def _differences(image: Image, distance: int) -> tuple[Image, Image]:
    """Return the differences below - above and right - left of the pixels at a distance."""
    rows, cols = image.shape
    margins = (distance, distance, distance, distance)
    wide = np.asarray(
        cv2.copyMakeBorder(image, *margins, borderType=cv2.BORDER_REFLECT_101), np.float32
    )
    middle_rows, middle_cols = slice(distance, distance + rows), slice(distance, distance + cols)
    down = wide[2 * distance :, middle_cols] - wide[:rows, middle_cols]
    right = wide[middle_rows, 2 * distance :] - wide[middle_rows, :cols]
    return down, right


def _orientation(down: Image, right: Image) -> Codes:
    """Return the sector of the gradient, eight of 45 degrees around 0, 45, ... degrees."""
    steep, flat = np.abs(down), np.abs(right)
    narrow = np.float32(math.tan(math.pi / 8))
    index = (right >= 0).view(np.uint8) << 3
    index |= (down >= 0).view(np.uint8) << 2
    index |= (steep <= flat * narrow).view(np.uint8) << 1
    index |= (flat < steep * narrow).view(np.uint8)
    sectors: Codes = _SECTORS[index]
    return sectors
