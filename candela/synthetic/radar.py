"""Amplitudes as a radar would see a coast with fields and towns: with speckle and noise."""

import cv2
import numpy as np
from numpy.typing import NDArray

COARSE = 16  # pixels of the image to one of the landscape
SPECKLE = 1024  # side of the patch of speckle that is repeated, turned and mirrored
LOOKS = 4.4
GAIN = 590.0  # amplitude of a target with a power of 1: the usual calibration constant
NOISE = 900.0  # power of thermal noise, squared digital numbers
WATER_DB, LOWEST_DB, HIGHEST_DB, TOWN_DB = -20.0, -15.0, -6.0, 3.0
CROSS_DB = -6.5  # of cross-polarised power below like-polarised


def radar_image(
    lines: int, samples: int, *, cross: bool = False, seed: int = 3
) -> NDArray[np.uint16]:
    """Make an image.

    Parameters
    ----------
    lines, samples : int
        Size.
    cross : bool
        Cross-polarised (VH, HV) in place of like-polarised.
    seed : int
        The same landscape for the same seed and size.

    Returns
    -------
    ndarray, shape (lines, samples), uint16
        Digital numbers, none of which is 0.
    """
    power = _landscape(-(-lines // COARSE) + 1, -(-samples // COARSE) + 1, seed)
    if cross:
        power *= np.float32(10 ** (CROSS_DB / 10))
    random = np.random.default_rng(seed + cross)
    patch = random.gamma(LOOKS, 1 / LOOKS, (SPECKLE, SPECKLE)).astype(np.float32)
    image = np.empty((lines, samples), dtype=np.uint16)
    for row in range(0, lines, SPECKLE):
        for col in range(0, samples, SPECKLE):
            part = image[row : row + SPECKLE, col : col + SPECKLE]
            part[:] = _amplitudes(power, patch, row, col)[: part.shape[0], : part.shape[1]]
    return image


def _amplitudes(
    power: NDArray[np.float32], patch: NDArray[np.float32], row: int, col: int
) -> NDArray[np.uint16]:
    """Return a square of the image."""
    first_row, first_col, side = row // COARSE, col // COARSE, SPECKLE // COARSE
    coarse = power[first_row : first_row + side, first_col : first_col + side]
    shape = (coarse.shape[1] * COARSE, coarse.shape[0] * COARSE)
    mean = cv2.resize(coarse, shape, interpolation=cv2.INTER_NEAREST)
    turned = np.rot90(patch, (row // SPECKLE + 3 * (col // SPECKLE)) % 4)
    squared = (mean * np.float32(GAIN**2) + np.float32(NOISE)) * turned[: shape[1], : shape[0]]
    amplitudes: NDArray[np.uint16] = np.maximum(np.sqrt(squared), 1).astype(np.uint16)
    return amplitudes


def _landscape(rows: int, cols: int, seed: int) -> NDArray[np.float32]:
    """Return the mean power of a coast with fields and towns."""
    random = np.random.default_rng(seed)
    ground = _smooth(random, rows, cols, 60)
    fields = np.round(4 * _smooth(random, rows, cols, 2.5)) / 4
    towns = _smooth(random, rows, cols, 12)
    share = np.clip((fields + 2) / 4, 0, 1)
    levels = LOWEST_DB + (HIGHEST_DB - LOWEST_DB) * share
    levels = np.where((towns > 1.6) & (random.random((rows, cols)) < 0.3), TOWN_DB, levels)
    levels = np.where(ground < -0.5, WATER_DB, levels)
    return np.asarray(10 ** (levels / 10), dtype=np.float32)


def _smooth(random: np.random.Generator, rows: int, cols: int, scale: float) -> NDArray[np.float32]:
    """Return a random field of mean 0 and deviation 1 that varies over ``scale`` pixels."""
    field = cv2.GaussianBlur(random.standard_normal((rows, cols)).astype(np.float32), (0, 0), scale)
    normal: NDArray[np.float32] = (field - field.mean()) / max(float(field.std()), 1e-9)
    return normal
