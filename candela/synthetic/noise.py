"""Random patterns that look natural."""

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def fractal(
    random: np.random.Generator, size: int, scale: float, *, octaves: int = 5, gain: float = 0.5
) -> Field:
    """Return a smooth random field, shape (size, size), of mean 0 and standard deviation 1.

    Parameters
    ----------
    random : Generator
        Where chance comes from.
    size : int
        Side in pixels.
    scale : float
        Size of the largest structures in pixels.
    octaves : int
        How many times the structures are halved.
    gain : float
        Amplitude of each octave relative to the one before.
    """
    total = np.zeros((size, size), dtype=np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        if scale < 1.5:
            break
        cells = int(np.ceil(size / scale)) + 3
        coarse = random.standard_normal((cells, cells)).astype(np.float32)
        side = int(np.ceil(cells * scale))
        margin = int(scale)
        fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        total += amplitude * fine[margin : margin + size, margin : margin + size]
        amplitude *= gain
        scale /= 2
    total -= total.mean()
    return np.asarray(total / (total.std() + 1e-9), dtype=np.float32)


def hashed(*keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Mix integer arrays into one pseudo-random number 0..65535 per element."""
    mixed = np.zeros(np.broadcast_shapes(*(key.shape for key in keys)), dtype=np.uint64)
    for key in keys:
        mixed = (mixed ^ key.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return ((mixed >> np.uint64(24)) & np.uint64(0xFFFF)).astype(np.int64)
