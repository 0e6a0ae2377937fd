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
REFLECTANCE_TYPES = ("uint16", "int16", "float32", "float64")
LARGEST_TYPICAL = 3.0  # median of an image's reflectance; clouds and snow have 1
CENTRE = 512  # pixels; the side of what is read to see the unit

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
        # GDAL itself knows those of one and three bands only; a band that is read is no opacity.
        for alpha in alpha_bands(dataset) - set(indexes):
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


def check_reflectance(dataset: rasterio.DatasetReader, indexes: Sequence[int]) -> None:
    """Check that bands have reflectance in a form that ``read_reflectance`` reads.

    Raises
    ------
    InputError
        If their type is none of it, or the values at the centre of the image are too large after
        scale and offset: floating-point reflectance times 10 000, or per cent.
    """
    name = Path(dataset.name).name
    types = sorted({dataset.dtypes[index - 1] for index in indexes} - set(REFLECTANCE_TYPES))
    if types:
        raise InputError(
            f"{name} has values of type {', '.join(types)}; expected uint16 or int16, reflectance "
            "times 10 000 or what its scale and offset make reflectance, or float32 or float64, "
            "reflectance"
        )
    is_physical = is_scaled(dataset, indexes) or any(
        dataset.dtypes[index - 1].startswith("float") for index in indexes
    )
    if not is_physical:
        return
    rows, cols = (min(CENTRE, side) for side in dataset.shape)
    centre = Window((dataset.width - cols) // 2, (dataset.height - rows) // 2, cols, rows)
    numbers, missing = read_numbers(dataset, indexes, centre)
    values = physical(dataset, indexes, numbers) if is_scaled(dataset, indexes) else numbers
    empty = _empty(dataset, indexes, numbers) | (False if missing is None else missing)
    typical = float(np.median(values[~empty])) if not empty.all() else 0.0
    if typical > LARGEST_TYPICAL:
        after = " after its scale and offset" if is_scaled(dataset, indexes) else ""
        raise InputError(
            f"{name} has a typical value of {typical:.4g}{after}; expected reflectance of 0 to "
            "about 1: write a scale into the file, 0.0001 for reflectance times 10 000"
        )


def read_reflectance(
    dataset: rasterio.DatasetReader,
    indexes: Sequence[int],
    window: Window,
    shape: Shape | None = None,
) -> NDArray[np.uint16]:
    """Read reflectance times 10 000, nodata 0, whatever way the image has of saying both.

    Parameters
    ----------
    dataset : rasterio dataset
        With a scale and an offset their result is reflectance. Without them, numbers in floating
        point are reflectance, whole ones 10 000 times it.
    indexes : sequence of int
    window : Window
    shape : Shape, optional
        To which the window is decimated.

    Returns
    -------
    ndarray, shape (bands, rows, cols), uint16
        1 to 65534; 0 where a band has its nodata number (0 if the file declares none), where it is
        not finite, and in all bands where a mask or an alpha band says so. Valid pixels of 0 or
        less, where 0 is not nodata, become 1. Saturated pixels of uint16 stay 65535.

    Raises
    ------
    InputError
        If the file is damaged there.
    """
    numbers, missing = read_numbers(dataset, indexes, window, shape)
    scaled = is_scaled(dataset, indexes)
    if numbers.dtype == np.uint16 and not scaled and not any(_nodata(dataset, indexes)):
        bands: NDArray[np.uint16] = numbers  # the common case, without a copy
    else:
        empty = _empty(dataset, indexes, numbers)
        values = numbers
        if scaled:
            values = physical(dataset, indexes, numbers) * SCALE
        elif np.issubdtype(numbers.dtype, np.floating):
            values = numbers * numbers.dtype.type(SCALE)
        known = np.rint(np.where(empty, 0, values))
        bands = np.clip(known, 1, LARGEST).astype(np.uint16)
        if numbers.dtype == np.uint16:
            bands[numbers > LARGEST] = numbers[numbers > LARGEST]
        bands[empty] = 0
    if missing is not None:
        bands *= ~missing
    return bands


def _nodata(dataset: rasterio.DatasetReader, indexes: Sequence[int]) -> list[float]:
    """Return the nodata number of each band; 0 where the file declares none."""
    declared = [dataset.nodatavals[index - 1] for index in indexes]
    return [0.0 if number is None else number for number in declared]


def _empty(dataset: rasterio.DatasetReader, indexes: Sequence[int], numbers: Numbers) -> Mask:
    """Tell where each band has no data by its number; shape (bands, rows, cols)."""
    nodata = np.array(_nodata(dataset, indexes)).astype(numbers.dtype)
    return np.asarray((numbers == nodata[:, None, None]) | ~np.isfinite(numbers))
