"""Arrays of tiles: joining slices, smoothing the mask's border, pictures in decibels."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from candela.eo.s1.backscatter import decibel

MASK_RADIUS = 5  # pixels, as in S1Tiling
CO_RANGE_DB = (-24.0, 0.0)  # of VV and HH, from black to white
CROSS_RANGE_DB = (-30.0, -6.0)  # of VH and HV
RATIO_RANGE_DB = (2.0, 14.0)  # of VV over VH

Power = NDArray[np.float32]


def join(images: Sequence[Power]) -> Power:
    """Lay images over each other: of each pixel the first that is not nodata.

    Parameters
    ----------
    images : sequence of ndarray, shape (rows, cols), float32
        In order of time; 0 is nodata.
    """
    joined = images[0].copy()
    for image in images[1:]:
        np.copyto(joined, image, where=joined == 0)
    return joined


def flatten(image: Power, relief: Power) -> Power:
    """Take the brightness that terrain alone gives out of an image.

    Parameters
    ----------
    image : ndarray, shape (rows, cols), float32
        Radar brightness beta0, linear; 0 is nodata.
    relief : ndarray, shape (rows, cols), float32
        What terrain alone gives; NaN where it is not known.

    Returns
    -------
    ndarray, shape (rows, cols), float32
        Terrain-flattened gamma0, linear; 0 where either is not known.
    """
    flat: Power = np.divide(image, relief, out=np.zeros_like(image), where=relief > 0)
    return flat


def smooth_mask(mask: NDArray[np.uint8], *, radius: int = MASK_RADIUS) -> NDArray[np.uint8]:
    """Open a mask of valid pixels with a disc, which takes off spikes at its border.

    Parameters
    ----------
    mask : ndarray, shape (rows, cols), uint8
        1 where pixels are valid, else 0; what lies beyond counts as valid.
    radius : int
        Of the disc, pixels. A pixel depends on those up to twice as far.
    """
    if mask.all() or not mask.any():
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    opened: NDArray[np.uint8] = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
    return opened


def picture(images: dict[str, Power]) -> NDArray[np.uint8]:
    """Show backscatter in colours.

    Parameters
    ----------
    images : dict of str to ndarray, shape (rows, cols), float32
        Linear power by polarisation, 0 is nodata.

    Returns
    -------
    ndarray, shape (rows, cols, 4), uint8
        Co-polarised, cross-polarised and their ratio as red, green and blue, each with a fixed
        range of decibels; grey where there is only one polarisation. Transparent without data.
    """
    logs = {name: decibel(power) for name, power in images.items()}
    co = next((logs[name] for name in ("VV", "HH") if name in logs), None)
    cross = next((logs[name] for name in ("VH", "HV") if name in logs), None)
    if co is not None and cross is not None:
        channels = [
            _stretched(co, CO_RANGE_DB),
            _stretched(cross, CROSS_RANGE_DB),
            _stretched(co - cross, RATIO_RANGE_DB),
        ]
    elif co is not None:
        channels = [_stretched(co, CO_RANGE_DB)] * 3
    else:
        channels = [_stretched(next(iter(logs.values())), CROSS_RANGE_DB)] * 3
    valid = np.logical_and.reduce([power > 0 for power in images.values()])
    return np.dstack([*channels, np.where(valid, np.uint8(255), np.uint8(0))])


def _stretched(values: Power, limits: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = limits
    share = np.clip((values - low) / (high - low), 0, 1)
    grey: NDArray[np.uint8] = np.rint(255 * share).astype(np.uint8)
    return grey
