"""What the numbers in an image of somebody else mean: its place, where it has no data, its units.

GDAL has several ways to say that a pixel has no data (a number, a mask inside of the file, an alpha
band), and a scale and an offset that turn stored numbers into physical ones.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
from candela.errors import InputError

SCALE = 10_000  # of reflectance in whole numbers
LARGEST = 65_534  # above it stands the number of saturated pixels

Numbers = NDArray[Any]
Mask = NDArray[np.bool_]


def checked_grid(dataset: rasterio.DatasetReader) -> Grid:
    """Return where an image lies, if it says all of it; an image that says nothing may pass.

    Raises
    ------
    InputError
        If it has half a georeference, or one that is no north-up place on the Earth.
    """
    name, grid = Path(dataset.name).name, Grid.of(dataset)
    has_place = is_placed(grid)
    if not has_place and (dataset.gcps[0] or dataset.rpcs):
        raise InputError(
            f"{name} has ground control points or rational polynomials instead of a grid: "
            "warp it onto one first"
        )
    if not has_place and grid.crs is None:
        return grid
    if not has_place:
        raise InputError(f"{name} has the reference system {grid.crs}, but does not say where")
    numbers = tuple(grid.transform)[:6]
    if grid.crs is None:
        raise InputError(
            f"{name} has a place ({grid.transform.c:g}, {grid.transform.f:g}) but no coordinate "
            "reference system"
        )
    if grid.transform.b or grid.transform.d or grid.transform.a <= 0 or grid.transform.e >= 0:
        raise InputError(f"{name} is not north up (transform {numbers}): warp it first")
    return grid


def is_placed(grid: Grid) -> bool:
    """Tell whether a grid has a transform: GDAL's default is pixels from 0."""
    numbers = tuple(grid.transform)[:6]
    return numbers not in {(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0)}


def read_numbers(
    dataset: rasterio.DatasetReader,
    indexes: Sequence[int],
    window: Window,
    shape: Shape | None = None,
) -> tuple[Numbers, Mask | None]:
    """Read stored numbers, and which pixels a mask or an alpha band declares to be without data.

    Returns
    -------
    tuple
        The numbers, (bands, rows, cols), and what has no data, (rows, cols), or None if all has.

    Raises
    ------
    InputError
        If the file is damaged there.
    """
    out_shape = None if shape is None else (len(indexes), *shape)
    try:
        numbers: Numbers = dataset.read(list(indexes), window=window, out_shape=out_shape)
        missing: list[Mask] = []
        if has_mask(dataset, indexes):
            masks = dataset.read_masks(list(indexes), window=window, out_shape=out_shape)
            missing.append((masks == 0).any(axis=0))
        for alpha in alpha_bands(dataset):  # GDAL itself knows those of one and three bands only
            opacity = dataset.read(alpha, window=window, out_shape=shape)
            missing.append(opacity == 0)
    except RasterioIOError as error:
        name = Path(dataset.name).name
        raise InputError(f"{name} cannot be read: it is truncated or damaged") from error
    return numbers, np.asarray(np.any(missing, axis=0)) if missing else None


def has_mask(dataset: rasterio.DatasetReader, indexes: Sequence[int]) -> bool:
    """Tell whether there is a mask or an alpha band for bands."""
    flags = [dataset.mask_flag_enums[index - 1] for index in indexes]
    return any(MaskFlags.per_dataset in flag or MaskFlags.alpha in flag for flag in flags)


def alpha_bands(dataset: rasterio.DatasetReader) -> set[int]:
    """Return the indexes of bands that say how opaque pixels are."""
    return {
        index
        for index, meaning in enumerate(dataset.colorinterp, 1)
        if meaning == ColorInterp.alpha
    }


def is_scaled(dataset: rasterio.DatasetReader, indexes: Sequence[int]) -> bool:
    """Tell whether stored numbers are to be scaled; GDAL writes 0 for a scale that nobody gave."""
    pairs = {(dataset.scales[index - 1], dataset.offsets[index - 1]) for index in indexes}
    return not pairs <= {(1.0, 0.0), (0.0, 0.0)}


def physical(
    dataset: rasterio.DatasetReader, indexes: Sequence[int], numbers: Numbers
) -> NDArray[np.float32]:
    """Return what stored numbers stand for: number times scale plus offset, float32.

    Raises
    ------
    InputError
        If scale or offset is no finite number.
    """
    scales = np.array([dataset.scales[index - 1] for index in indexes], np.float32)
    offsets = np.array([dataset.offsets[index - 1] for index in indexes], np.float32)
    if not (np.isfinite(scales).all() and np.isfinite(offsets).all() and (scales > 0).all()):
        raise InputError(
            f"{Path(dataset.name).name} has scales {scales.tolist()} and offsets "
            f"{offsets.tolist()}; expected finite numbers, scales above 0"
        )
    return np.asarray(numbers * scales[:, None, None] + offsets[:, None, None], np.float32)


def read_reflectance(
    dataset: rasterio.DatasetReader, indexes: Sequence[int], window: Window
) -> NDArray[np.uint16]:
    """Read reflectance times 10 000, nodata 0, whatever way the image has of saying both.

    Parameters
    ----------
    dataset : rasterio dataset
        Of uint16: with a scale and an offset reflectance, without 10 000 times it.
    indexes : sequence of int
    window : Window

    Returns
    -------
    ndarray, shape (bands, rows, cols), uint16

    Raises
    ------
    InputError
        If the file is damaged there.
    """
    numbers, missing = read_numbers(dataset, indexes, window)
    nodata = dataset.nodata or 0
    empty = numbers == nodata
    if is_scaled(dataset, indexes):
        scaled = np.rint(physical(dataset, indexes, numbers) * SCALE)
        numbers = np.where(numbers > LARGEST, numbers, np.clip(scaled, 1, LARGEST))
    bands: NDArray[np.uint16] = numbers.astype(np.uint16, copy=False)
    if is_scaled(dataset, indexes) or nodata:
        bands[empty] = 0
    if missing is not None:
        bands *= ~missing
    return bands
