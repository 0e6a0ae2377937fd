"""Bring arrays to another pixel size; pixels are areas, so grids share edges, not centres."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Method = Literal["nearest", "bilinear", "cubic"]
Image = NDArray[np.uint16]

MARGIN = 2  # source pixels around a part that the widest kernel looks at
_KERNELS = {"bilinear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
_LEAST_SHARE = 0.1  # of a kernel's weight; a valid nearest pixel always has more


def enlarge(values: Image, factor: int, method: Method, special: NDArray[np.bool_]) -> Image:
    """Divide every pixel into ``factor`` x ``factor``.

    Parameters
    ----------
    values : ndarray, shape (rows, cols), uint16
        The image.
    factor : int
        At least 1.
    method : str
        ``nearest``, ``bilinear`` or ``cubic`` (Keys, a = -0.75).
    special : ndarray, shape (rows, cols), bool
        Pixels whose value is a code (nodata, saturated): they are never mixed with others.

    Returns
    -------
    ndarray, shape (rows * factor, cols * factor), uint16
        A pixel inside a special pixel has its code; the others are interpolated from pixels that
        are not special, and at least 1.

    Notes
    -----
    The result of a part equals the part of the result where ``MARGIN`` pixels around it are known.
    """
    if factor == 1:
        return values
    size = (values.shape[1] * factor, values.shape[0] * factor)
    nearest = cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)
    if method == "nearest":
        return np.asarray(nearest, dtype=np.uint16)
    kernel = _KERNELS[method]
    if not special.any():
        smooth = cv2.resize(values, size, interpolation=kernel)
        return np.asarray(np.maximum(smooth, 1), dtype=np.uint16)
    weight = (~special).astype(np.float32)
    total = cv2.resize(values * weight, size, interpolation=kernel)
    share = cv2.resize(weight, size, interpolation=kernel)
    smooth = np.clip(np.rint(total / np.maximum(share, _LEAST_SHARE)), 1, 65534)
    coded = cv2.resize(special.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return np.asarray(np.where(coded, nearest, smooth), dtype=np.uint16)


def reduce(values: Image, factor: int, method: Method, special: NDArray[np.bool_]) -> Image:
    """Join ``factor`` x ``factor`` pixels into one.

    Parameters
    ----------
    values, factor, special
        As in ``enlarge``; rows and cols are multiples of the factor.
    method : str
        ``nearest`` takes the pixel at the centre (lower right of it where the factor is even);
        the others take the mean, which is what a sensor with larger pixels would see.

    Returns
    -------
    ndarray, shape (rows // factor, cols // factor), uint16
        The mean of the pixels that are not special; where there is none, the largest code.
    """
    if factor == 1:
        return values
    if method == "nearest":
        return np.ascontiguousarray(values[factor // 2 :: factor, factor // 2 :: factor])
    blocks = values.reshape(values.shape[0] // factor, factor, values.shape[1] // factor, factor)
    weight = ~special.reshape(blocks.shape)
    count = weight.sum(axis=(1, 3), dtype=np.uint32)
    total = (blocks * weight).sum(axis=(1, 3), dtype=np.uint32)
    mean = np.maximum((total + count // 2) // np.maximum(count, 1), 1)
    return np.asarray(np.where(count == 0, blocks.max(axis=(1, 3)), mean), dtype=np.uint16)
