"""The minimum mapping unit of a change map."""

import cv2
import numpy as np
from numpy.typing import NDArray

CHANGED = 0.5  # probability
UNCHANGED = np.float32(0.499)  # of areas below the mapping unit

Change = NDArray[np.float32]


def drop_small_areas(change: Change, least: int) -> Change:
    """Lower the probability of small areas of change below 0.5.

    Areas are 8-connected pixels with a probability of 0.5 or more. With a margin of ``least``
    pixels, blocks give what the whole map gives: a smaller area does not reach further.

    Parameters
    ----------
    change : ndarray, shape (rows, cols), float32
        Probability; nodata is NaN.
    least : int
        Pixels of the smallest area that is kept.
    """
    changed = (change >= CHANGED).astype(np.uint8)
    if least <= 1 or not changed.any():
        return change
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(changed, connectivity=8)
    is_small = statistics[:, cv2.CC_STAT_AREA] < least
    is_small[0] = False
    result = change.copy()
    result[is_small[labels]] = UNCHANGED
    return result
