"""Small pictures of images."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST_SIDE = 1024  # pixels
_LOW, _HIGH = 0.5, 99.0  # percentiles of what is shown
_GAMMA = 1 / 1.5
_LEAST_RANGE = 0.02  # of reflectance: noise over dark water is not stretched to white


def colour(bands: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Turn reflectance into a picture.

    Parameters
    ----------
    bands : ndarray, shape (3, rows, cols) or (1, rows, cols), float
        Red, green and blue reflectance (or one band, shown in grey), unitless, nodata as NaN.

    Returns
    -------
    ndarray, shape (rows, cols, 4), uint8
        Red, green, blue and opacity; pixels without data are transparent.

    Notes
    -----
    All bands share one stretch, so that colours keep their balance; only the darkest level, which
    is mostly haze, is taken from each band alone.
    """
    valid = np.isfinite(bands).all(axis=0)
    picture = np.zeros((*valid.shape, 4), dtype=np.uint8)
    if not valid.any():
        return picture
    seen = bands[:, valid]
    low = np.percentile(seen, _LOW, axis=1, keepdims=True)
    high = np.percentile(seen - low, _HIGH)
    shown = np.clip((seen - low) / max(high, _LEAST_RANGE), 0, 1) ** _GAMMA
    picture[valid, :3] = np.rint(255 * np.broadcast_to(shown, (3, shown.shape[1]))).T
    picture[valid, 3] = 255
    return picture


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture, shape (rows, cols, 3 or 4)."""
    Image.fromarray(picture).save(path, optimize=False)


def preview_shape(rows: int, cols: int) -> tuple[int, int]:
    """Return the size of a preview: the image's own, or smaller with the same proportions."""
    scale = min(1.0, LONGEST_SIDE / max(rows, cols))
    return max(1, round(rows * scale)), max(1, round(cols * scale))
