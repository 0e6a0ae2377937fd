"""The co-registered images of a request: opened, checked, read window by window."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import band_indexes, open_image
from candela.eo.raster.values import checked_grid, is_scaled, physical, read_numbers
from candela.eo.s1.backscatter import linear_power
from candela.eo.s2.bands import SATURATED
from candela.errors import InputError, blamed_on
from candela.patches.store.model import Scene

OPTICAL_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
RADAR_BANDS = ("VV", "VH")
REFLECTANCE_SCALE = 1e-4  # of whole numbers; others are reflectance already
LOOK = 512  # pixels; how much is looked at to tell decibel from power

LOWEST_DECIBEL = -200  # backscatter lies far above it
_POLARISATION = re.compile(r"(?:^|[^a-z])(vv|vh)(?:[^a-z]|$)", re.IGNORECASE)
_TIME = re.compile(r"(?<!\d)(\d{8}T\d{6})(?!\d)", re.IGNORECASE)
_TIME_TAGS = ("SENSING_TIME", "ACQUISITION_DATETIME")

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Seen(NamedTuple):
    """A window of both sensors.

    Attributes
    ----------
    optical : ndarray, shape (10, rows, cols), float32
        Reflectance, unitless; any value where it is not usable.
    radar : ndarray, shape (2, rows, cols), float32
        Linear power, likewise.
    usable : ndarray, shape (rows, cols), bool
        Where both have data and the mask is 0.
    """

    optical: Image
    radar: Image
    usable: Mask


class Stored(NamedTuple):
    """A window as it is in the files, and which pixels the mask leaves."""

    optical: NDArray[Any]
    radar: Image
    unmasked: Mask | None


class Bands(NamedTuple):
    """Some bands of an open image."""

    image: rasterio.DatasetReader
    indexes: list[int]

    def read(self, window: Window, shape: Shape | None = None) -> NDArray[Any]:
        """Read a window, shape (bands, rows, cols): as it is in the file, if it has no scale."""
        numbers, missing = read_numbers(self.image, self.indexes, window, shape)
        nodata = self.image.nodata
        if is_scaled(self.image, self.indexes):
            empty = numbers == (0 if nodata is None else nodata)
            numbers = physical(self.image, self.indexes, numbers)
            numbers[empty] = np.nan
        if missing is not None:
            is_whole = np.issubdtype(numbers.dtype, np.integer)
            numbers[:, missing] = (nodata or 0) if is_whole else np.nan
        return numbers

    def is_zero(self, window: Window, shape: Shape | None = None) -> Mask:
        """Tell where the first band is 0; pixels without data are not."""
        numbers, missing = read_numbers(self.image, self.indexes, window, shape)
        zero = np.asarray(numbers[0] == 0)
        return zero if missing is None else zero & ~missing


@dataclass(frozen=True)
class Pair:
    """Open images of both sensors on one grid.

    Attributes
    ----------
    grid : Grid
    optical : Bands
        In the order of ``OPTICAL_BANDS``.
    radar : list of Bands
        One of each, in the order of ``RADAR_BANDS``.
    mask : Bands or None
        What is not 0 cannot be used.
    is_decibel : bool
        Whether backscatter is in dB.
    s1, s2 : Scene
        What the images are.
    """

    grid: Grid
    optical: Bands
    radar: list[Bands]
    mask: Bands | None
    is_decibel: bool
    s1: Scene
    s2: Scene

    def read(self, window: Window, *, shape: Shape | None = None) -> Stored:
        """Read a window from the files; only one thread may do so at a time."""
        radar = np.concatenate([band.read(window, shape) for band in self.radar])
        unmasked = None if self.mask is None else self.mask.is_zero(window, shape)
        return Stored(self.optical.read(window, shape), radar.astype(np.float32), unmasked)

    def see(self, stored: Stored) -> Seen:
        """Turn what is in the files into reflectance and power."""
        optical, usable = self._reflectance(stored.optical)
        radar = stored.radar
        nodata = self.radar[0].image.nodata
        if nodata is not None and not np.isnan(nodata):
            usable &= np.asarray((radar != nodata).all(axis=0))
        if self.is_decibel:
            radar = linear_power(radar)
        usable &= np.asarray(((radar > 0) & (radar < np.inf)).all(axis=0))
        if stored.unmasked is not None:
            usable &= stored.unmasked
        return Seen(optical, radar, usable)

    def _reflectance(self, stored: NDArray[Any]) -> tuple[Image, Mask]:
        nodata = self.optical.image.nodata
        if np.issubdtype(stored.dtype, np.integer):
            known = (stored != (nodata or 0)) & (stored != SATURATED)
            usable = np.asarray(known.all(axis=0))
            scaled = np.multiply(stored, np.float32(REFLECTANCE_SCALE), dtype=np.float32)
            return scaled, usable
        optical = stored.astype(np.float32, copy=False)
        usable = np.asarray(np.isfinite(optical).all(axis=0))
        if nodata is not None and not np.isnan(nodata):
            usable &= np.asarray((optical != nodata).all(axis=0))
        return optical, usable


@contextmanager
def open_pair(
    s1: Sequence[Path],
    s2: Path,
    mask: Path | None = None,
    *,
    unit: str = "auto",
    names: Sequence[str] = (),
) -> Iterator[Pair]:
    """Open the images and check that they belong together.

    Parameters
    ----------
    s1 : sequence of Path
        One image with the bands VV and VH, or one image for each.
    s2 : Path
        One image with the ten bands of 10 m and 20 m, as Jpeg2Tiff makes it.
    mask : Path, optional
        As Jpeg2Tiff makes it: 0 where pixels can be used.
    unit : {"auto", "power", "decibel"}
        What the numbers of ``s1`` are; "auto" takes an image with negative numbers as dB.
    names : sequence of str
        Those of the bands of ``s2``, where it does not tell.

    Raises
    ------
    InputError
        If one is no image, lacks a band, or CRS, transform or size differ.
    """
    with ExitStack() as stack:
        with blamed_on("s2"):
            image = stack.enter_context(open_image(s2))
            grid = checked_grid(image)
            _check_place(grid, s2)
            optical = Bands(image, band_indexes(image, OPTICAL_BANDS, names))
        with blamed_on("s1"):
            images = [(path, stack.enter_context(open_image(path))) for path in s1]
            for path, radar_image in images:
                _check_grid(grid, checked_grid(radar_image), path)
            radar = _radar_bands(images)
        usable = None
        if mask is not None:
            with blamed_on("s2_mask"):
                usable = Bands(stack.enter_context(open_image(mask)), [1])
                _check_grid(grid, Grid.of(usable.image), mask)
        is_decibel = unit == "decibel" or (unit == "auto" and any(map(_has_negative, radar)))
        yield Pair(
            grid,
            optical,
            radar,
            usable,
            is_decibel,
            _scene(images[0][1], images[0][0]),
            _scene(image, s2),
        )


def _radar_bands(images: Sequence[tuple[Path, rasterio.DatasetReader]]) -> list[Bands]:
    found: dict[str, Bands] = {}
    for path, image in images:
        for index, description in enumerate(image.descriptions, 1):
            name = (description or "").upper()
            if name not in RADAR_BANDS and image.count == 1:
                named = _POLARISATION.search(path.stem)
                name = named[1].upper() if named else ""
            if name in found:
                raise InputError(f"band {name} is given twice, the second time in {path.name}")
            if name in RADAR_BANDS:
                _check_real(image, index, path)
                found[name] = Bands(image, [index])
    missing = [name for name in RADAR_BANDS if name not in found]
    if missing:
        names = ", ".join(path.name for path, _ in images)
        raise InputError(
            f"band {', '.join(missing)} missing in {names}: expected one image with bands called "
            "VV and VH, or one image of each with vv or vh in its name"
        )
    return [found[name] for name in RADAR_BANDS]


def _check_real(image: rasterio.DatasetReader, index: int, path: Path) -> None:
    dtype = image.dtypes[index - 1]
    if dtype.startswith("complex"):
        raise InputError(
            f"{path.name} has complex numbers ({dtype}), expected power or decibel: give the "
            "squared magnitude"
        )


def _check_place(grid: Grid, path: Path) -> None:
    if grid.crs is None:
        raise InputError(f"{path.name} has no coordinate reference system")


def _check_grid(expected: Grid, found: Grid, path: Path) -> None:
    if expected.matches(found):
        return
    if found.crs != expected.crs:
        what = f"its reference system is {found.crs}, that of the S2 image {expected.crs}"
    elif found.shape != expected.shape:
        what = (
            f"it has {found.shape.cols} x {found.shape.rows} pixels, "
            f"the S2 image {expected.shape.cols} x {expected.shape.rows}"
        )
    else:
        here, there = expected.transform, found.transform
        what = (
            f"its upper left corner is {there.c:.10g}, {there.f:.10g} with pixels of "
            f"{there.a:.10g} x {-there.e:.10g}, that of the S2 image {here.c:.10g}, {here.f:.10g} "
            f"with pixels of {here.a:.10g} x {-here.e:.10g}"
        )
    raise InputError(
        f"{path.name} is not on the grid of the S2 image: {what}; resample one onto the grid of "
        "the other first"
    )


def _has_negative(band: Bands) -> bool:
    """Tell whether a thinned-out image has negative numbers, which power cannot be.

    Those below any decibel, such as -9999, say "no data" in files that do not declare it.
    """
    rows, cols = band.image.shape
    values = band.read(Window(0, 0, cols, rows), Shape(min(rows, LOOK), min(cols, LOOK)))
    values = values[values != band.image.nodata]
    return bool(((values < 0) & (values > LOWEST_DECIBEL)).any())


def _scene(image: rasterio.DatasetReader, path: Path) -> Scene:
    tags = image.tags()
    name = tags.get("PRODUCT_ID") or path.stem
    told = [tags[tag] for tag in _TIME_TAGS if tags.get(tag)]
    if told:
        return Scene(name, _parsed_time(told[0], path))
    return Scene(name, _named_time(path))


def _named_time(path: Path) -> dt.datetime | None:
    """Return the time in the name of a file, if there is one."""
    for digits in _TIME.findall(path.stem):
        try:
            return dt.datetime.strptime(digits.upper(), "%Y%m%dT%H%M%S").replace(tzinfo=dt.UTC)
        except ValueError:  # of a number that looks like one
            continue
    return None


def _parsed_time(text: str, path: Path) -> dt.datetime:
    iso = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text)  # as in TIFF's own times
    try:
        time = dt.datetime.fromisoformat(iso)
        return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise InputError(
            f"{path.name} was sensed at {text!r}, says its tag; expected an ISO 8601 time"
        ) from None
