"""The picture that goes with a band stack."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.raster.grid import Grid
from candela.eo.raster.preview import colour, preview_shape, write_png
from candela.eo.s2.bands import NODATA, SATURATED, SCALE, open_band
from candela.eo.s2.product import Granule

TRUE_COLOUR = ("B04", "B03", "B02")  # red, green, blue


def write_preview(path: Path, granule: Granule, grid: Grid) -> None:
    """Write a small picture in true colour; in grey if the product has not all three bands.

    The bands are read anew at reduced resolution, which JPEG 2000 gives almost for free.
    """
    bands = preview_bands(granule)
    rows, cols = preview_shape(*grid.shape)
    write_png(path, colour(np.stack([_read(granule, grid, band, rows, cols) for band in bands])))


def preview_bands(granule: Granule) -> tuple[str, ...]:
    """Return the bands that the picture is made of."""
    present = {band for band, _ in granule.images}
    return TRUE_COLOUR if present.issuperset(TRUE_COLOUR) else (min(present - {"SCL", "TCI"}),)


def _read(granule: Granule, grid: Grid, band: str, rows: int, cols: int) -> NDArray[np.float32]:
    with open_band(granule, band, grid, "nearest") as reader:
        stored = reader.read_small(Window(0, 0, grid.shape.cols, grid.shape.rows), rows, cols)
    reflectance = stored.astype(np.float32) / np.float32(SCALE)
    reflectance[stored == NODATA] = np.nan
    reflectance[stored == SATURATED] = 1
    return reflectance
