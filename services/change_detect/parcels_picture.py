"""Parcels over a true-colour Sentinel-2 image."""

from collections.abc import Sequence

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.raster.grid import Shape
from candela.eo.raster.preview import colour
from candela.eo.raster.values import read_reflectance
from candela.models.change.parcels_picture import FILLED, LEVEL_COLOURS, Background

__all__ = ["FILLED", "LEVEL_COLOURS", "TRUE_COLOUR", "true_colour"]

TRUE_COLOUR = ("B04", "B03", "B02")  # red, green, blue
SCALE = 10_000


def true_colour(image: rasterio.DatasetReader, indexes: Sequence[int]) -> Background:
    """Return a function that draws a window of an image.

    Parameters
    ----------
    image : rasterio dataset
        Reflectance times 10 000, nodata 0.
    indexes : sequence of int
        Its bands of red, green and blue.
    """

    def draw(window: Window, shape: Shape) -> NDArray[np.uint8]:
        stored = read_reflectance(image, indexes, window, shape)
        reflectance = np.minimum(stored, SCALE).astype(np.float32) / SCALE
        reflectance[:, (stored == 0).any(axis=0)] = np.nan
        return colour(reflectance)

    return draw
