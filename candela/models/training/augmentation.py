"""Augmentation: two views of one patch, as if it had been sensed on two dates.

The views differ in the nuisances that a change map must not show: a random non-linear change of
radiometry, which stands for sun, atmosphere and season by land cover, sensor noise, and clouds in
the first view.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.eo.raster.smoothing import gaussian
from candela.models.encoder import VISIBLE
from candela.models.standardisation import HIGHEST, LOWEST, PIXEL_SIGMA

UNITS = 16  # hidden units of the random radiometric transformation
STRENGTH = (0.2, 1.0)  # of that transformation, in standard deviations of a band
GAIN, OFFSET = 0.2, 0.2  # standard deviations of log gain and of offset
NOISE = (0.10, 0.05)  # standard deviations of a band, first and second view
CLOUD_SHARE = 0.3  # of first views have one
CLOUD_SCALE = (4.0, 16.0)  # pixels
CLOUD_VALUE, SHADOW_VALUE = (3.0, 8.0), (-2.0, -0.5)  # standardised reflectance

Patch = NDArray[np.float32]
Generator = np.random.Generator


class Views(NamedTuple):
    """Two views of one patch, each of shape (rows, cols, bands), float32."""

    source: Patch
    target: Patch


def crop(image: Patch, side: int, random: Generator) -> Patch:
    """Cut a random square out of an image, with random flip and rotation by 90 degrees."""
    rows, cols = image.shape[:2]
    margins = ((0, max(0, side - rows)), (0, max(0, side - cols)), (0, 0))
    image = np.pad(image, margins, mode="symmetric")
    top = random.integers(0, image.shape[0] - side + 1)
    left = random.integers(0, image.shape[1] - side + 1)
    patch = image[top : top + side, left : left + side]
    if random.random() < 0.5:
        patch = patch[::-1]
    return np.ascontiguousarray(np.rot90(patch, int(random.integers(4))))


def two_views(patch: Patch, random: Generator) -> Views:
    """Simulate two dates of one patch; the target is smoothed as the regression's targets are."""
    source = _radiometry(patch, random) if random.random() < 0.7 else patch
    if random.random() < CLOUD_SHARE:
        source = _cloud(source, random)
    target = np.moveaxis(_sense(_radiometry(patch, random), NOISE[1], random), -1, 0)
    smooth = gaussian(np.ascontiguousarray(target), PIXEL_SIGMA)
    return Views(_sense(source, NOISE[0], random), np.moveaxis(smooth, 0, -1))


def _radiometry(patch: Patch, random: Generator) -> Patch:
    """Transform all spectra at random: g x + o + V tanh(W x + b), one hidden layer."""
    bands = patch.shape[-1]
    mixing = random.normal(0, 0.5, (bands, UNITS))
    back = random.normal(0, random.uniform(*STRENGTH) / np.sqrt(UNITS), (UNITS, bands))
    bent = np.tanh(patch @ mixing + random.normal(0, 1, UNITS)) @ back
    gain = np.exp(random.normal(0, GAIN, bands))
    return np.asarray(patch * gain + random.normal(0, OFFSET, bands) + bent, np.float32)


def _sense(patch: Patch, noise: float, random: Generator) -> Patch:
    """Add noise, and clip as standardised images are."""
    noisy = patch + random.normal(0, noise, patch.shape)
    return np.asarray(np.clip(noisy, LOWEST, HIGHEST), np.float32)


def _cloud(patch: Patch, random: Generator) -> Patch:
    """Cover a part with a cloud or its shadow: a smoothed random field of one colour, as alpha."""
    rows, cols, bands = patch.shape
    field = gaussian(
        random.normal(0, 1, (rows, cols)).astype(np.float32), random.uniform(*CLOUD_SCALE)
    )
    field = (field - np.quantile(field, random.uniform(0.7, 0.95))) / field.std()
    cover = np.clip(field * random.uniform(0.5, 4), 0, 1)[..., None]
    limits = CLOUD_VALUE if random.random() < 0.6 else SHADOW_VALUE
    colour = np.asarray(random.uniform(*limits) * random.uniform(0.6, 1.0, bands))
    colour[VISIBLE] = colour[VISIBLE].mean()
    return np.asarray((1 - cover) * patch + cover * colour, np.float32)
