"""Harm done to the vegetation in an image, to measure with: what was harmed is known."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
TEXTURE = 0.15  # how unevenly harm is done, relative to its strength
TRIES = 12  # to find room for a place
LEAST_COMPACT = 2.5  # how far a place may reach, in radii of a circle of its area
GREEN = 0.4  # NDVI above which there is something to be harmed

# What a harmed surface turns into, in the order of BANDS, reflectance times 10 000; typical values,
# not measurements: withered leaves; soil, trunks and slash; char and ash; turbid water on fields.
HARMED = {
    "frost": (500, 750, 1000, 1350, 1800, 2000, 2150, 2300, 2500, 1750),
    "windthrow": (600, 800, 1000, 1350, 1800, 2000, 2150, 2300, 2900, 2100),
    "fire": (450, 500, 560, 620, 720, 800, 880, 950, 1600, 1500),
    "flood": (800, 950, 900, 750, 520, 460, 400, 340, 160, 110),
}
_DARKEST = (150, 280, 180, 240, 180, 170, 140, 120, 60, 40)  # what is more is light from the air,
_AIR = (850, 500, 260, 210, 180, 140, 120, 100, 20, 10)  # but no more than in a clear sky
_DARK_PERCENT = 0.5

Image = NDArray[np.uint16]
Sizes = NDArray[np.uint8]


def harm(
    image: Image, kind: str, harmed: NDArray[np.bool_], strength: float, random: np.random.Generator
) -> Image:
    """Turn part of what an image shows into a harmed surface.

    Parameters
    ----------
    image : ndarray, shape (10, rows, cols), uint16
        Reflectance times 10 000 of ``BANDS``, at the surface or at the top of the atmosphere.
    kind : str
        One of ``HARMED``.
    harmed : ndarray, shape (rows, cols), bool
    strength : float
        Share of the surface that is harmed, above 0 and up to 1.
    random : Generator

    Returns
    -------
    ndarray, shape (10, rows, cols), uint16
    """
    darkest = np.percentile(image.reshape(len(BANDS), -1), _DARK_PERCENT, axis=1)
    air = np.clip(darkest - _DARKEST, 0, _AIR)
    surface = (np.array(HARMED[kind]) + air)[:, None, None]
    uneven = cv2.GaussianBlur(random.standard_normal(harmed.shape).astype(np.float32), (0, 0), 1.5)
    share = np.clip(strength * (1 + TEXTURE * uneven / uneven.std()), 0, 1) * harmed
    mixed: NDArray[np.float64] = image + share * (surface - image)
    return np.clip(np.rint(mixed), 1, 65535).astype(np.uint16)


def choose_places(
    green: NDArray[np.bool_], areas: Sequence[int], random: np.random.Generator
) -> Sizes:
    """Choose where harm is done.

    Parameters
    ----------
    green : ndarray, shape (rows, cols), bool
        Where there is something to be harmed.
    areas : sequence of int
        Pixels of each place, the largest first; one that does not fit is left out.
    random : Generator

    Returns
    -------
    ndarray, shape (rows, cols), uint8
        0, or one more than the index of the area: places do not touch.
    """
    chosen = np.zeros(green.shape, np.uint8)
    free = green.copy()
    rough = random.standard_normal(green.shape).astype(np.float32)
    for number, area in enumerate(areas, 1):
        place = _grow(free, area, rough, random)
        chosen[place] = number
        free &= cv2.dilate(place.astype(np.uint8), np.ones((21, 21), np.uint8)) == 0
    return chosen


def vegetated(image: Image) -> NDArray[np.bool_]:
    """Tell where an image (10, rows, cols) is green; its neighbourhood decides."""
    red, near_infrared = image[BANDS.index("B04")], image[BANDS.index("B08")].astype(np.float32)
    ndvi = (near_infrared - red) / np.maximum(near_infrared + red, 1)
    return np.asarray(cv2.blur(ndvi, (5, 5)) > GREEN)


def _grow(
    free: NDArray[np.bool_], area: int, rough: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.bool_]:
    """Return a blob of free pixels; the most compact of some tries, or nothing if none is."""
    candidates = np.flatnonzero(free)
    best, compact = np.zeros(free.shape, np.bool_), LEAST_COMPACT
    if len(candidates) < area:
        return best
    radius = np.sqrt(area / np.pi)
    shape = cv2.GaussianBlur(rough, (0, 0), max(1.0, radius / 2))
    rows, cols = np.ogrid[: free.shape[0], : free.shape[1]]
    for start in random.choice(candidates, TRIES):
        row, col = np.unravel_index(start, free.shape)
        distance = np.hypot(rows - row, cols - col) / radius + 0.25 * shape / shape.std()
        distance[~free] = np.inf
        farthest = np.partition(distance.ravel(), area - 1)[area - 1]
        if farthest < compact:
            best, compact = np.asarray(distance <= farthest), farthest
    return best
