"""Pairs of Sentinel-2 images of one grid, with their masks, read window by window."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
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


class PairImage(Protocol):
    """One image of a pair."""

    @property
    def tags(self) -> Mapping[str, str]:
        """What is known of it: PRODUCT_ID, SENSING_TIME, LEVEL, as Jpeg2Tiff writes them."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def read(self, window: Window) -> Reflectance:
        """Read all bands of the pair, (bands, rows, cols), nodata 0."""

    def read_small(self, window: Window, shape: Shape, bands: Sequence[str]) -> Reflectance:
        """Read some of these bands decimated for a picture, whatever a mask says."""


@dataclass(frozen=True)
class StackedImage:
    """An image in one file.

    Attributes
    ----------
    dataset : rasterio.DatasetReader
    bands : tuple of str
    indexes : list of int
        Indexes of the bands in the file, from 1 on.
    usable : callable, optional
        Window -> usable pixels, shape (rows, cols), bool.
    """

    dataset: rasterio.DatasetReader
    bands: tuple[str, ...]
    indexes: list[int]
    usable: MaskReader | None = None

    @property
    def tags(self) -> Mapping[str, str]:
        """The dataset tags."""
        return dict(self.dataset.tags())

    @property
    def name(self) -> str:
        """The name of the file."""
        return Path(self.dataset.name).name

    def read(self, window: Window) -> Reflectance:
        """Read all bands, (bands, rows, cols), nodata 0."""
        bands = read_reflectance(self.dataset, self.indexes, window)
        if self.usable is not None:
            bands *= self.usable(window)
        return bands

    def read_small(self, window: Window, shape: Shape, bands: Sequence[str]) -> Reflectance:
        """Read some bands decimated for a picture."""
        indexes = [self.indexes[self.bands.index(band)] for band in bands]
        return read_reflectance(self.dataset, indexes, window, shape)


@dataclass(frozen=True)
class Pair:
    """Two open images of one grid.

    Attributes
    ----------
    grid : Grid
    before, after : PairImage
    bands : tuple of str
    """

    grid: Grid
    before: PairImage
    after: PairImage
    bands: tuple[str, ...]

    def read(self, window: Window) -> tuple[Reflectance, Reflectance]:
        """Read the bands of both images as uint16, (bands, rows, cols), nodata 0."""
        return self.before.read(window), self.after.read(window)

    @property
    def dates(self) -> tuple[dt.date | None, dt.date | None]:
        """The sensing dates, as far as the images have them."""
        return _sensing_date(self.before), _sensing_date(self.after)

    @property
    def products(self) -> tuple[str, str]:
        """The product identifiers; empty where an image has none."""
        return self.before.tags.get("PRODUCT_ID", ""), self.after.tags.get("PRODUCT_ID", "")

    @property
    def levels(self) -> tuple[str, str]:
        """The processing levels (L1C, L2A); empty where an image has none."""
        return self.before.tags.get("LEVEL", ""), self.after.tags.get("LEVEL", "")


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
            check_grids(grid, checked_grid(second))
        with blamed_on("before_mask"):
            first_mask = stack.enter_context(open_mask(masks.before, grid, masks.classes))
        with blamed_on("after_mask"):
            second_mask = stack.enter_context(open_mask(masks.after, grid, masks.classes))
        yield Pair(
            grid,
            StackedImage(first, bands, first_indexes, first_mask),
            StackedImage(second, bands, second_indexes, second_mask),
            bands,
        )


def _checked_bands(
    image: rasterio.DatasetReader, bands: tuple[str, ...], names: Sequence[str]
) -> list[int]:
    indexes = band_indexes(image, bands, names)
    check_reflectance(image, indexes)
    return indexes


def check_grids(first: Grid, second: Grid) -> None:
    """Check that the later image lies on the grid of the earlier one.

    Raises
    ------
    InputError
        If it does not; the message says in what they differ.
    """
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


def _sensing_date(image: PairImage) -> dt.date | None:
    try:
        time = sensing_time(image.tags, image.name)
    except InputError:
        raise InputError(
            f"{image.name} has SENSING_TIME {image.tags['SENSING_TIME']!r}; expected an ISO 8601 "
            "time"
        ) from None
    return None if time is None else time.date()
