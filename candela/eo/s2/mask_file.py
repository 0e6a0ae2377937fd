"""Mask files of Sentinel-2 images: Jpeg2Tiff's usability or Sen2Cor's scene classification."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.raster.grid import Grid
from candela.eo.raster.images import open_image
from candela.eo.raster.values import alpha_bands, read_numbers
from candela.eo.s2.mask import Usability, from_scene_classes
from candela.errors import InputError

SCENE_CLASSES = 12  # of Sen2Cor: 0 to 11

Usable = NDArray[np.bool_]
MaskReader = Callable[[Window], Usable]


@contextmanager
def open_mask(path: Path | None, grid: Grid, classes: str) -> Iterator[MaskReader | None]:
    """Open the mask of an image.

    Parameters
    ----------
    path : Path or None
        One band of integers; None is no mask.
    grid : Grid
        That of the image.
    classes : str
        Classes of the mask: ``usability`` as in Jpeg2Tiff's mask, where 0 is usable; ``scl`` as in
        Sen2Cor's scene classification.

    Yields
    ------
    callable or None
        Window -> usable pixels, shape (rows, cols), bool.

    Raises
    ------
    InputError
        If the file is no such mask, or not on the grid.
    """
    if path is None:
        yield None
        return
    with open_image(path) as image:
        if image.count - len(alpha_bands(image)) != 1 or not np.issubdtype(
            image.dtypes[0], np.integer
        ):
            raise InputError(
                f"{path.name} has {image.count} bands of type {image.dtypes[0]}; expected one band "
                "of integers"
            )
        if not Grid.of(image).matches(grid):
            raise InputError(
                f"{path.name} is not on the grid of its image: {_extent(Grid.of(image))}, "
                f"the image {_extent(grid)}"
            )
        usable = _USABLE[classes]
        yield lambda window: _read(image, usable, window)


def _read(
    image: rasterio.DatasetReader, usable: Callable[[NDArray[np.integer]], Usable], window: Window
) -> Usable:
    codes, missing = read_numbers(image, [1], window)
    return usable(codes[0]) if missing is None else usable(codes[0]) & ~missing


def _of_usability(codes: NDArray[np.integer]) -> Usable:
    return np.asarray(codes == Usability.USABLE)


def _of_scene_classes(codes: NDArray[np.integer]) -> Usable:
    known = (codes >= 0) & (codes < SCENE_CLASSES)
    usability = from_scene_classes(np.where(known, codes, 0))
    return np.asarray(known & (usability == Usability.USABLE))


_USABLE = {"usability": _of_usability, "scl": _of_scene_classes}


def _extent(grid: Grid) -> str:
    rows, cols = grid.shape
    at = grid.transform
    return f"{cols} x {rows} pixels of {at.a:g} from {at.c, at.f} in {grid.crs}"
