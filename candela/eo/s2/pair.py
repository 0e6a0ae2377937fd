"""Pairs of Sentinel-2 images of one grid, with their masks, read window by window."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.raster.grid import Grid
from candela.eo.raster.images import band_indexes, open_image
from candela.eo.raster.values import check_reflectance, checked_grid, read_reflectance
from candela.eo.s2.mask_file import MaskReader, open_mask
from candela.eo.s2.metadata import DEFAULT_BANDS, sensing_time
from candela.errors import InputError, blamed_on

Reflectance = NDArray[np.uint16]


class Masks(NamedTuple):
    """The mask files of both images and their classes: see ``open_mask``."""

    before: Path | None = None
    after: Path | None = None
    classes: str = "usability"


NO_MASKS = Masks()


@dataclass(frozen=True)
class Pair:
    """Two open images of one grid.

    Attributes
    ----------
    grid : Grid
    before, after : rasterio.DatasetReader
    indexes : tuple of two list of int
        Indexes of the bands in each image, from 1 on.
    bands : tuple of str
    masks : tuple of two callable or None
        Window -> usable pixels, shape (rows, cols), bool.
    """

    grid: Grid
    before: rasterio.DatasetReader
    after: rasterio.DatasetReader
    indexes: tuple[list[int], list[int]]
    bands: tuple[str, ...]
    masks: tuple[MaskReader | None, MaskReader | None]

    def read(self, window: Window) -> tuple[Reflectance, Reflectance]:
        """Read the bands of both images as uint16, (bands, rows, cols), nodata 0."""
        return (
            _read(self.before, self.indexes[0], self.masks[0], window),
            _read(self.after, self.indexes[1], self.masks[1], window),
        )

    @property
    def dates(self) -> tuple[dt.date | None, dt.date | None]:
        """The sensing dates, as far as the tags of the images have them."""
        return _sensing_date(self.before), _sensing_date(self.after)

    @property
    def products(self) -> tuple[str, str]:
        """The product identifiers; empty where an image has no such tag."""
        return self.before.tags().get("PRODUCT_ID", ""), self.after.tags().get("PRODUCT_ID", "")

    @property
    def levels(self) -> tuple[str, str]:
        """The processing levels (L1C, L2A); empty where an image has no such tag."""
        return self.before.tags().get("LEVEL", ""), self.after.tags().get("LEVEL", "")


@contextmanager
def open_pair(
    before: Path,
    after: Path,
    masks: Masks = NO_MASKS,
    bands: tuple[str, ...] = DEFAULT_BANDS,
    names: Sequence[str] = (),
) -> Iterator[Pair]:
    """Open both images and check that they can be compared in the bands given.

    ``names`` are those of the bands in both files, where these do not name them.

    Raises
    ------
    InputError
        If one is no image, lacks a band, has no reflectance, or the grids of images and masks
        differ.
    """
    with ExitStack() as stack:
        with blamed_on("before"):
            first = stack.enter_context(open_image(before))
            first_indexes = _checked_bands(first, bands, names)
            grid = checked_grid(first)
        with blamed_on("after"):
            second = stack.enter_context(open_image(after))
            second_indexes = _checked_bands(second, bands, names)
            _check_grids(grid, checked_grid(second))
        with blamed_on("before_mask"):
            first_mask = stack.enter_context(open_mask(masks.before, grid, masks.classes))
        with blamed_on("after_mask"):
            second_mask = stack.enter_context(open_mask(masks.after, grid, masks.classes))
        indexes = first_indexes, second_indexes
        yield Pair(grid, first, second, indexes, bands, (first_mask, second_mask))


def _read(
    image: rasterio.DatasetReader, indexes: list[int], usable: MaskReader | None, window: Window
) -> Reflectance:
    bands = read_reflectance(image, indexes, window)
    if usable is not None:
        bands *= usable(window)
    return bands


def _checked_bands(
    image: rasterio.DatasetReader, bands: tuple[str, ...], names: Sequence[str]
) -> list[int]:
    indexes = band_indexes(image, bands, names)
    check_reflectance(image, indexes)
    return indexes


def _check_grids(first: Grid, second: Grid) -> None:
    if first.matches(second):
        return
    if first.crs != second.crs:
        what = f"its reference system is {second.crs}, that of the earlier image {first.crs}"
    elif first.shape != second.shape:
        what = (
            f"it has {second.shape.cols} x {second.shape.rows} pixels, "
            f"the earlier image {first.shape.cols} x {first.shape.rows}"
        )
    else:
        here, there = first.transform, second.transform
        what = (
            f"its upper left corner is {there.c, there.f} with pixels of {there.a:g}, "
            f"that of the earlier image {here.c, here.f} with pixels of {here.a:g}"
        )
    raise InputError(f"the later image is not on the grid of the earlier one: {what}")


def _sensing_date(image: rasterio.DatasetReader) -> dt.date | None:
    name = Path(image.name).name
    try:
        time = sensing_time(image.tags(), name)
    except InputError:
        raise InputError(
            f"{name} has SENSING_TIME {image.tags()['SENSING_TIME']!r}; expected an ISO 8601 time"
        ) from None
    return None if time is None else time.date()
